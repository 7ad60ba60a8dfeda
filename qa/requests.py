"""From a sample and its latent to what a decoder is asked: size, noise, a request a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qa import seeds
from qa.roles import Decoder, LatentSource
from qa.seeds import content
from qa.traits import remark, size_of, traits
from qa.types import DecodeRequest, Knobs, LatentSpace, Sample

if TYPE_CHECKING:
    from torch import Tensor


def requests(
    sample: Sample,
    reference: Tensor | None,
    seed_indices: Sequence[int],
    decoder: Decoder,
    source: LatentSource | None,
    knobs: Knobs,
) -> list[DecodeRequest]:
    """One request for each seed; reference is uint8 [3,H,W] or none.

    All noise levels of a sample and seed share one noise tensor. Raises ValueError where nothing
    says how large the picture is, and where noise would be put on a latent that carries some.
    """
    key, space = content(sample), decoder.space
    latent = None
    if source is not None and space is not None:
        latent = source.latent(sample, reference)
    height, width = _size(sample, reference, latent.tensor if latent else None, decoder)
    base = DecodeRequest(sample.id, 0, key, height, width, None, 0.0, sample.prompt, knobs)
    if latent is None or space is None:
        return [replace(base, seed=seed) for seed in seed_indices]
    if knobs.sigma > 0 and latent.sigma > 0:
        raise ValueError(
            f"the latent already carries noise (sigma {latent.sigma}); knobs.sigma must be 0"
        )
    made = []
    for seed in seed_indices:
        tensor, sigma = latent.tensor, latent.sigma
        if knobs.sigma > 0:
            noise = seeds.noise(seeds.LATENT_NOISE, key, seed, tensor.shape)
            tensor, sigma = corrupt(tensor, noise, knobs.sigma, space), knobs.sigma
        made.append(replace(base, seed=seed, latent=tensor, sigma=sigma))
    return made


def corrupt(latent: Tensor, noise: Tensor, sigma: float, space: LatentSpace) -> Tensor:
    """Latent at noise level `sigma`, by the convention of its space; all tensors [C,h,w].

    Flow matching (1-s)z + s*e; variance preserving sqrt(1-s^2)z + s*e.
    """
    kept = 1 - sigma if space.noise == "flow" else (1 - sigma**2) ** 0.5
    return kept * latent + sigma * noise


def note(request: DecodeRequest, decoder: Decoder) -> str:
    """What was done to fit the picture's size, and what its decoder remarks, or ""."""
    told = []
    if request.latent is not None and decoder.space is not None:
        height, width = _covered(request.latent, decoder)
        if (height, width) != (request.height, request.width):
            told.append(f"decoded as {width}x{height}, cropped to {request.width}x{request.height}")
    told.append(remark(decoder, request))
    return "; ".join(filter(None, told))


def _size(
    sample: Sample, reference: Tensor | None, latent: Tensor | None, decoder: Decoder
) -> tuple[int, int]:  # height, width
    """The decoder's own size, the reference's, what the latent stands for, or its picture's.

    A decoder without latents reconstructs nothing, so its own size comes first.
    """
    own = traits(decoder).size
    if decoder.space is None and own is not None:
        return own
    if reference is not None:
        return int(reference.shape[-2]), int(reference.shape[-1])
    if latent is not None and decoder.space is not None:
        return _covered(latent, decoder)
    made = size_of(decoder, sample.id)
    if made is not None:
        return made
    raise ValueError("neither a reference picture nor a latent says how large the picture is")


def _covered(latent: Tensor, decoder: Decoder) -> tuple[int, int]:
    """Height and width of the picture that a latent grid stands for."""
    assert decoder.space is not None
    cell = decoder.space.factor * traits(decoder).scale
    return int(latent.shape[-2]) * cell, int(latent.shape[-1]) * cell
