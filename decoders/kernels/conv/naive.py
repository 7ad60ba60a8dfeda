"""The 3x3 convolutions of L2P's head as PyTorch's operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, silu


def conv_silu(parts: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """See `decoders.kernels.conv_silu`."""
    x = parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
    return silu(conv2d(x, weight, bias, padding=1), inplace=True)


def up_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """See `decoders.kernels.up_conv`."""
    return conv2d(interpolate(x, scale_factor=2.0, mode="nearest"), weight, bias, padding=1)
