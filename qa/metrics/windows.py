"""Gaussian means of planes, separable and in strips: what SSIM and VIF have in common.

A float64 convolution of one channel is slow on a CPU and unfolds every window: 38 GB for 17x17
windows on 4096x4096. A Gaussian is separable, and 2 n shifted sums over a strip of rows take no
memory to speak of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def row_strips(height: int, width: int) -> Iterator[slice]:
    """Rows 0..H-1 in strips of about 2^18 pixels: a few float64 planes of one fit into a cache.

    Smaller strips would fit a nearer cache, but every operation on one starts PyTorch's threads.
    """
    rows = max(16, 2**18 // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def gaussian(size: int, deviation: float) -> tuple[float, ...]:
    """Weights of an odd number of positions around 0, with sum 1."""
    import torch

    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-((offsets / deviation) ** 2) / 2)
    return tuple((weights / weights.sum()).tolist())


def window_means(plane: Tensor, taps: Sequence[float]) -> Tensor:
    """Weighted means under n x n windows that lie inside: float64 [H,W] → [H-n+1,W-n+1]."""
    height, width = (side - len(taps) + 1 for side in plane.shape)
    rows = plane[:height] * taps[0]
    for i, tap in enumerate(taps[1:], start=1):
        rows.add_(plane[i : i + height], alpha=tap)
    out = rows[:, :width] * taps[0]
    for i, tap in enumerate(taps[1:], start=1):
        out.add_(rows[:, i : i + width], alpha=tap)
    return out
