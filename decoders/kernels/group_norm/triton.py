"""GroupNorm and SiLU in two kernels: moments of pieces of a group, then the group's values.

    piece i    n_i values, mean m_i, M_i = Σ (x − m_i)²
    group      mean = Σ n_i m_i / n,    variance = Σ (M_i + n_i (m_i − mean)²) / n

Sums of squares of the values themselves would lose a small variance beside a large mean. A group is
a contiguous run of memory, cut into pieces by its length alone, and every program of the second
kernel adds the same pieces up in the same order. x is read twice and the result written once;
PyTorch writes and reads the norm's result as well, in float32 under autocast.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from decoders.kernels.precision import autocast_dtype
from decoders.kernels.tiles import AS_WRITTEN, TYPES, rounded

TILE = 4096
"""Values that a program has in hand."""
PIECE, PIECES = 16384, 1024
"""Values of a piece, where that makes no more than so many pieces."""


def group_norm_silu(
    x: Tensor,
    groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """See `decoders.kernels.group_norm_silu`."""
    x = x.contiguous()
    rows, run = x.shape[0] * groups, x[0].numel() // groups
    piece = TILE * triton.cdiv(max(PIECE, triton.cdiv(run, PIECES)), TILE)
    pieces = triton.cdiv(run, piece)
    moments = torch.empty(2, rows, pieces, dtype=torch.float32, device=x.device)
    _moments[(rows * pieces,)](x, moments, rows, run, pieces, piece, TILE=TILE, **AS_WRITTEN)
    # Autocast takes this norm in float32 and leaves it there.
    held = x.dtype if autocast_dtype(x) is None else torch.float32
    out = torch.empty(x.shape, dtype=dtype or held, device=x.device)
    _norm_silu[(rows * triton.cdiv(run, TILE),)](
        x, moments, weight, bias, out, rows, run, pieces, piece, groups, x.shape[1] // groups,
        x[0, 0].numel(), eps,
        HELD=TYPES[held], PIECES=triton.next_power_of_2(pieces), TILE=TILE,
        **AS_WRITTEN,
    )  # fmt: skip
    return out


@triton.jit
def _moments(x_ptr, moments_ptr, rows, run, pieces, piece, TILE: tl.constexpr):
    row = (tl.program_id(0) // pieces).to(tl.int64)
    start = (tl.program_id(0) % pieces) * piece
    count, mean, squares = 0.0, 0.0, 0.0
    for first in range(start, tl.minimum(start + piece, run), TILE):
        place = first + tl.arange(0, TILE)
        x = tl.load(x_ptr + row * run + place, place < run, 0.0).to(tl.float32)
        more = tl.minimum(TILE, run - first).to(tl.float32)
        its_mean = tl.sum(x, 0) / more
        apart = tl.where(place < run, x - its_mean, 0.0)
        between = its_mean - mean
        squares += tl.sum(apart * apart, 0) + between * between * (count * more / (count + more))
        mean += between * (more / (count + more))
        count += more
    tl.store(moments_ptr + tl.program_id(0), mean)
    tl.store(moments_ptr + rows * pieces + tl.program_id(0), squares)


@triton.jit
def _norm_silu(
    x_ptr, moments_ptr, weight_ptr, bias_ptr, out_ptr, rows, run, pieces, piece, groups,
    channels, area, eps, HELD: tl.constexpr, PIECES: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(run, TILE)
    row = (tl.program_id(0) // tiles).to(tl.int64)
    index = tl.arange(0, PIECES)
    counts = tl.maximum(tl.minimum(piece, run - index * piece), 0).to(tl.float32)
    means = tl.load(moments_ptr + row * pieces + index, index < pieces, 0.0)
    squares = tl.load(moments_ptr + (rows + row) * pieces + index, index < pieces, 0.0)
    mean = tl.sum(counts * means, 0) / run
    variance = tl.sum(squares + counts * (means - mean) * (means - mean), 0) / run

    place = (tl.program_id(0) % tiles) * TILE + tl.arange(0, TILE)
    x = tl.load(x_ptr + row * run + place, place < run, 0.0).to(tl.float32)
    channel = (row % groups) * channels + place // area
    weight = tl.load(weight_ptr + channel, place < run, 0.0).to(tl.float32)
    bias = tl.load(bias_ptr + channel, place < run, 0.0).to(tl.float32)
    y = rounded((x - mean) * tl.rsqrt(variance + eps) * weight + bias, HELD)
    y = rounded(y * tl.sigmoid(y), HELD)
    tl.store(out_ptr + row * run + place, y.to(out_ptr.dtype.element_ty), place < run)
