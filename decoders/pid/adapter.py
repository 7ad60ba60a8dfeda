"""How a latent enters PiD: features for the patch tokens, and the gate that lets them in.

    latent [B,C,h,w]
      └ unpatchify u > 1: pixel-shuffle, channel index c·u² + uy·u + ux
      └ to the patch grid, by ratio = scale · (factor/u) / P:
          > 1  nearest          = 1  as it is, or bilinear          < 1  pixel-unshuffle by 1/ratio
      └ conv3×3 → SiLU → conv3×3 → residual blocks: h + conv(SiLU(GN(conv(SiLU(GN(h))))))
      └ tokens [B,N,h], row-major → one Linear for every injection (and one for the pixel stage)

The gate: g = sigmoid(content([s, l]) − exp(log α) · σ), s ← s + g · l. σ, the noise level of the
latent, enters the network here and nowhere else. PiD v1 has one g for each token and channel, v1.5
one for each token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from decoders.kernels import group_norm_silu, sigma_gate
from decoders.kernels.precision import layer_dtype

GROUPS = 4


@dataclass(frozen=True)
class AdapterConfig:
    """Sizes of the latent adapter; the released values stand in checkpoints.toml."""

    channels: int
    """Latent channels C."""
    factor: int
    """Pixels of the autoencoder's picture per latent cell, along each side."""
    scale: int
    """Output pixels per pixel of the autoencoder's picture, along each side."""
    width: int
    """Channels inside the adapter."""
    gate: Literal["channel", "token"]
    """One gate value for each token and channel (v1), or for each token (v1.5)."""
    padding: Literal["zeros", "replicate"]
    """Of the convolutions."""
    unpatchify: int = 1
    pixel_stage: bool = False
    """Whether the latent also enters before the pixel stage (v1.5)."""
    interval: int = 2
    """The latent enters before every so-many-th joint block."""
    blocks: int = 4
    """Residual blocks."""


@dataclass(frozen=True)
class LatentFeatures:
    """What the adapter makes of a latent, once per picture: it does not depend on time."""

    joint: tuple[Tensor, ...]
    """For each injection before a joint block, [B,N,D]."""
    pixel: Tensor | None
    """For the pixel stage, [B,N,D], or None (v1)."""


class Adapter(nn.Module):
    """latent [B,C,h,w] and a patch grid → `LatentFeatures`; also holds the joint blocks' gates."""

    def __init__(self, config: AdapterConfig, hidden: int, patch: int, depth: int) -> None:
        super().__init__()
        self.config = config
        self.ratio = config.scale * (config.factor / config.unpatchify) / patch
        folded = 1 if self.ratio >= 1 else round(1 / self.ratio)
        inputs = config.channels // config.unpatchify**2 * folded**2
        width, injections = config.width, -(-depth // config.interval)
        self.latent_proj = nn.Sequential(
            _conv(inputs, width, config.padding),
            nn.SiLU(),
            _conv(width, width, config.padding),
            *(ResBlock(width, config.padding) for _ in range(config.blocks)),
        )
        self.output_heads = nn.ModuleList(nn.Linear(width, hidden) for _ in range(injections))
        self.gate_modules = nn.ModuleList(Gate(hidden, config.gate) for _ in range(injections))
        self.pit_head = nn.Linear(width, hidden) if config.pixel_stage else None

    def forward(self, latent: Tensor, rows: int, columns: int) -> LatentFeatures:
        grid = self.to_grid(latent, rows, columns)
        tokens = self.latent_proj(grid).flatten(2).transpose(1, 2)
        pixel = None if self.pit_head is None else self.pit_head(tokens)
        return LatentFeatures(tuple(head(tokens) for head in self.output_heads), pixel)

    def to_grid(self, latent: Tensor, rows: int, columns: int) -> Tensor:
        """latent [B,C,h,w] → [B,C',rows,columns], without any weights."""
        if self.config.unpatchify > 1:
            latent = pixel_shuffle(latent, self.config.unpatchify)
        if self.ratio > 1:
            return interpolate(latent, (rows, columns), mode="nearest")
        fold = round(1 / self.ratio)
        if latent.shape[-2:] != (rows * fold, columns * fold):
            latent = interpolate(latent, (rows * fold, columns * fold), mode="bilinear")
        return latent if fold == 1 else pixel_unshuffle(latent, fold)


class Gate(nn.Module):
    """s, l [B,N,D] and σ float32 [B] → s + g · l."""

    def __init__(self, hidden: int, kind: str) -> None:
        super().__init__()
        self.content_proj = nn.Linear(2 * hidden, hidden if kind == "channel" else 1)
        self.log_alpha = nn.Parameter(torch.zeros(()))

    def forward(self, s: Tensor, latent: Tensor, sigma: Tensor) -> Tensor:
        content = self.content_proj(torch.cat((s, latent), -1))
        return sigma_gate(s, content, latent, self.log_alpha, sigma)


class ResBlock(nn.Module):
    """h [B,C,rows,columns] → h + conv(SiLU(GN(conv(SiLU(GN(h))))))."""

    def __init__(self, width: int, padding: str) -> None:
        super().__init__()
        self.block = nn.Sequential(
            NormSiLU(GROUPS, width),
            nn.Identity(),  # the place of SiLU: the released names are numbers
            _conv(width, width, padding),
            NormSiLU(GROUPS, width),
            nn.Identity(),
            _conv(width, width, padding),
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.block(h)


class NormSiLU(nn.GroupNorm):
    """h [B,C,rows,columns] → SiLU(GN(h)), as the input of a layer."""

    def forward(self, h: Tensor) -> Tensor:
        return group_norm_silu(
            h, self.num_groups, self.weight, self.bias, self.eps, dtype=layer_dtype(h)
        )


def _conv(inputs: int, outputs: int, padding: str) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding)
