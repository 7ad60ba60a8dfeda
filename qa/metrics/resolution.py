"""At which size a network without a reference looks at a picture.

Such networks were trained on small photographs and say nothing about larger ones. What is done with
those is part of a metric's protocol, because it changes the number:

    native         the picture as it is
    longer:1024    shrunk by Pillow until that side has 1024 pixels, bicubic; never enlarged
    shorter:512:lanczos    the same with another side and filter
    tile:225:224   windows of 225x225, 224 apart, the last of each row at the border; the value is
                   the mean of theirs

and each way shows the metric some share of the picture's pixels, its `coverage`. A metric may look
at less than it is shown: some cut a fixed number of windows out, however large the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from qa.errors import UsageError
from qa.features.resize import FILTERS, pillow
from qa.metrics.inputs import score_each

if TYPE_CHECKING:
    from torch import Tensor

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; the ends are exclusive."""


def parse(text: str) -> Resolution:
    """The way that a configuration names; UsageError where there is none of that name."""
    kind, *rest = text.split(":")
    try:
        if kind == "native" and not rest:
            return Native()
        if kind in ("longer", "shorter"):
            return Resize(kind, int(rest[0]), *rest[1:])
        if kind == "tile":
            size, stride = rest
            return Windows(int(size), int(stride))
    except (ValueError, TypeError, IndexError):
        pass
    raise UsageError(
        f"resolution={text} is no way to show a picture.",
        "",
        "native, longer:1024, shorter:512:lanczos or tile:225:224",
    )


def score_views(
    score: Callable[[Tensor], Tensor], pictures: Tensor, resolution: Resolution
) -> list[float]:
    """Apply `score` (uint8 [3,h,w] → one value) to each view of S pictures → S finite means."""
    import torch

    def mean(picture: Tensor) -> Tensor:
        values = [score(view).reshape(()) for view in resolution.views(picture[0])]
        return torch.stack(values).double().mean()

    return score_each(mean, pictures)


class Resolution(Protocol):
    """A way from a picture to the pictures that a metric is called with."""

    def views(self, picture: Tensor) -> Iterator[Tensor]:
        """Picture uint8 [3,H,W] → one or more uint8 [3,h,w]; the metric's value is their mean."""
        ...

    def shown(self, height: int, width: int) -> list[Box]:
        """The part of the picture that each view shows."""
        ...

    def view_size(self, box: Box) -> tuple[int, int]:
        """Height and width of the view of that part."""
        ...

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Native:
    """The picture as it is."""

    def views(self, picture: Tensor) -> Iterator[Tensor]:
        yield picture

    def shown(self, height: int, width: int) -> list[Box]:
        return [(0, 0, height, width)]

    def view_size(self, box: Box) -> tuple[int, int]:
        return _size(box)

    def __str__(self) -> str:
        return "native"


@dataclass(frozen=True)
class Resize:
    """Shrunk so that the longer or shorter side has `size` pixels; smaller pictures stay."""

    side: str
    size: int
    filter: str = "bicubic"
    """box, bilinear, bicubic or lanczos, Pillow's, on 8-bit levels."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.side not in ("longer", "shorter") or self.filter not in FILTERS:
            raise UsageError(
                f"Pictures cannot be resized to {self.side}={self.size}, {self.filter}.",
                f"Filters: {', '.join(FILTERS)}.",
                "size: 1 or more, side: longer or shorter",
            )

    def views(self, picture: Tensor) -> Iterator[Tensor]:
        size = self.view_size((0, 0, *picture.shape[1:]))
        yield picture if size == tuple(picture.shape[1:]) else pillow(picture, size, self.filter)

    def shown(self, height: int, width: int) -> list[Box]:
        return [(0, 0, height, width)]

    def view_size(self, box: Box) -> tuple[int, int]:
        height, width = _size(box)
        measured = max(height, width) if self.side == "longer" else min(height, width)
        if measured <= self.size:
            return height, width
        scale = self.size / measured
        return max(1, round(height * scale)), max(1, round(width * scale))

    def __str__(self) -> str:
        return f"{self.side} side at most {self.size}, Pillow {self.filter} on 8-bit levels"


@dataclass(frozen=True)
class Windows:
    """Windows over the whole picture; a side below `size` is one window."""

    size: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.size:
            raise UsageError(
                f"Tiles of {self.size} pixels cannot be {self.stride} apart.",
                "They would leave gaps, or not move.",
                "stride: between 1 and size",
            )

    def views(self, picture: Tensor) -> Iterator[Tensor]:
        for top, left, bottom, right in self.shown(*picture.shape[1:]):
            yield picture[:, top:bottom, left:right]

    def shown(self, height: int, width: int) -> list[Box]:
        return [
            (top, left, min(top + self.size, height), min(left + self.size, width))
            for top in self._starts(height)
            for left in self._starts(width)
        ]

    def view_size(self, box: Box) -> tuple[int, int]:
        return _size(box)

    def __str__(self) -> str:
        return f"tiles of {self.size}, {self.stride} apart, mean of their values"

    def _starts(self, length: int) -> list[int]:
        last = max(0, length - self.size)
        return sorted({*range(0, last, self.stride), last})


@dataclass(frozen=True)
class Crops:
    """Windows of `size` x `size` that a metric itself cuts out of each view, and no others.

    With `grid` n: the first `count` cells, row by row, of n x n windows whose distance is
    (side - size) // isqrt(count). With `stride` s: of all windows s apart, row by row, every k-th
    from the first on, `count` of them, k = all // count. Views below `size` are enlarged.
    """

    size: int
    count: int
    grid: int = 0
    stride: int = 0

    def boxes(self, height: int, width: int) -> list[Box]:
        """The windows in a view of this size."""
        if min(height, width) <= self.size:
            return [(0, 0, height, width)]
        steps = (height - self.size, width - self.size)
        if self.grid:
            down, across = (step // math.isqrt(self.count) for step in steps)
            starts = [(i * down, j * across) for i in range(self.grid) for j in range(self.grid)]
        else:
            rows, columns = (step // self.stride + 1 for step in steps)
            every = max(1, rows * columns // self.count)
            starts = [
                (k // columns * self.stride, k % columns * self.stride)
                for k in range(0, rows * columns, every)
            ]
        return [(y, x, y + self.size, x + self.size) for y, x in starts[: self.count]]


def coverage(resolution: Resolution, crops: Crops | None, height: int, width: int) -> float:
    """Share in [0,1] of a picture's pixels that has an influence on the value."""
    seen: list[Box] = []
    for box in resolution.shown(height, width):
        top, left, bottom, right = box
        view = resolution.view_size(box)
        scale = (bottom - top) / view[0], (right - left) / view[1]
        for y0, x0, y1, x1 in crops.boxes(*view) if crops else [(0, 0, *view)]:
            seen.append((
                top + round(y0 * scale[0]), left + round(x0 * scale[1]),
                top + round(y1 * scale[0]), left + round(x1 * scale[1]),
            ))  # fmt: skip
    return _union(seen) / (height * width)


def _union(boxes: Sequence[Box]) -> int:
    """Pixels in at least one box."""
    edges = sorted({edge for box in boxes for edge in (box[0], box[2])})
    total = 0
    for top, bottom in pairwise(edges):
        spans = sorted((b[1], b[3]) for b in boxes if b[0] <= top and bottom <= b[2])
        end = covered = 0
        for left, right in spans:
            covered += max(0, right - max(left, end))
            end = max(end, right)
        total += covered * (bottom - top)
    return total


def _size(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]
