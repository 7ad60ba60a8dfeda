"""A detector for drawn scenes (`qa.drawings.figures`): what has which form, and which colour.

    ground    the median colour of the picture's border
    v         a pixel's colour minus the ground; figure where |v| > `FAINT`
    piece     connected figure whose v points the way of one colour of the drawings
    outline   where |v| is half of what it is inside the piece

and each outline is laid over the four shapes, all with the same centroid and the same area:

    I = share of the shape that the piece covers        likeness = I / (2 - I), their common by
    score = max(likeness - c, 0) / (1 - c)                         their united area

with c the likeness of the shape to the one that is most like it (circle and square: 0.83). So the
score is 1 for the shape itself, 0 for a form that is no more like it than another shape is, and a
piece counts as the shape of its highest score. Turned shapes are others: a drawing's stand upright.
Nothing is opened or blurred: at 64 pixels that makes circles of small stars.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from qa.drawings.figures import COLOURS as DRAWN
from qa.drawings.figures import OUTLINES, SHAPES, Figures, draw_prompt
from qa.errors import QaError
from qa.files import digest
from suites.geneval.detector import COLOURS, Detections
from suites.geneval.selftest import SURE, check_colours, overlap

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
VERSION = 1
FAINT = 64.0
"""Length of v, of 442, up to which a pixel is ground."""
LEAST = 1 / 256
"""Share of the picture below which a piece is a speck; the smallest figure has three times that."""
FINE = 4
"""Outlines are drawn that many times finer than the picture."""
INSIDE = 75
"""Percentile of |v| over a piece that stands for its inside: edges are mixed with ground."""
POINTS = 96
"""Root of how many points of a shape's box likeness is counted at."""
LEVELS: dict[str, tuple[int, int, int]] = {
    **DRAWN, "orange": (240, 132, 20), "pink": (246, 150, 190), "brown": (124, 74, 36),
    "white": (255, 255, 255),
}  # fmt: skip
"""What GenEval's colours look like here: those of the drawings, and four that they never have."""


class Piece(NamedTuple):
    """Connected pixels of one colour."""

    mask: NDArray[np.bool_]
    """[H,W]: at least half covered."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 of its outline, end exclusive."""
    scores: dict[str, float]
    """Shape → score; the first is the highest."""


class DrawnShapes:
    """A `Detector` of circles, squares, triangles and stars."""

    label = "drawn shapes by outline"
    licence = "Apache-2.0"
    classes = SHAPES

    def __init__(self) -> None:
        outlines = {name: corners.tolist() for name, corners in OUTLINES.items()}
        settings = [VERSION, FAINT, LEAST, FINE, INSIDE, POINTS]
        self.digest = digest([settings, SHAPES, DRAWN, outlines])

    def check(self) -> None:
        """QaError, with what was expected and found, unless it finds one figure of each shape."""
        for seed, shape in enumerate(SHAPES):
            drawing = draw_prompt(f"a {shape}", seed)
            found = self.detect(_tensor(drawing))
            if set(found) != {shape} or not _is(found[shape], drawing):
                said = {name: part.boxes.round(2).tolist() for name, part in found.items()}
                raise QaError(
                    f"{self.label} failed its self test and nothing was scored.",
                    f"A drawing shows one {shape} at {list(drawing.figures[0].box)}; found was "
                    f"{said or 'nothing'}.",
                    "install the package and OpenCV anew",
                )

    def detect(self, picture: Tensor) -> dict[str, Detections]:
        """picture uint8 [3,H,W] → shape → its pieces, most surely so first; masks with them."""
        found: dict[str, list[Piece]] = {}
        for piece in pieces(picture.permute(1, 2, 0).cpu().numpy()):
            shape, score = next(iter(piece.scores.items()))
            if score:
                found.setdefault(shape, []).append(piece)
        return {shape: _detections(shape, parts) for shape, parts in found.items()}


class DrawnColours:
    """A `ColourClassifier`: of `LEVELS` the next to the median inside the mask, in CIELAB."""

    label = "nearest colour of drawn figures"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        self.digest = digest([VERSION, LEVELS])

    def check(self) -> None:
        """QaError where it does not name the colours of plain discs."""
        check_colours(self)

    def colours(
        self,
        picture: Tensor,
        cls: str,
        boxes: NDArray[np.floating],
        masks: NDArray[np.bool_] | None,
    ) -> Sequence[str]:
        """picture uint8 [3,H,W], boxes [k,5], masks [k,H,W] → k names of `COLOURS`.

        ValueError without masks.
        """
        if masks is None:
            raise ValueError(f"the colour of a {cls} needs its mask")
        image = picture.permute(1, 2, 0).cpu().numpy()
        table = _lab([LEVELS[name] for name in COLOURS])
        medians = _lab([np.median(image[_inner(mask)], axis=0) for mask in masks])
        gaps = np.linalg.norm(medians[:, None] - table, axis=-1)
        return [COLOURS[place] for place in gaps.argmin(axis=1)]


def pieces(image: NDArray[np.uint8]) -> list[Piece]:
    """image uint8 [H,W,3] → its pieces, specks left out, in no particular order."""
    ground = np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]), axis=0)
    v = image - ground
    length = np.linalg.norm(v, axis=-1)
    owner, count = _pieces(_kinds(v, length, ground))
    areas = np.bincount(owner.ravel(), minlength=count)
    # Noise has a piece in every pixel: the picture is not gone through for each of them.
    large = [own for own in range(1, count) if areas[own] >= LEAST * owner.size]
    return [_piece(length, owner, own) for own in large]


