"""What the report shows of one picture: side by side, the error, and the worst place large."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qa.store import RunFolder
from reports.harm import Cell, Pick
from reports.pictures import WINDOW, Array, Box, Inlined, Inliner, error, heat, read, worst_window
from reports.spread import Spread


@dataclass(frozen=True)
class Link:
    """A picture file of the run folder, as the page addresses it."""

    text: str
    href: str
    file: Path
    seed: int | None


@dataclass(frozen=True)
class Frame:
    """A window of a picture, in per cent of its width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Figure:
    """One picture with its caption. `kind`: reference, candidate, baseline, error, spread."""

    kind: str
    title: str
    picture: Inlined
    alt: str
    href: str | None = None
    frame: Frame | None = None


@dataclass(frozen=True)
class Crop:
    """The worst window of both pictures, pixel for pixel."""

    box: Box
    reference: Inlined
    candidate: Inlined


@dataclass(frozen=True)
class Card:
    """Everything about one of the worst pictures."""

    pick: Pick
    sample: Mapping[str, Any]
    cell: Cell | None
    figures: tuple[Figure, ...]
    crop: Crop | None
    error: str
    note: str


@dataclass(frozen=True)
class Album:
    """Finds a run's pictures and makes cards of them."""

    run: RunFolder
    baseline: RunFolder | None
    inliner: Inliner
    seeds: int
    whys: Mapping[tuple[str, int], str]
    """(sample, seed) → why there is no picture."""
    home: Path
    """The folder that the page lies in: links start there."""
    spreads: Mapping[str, Spread]
    """Sample → where its seeds differ, if that is to be shown."""

    def links(self, sample: str) -> tuple[Link, ...]:
        """The sample's picture files that exist: the reference, then every seed."""
        found = [self._link("reference", self.run.reference_file(sample), None)]
        for seed in range(self.seeds):
            found.append(self._link(f"seed {seed}", self.run.picture_file(sample, seed), seed))
        return tuple(link for link in found if link.file.is_file())

    def card(self, pick: Pick, sample: Mapping[str, Any], cell: Cell | None) -> Card:
        """Reference, candidate, baseline and error map of the worst seed; spread of all seeds."""
        seed = self._seed(pick.sample, cell)
        reference = read(self.run.reference_file(pick.sample))
        candidate = read(self.run.picture_file(pick.sample, seed))
        theirs = read(self.baseline.picture_file(pick.sample, seed)) if self.baseline else None
        levels = error(candidate, reference)
        box = None if levels is None else worst_window(levels)
        shown = [
            self._figure("reference", "Reference", pick.sample, reference, box),
            self._figure("candidate", f"Candidate, seed {seed}", pick.sample, candidate, box, seed),
            self._figure("baseline", f"Baseline, seed {seed}", pick.sample, theirs, box),
            self._error(pick.sample, levels, box),
            self._spread(pick.sample, box, candidate),
        ]
        return Card(
            pick,
            sample,
            cell,
            tuple(figure for figure in shown if figure is not None),
            self._crop(box, reference, candidate),
            "" if levels is None else f"mean {levels.mean():.1f}, largest {levels.max()}",
            self._note(pick.sample, seed, reference, candidate),
        )

    def _seed(self, sample: str, cell: Cell | None) -> int:
        """The worst seed, or the first that has a picture."""
        if cell is not None and cell.seed is not None:
            return cell.seed
        return next((link.seed for link in self.links(sample) if link.seed is not None), 0)

    def _link(self, text: str, file: Path, seed: int | None) -> Link:
        return Link(text, quote(Path(os.path.relpath(file, self.home)).as_posix()), file, seed)

    def _figure(
        self,
        kind: str,
        title: str,
        sample: str,
        picture: Array | None,
        box: Box | None,
        seed: int | None = None,
    ) -> Figure | None:
        inlined = self.inliner.put(picture)
        if picture is None or inlined is None:
            return None
        file = self.run.reference_file(sample)
        if seed is not None:
            file = self.run.picture_file(sample, seed)
        href = None if kind == "baseline" else self._link("", file, seed).href
        return Figure(kind, title, inlined, f"{title}: {sample}", href, _frame(box, picture))

    def _error(self, sample: str, levels: Array | None, box: Box | None) -> Figure | None:
        if levels is None:
            return None
        inlined = self.inliner.put(heat(levels))
        if inlined is None:
            return None
        alt = f"Absolute error map of {sample}: mean {levels.mean():.1f}, largest {levels.max()}"
        return Figure("error", "Absolute error", inlined, alt, None, _frame(box, levels))

    def _spread(self, sample: str, box: Box | None, candidate: Array | None) -> Figure | None:
        spread = self.spreads.get(sample)
        inlined = None if spread is None else self.inliner.put(spread.colours)
        if spread is None or inlined is None:
            return None
        part = f" of {self.seeds}" if spread.seeds < self.seeds else ""
        said = f"mean {spread.mean:.1f}, largest {spread.largest:.0f} levels"
        title = f"Spread over {spread.seeds}{part} seeds: {said}"
        frame = None if candidate is None else _frame(box, candidate)
        return Figure("spread", title, inlined, f"{title}: {sample}", None, frame)

    def _crop(
        self, box: Box | None, reference: Array | None, candidate: Array | None
    ) -> Crop | None:
        if box is None or reference is None or candidate is None:
            return None
        theirs, ours = (
            self.inliner.put(box.cut(picture), WINDOW, exact=True)
            for picture in (reference, candidate)
        )
        return Crop(box, theirs, ours) if theirs and ours else None

    def _note(
        self, sample: str, seed: int, reference: Array | None, candidate: Array | None
    ) -> str:
        if candidate is None:
            why = self.whys.get((sample, seed)) or "its file is missing or damaged"
            return f"There is no picture of seed {seed}: {why}"
        if reference is None:
            return "There is no reference picture to compare with."
        if reference.shape != candidate.shape:
            sizes = [f"{a.shape[1]}×{a.shape[0]}" for a in (reference, candidate)]
            return f"The sizes differ: reference {sizes[0]}, candidate {sizes[1]}."
        return ""


def _frame(box: Box | None, picture: Array) -> Frame | None:
    """None where the window is the whole picture: a frame would show nothing."""
    height, width = picture.shape[:2]
    if box is None or (box.width, box.height) == (width, height):
        return None
    return Frame(
        *(round(100 * part, 3) for part in (box.x / width, box.y / height)),
        *(round(100 * part, 3) for part in (box.width / width, box.height / height)),
    )
