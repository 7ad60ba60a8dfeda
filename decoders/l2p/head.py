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

from decoders.l2p.config import L2PConfig


class LocalDecoder(nn.Module):
    """Noisy picture [1,C,H,W], features [1,D,h,w] → F [1,C,H,W]; v = −F."""

    def __init__(self, config: L2PConfig) -> None:
        super().__init__()
        self.config = config
        width = config.in_channels
        for level in config.levels:
            self.add_module(f"enc{level.name}", _activated(width, level.enc, 3))
            width = level.enc
        self.bottleneck = _activated(width + config.dim, config.bottleneck, 1)
        width = config.bottleneck
        for level in reversed(config.levels):
            up = nn.Sequential(nn.Upsample(scale_factor=2), _conv(width, level.up, 3))
            self.add_module(f"up{level.name}", up)
            self.add_module(f"dec{level.name}", _activated(level.up + level.enc, level.dec, 3))
            width = level.dec
        self.out_conv = _conv(width, config.in_channels, 1)

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
            x = torch.cat([x, skips.pop()], dim=1)
            x = self.get_submodule(f"dec{level.name}")(x)
        return self.out_conv(x)


def _conv(inputs: int, outputs: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


def _activated(inputs: int, outputs: int, side: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs, side), nn.SiLU(inplace=True))