def likeness(shape: str, mask: NDArray[np.bool_]) -> float:
    """Common by united area of a form bool [h,w] and the shape of its centroid and area."""
    y, x = np.nonzero(mask)
    corner = np.array([x.mean(), y.mean()]) + 0.5
    places = np.floor(_points(shape) * np.sqrt(len(x)) + corner).astype(int)
    within = places[((places >= 0) & (places < mask.shape[::-1])).all(axis=1)]
    covered = mask[within[:, 1], within[:, 0]].sum() / len(places)
    return float(covered / (2 - covered))


@cache
def next_best(shape: str) -> float:
    """c: its likeness to the other shape that is most like it."""
    x, y = np.meshgrid(*[(np.arange(POINTS) + 0.5) / POINTS] * 2)
    others = [other for other in SHAPES if other != shape]
    return max(likeness(shape, _holds(other, x, y)) for other in others)


def _holds(shape: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points of the unit square are in a shape that fills it, y downwards."""
    if shape == "circle":
        return (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.25
    inside = np.full(x.shape, shape == "square")
    corners = OUTLINES.get(shape, np.empty((0, 2)))
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ay != by:  # even-odd rule: each side that a ray to the right crosses turns it over
            inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) / (by - ay) * (bx - ax))
    return inside


@cache
def _points(shape: str) -> Floats:
    """Points of a shape, float [N,2] as (x, y), of centroid 0 and area 1.

    They are of a lattice without rows: on a square one whole rows would fall to one side of an
    edge together. Its steps are powers of the root of g³ = g + 1.
    """
    g = 1.32471795724474602596
    x, y = (np.arange(POINTS**2)[:, None] * (g**-1, g**-2) % 1).T
    points = np.stack([x, y], axis=1)[_holds(shape, x, y)]
    found: Floats = (points - points.mean(axis=0)) * np.sqrt(POINTS**2 / len(points))
    return found


def _kinds(v: Floats, length: Floats, ground: Floats) -> NDArray[np.intp]:
    """v [H,W,3] → place of the palette's colour that each pixel is like, -1 for ground.

    The 3 x 3 pixels around have a vote each, as heavy as they are far from the ground: a mixed
    pixel at an edge, or a noisy one, goes with the figure that it touches.
    """
    ways = np.array(list(DRAWN.values())) - ground
    ways /= np.maximum(np.linalg.norm(ways, axis=-1, keepdims=True), 1)
    own = (v @ ways.T).argmax(axis=-1)
    votes = [cv2.blur(np.where(own == place, length, 0), (3, 3)) for place in range(len(ways))]
    return np.where(length > FAINT, np.argmax(votes, axis=0), -1)


def _pieces(kinds: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    """Number of each pixel's piece [H,W], 0 for ground, and the first number without one."""
    owner, count = np.zeros(kinds.shape, np.intp), 1
    for kind in range(kinds.max() + 1):
        more, labels = cv2.connectedComponents((kinds == kind).astype(np.uint8), connectivity=4)
        owner = np.where(labels > 0, labels + count - 1, owner)
        count += more - 1
    return owner, count


def _piece(length: Floats, owner: NDArray[np.intp], own: int) -> Piece:
    """Piece `own`."""
    y, x = np.nonzero(owner == own)
    half = np.percentile(length[y, x], INSIDE) / 2
    free = np.isin(owner, (0, own))
    top, left = max(y.min() - 1, 0), max(x.min() - 1, 0)
    crop = np.where(free, length, 0)[top : y.max() + 2, left : x.max() + 2]
    fine = cv2.resize(crop, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR) >= half
    _, labels, found, _ = cv2.connectedComponentsWithStats(fine.astype(np.uint8), connectivity=4)
    form = labels == 1 + found[1:, cv2.CC_STAT_AREA].argmax()
    scores = {shape: _score(shape, form) for shape in SHAPES}
    y, x = np.nonzero(form)
    return Piece(
        (owner == own) & (length >= half),
        (left + x.min() / FINE, top + y.min() / FINE,
         left + (x.max() + 1) / FINE, top + (y.max() + 1) / FINE),
        dict(sorted(scores.items(), key=lambda item: -item[1])),
    )  # fmt: skip


def _score(shape: str, form: NDArray[np.bool_]) -> float:
    least = next_best(shape)
    return max(likeness(shape, form) - least, 0.0) / (1 - least)


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its edge, which is mixed with ground; all of it where nothing is left."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return inner if inner.any() else mask


def _lab(levels: Any) -> Floats:
    """Colours [n,3] of 0 to 255 → CIELAB [n,3]."""
    from skimage.color import rgb2lab

    found: Floats = rgb2lab(np.asarray(levels, np.float64) / 255)
    return found


def _detections(shape: str, parts: Sequence[Piece]) -> Detections:
    order = sorted(parts, key=lambda piece: -piece.scores[shape])
    boxes = np.array([[*piece.box, piece.scores[shape]] for piece in order], np.float32)
    return Detections(boxes, np.stack([piece.mask for piece in order]))


def _is(found: Detections, drawing: Figures) -> bool:
    *corners, score = map(float, found.boxes[0])
    box = corners[0], corners[1], corners[2], corners[3]
    return len(found.boxes) == 1 and score > SURE and overlap(box, drawing.figures[0].box) > SURE


def _tensor(drawing: Figures) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(drawing.image.transpose(2, 0, 1)))
