"""What the stage of one picture holds: its panes, its worst window, and that window in every seed.

The page shows panes as figures; `templates/stage.js` makes a stage of them, where they are
compared side by side, with a wipe or in turns, zoomed and moved together. All panes show the same
scene, so places are said in per cent of it, whatever the size of a picture inside the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import spread
from reports.pictures import FULL, Array, Box, Inlined


@dataclass(frozen=True)
class Scale:
    """The colour scale below a map."""

    gradient: str
    """Name of the page's gradient: ramp, spread, …"""
    said: str
    ticks: Sequence[tuple[str, float, str]]
    """(label, place in per cent, anchor) along it."""


ERROR = Scale(
    "ramp",
    f"Colour scale: 0 to {FULL} levels and more",
    [("0", 0, "start"), (f"{FULL // 2}", 50, "middle"), (f"≥ {FULL} levels", 100, "end")],
)
SPREAD = Scale(
    "spread",
    f"Colour scale of the spread: 0 to {spread.FULL} levels and more",
    spread.ticks(),
)


@dataclass(frozen=True)
class Map:
    """A number at each place of a picture, in colours."""

    kind: str
    title: str
    alt: str
    colours: Array
    """uint8 [h,w,3] of the whole picture."""
    scale: Scale | None = None


@dataclass(frozen=True)
class Figure:
    """One pane with its caption. `kind`: reference, candidate, baseline, error, spread, …"""

    kind: str
    title: str
    picture: Inlined
    alt: str
    href: str | None = None
    """The stored file, as the page addresses it."""
    scale: Scale | None = None
    full: str | None = None
    """Where a viewer serves the page: the address of the stored file, taken up on zooming in."""


@dataclass(frozen=True)
class Frame:
    """A window of a picture, in per cent of its width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def whole(self) -> bool:
        """Whether the window is the picture: there is nothing to mark or to zoom to."""
        return (self.width, self.height) == (100, 100)


@dataclass(frozen=True)
class Tile:
    """One picture of a row: its worst window pixel for pixel, or the whole of it, small."""

    kind: str
    """The pane that it is a part of; empty for seeds that have none."""
    title: str
    picture: Inlined | None
    """None where there is no such picture."""
    alt: str
    seed: int | None = None
    """Of the candidate."""
    value: float | None = None
    """The picked metric's value of this seed, if it is known."""
    why: str = "no picture"
    """Said in its place where there is no picture."""


@dataclass(frozen=True)
class Window:
    """The place with the largest error, in every picture."""

    box: Box
    frame: Frame
    tiles: tuple[Tile, ...]
    left_out: int
    """Seeds that are not among the tiles."""


@dataclass(frozen=True)
class Seeds:
    """Whole pictures of the seeds, small, where no window of them can be compared."""

    tiles: tuple[Tile, ...]
    left_out: int
    """Seeds that are not among the tiles."""


def frame(box: Box, picture: Array) -> Frame:
    """Where a window lies in a picture uint8 [H,W] or [H,W,3]."""
    height, width = picture.shape[:2]
    return Frame(
        *(round(100 * part, 3) for part in (box.x / width, box.y / height)),
        *(round(100 * part, 3) for part in (box.width / width, box.height / height)),
    )
