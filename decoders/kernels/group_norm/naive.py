"""GroupNorm and SiLU as PyTorch's operations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import group_norm, silu


def group_norm_silu(
    x: Tensor,
    groups: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """See `decoders.kernels.group_norm_silu`."""
    y = silu(group_norm(x, groups, weight, bias, eps))
    return y if dtype is None else y.to(dtype)
