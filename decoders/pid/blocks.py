"""The blocks of PiD: embedders, joint text/image block, pixel block, output.

Modulation is a·(1 + scale) + shift, six chunks in the order shift, scale, gate for attention and
again for the MLP. Module names are those of the released state dicts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from decoders.kernels import gated_add, pixel_block
from decoders.pid.layers import JointAttention, RMSNorm, SelfAttention, SwiGLU

if TYPE_CHECKING:
    from decoders.pid.network import PiDConfig

FREQUENCIES = 128
MAX_PERIOD = 10.0


class Projection(nn.Module):
    """A Linear, with an RMSNorm behind it for text."""

    def __init__(self, inputs: int, outputs: int, norm: bool = False) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)
        self.norm = RMSNorm(outputs) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        return x if self.norm is None else self.norm(x)


class TimeEmbedder(nn.Module):
    """t [B] in 0..1000 → [B,D]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, t: Tensor) -> Tensor:
        steps = torch.arange(FREQUENCIES, dtype=torch.float32, device=t.device)
        angles = t.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * steps / FREQUENCIES)
        waves = torch.cat((angles.cos(), angles.sin()), -1)
        return self.mlp(waves.to(self.mlp[0].weight.dtype))


class JointBlock(nn.Module):
    """x [B,N,D], y [B,L,D], c [B,1,D] → x, y: attention over both, then an MLP for each."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm_x1, self.norm_y1 = RMSNorm(hidden), RMSNorm(hidden)
        self.norm_x2, self.norm_y2 = RMSNorm(hidden), RMSNorm(hidden)
        self.attn = JointAttention(hidden, heads)
        self.mlp_x, self.mlp_y = SwiGLU(hidden), SwiGLU(hidden)
        self.adaLN_modulation_img = nn.Sequential(nn.Linear(hidden, 6 * hidden))
        self.adaLN_modulation_txt = nn.Sequential(nn.Linear(hidden, 6 * hidden))

    def forward(
        self, x: Tensor, y: Tensor, c: Tensor, x_angles: Tensor, y_angles: Tensor
    ) -> tuple[Tensor, Tensor]:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation_img(c).chunk(6, -1)
        shift3, scale3, gate3, shift4, scale4, gate4 = self.adaLN_modulation_txt(c).chunk(6, -1)
        ax, ay = self.attn(
            self.norm_x1(x, shift1, scale1), self.norm_y1(y, shift3, scale3), x_angles, y_angles
        )
        x, y = gated_add(x, gate1, ax), gated_add(y, gate3, ay)
        x = gated_add(x, gate2, self.mlp_x(self.norm_x2(x, shift2, scale2)))
        y = gated_add(y, gate4, self.mlp_y(self.norm_y2(y, shift4, scale4)))
        return x, y


class PixelBlock(nn.Module):
    """u [B,N,P²,d] pixels, s [B,N,D] patches → u: attention over compressed patches, then an MLP.

    Every pixel has a modulation of its own, all of them from its patch's token.
    """

    def __init__(self, config: PiDConfig) -> None:
        super().__init__()
        d, area, width = config.pixel_hidden, config.patch**2, config.pixel_width
        self.norm1, self.norm2 = RMSNorm(d), RMSNorm(d)
        self.compress_to_attn = nn.Linear(area * d, width)
        self.attn = SelfAttention(width, config.pixel_heads)
        self.expand_from_attn = nn.Linear(width, area * d)
        self.mlp = PixelMLP(d)
        self.adaLN_modulation = nn.Sequential(nn.Linear(config.hidden, area * 6 * d))

    def forward(self, u: Tensor, s: Tensor, angles: Tensor) -> Tensor:
        return pixel_block(self, u, s, angles)


class PixelMLP(nn.Module):
    """u [...,d] → [...,d] through 4d, with the exact (erf) GELU."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, u: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(u)))


class FinalLayer(nn.Module):
    """u [...,d] → [...,3]."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.norm, self.linear = RMSNorm(d), nn.Linear(d, 3)

    def forward(self, u: Tensor) -> Tensor:
        return self.linear(self.norm(u))
