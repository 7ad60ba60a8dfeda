"""RMSNorm, modulation and gated residual as PyTorch's operations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import rms_norm


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
    if once:
        y = rms_norm(x, weight.shape, weight, eps)
    else:
        x32 = x.float()
        scale = torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)
        y = (x32 * scale).to(x.dtype) * weight
    if times is not None:
        y = y * times
    if plus is not None:
        y = y + plus
    return y if dtype is None else y.to(dtype)


def gated_add(x: Tensor, gate: Tensor, y: Tensor) -> Tensor:
    """See `decoders.kernels.gated_add`."""
    return x + gate * y
