"""Where the seeds of one picture differ: the map beside the worst pictures of a report.

All seeds of a sample decode the same latent (or prompt), each with noise of its own, so what
differs between them was in neither: it came from the noise. The map is `deviation_map` of
`qa.metrics.spread`, in NumPy, because a report never imports torch:

    s = sqrt(mean over R, G, B of v)     v = (S sum x^2 - (sum x)^2) / (S (S - 1))

in levels 0..255, at each pixel, for the pictures x of S >= 2 seeds. Its mean over pixels is the
metric `seed_deviation`. The colour follows sqrt(s): grain of 2 levels and a letter that changes
with the seed, 100 levels, must both be seen on one scale that no picture moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from qa.store import RunFolder
from reports.pictures import SIDE, Array, painted, read

FEWEST, MOST = 2, 16
"""Seeds that are compared at least, and at most: reading pictures is all that the map costs."""
FULL = 64
"""Spread, in levels, at the upper end of the colour scale."""
TICKS = (0, 4, 16, 64)
"""Labels of the colour scale, in levels."""
RAMP = ((6, 10, 20), (14, 52, 104), (8, 106, 134), (52, 158, 122), (156, 208, 92), (252, 246, 190))
"""Colours from 0 to `FULL`: other hues than the error map's, for its scale is another one.
Lightness rises evenly, so that grey, and every kind of colour blindness, shows it too."""


@dataclass(frozen=True)
class Spread:
    """What the report shows of one sample's seeds."""

    colours: Array
    """uint8 [h,w,3], at most `SIDE` long."""
    seeds: int
    """How many pictures were compared."""
    mean: float
    largest: float
    """Of the map, in levels."""


def spreads(run: RunFolder, samples: Iterable[str], seeds: int) -> dict[str, Spread]:
    """Sample → spread of its stored pictures; without those that have no two of equal size."""
    found = {}
    for sample in samples:
        files = (run.picture_file(sample, seed) for seed in range(min(seeds, MOST)))
        pictures = map(partial(read, run.path), files)
        shown = _spread(picture for picture in pictures if picture is not None)
        if shown is not None:
            found[sample] = shown
    return found


def drawn(found: Mapping[str, Spread]) -> bool:
    """Whether there is anything to see: of equal pictures no map is drawn."""
    return any(spread.largest > 0 for spread in found.values())


def sentence(found: Mapping[str, Spread], seeds: int) -> str:
    """What the report says of the spread: how to read its maps, or why there are none."""
    if seeds < FEWEST:
        return "There is one seed; what the decoder draws anew with each shows from seeds=2 on."
    if not found:
        return "No picture here is stored for two seeds, so there is no map of their spread."
    if not drawn(found):
        equal = min(spread.seeds for spread in found.values())
        return f"All {equal} seeds gave equal pictures here, so there is no map of their spread."
    return (
        "The spread map is the standard deviation over the seeds, on a square-root scale from 0 to "
        f"{FULL} levels in every report: what differs between seeds came from noise, not from the "
        "latent or the prompt."
    )


def deviation(pictures: Iterable[Array]) -> tuple[Array, int] | None:
    """Pictures uint8 [H,W,3] → (s float64 [H,W] in levels, S); None below two, or for two sizes."""
    seeds = 0
    for picture in pictures:
        wide = picture.astype(np.uint32)
        square = np.square(wide).sum(axis=2)
        if seeds == 0:
            total, squares = wide, square
        elif picture.shape != total.shape:
            return None
        else:
            total += wide
            squares += square
        seeds += 1
    if seeds < FEWEST:
        return None
    # Integers until here, so nothing cancels and the order of the seeds cannot matter.
    spread = seeds * squares.astype(np.float64) - np.square(total, dtype=np.float64).sum(axis=2)
    return np.sqrt(spread / (3 * seeds * (seeds - 1))), seeds


def colours(levels: Array, side: int = SIDE) -> Array:
    """Spread float64 [H,W] in levels → colours uint8 [h,w,3], at most `side` long.

    Where it shrinks, a dot shows the largest spread of its block, as in the error map.
    """
    places = np.rint(255 * np.sqrt(np.minimum(levels, FULL) / FULL)).astype(np.uint8)
    return painted(places, RAMP, side=side)


def ticks() -> list[tuple[str, float, str]]:
    """(label, place in per cent, anchor) along the colour scale."""
    anchors = ["start", *["middle"] * (len(TICKS) - 2), "end"]
    labels = [*map(str, TICKS[:-1]), f"≥ {TICKS[-1]} levels"]
    places = [round(100 * float(np.sqrt(tick / FULL)), 2) for tick in TICKS]
    return list(zip(labels, places, anchors, strict=True))


def _spread(pictures: Iterable[Array]) -> Spread | None:
    found = deviation(pictures)
    if found is None:
        return None
    levels, seeds = found
    return Spread(colours(levels), seeds, float(levels.mean()), float(levels.max()))
