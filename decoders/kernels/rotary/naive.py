"""RMSNorm of each head and rotary positions as PyTorch's operations."""

from __future__ import annotations

import torch
from torch import Tensor

from decoders.kernels.norm.naive import norm_modulate


def norm_rotate(
    x: Tensor, weight: Tensor, eps: float, angles: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """See `decoders.kernels.norm_rotate`."""
    turned = rotate(norm_modulate(x, weight, eps), angles)
    return turned if dtype is None else turned.to(dtype)


def norm_turn(x: Tensor, weight: Tensor, eps: float, turns: Tensor, once: bool = False) -> Tensor:
    """See `decoders.kernels.norm_turn`."""
    return turn(norm_modulate(x, weight, eps, once=once), turns)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """x [B,heads,T,h] with adjacent channel pairs turned by angles [T,h/2], in float32."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


def turn(x: Tensor, turns: Tensor) -> Tensor:
    """x [N,heads,h] with each pair (2j, 2j+1) turned in float32; rounded back to x's precision."""
    pairs = torch.view_as_complex(x.to(torch.float32).unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns[:, None]).flatten(-2).to(x.dtype)
