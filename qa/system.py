"""The system under test: the decoder, what it decodes from, and the dial, as configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qa.checks import check_assets, check_spaces, encodes
from qa.config import Config, build, complete
from qa.errors import UsageError
from qa.panels import AnyMetric
from qa.plan import code_digest
from qa.record import versions
from qa.roles import Decoder, LatentSource
from qa.types import Knobs

DECODER = ("space", "knobs", "digest", "licence", "decode")
LATENT_SOURCE = ("space", "digest", "latent")
SHAPING = ("torch", "diffusers", "transformers", "pillow", "opencv-python-headless")
"""Packages whose version can change a picture; part of every unit's id."""


def system(config: Config) -> tuple[LatentSource | None, Decoder]:
    """Latent source and decoder, which fit together."""
    node = source(config)
    check_assets([node, config.group("decoder")], config.choices["decoder"])
    latents = None if node is None else complete(build(node, "latents"), LATENT_SOURCE)
    decoder: Decoder = complete(build(config.group("decoder"), "decoder"), DECODER)
    check_spaces(latents, decoder)
    return latents, decoder


def encoder_of(
    config: Config, latents: LatentSource | None, metrics: Mapping[str, AnyMetric]
) -> LatentSource | None:
    """What made the latents, where a metric encodes pictures again: also for stored latents."""
    if not any(metric.facts.of == "latent" for metric in metrics.values()):
        return None
    if encodes(latents):
        return latents
    node = config.group("encoder")
    if latents is None or node is None:
        return None
    check_assets([node], config.choices["decoder"])
    encoder: LatentSource = complete(build(node, "encoder"), LATENT_SOURCE)
    return encoder if encoder.space == latents.space and encodes(encoder) else None


def source(config: Config) -> Any:
    """Configuration of the latent source: `latents=`, or else the decoder's own encoder."""
    return config.group("latents") or config.group("encoder")


def inputs_of(
    config: Config, decoder: Decoder, latents: LatentSource | None, resolved: Mapping[str, Any]
) -> dict[str, Any]:
    """What all pictures of a run are made from beside samples, seeds and the dial."""
    return {
        "decoder": decoder.digest,
        "latents": None if latents is None else latents.digest,
        "code": code_digest([config.group("decoder"), source(config)]),
        "numerics": resolved,
        "versions": {name: v for name, v in versions().items() if name in SHAPING},
    }


def knobs_of(config: Config) -> Knobs:
    """The dial of a configuration; UsageError if sigma is no noise level."""
    knobs: Knobs = typed(config.tree.knobs)
    if not 0 <= knobs.sigma <= 1:
        raise UsageError(f"knobs.sigma={knobs.sigma} is no noise level.", "It lies in [0, 1].")
    return knobs


def typed(node: Any) -> Any:
    """A node of the configuration as the dataclass that its schema names."""
    from omegaconf import OmegaConf

    return OmegaConf.to_object(node)
