"""RMSNorm, modulation and gated residual: each row is read once and written once.

A program holds whole rows: 4096 values of one sample, so two rows of 1536 channels (padded to 2048)
or one of 3840. That is 32 values a thread, which stay in registers between the sum of squares and
the modulation. PyTorch's operations read and write the rows five times and more.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from decoders.kernels.tiles import AS_WRITTEN, TILE, TYPES, as_rows, rounded, tile


def norm_modulate(
    x: Tensor,
    weight: Tensor,
    eps: float,
    times: Tensor | None = None,
    plus: Tensor | None = None,
    once: bool = False,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """See `decoders.kernels.norm_modulate`."""
    normed = x.dtype if once else torch.promote_types(x.dtype, weight.dtype)
    return _launch(x, weight, eps, times, plus, once, normed, dtype)


def gated_add(x: Tensor, gate: Tensor, y: Tensor) -> Tensor:
    """See `decoders.kernels.gated_add`."""
    return _launch(y, None, 0.0, gate, x, False, y.dtype, None)


def _launch(
    x: Tensor,
    weight: Tensor | None,
    eps: float,
    times: Tensor | None,
    plus: Tensor | None,
    once: bool,
    normed: torch.dtype,
    dtype: torch.dtype | None,
) -> Tensor:
    scaled = normed if times is None else torch.promote_types(normed, times.dtype)
    summed = scaled if plus is None else torch.promote_types(scaled, plus.dtype)
    out = torch.empty(x.shape, dtype=dtype or summed, device=x.device)
    shape = x.shape if x.ndim > 1 else torch.Size((1, *x.shape))
    rows = as_rows(x, shape)
    samples, length, channels = rows.shape
    height, columns = tile(length, channels)
    beside = [None if t is None else as_rows(t, shape) for t in (times, plus)]
    strides = [s for t in (rows, *beside) for s in ((0, 0) if t is None else t.stride()[:2])]
    _norm_modulate[(samples * triton.cdiv(length, height),)](
        rows, weight, *beside, out, length, channels, eps, *strides,
        ONCE=once, NORMED=TYPES[normed], SCALED=TYPES[scaled], SUMMED=TYPES[summed],
        ROWS=height, COLUMNS=columns, num_warps=8 if columns > TILE else 4, **AS_WRITTEN,
    )  # fmt: skip
    return out


@triton.jit
def _norm_modulate(
    x_ptr, weight_ptr, times_ptr, plus_ptr, out_ptr, length, channels, eps,
    x_sample, x_row, times_sample, times_row, plus_sample, plus_row,
    ONCE: tl.constexpr, NORMED: tl.constexpr, SCALED: tl.constexpr, SUMMED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(length, ROWS)
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    row = (tl.program_id(0) % tiles) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    inside = (row < length) & (column < channels)
    x = tl.load(x_ptr + sample * x_sample + row * x_row + column, inside, 0.0)
    y = x.to(tl.float32)
    if weight_ptr is not None:
        y = y * tl.rsqrt(tl.sum(y * y, 1, keep_dims=True) / channels + eps)
        if not ONCE:
            y = rounded(y, x.dtype)
        weight = tl.load(weight_ptr + column, column < channels, 0.0)
        y = rounded(y * weight.to(tl.float32), NORMED)
    if times_ptr is not None:
        times = tl.load(times_ptr + sample * times_sample + row * times_row + column, inside, 0.0)
        y = rounded(y * times.to(tl.float32), SCALED)
    if plus_ptr is not None:
        plus = tl.load(plus_ptr + sample * plus_sample + row * plus_row + column, inside, 0.0)
        y = rounded(y + plus.to(tl.float32), SUMMED)
    out = out_ptr + (sample * length + row) * channels + column
    tl.store(out, y.to(out_ptr.dtype.element_ty), inside)
