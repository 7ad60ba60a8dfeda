"""Maps as stripes of full rows, kept or computed again.

A map [1,C,H,W] is read as stripes [1,C,t,W] from top to bottom, each with whether it is the last.
`Kept` holds its rows; `Lazy` computes them from another map whenever it is read; `Joined` is
h' + shortcut(x) for an h that is kept. Heights t need not agree between maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

Stripes = Iterator[tuple[Tensor, bool]]
"""Rows [1,C,t,W] in order, t > 0, and whether they are the last ones."""
Layer = Callable[[Tensor, bool], Tensor]
"""Fed with stripes in order, gives the rows that it can give by then (perhaps none)."""


@dataclass(frozen=True)
class Shape:
    """Size of a map."""

    channels: int
    height: int
    width: int
    itemsize: int

    @property
    def row(self) -> int:
        """Bytes of one row of all channels."""
        return self.channels * self.width * self.itemsize

    @property
    def bytes(self) -> int:
        return self.row * self.height

    def to(self, channels: int, height: int | None = None, width: int | None = None) -> Shape:
        """The shape after a layer that changes channels, and perhaps the size."""
        sizes = {"height": height or self.height, "width": width or self.width}
        return replace(self, channels=channels, **sizes)


class Map(Protocol):
    """An activation that can be read from top to bottom, several times."""

    shape: Shape

    @property
    def held(self) -> int:
        """Bytes of the kept maps that it is read from."""
        ...

    def stripes(self, limit: int, drain: bool) -> Stripes:
        """Read it in stripes of at most `limit` bytes (or one row).

        `drain`: for the last time, so that kept rows are let go as they are read.
        """
        ...


class Queue:
    """Rows that wait, first in, first out."""

    def __init__(self) -> None:
        self.rows: Tensor | None = None

    def __len__(self) -> int:
        return 0 if self.rows is None else self.rows.shape[2]

    def put(self, rows: Tensor) -> None:
        self.rows = rows if self.rows is None else torch.cat((self.rows, rows), 2)

    def take(self, count: int) -> Tensor:
        """The first `count` rows; what is left is copied, so that it holds no other rows alive."""
        if self.rows is None:
            raise IndexError("no rows were put")
        taken, self.rows = self.rows[:, :, :count], self.rows[:, :, count:].clone()
        return taken


class Kept:
    """A map in memory, as stripes of at most `limit` bytes, filled from top to bottom."""

    def __init__(self, shape: Shape, limit: int) -> None:
        self.shape = shape
        self._height = max(1, limit // shape.row)
        self._parts: list[Tensor] = []
        self._waiting: list[Tensor] = []

    @property
    def held(self) -> int:
        return self.shape.bytes

    def put(self, rows: Tensor, last: bool) -> None:
        """The rows that follow, copied; after the last ones it can be read."""
        parts = list(torch.cat((*self._waiting, rows), 2).split(self._height, 2))
        full = last or parts[-1].shape[2] == self._height
        self._waiting = [] if full else [parts.pop().clone()]
        self._parts += [part.contiguous() for part in parts]

    def stripes(self, limit: int, drain: bool) -> Stripes:
        height = max(1, limit // self.shape.row)
        parts, self._parts = self._parts, ([] if drain else list(self._parts))
        top = 0
        while parts:
            pieces = list(parts.pop(0).split(height, 2))
            while pieces:
                top += pieces[0].shape[2]
                yield pieces.pop(0), top == self.shape.height


class Lazy:
    """A map computed from another one at each reading, by a fresh layer."""

    def __init__(self, source: Map, layer: Callable[[], Layer], shape: Shape) -> None:
        self.source, self.shape = source, shape
        self._layer = layer

    @property
    def held(self) -> int:
        return self.source.held

    def stripes(self, limit: int, drain: bool) -> Stripes:
        layer = self._layer()
        for rows, last in self.source.stripes(_share(limit, self.source, self), drain):
            rows = layer(rows, last)
            if rows.shape[2]:
                yield rows, last
            del rows  # or it would live on while the next one is computed


class Joined:
    """layer(h) + shortcut(x), where h is a map of its own."""

    def __init__(
        self, h: Map, x: Map, layer: Callable[[], Layer], shortcut: Callable[[Tensor], Tensor]
    ) -> None:
        self.h, self.x, self.shape = h, x, h.shape
        self._layer, self._shortcut = layer, shortcut

    @property
    def held(self) -> int:
        return self.h.held + self.x.held

    def stripes(self, limit: int, drain: bool) -> Stripes:
        layer, waiting = self._layer(), Queue()
        others = self.x.stripes(limit, drain)
        for rows, last in self.h.stripes(limit, drain):
            rows = layer(rows, last)
            while len(waiting) < rows.shape[2]:
                waiting.put(self._shortcut(next(others)[0]))
            if rows.shape[2]:
                yield rows.add_(waiting.take(rows.shape[2])), last
            del rows


def shape_of(tensor: Tensor) -> Shape:
    """The shape of one map [C,H,W] of a batch [N,C,H,W]."""
    _, channels, height, width = tensor.shape
    return Shape(channels, height, width, tensor.element_size())


def whole(tensor: Tensor, limit: int) -> Kept:
    """A tensor [1,C,H,W] as a map; its rows are copied."""
    kept = Kept(shape_of(tensor), limit)
    kept.put(tensor, last=True)
    return kept


def gathered(source: Map, limit: int) -> Tensor:
    """A map as one tensor [1,C,H,W]; its rows are let go."""
    return torch.cat([rows for rows, _ in source.stripes(limit, drain=True)], 2)


def _share(limit: int, source: Map, result: Map) -> int:
    """Bytes of a source stripe whose result has at most `limit` bytes."""
    return limit * min(source.shape.bytes, result.shape.bytes) // result.shape.bytes
