"""The gate that knows the noise level: three tensors are read and one is written.

A program holds 4096 values of one sample, two rows of 1536 channels (padded to 2048). The gate
itself never exists in memory, nor its product with the latent's features.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from decoders.kernels.tiles import AS_WRITTEN, as_rows, tile


def sigma_gate(
    s: Tensor, content: Tensor, latent: Tensor, log_alpha: Tensor, sigma: Tensor
) -> Tensor:
    """See `decoders.kernels.sigma_gate`."""
    out = torch.empty(s.shape, dtype=torch.float32, device=s.device)
    samples, length, channels = s.shape
    height, columns = tile(length, channels)
    offset = (log_alpha.exp() * sigma).float().expand(samples).contiguous()
    s, latent, content = as_rows(s, s.shape), as_rows(latent, s.shape), content.contiguous()
    _sigma_gate[(samples * triton.cdiv(length, height),)](
        s, content, latent, offset, out, length, channels,
        *s.stride()[:2], *content.stride()[:2], *latent.stride()[:2],
        TOKEN=content.shape[-1] == 1, ROWS=height, COLUMNS=columns, **AS_WRITTEN,
    )  # fmt: skip
    return out


@triton.jit
def _sigma_gate(
    s_ptr, content_ptr, latent_ptr, offset_ptr, out_ptr, length, channels,
    s_sample, s_row, content_sample, content_row, latent_sample, latent_row,
    TOKEN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    tiles = tl.cdiv(length, ROWS)
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    row = (tl.program_id(0) % tiles) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    inside = (row < length) & (column < channels)
    content_ptr += sample * content_sample + row * content_row
    if TOKEN:
        content = tl.load(content_ptr, row < length, 0.0)
    else:
        content = tl.load(content_ptr + column, inside, 0.0)
    gate = tl.sigmoid(content.to(tl.float32) - tl.load(offset_ptr + sample))
    s = tl.load(s_ptr + sample * s_sample + row * s_row + column, inside, 0.0)
    latent = tl.load(latent_ptr + sample * latent_sample + row * latent_row + column, inside, 0.0)
    out = out_ptr + (sample * length + row) * channels + column
    tl.store(out, s.to(tl.float32) + gate * latent.to(tl.float32), inside)
