"""One thin class for each family of image autoencoder: diffusers' classes and our own MiniVAE.

Each is a `decoders.frame.Network`: pixels in [0,1] on one side, the normalised latents of its
space on the other. The layers run in `dtype`; normalisation always runs in float32. An encoder's
answer is the mean of its distribution: nothing is sampled.

Loading is strict. Weights come from safetensors, no tensor may be missing, left over or of another
shape, and the configuration must say what the latent space says, or a UsageError names both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from decoders import exact
from decoders.checks import (
    check_dc,
    check_flux2,
    check_frames,
    check_kl,
    check_rae,
    check_tiny,
    load_pretrained,
)
from decoders.spaces import AFFINE, Affine, PatchNorm
from decoders.weights import check_finite
from qa.errors import UsageError
from qa.types import LatentSpace

WEIGHTS = "diffusion_pytorch_model.safetensors"
MINI = "MiniVAE"
MINI_WEIGHTS = "vae_mini.safetensors"


class Autoencoder:
    """An AutoencoderKL (SD 1.x, SDXL, SD3, FLUX.1, Z-Image), and what the families share."""

    size: int | None = None
    striped = False
    """Whether it works in stripes."""

    def __init__(
        self, model: Any, space: LatentSpace, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.space, self.device, self.dtype = space, device, dtype
        self.norm = self._norm(model)
        self.model = model.eval().requires_grad_(False).to(device)
        if dtype != torch.float32:  # what every family is loaded in
            self.model = self.model.to(dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        mean = self._mean((pixels * 2 - 1).to(self.dtype))
        return self.norm.normalise(mean.to(torch.float32))

    def decode(self, latent: Tensor) -> Tensor:
        output = self._picture(self.norm.denormalise(latent).to(self.dtype))
        return (output.to(torch.float32) + 1) / 2

    def in_stripes(self) -> Autoencoder:
        """The same network in little memory (decoders.exact); UsageError if it has no such form."""
        exact.check(self.model)
        other = copy(self)
        other.striped = True
        return other

    def _norm(self, model: Any) -> Affine | PatchNorm:
        check_kl(model.config, self.space)
        return AFFINE[self.space.name]

    def _mean(self, pixels: Tensor) -> Tensor:  # [1,3,H,W] in [-1,1] -> [1,C,h,w]
        if self.striped:
            return exact.encode(self.model, pixels)
        return self.model.encode(pixels).latent_dist.mean

    def _picture(self, z: Tensor) -> Tensor:  # [1,C,h,w] -> [1,3,H,W] in [-1,1]
        if self.striped:
            return exact.decode(self.model, z)
        return self.model.decode(z).sample


class Flux2(Autoencoder):
    """AutoencoderKLFlux2: `flux2_raw` without, `flux2` with patches and batch norm."""

    def _norm(self, model: Any) -> Affine | PatchNorm:
        statistics = model.bn.running_mean.detach(), model.bn.running_var.detach()
        check_flux2(model.config, statistics, self.space)
        if self.space.name == "flux2_raw":
            return AFFINE["flux2_raw"]
        return PatchNorm(*(values.to(torch.float32).clone() for values in statistics))


class OneFrame(Autoencoder):
    """AutoencoderKLQwenImage and AutoencoderKLWan (2.1): a video autoencoder given one frame.

    diffusers clamps the decoder's output to [-1,1] in these two classes, so no value is ever
    counted as clipped.
    """

    def _norm(self, model: Any) -> Affine:
        check_frames(model.config, self.space)
        return AFFINE[self.space.name]

    def _mean(self, pixels: Tensor) -> Tensor:
        return super()._mean(pixels[:, :, None])[:, :, 0]

    def _picture(self, z: Tensor) -> Tensor:
        return super()._picture(z[:, :, None])[:, :, 0]


class DeepCompression(Autoencoder):
    """AutoencoderDC, the factor-32 autoencoder of Sana; deterministic, without a distribution."""

    def _norm(self, model: Any) -> Affine:
        check_dc(model.config, self.space)
        return AFFINE[self.space.name]

    def _mean(self, pixels: Tensor) -> Tensor:
        return self.model.encode(pixels).latent


class Representation(Autoencoder):
    """AutoencoderRAE: a frozen DINOv2 as encoder, a ViT as decoder, pictures of one size.

    The network normalises pictures (ImageNet) and latents (statistics in its weights) itself.
    """

    def _norm(self, model: Any) -> Affine:
        check_rae(model.config, self.space)
        self.size = model.decoder_image_size
        return Affine()

    def encode(self, pixels: Tensor) -> Tensor:
        return self.model.encode(pixels.to(self.dtype)).latent.to(torch.float32)

    def decode(self, latent: Tensor) -> Tensor:
        return self.model.decode(latent.to(self.dtype)).sample.to(torch.float32)


class Tiny(Autoencoder):
    """AutoencoderTiny (TAESD in diffusers' layout): its latents are the scaled ones already."""

    def _norm(self, model: Any) -> Affine:
        check_tiny(model.config, self.space)
        return Affine()

    def _mean(self, pixels: Tensor) -> Tensor:
        return self.model.encode(pixels).latents


class Mini(Autoencoder):
    """MiniVAE, the project's own: pixels in [0,1] on both sides, latents as they are."""

    def _norm(self, model: Any) -> Affine:
        return AFFINE["mini"]

    def encode(self, pixels: Tensor) -> Tensor:
        mean, _ = self.model.encode(pixels.to(self.dtype))
        return mean.to(torch.float32)

    def decode(self, latent: Tensor) -> Tensor:
        return self.model.decode(latent.to(self.dtype)).to(torch.float32)


FAMILIES: Mapping[str, type[Autoencoder]] = {
    "AutoencoderKL": Autoencoder,
    "AutoencoderKLFlux2": Flux2,
    "AutoencoderKLQwenImage": OneFrame,
    "AutoencoderKLWan": OneFrame,
    "AutoencoderDC": DeepCompression,
    "AutoencoderRAE": Representation,
    "AutoencoderTiny": Tiny,
    MINI: Mini,
}
"""Class name as diffusers has it (or MiniVAE) → adapter."""


@lru_cache(maxsize=2)
def load_network(
    family: str,
    folder: Path,
    weights: tuple[str, ...],
    space: LatentSpace,
    device: torch.device,
    dtype: torch.dtype,
) -> Autoencoder:
    """The network of a folder; encoder and decoder with equal arguments share one object.

    `weights` are the hashes of its files, so that other content means another object. Two are
    kept, so that a run over several systems does not hold all their weights.
    """
    model = _load_mini(folder) if family == MINI else _load_diffusers(family, folder)
    check_finite(model.state_dict(), str(folder))
    return FAMILIES[family](model, space, device, dtype)


def weight_files(family: str, folder: Path) -> list[Path]:
    """The files that define the network, in order; UsageError names the first that is missing."""
    if family == MINI:
        names = [MINI_WEIGHTS]
    else:
        index = folder / (WEIGHTS + ".index.json")
        names = ["config.json", WEIGHTS]
        if index.is_file():
            shards = json.loads(index.read_text())["weight_map"].values()
            names = ["config.json", index.name, *sorted(set(shards))]
    for name in names:
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder} holds no {name}.",
                f"A {family} is loaded from {' and '.join(names)}.",
                "point source at the right folder, and subfolder at the part that holds the VAE",
            )
    return [folder / name for name in names]


def _load_mini(folder: Path) -> nn.Module:
    from decoders.mini import vae

    return vae.MiniVAE.load(folder / MINI_WEIGHTS)


def _load_diffusers(family: str, folder: Path) -> nn.Module:
    import diffusers

    declared = json.loads((folder / "config.json").read_text()).get("_class_name", family)
    if declared != family:
        raise UsageError(
            f"{folder / 'config.json'} describes a {declared}.",
            f"The configuration asks for a {family}.",
            f"decoder.family={declared}, or another folder",
        )
    return load_pretrained(
        getattr(diffusers, family),
        folder,
        fix="fetch the folder again, or point source at another one",
        low_cpu_mem_usage=False,
    )
