"""Noise belongs to a sample, not to a place in a batch.

Every noise tensor is drawn on the CPU, in float32, from a generator of its own whose seed is a
BLAKE2b digest of (stream version, stream, content of the sample, seed index). So a picture does
not depend on its batch, its place in it, the worker or the number of workers, and two streams
never share numbers. `seed + i` would: with seeds 0..3 and 200 pictures only 203 of 800 seeds are
distinct.

The generator is PyTorch's, and no release promises the next one's numbers: `PINS` holds digests of
five draws, and a run does not start where one of them differs (`check_pins`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from qa import stages
from qa.errors import QaError
from qa.files import digest

if TYPE_CHECKING:
    from torch import Tensor

    from qa.types import Sample

STREAM_VERSION = "1"

LATENT_NOISE = "latent-noise"
INITIAL_NOISE = "initial-noise"
DIFFUSION_NOISE = "diffusion-noise"
UPSAMPLE_NOISE = "upsample-noise"

PINS: Mapping[tuple[int, ...], str] = {
    (4,): "df862b7720f6dfec",
    (75,): "93fe26249e4641df",
    (16, 8, 8): "8a8f136c18402ee0",
    (3, 64, 64): "0360f8fdbce1c690",
    (3, 255, 257): "8370a249f893ce3e",
}
"""Shape → first 16 digits of the SHA-256 of `noise(INITIAL_NOISE, "golden", 3, shape)`. PyTorch
draws fewer than 16 values in one way, and a count that 16 does not divide in another."""


def renoise(step: int) -> str:
    """Name of the stream of one re-noising step of a sampler (0-based)."""
    return f"renoise-{step}"


def content(sample: Sample) -> str:
    """Digest of what a sample shows and asks for; noise is drawn from it, not from its name.

    Takes of one prompt are other pictures, so they have other noise.
    """
    known = [sample.sha256, sample.prompt]
    return digest([*known, sample.take] if sample.take else known)


def generator_seed(stream: str, content: str, seed: int) -> int:
    """A 63-bit seed from the stream's name, the sample's content digest and the seed index."""
    key = "\x1f".join((STREAM_VERSION, stream, content, str(seed)))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


def noise(stream: str, content: str, seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal noise, float32 `shape`, on the CPU. It is a stage (`qa.stages`)."""
    drawn = _draw(stream, content, seed, shape)
    stages.mark(stages.NOISE + stream, drawn, (content, seed))
    return drawn


def check_pins() -> None:
    """QaError where this PyTorch draws other numbers than every run before. Looked at once."""
    changed = _changed()
    if changed:
        shapes = ", ".join(map(str, changed))
        raise QaError(
            "The noise of this machine is not the noise of earlier runs.",
            f"The pinned digests differ for shapes {shapes}: PyTorch draws other normal numbers, "
            "so pictures would not compare with any baseline.",
            "use the PyTorch of the baseline; or, to start anew, raise STREAM_VERSION and set PINS "
            "in qa/seeds.py, then promote new baselines",
        )


@lru_cache(maxsize=1)
def _changed() -> tuple[tuple[int, ...], ...]:
    return tuple(shape for shape, pin in PINS.items() if _pin(shape) != pin)


def _pin(shape: tuple[int, ...]) -> str:
    drawn = _draw(INITIAL_NOISE, "golden", 3, shape)
    return hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16]


def _draw(stream: str, content: str, seed: int, shape: Sequence[int]) -> Tensor:
    import torch

    generator = torch.Generator("cpu").manual_seed(generator_seed(stream, content, seed))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)
