"""3x3 convolutions between few channels at full resolution, without maps that only carry values.

As a matrix product: k = 9c + 3(dy + 1) + (dx + 1) counts channels and taps, as the weights lie in
memory, so out[o, p] = Σ_k w[o, k] x[c, y + dy, x + dx]. A program makes all output channels of 128
pixels of one row; k passes in blocks of 32, and taps outside the picture are zeros. Neighbouring
threads have neighbouring pixels, so reads and writes are whole lines, and the nine reads of a value
meet in the cache.

    conv_silu  the parts of a concatenation are read where they lie, SiLU comes before the write
    up_conv    pixel (y, x) of the doubled picture is read at (y // 2, x // 2)

Worth it where memory is the limit. A value read or written once costs 18 CI·CO/(CI + CO) operations
on 2 bytes: 144 a byte for 32 channels to 32, below what devices balance. Wider layers are left to
the library (`decoders.kernels.FEW`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from decoders.kernels.tiles import AS_WRITTEN, rounded

PIXELS, TAPS = 128, 32
"""Pixels of a program, and values of k that it has in hand."""


def conv_silu(parts: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """See `decoders.kernels.conv_silu`."""
    return _launch(parts, weight, bias, up=1, silu=True)


def up_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """See `decoders.kernels.up_conv`."""
    return _launch([x], weight, bias, up=2, silu=False)


def _launch(parts: Sequence[Tensor], weight: Tensor, bias: Tensor, up: int, silu: bool) -> Tensor:
    """One part or two of equal size; `up` is the factor between their size and the result's."""
    first, second = (parts[0], parts[-1] if len(parts) > 1 else None)
    samples, _, rows, columns = first.shape
    rows, columns, outputs = rows * up, columns * up, len(weight)
    out = torch.empty(samples, outputs, rows, columns, dtype=first.dtype, device=first.device)
    wide = max(16, triton.next_power_of_2(outputs))
    _conv[(samples * rows * triton.cdiv(columns, PIXELS),)](
        first, second, weight, bias, out, first.shape[1],
        0 if second is None else second.shape[1], outputs, rows, columns,
        UP=up, SILU=silu, PIXELS=PIXELS, TAPS=TAPS,
        OUTPUTS=wide, num_warps=4 if wide < 64 else 8, **AS_WRITTEN,
    )  # fmt: skip
    return out


@triton.jit
def _conv(
    first_ptr, second_ptr, weight_ptr, bias_ptr, out_ptr, first, second, outputs, rows, columns,
    UP: tl.constexpr, SILU: tl.constexpr, PIXELS: tl.constexpr, TAPS: tl.constexpr,
    OUTPUTS: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(columns, PIXELS)
    x = (tl.program_id(0) % tiles) * PIXELS + tl.arange(0, PIXELS)
    y = tl.program_id(0) // tiles % rows
    sample = (tl.program_id(0) // tiles // rows).to(tl.int64)
    output = tl.arange(0, OUTPUTS)
    weight_ptr += output[:, None] * ((first + second) * 9)
    total = tl.zeros((OUTPUTS, PIXELS), tl.float32)
    total = _add(
        total, first_ptr, weight_ptr, sample, first, output, outputs, y, x, rows, columns, UP, TAPS
    )
    if second_ptr is not None:
        total = _add(
            total, second_ptr, weight_ptr + first * 9, sample, second, output, outputs, y, x,
            rows, columns, UP, TAPS,
        )  # fmt: skip
    bias = tl.load(bias_ptr + output, output < outputs, 0.0)
    total = rounded(total + bias.to(tl.float32)[:, None], out_ptr.dtype.element_ty)
    if SILU:
        total = total * tl.sigmoid(total)
    place = ((sample * outputs + output[:, None]) * rows + y) * columns + x[None, :]
    inside = (output < outputs)[:, None] & (x < columns)[None, :]
    tl.store(out_ptr + place, total.to(out_ptr.dtype.element_ty), inside)


@triton.jit
def _add(
    total, in_ptr, weight_ptr, sample, inputs, output, outputs, y, x, rows, columns,
    UP: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    """The sums over one part's channels, added to `total` [OUTPUTS,PIXELS]."""
    for start in range(0, inputs * 9, TAPS):
        k = start + tl.arange(0, TAPS)
        known = k < inputs * 9
        at_y, at_x = y + k // 3 % 3 - 1, x[None, :] + (k % 3 - 1)[:, None]
        line = (sample * inputs + k // 9) * (rows // UP) + at_y // UP
        inside = (known & (at_y >= 0) & (at_y < rows))[:, None] & (at_x >= 0) & (at_x < columns)
        values = tl.load(in_ptr + line[:, None] * (columns // UP) + at_x // UP, inside, 0.0)
        used = (output < outputs)[:, None] & known[None, :]
        weights = tl.load(weight_ptr + k[None, :], used, 0.0)
        total = tl.dot(weights, values, total, input_precision="ieee")
    return total
