"""A block of PiD's pixel stage as PyTorch's operations, a few patches at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

CPU_PATCHES, GPU_PATCHES = 256, 4096
"""Patches in hand at a time."""


class PixelLayers(Protocol):
    """Layers of a block for patches of P² pixels with d channels, of width D and attention A."""

    norm1: nn.Module
    """(u, shift, scale) → N(u)·(1 + scale) + shift, by its `weight` [d] and `eps`."""
    norm2: nn.Module
    adaLN_modulation: nn.Sequential
    """One Linear, D → P²·6·d."""
    compress_to_attn: nn.Linear
    """P²·d → A."""
    attn: nn.Module
    """Rows [B,N,A] and their angles → [B,N,A]."""
    expand_from_attn: nn.Linear
    """A → P²·d."""
    mlp: nn.Module
    """d → d, by its layers `fc1` [4d,d] and `fc2` [d,4d] with the exact GELU between."""

    def parameters(self) -> Iterator[nn.Parameter]: ...


def pixel_block(layers: PixelLayers, u: Tensor, s: Tensor, angles: Tensor) -> Tensor:
    """See `decoders.kernels.pixel_block`."""
    # A few patches at a time: only attention mixes them, and what lies between the steps for
    # all patches is many times the picture. On a CPU it then stays in its caches.
    parts = u.split(CPU_PATCHES if u.device.type == "cpu" else GPU_PATCHES, 1)
    modulations, compressed, start = [], [], 0
    for part in parts:
        tokens = s[:, start : start + part.shape[1]]
        start += part.shape[1]
        modulation = layers.adaLN_modulation(tokens).unflatten(-1, (part.shape[2], 6, -1))
        modulations.append(modulation.unbind(-2))
        shift, scale = modulations[-1][:2]
        flat = layers.norm1(part, shift, scale).flatten(2)
        compressed.append(layers.compress_to_attn(flat))
    rows = layers.attn(torch.cat(compressed, 1), angles)
    done = []
    for part, attended, (_, _, gate1, shift, scale, gate2) in zip(
        parts, rows.split([p.shape[1] for p in parts], 1), modulations, strict=True
    ):
        part = part + gate1 * layers.expand_from_attn(attended).view_as(part)
        done.append(part + gate2 * layers.mlp(layers.norm2(part, shift, scale)))
    return torch.cat(done, 1)
