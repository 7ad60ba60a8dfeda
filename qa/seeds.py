"""Noise belongs to a sample, not to a place in a batch.

Every noise tensor is drawn on the CPU, in float32, from a generator of its own whose seed is a
BLAKE2b digest of (stream version, stream, content of the sample, seed index). So a picture does
not depend on its batch, its place in it, the worker or the number of workers, and two streams
never share numbers. `seed + i` would: with seeds 0..3 and 200 pictures only 203 of 800 seeds are
distinct.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STREAM_VERSION = "1"

LATENT_NOISE = "latent-noise"
INITIAL_NOISE = "initial-noise"
DIFFUSION_NOISE = "diffusion-noise"
UPSAMPLE_NOISE = "upsample-noise"


def renoise(step: int) -> str:
    """Name of the stream of one re-noising step of a sampler (0-based)."""
    return f"renoise-{step}"


def generator_seed(stream: str, content: str, seed: int) -> int:
    """A 63-bit seed from the stream's name, the sample's content digest and the seed index."""
    key = "\x1f".join((STREAM_VERSION, stream, content, str(seed)))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


def noise(stream: str, content: str, seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal noise, float32 `shape`, on the CPU."""
    import torch

    generator = torch.Generator("cpu").manual_seed(generator_seed(stream, content, seed))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
