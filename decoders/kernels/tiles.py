"""What the launchers of the Triton kernels share.

Kernels compute in float32 and round where their naive twins do, so a result differs from its twin's
only by the order of sums. One program works on rows of one sample, in an order that the sample's
shape alone decides: it has the same bits in every batch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
"""PyTorch's name of a type → Triton's."""
AS_WRITTEN = {"enable_fp_fusion": False}
"""Option of every launch: a product is rounded before it is added to something, as in PyTorch."""

TILE = 4096
"""Values of a program that holds whole rows: 32 a thread."""


def tile(length: int, channels: int) -> tuple[int, int]:
    """Rows and padded columns that a program takes of rows [length,channels]; powers of 2."""
    columns = triton.next_power_of_2(channels)
    return max(1, min(TILE // columns, triton.next_power_of_2(length))), columns


@triton.jit
def rounded(x, DTYPE: tl.constexpr):
    """x float32 as it is after a tensor of DTYPE has held it."""
    return x.to(DTYPE).to(tl.float32)


def as_rows(x: Tensor, shape: torch.Size) -> Tensor:
    """x, broadcast to `shape` [...,N,C], as a view [samples,N,C] whose last stride is 1.

    What broadcasting repeats has stride 0, so a row that all others share is read in place.
    """
    x = x.expand(shape)
    if x.stride(-1) != 1:
        x = x.contiguous()
    return x.reshape(-1, *shape[-2:])
