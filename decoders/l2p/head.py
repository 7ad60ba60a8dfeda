"""The local decoder: a U-Net over the noisy picture, told what to draw by the trunk's features.

    down        x ← silu(enc(x)); keep x as the level's skip; max-pool 2x2
    bottleneck  x ← silu(conv1x1([x, features]))
    up          x ← up(nearest x2(x));  x ← silu(dec([x, skip]))
    out         conv1x1, no activation

Convolutions are 3x3 with zero padding 1 unless said otherwise, all have biases, `up` has no
activation, and there is neither norm nor time. Which levels there are is `L2PConfig.levels`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decoders.kernels import conv_silu, up_conv
from decoders.l2p.config import L2PConfig


class LocalDecoder(nn.Module):
    """Noisy picture [1,C,H,W], features [1,D,h,w] → F [1,C,H,W]; v = −F."""

    def __init__(self, config: L2PConfig) -> None:
        super().__init__()
        self.config = config
        width = config.in_channels
        for level in config.levels:
            self.add_module(f"enc{level.name}", ConvSiLU(width, level.enc))
            width = level.enc
        bottleneck = nn.Conv2d(width + config.dim, config.bottleneck, 1)
        self.bottleneck = nn.Sequential(bottleneck, nn.SiLU(inplace=True))
        width = config.bottleneck
        for level in reversed(config.levels):
            self.add_module(f"up{level.name}", UpConv(width, level.up))
            self.add_module(f"dec{level.name}", ConvSiLU(level.up + level.enc, level.dec))
            width = level.dec
        self.out_conv = nn.Conv2d(width, config.in_channels, 1)

    def forward(self, picture: Tensor, features: Tensor) -> Tensor:
        skips, x = [], picture
        for level in self.config.levels:
            skips.append(self.get_submodule(f"enc{level.name}")(x))
            x = F.max_pool2d(skips[-1], 2)
        if self.config.feature_grid is not None:
            features = F.interpolate(features, size=self.config.feature_grid, mode="nearest")
        x = self.bottleneck(torch.cat([x, features], dim=1))
        for level in reversed(self.config.levels):
            x = self.get_submodule(f"up{level.name}")(x)
            x = self.get_submodule(f"dec{level.name}")(x, skips.pop())
        return self.out_conv(x)


class ConvSiLU(nn.Module):
    """The channels of one or two parts [B,C,H,W] → SiLU(conv3x3), [B,outputs,H,W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(inputs, outputs, 3, padding=1))

    def forward(self, *parts: Tensor) -> Tensor:
        layer = self.get_submodule("0")
        return conv_silu(parts, layer.weight, layer.bias)


class UpConv(nn.Module):
    """x [B,C,H,W] → conv3x3 of nearest x2(x), [B,outputs,2H,2W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.add_module("1", nn.Conv2d(inputs, outputs, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        layer = self.get_submodule("1")
        return up_conv(x, layer.weight, layer.bias)
