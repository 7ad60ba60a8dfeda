"""Does a detector see at all? Known objects in known pictures, before anything is scored.

A detector with wrong weights, a device it was not built for or channels in the wrong order answers
with nothing and raises no error: every picture then counts as wrong, and every arm alike. So two
photographs of scikit-image's wheel are shown to it,

    chelsea.png   a cat, from the left border over nine tenths of the picture
    coffee.png    a cup with its handle, in the upper half

and it has to find the object, surely and in its place. A classifier of colours is shown four discs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qa.errors import QaError
from qa.photographs import photograph
from suites.geneval.detector import ColourClassifier, Detections, Detector

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Known:
    """An object in a photograph of scikit-image's wheel."""

    file: str
    cls: str
    box: Box
    """x1, y1, x2, y2, marked by hand."""


KNOWN = (
    Known("chelsea.png", "cat", (0, 0, 402, 300)),
    Known("coffee.png", "cup", (172, 17, 410, 308)),
)
SURE = 0.5
"""Least score, and least overlap of the box with the marked one."""
DISCS = {
    "red": (220, 20, 20),
    "yellow": (250, 220, 20),
    "green": (20, 150, 40),
    "blue": (20, 60, 220),
}
RIGHT = 3
"""Discs that must be named rightly. One in 270 classifiers that guess among ten names that many."""
SIDE, RADIUS = 224, 80
FIX = "qa assets verify, and choose device=cpu where the GPU may be at fault"


def check_detector(detector: Detector) -> None:
    """QaError, with what was expected and what was found, unless every known object is found."""
    for known in KNOWN:
        picture = _tensor(photograph(known.file))
        found = detector.detect(picture).get(known.cls)
        if found is None or not any(_is(known, row) for row in found.boxes):
            raise QaError(
                f"{detector.label} failed its self test and nothing was scored.",
                f"{known.file} shows a {known.cls} at {list(known.box)}; expected was a score "
                f"above {SURE} and an overlap above {SURE}, found was {_said(known, found)}.",
                FIX,
            )


def check_colours(classifier: ColourClassifier) -> None:
    """QaError, with what was expected and what was found, unless most discs have their colour."""
    names = []
    for levels in DISCS.values():
        picture, box, mask = disc(levels)
        names += classifier.colours(picture, "sports ball", box[None], mask[None])
    if sum(name == wanted for name, wanted in zip(names, DISCS, strict=True)) < RIGHT:
        raise QaError(
            f"{classifier.label} failed its self test and nothing was scored.",
            f"Discs of the colours {', '.join(DISCS)} were called {', '.join(names)}; {RIGHT} of "
            f"{len(DISCS)} must be right.",
            FIX,
        )


def disc(levels: tuple[int, int, int]) -> tuple[Tensor, NDArray[np.float32], NDArray[np.bool_]]:
    """A disc on grey: picture uint8 [3,H,W], its box [5] with score 1, its mask [H,W]."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    mask = x**2 + y**2 < RADIUS**2
    pixels = np.full((SIDE, SIDE, 3), 128, np.uint8)
    pixels[mask] = levels
    low, high = SIDE / 2 - RADIUS, SIDE / 2 + RADIUS
    return _tensor(pixels), np.array([low, low, high, high, 1], np.float32), mask


def overlap(a: Box, b: Box) -> float:
    """Common area by united area of two boxes, x2 and y2 exclusive."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    return common / (_area(a) + _area(b) - common)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _is(known: Known, row: NDArray[np.floating]) -> bool:
    x1, y1, x2, y2, score = (float(v) for v in row)
    return score > SURE and overlap((x1, y1, x2, y2), known.box) > SURE


def _said(known: Known, found: Detections | None) -> str:
    if found is None or not len(found.boxes):
        return f"no {known.cls}"
    *box, score = (float(v) for v in found.boxes[0])
    return f"at best a score of {score:.2f} at {[round(v) for v in box]}"


def _tensor(pixels: NDArray[np.uint8]) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
