"""Large pictures in tiles, so that a convolutional network gives the features of the whole.

Output i of a layer looks at inputs  i s - b .. i s + a  along each side, where s is the layer's
stride in pixels and b, a follow from the kernels k, strides and paddings p below it:

    before the first layer  s = 1, b = a = 0;     each layer  b += p s,  a += (k - 1 - p) s,
                                                              s *= its own stride

A tile is read with at least b pixels more in front and a more behind, starting at a multiple of the
coarsest stride, so that its outputs lie on the grid of the whole picture's. Outputs that reach
beyond what was read are dropped; those at the picture's true border are kept, where the network
pads with zeros as it would have done anyway. What is kept of all tiles is every output once: sums
over positions are then exact (up to float32 rounding in the convolutions), and memory depends on
the tile only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

TILE = 1024
"""Pixels along a side of a tile, without what is read around it."""


@dataclass(frozen=True)
class Reach:
    """What one output of a layer looks at, its receptive field, in pixels along each side."""

    stride: int = 1
    before: int = 0
    """Pixels in front of the output's own place, i * stride."""
    after: int = 0
    """Pixels behind it."""

    def through(self, kernel: int, stride: int, padding: int) -> Reach:
        """The reach after one more layer."""
        return Reach(
            self.stride * stride,
            self.before + padding * self.stride,
            self.after + (kernel - 1 - padding) * self.stride,
        )


def reaches(stages: Sequence[Iterable[nn.Module]]) -> list[Reach]:
    """The reach of each stage's last layer. A module without a stride has a 1x1 window."""
    reach, found = Reach(), []
    for stage in stages:
        for module in stage:
            reach = reach.through(*_window(module)) if hasattr(module, "stride") else reach
        found.append(reach)
    return found


@dataclass(frozen=True)
class Span:
    """One tile along one side, in pixels; stops are exclusive."""

    read: slice
    keep: slice
    """The tile itself, without what is read around it."""
    last: bool
    """Whether it reaches the picture's end."""

    def outputs(self, stride: int) -> slice:
        """Which of the outputs that a layer makes of the tile belong to it."""
        offset = self.read.start // stride
        stop = None if self.last else self.keep.stop // stride - offset
        return slice(self.keep.start // stride - offset, stop)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture."""

    rows: Span
    columns: Span

    def crop(self, picture: Tensor) -> Tensor:
        """The part of a picture [...,H,W] that is read."""
        return picture[..., self.rows.read, self.columns.read]

    def kept(self, features: Tensor, reach: Reach) -> Tensor:
        """The part of the crop's features [...,h,w] that belongs to the tile."""
        return features[..., self.rows.outputs(reach.stride), self.columns.outputs(reach.stride)]


def tiles(height: int, width: int, tile: int, layers: Sequence[Reach]) -> Iterator[Tile]:
    """Tiles of at most about `tile` pixels along a side, row by row; one where all fits into it."""
    sides = (list(_spans(length, tile, layers)) for length in (height, width))
    for rows, columns in product(*sides):
        yield Tile(rows, columns)


def _spans(length: int, tile: int, layers: Sequence[Reach]) -> Iterator[Span]:
    stride = max(reach.stride for reach in layers)
    before = stride * -(-max(reach.before for reach in layers) // stride)
    after = max(reach.after for reach in layers)
    count = -(-length // tile)  # equal tiles instead of full ones and a narrow rest
    size = stride * -(-length // (count * stride))
    for start in range(0, length, size):
        stop = min(start + size, length)
        read = slice(max(0, start - before), min(length, stop + after))
        yield Span(read, slice(start, stop), stop == length)


def _window(module: nn.Module) -> tuple[int, int, int]:
    """Kernel, stride and padding; of torchmetrics' L2 pooling too, which has a filter [C,1,k,k]."""
    layer: Any = module
    kernel = layer.kernel_size if hasattr(layer, "kernel_size") else layer.filter.shape[-1]
    window = (kernel, layer.stride, layer.padding)
    one, two, three = (value[0] if isinstance(value, tuple) else value for value in window)
    return int(one), int(two), int(three)
