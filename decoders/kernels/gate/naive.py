"""The gate that knows the noise level, as PyTorch's operations."""

from __future__ import annotations

import torch
from torch import Tensor


def sigma_gate(
    s: Tensor, content: Tensor, latent: Tensor, log_alpha: Tensor, sigma: Tensor
) -> Tensor:
    """See `decoders.kernels.sigma_gate`."""
    gate = torch.sigmoid(content - log_alpha.exp() * sigma[:, None, None])
    return s + gate * latent
