"""RMSNorm of each head and rotary positions: one read of q or k where it lies, one write.

A program holds 4096 values of one head: 64 tokens of 64 channels. It reads them out of the output
of the layer that makes q, k and v, without a copy of its own, takes the norm, splits the channels
into pairs, turns them and joins them again in registers. The table of cosines and sines is made by
PyTorch, so both twins turn by the same numbers; all heads read it, from the cache.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from decoders.kernels.tiles import AS_WRITTEN, TYPES, rounded, tile


def norm_rotate(
    x: Tensor, weight: Tensor, eps: float, angles: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """See `decoders.kernels.norm_rotate`."""
    normed = torch.promote_types(x.dtype, weight.dtype)
    out = torch.empty(x.shape, dtype=dtype or normed, device=x.device)
    _launch(x, weight, eps, angles.cos(), angles.sin(), out, normed, once=False)
    return out


def norm_turn(x: Tensor, weight: Tensor, eps: float, turns: Tensor, once: bool = False) -> Tensor:
    """See `decoders.kernels.norm_turn`."""
    normed = x.dtype if once else torch.promote_types(x.dtype, weight.dtype)
    out = torch.empty(x.shape, dtype=normed, device=x.device)
    cos, sin = torch.view_as_real(turns).unbind(-1)
    heads, result = x.transpose(0, 1)[None], out.transpose(0, 1)[None]
    _launch(heads, weight, eps, cos, sin, result, normed, once)
    return out


def _launch(
    x: Tensor,
    weight: Tensor,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    out: Tensor,
    normed: torch.dtype,
    once: bool,
) -> None:
    """x and out [B,heads,T,h] and the tables [T,h/2], each with strides of its own."""
    if x.stride(-1) != 1:
        x = x.contiguous()
    samples, heads, length, channels = x.shape
    height, columns = tile(length, channels)
    _norm_rotate[(samples * heads * triton.cdiv(length, height),)](
        x, weight, cos, sin, out, heads, length, channels, eps,
        *x.stride()[:3], *out.stride()[:3], *cos.stride(),
        ONCE=once, NORMED=TYPES[normed], ROWS=height, COLUMNS=columns, **AS_WRITTEN,
    )  # fmt: skip


@triton.jit
def _norm_rotate(
    x_ptr, weight_ptr, cos_ptr, sin_ptr, out_ptr, heads, length, channels, eps,
    x_sample, x_head, x_row, out_sample, out_head, out_row, table_row, table_column,
    ONCE: tl.constexpr, NORMED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(length, ROWS)
    head = (tl.program_id(0) // tiles % heads).to(tl.int64)
    sample = (tl.program_id(0) // tiles // heads).to(tl.int64)
    row = (tl.program_id(0) % tiles) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    inside = (row < length) & (column < channels)
    x = tl.load(x_ptr + sample * x_sample + head * x_head + row * x_row + column, inside, 0.0)
    y = x.to(tl.float32)
    y = y * tl.rsqrt(tl.sum(y * y, 1, keep_dims=True) / channels + eps)
    if not ONCE:
        y = rounded(y, x.dtype)
    weight = tl.load(weight_ptr + column, column < channels, 0.0)
    y = rounded(y * weight.to(tl.float32), NORMED)

    pair = tl.arange(0, COLUMNS // 2)[None, :]
    known = (row < length) & (2 * pair < channels)
    cos = tl.load(cos_ptr + row * table_row + pair * table_column, known, 0.0)
    sin = tl.load(sin_ptr + row * table_row + pair * table_column, known, 0.0)
    a, b = tl.split(tl.reshape(y, (ROWS, COLUMNS // 2, 2)))
    turned = tl.reshape(tl.join(a * cos - b * sin, a * sin + b * cos), (ROWS, COLUMNS))
    out = out_ptr + sample * out_sample + head * out_head + row * out_row + column
    tl.store(out, rounded(turned, NORMED).to(out_ptr.dtype.element_ty), inside)
