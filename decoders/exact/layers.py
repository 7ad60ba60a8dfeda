"""Layers that are fed stripe after stripe.

A 3×3 convolution needs one row above and one below. Fed with rows, it gives those whose row below
is there, and keeps the last two rows for the next stripe; zeros take their place above the first
row of the picture and below the last. What it gives is thus one row behind what it was fed.

Nearest ×2 followed by a 3×3 convolution with rows w₀, w₁, w₂ of weights sees each source row twice:

    even output row 2i      w₀ · source[i−1]  +  (w₁ + w₂) · source[i]
    odd output row 2i+1     (w₀ + w₁) · source[i]  +  w₂ · source[i+1]

and columns likewise: four convolutions 2×2 at the source's size, one for each parity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from decoders.exact.moments import Moments, Normalise
from decoders.exact.stripes import Layer, Queue

Pointwise = Callable[[Tensor], Tensor]
"""Treats every row alike: [1,C,t,W] → [1,C',t,W]."""


def same(rows: Tensor) -> Tensor:
    """Rows as they are."""
    return rows


class Sliding:
    """`apply` on windows of at least three rows, for rows fed as they come.

    apply   [1,C,n,W] → the rows whose three source rows lie within, one for every `step` rows
    before  what is done to the rows first; the zeros at the picture's edge come after it
    above   zero rows above the picture; below it is one
    """

    def __init__(
        self,
        apply: Callable[[Tensor], Tensor],
        before: Pointwise = same,
        step: int = 1,
        above: int = 1,
    ) -> None:
        self.apply, self.before, self.step, self.above = apply, before, step, above
        self._carried: Tensor | None = None

    def __call__(self, rows: Tensor, last: bool) -> Tensor:
        window = self._window(rows, last)
        done = max(0, (window.shape[2] - 3) // self.step + 1)
        self._carried = window[:, :, done * self.step :].clone()
        if not done:
            return self.apply(pad(window, (0, 0, 0, 3 - window.shape[2])))[:, :, :0]
        return self.apply(window)

    def _window(self, rows: Tensor, last: bool) -> Tensor:
        rows = self.before(rows)
        carried = _zeros(rows, self.above) if self._carried is None else self._carried
        return torch.cat((carried, rows, _zeros(rows, 1 if last else 0)), 2)


def convolution(layer: nn.Conv2d, before: Pointwise = same) -> Sliding:
    """A 3×3 convolution with padding 1."""
    return Sliding(lambda window: conv2d(window, layer.weight, layer.bias, padding=(0, 1)), before)


def segment(norm: nn.GroupNorm, moments: Moments, layer: nn.Conv2d) -> Sliding:
    """GroupNorm with known moments, SiLU, 3×3 convolution."""
    return convolution(layer, Normalise(norm, moments))


def upsampling(layer: nn.Conv2d) -> Sliding:
    """Nearest ×2, then a 3×3 convolution with padding 1."""
    weights = parities(layer.weight)

    def apply(window: Tensor) -> Tensor:
        height, width = window.shape[2] - 2, window.shape[3]
        wide = pad(window, (1, 1))
        result = window.new_empty(1, layer.out_channels, 2 * height, 2 * width)
        for (row, column), weight in weights.items():
            part = wide[:, :, row : row + height + 1, column : column + width + 1]
            result[:, :, row::2, column::2] = conv2d(part, weight, layer.bias)
        return result

    return Sliding(apply)


def parities(weight: Tensor) -> dict[tuple[int, int], Tensor]:
    """3×3 weights after nearest ×2 → (row parity, column parity) → 2×2 weights before it."""
    first, middle, last = weight.unbind(2)
    rows = (first, middle + last), (first + middle, last)
    result = {}
    for row, pair in enumerate(rows):
        left, centre, right = torch.stack(pair, 2).unbind(3)
        result[row, 0] = torch.stack((left, centre + right), 3)
        result[row, 1] = torch.stack((left + centre, right), 3)
    return result


def downsampling(layer: nn.Conv2d) -> Sliding:
    """One zero row below and one zero column at the right, then a 3×3 convolution of stride 2."""

    def apply(window: Tensor) -> Tensor:
        return conv2d(pad(window, (0, 1)), layer.weight, layer.bias, stride=2)

    return Sliding(apply, step=2, above=0)


def residual(front: Layer, back: Layer, shortcut: Pointwise) -> Layer:
    """back(front(x)) + shortcut(x)."""
    waiting = Queue()

    def apply(rows: Tensor, last: bool) -> Tensor:
        result = back(front(rows, last), last)
        waiting.put(shortcut(rows))
        return result.add_(waiting.take(result.shape[2]))

    return apply


def shortcut(block: Any) -> Pointwise:
    """What a residual block adds: its input, through a 1×1 convolution if channels change."""
    layer = block.conv_shortcut
    return same if layer is None else lambda rows: conv2d(rows, layer.weight, layer.bias)


def _zeros(rows: Tensor, count: int) -> Tensor:
    channels, width = rows.shape[1], rows.shape[3]
    return rows.new_zeros(1, channels, count, width)
