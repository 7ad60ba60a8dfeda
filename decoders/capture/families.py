"""The families of latent diffusion pipelines as data: class, latent space, layout, arguments.

How a pipeline keeps its latents between steps, always normalised as the space says, with tokens in
row-major order of their grid:

* plain    [1,C,h,w] (SD3, SDXL, Z-Image);
* patches  [1,(h/2)(w/2),4C] (FLUX.1, Qwen-Image): a token is a 2x2 patch, index c*4 + py*2 + px;
* tokens   [1,hw,C] (FLUX.2): the space has the patches as channels already.

And how they carry noise. Flow matching (FlowMatchEulerDiscreteScheduler) has
x = (1 - s) x0 + s e, which is the form of its spaces. SDXL's EulerDiscreteScheduler has
x = x0 + s e with s up to 15; its space is variance preserving, so

    x' = x / sqrt(1 + s^2),   s' = s / sqrt(1 + s^2),   x' = sqrt(1 - s'^2) x0 + s' e.

Source: the `__call__` of each class in diffusers 0.42.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from torch import Tensor

from decoders.checks import check_frames, check_kl
from decoders.spaces import FLUX2_PATCH, unpatchify
from qa.types import Latent, LatentSpace

Unpack = Callable[[Tensor, int, int], Tensor]
"""(a pipeline's latents, rows, columns of the space's grid) → [1,C,rows,columns]."""


def plain(latents: Tensor, rows: int, columns: int) -> Tensor:
    """[1,C,h,w] as it is."""
    return latents


def tokens(latents: Tensor, rows: int, columns: int) -> Tensor:
    """[1,rows*columns,C] → [1,C,rows,columns]."""
    return latents.transpose(1, 2).unflatten(2, (rows, columns))


def patches(latents: Tensor, rows: int, columns: int) -> Tensor:
    """[1,rows/2*columns/2,4C] → [1,C,rows,columns]."""
    return unpatchify(tokens(latents, rows // FLUX2_PATCH, columns // FLUX2_PATCH))


@dataclass(frozen=True)
class Family:
    """What differs between pipelines."""

    pipeline: str
    """Class name in diffusers."""
    space: str
    decoder: str
    """The configuration in conf/decoder of its own VAE."""
    unpack: Unpack = plain
    denoiser: str = "transformer"
    scheduler: str = "FlowMatchEulerDiscreteScheduler"
    guidance: str = "guidance_scale"
    """Name of the argument that takes the guidance."""
    negative: bool = False
    """Whether it reads a negative prompt."""
    check: Callable[[Any, LatentSpace], None] | None = check_kl
    """Compares its VAE's configuration with the space; None where the weights decide that."""


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "flux": Family("FluxPipeline", "flux1", "flux1", patches),
        "flux2": Family("Flux2Pipeline", "flux2", "flux2", tokens, check=None),
        "flux2_klein": Family("Flux2KleinPipeline", "flux2", "flux2", tokens, check=None),
        "sd3": Family("StableDiffusion3Pipeline", "sd3", "sd3", negative=True),
        "sdxl": Family(
            "StableDiffusionXLPipeline", "sdxl", "sdxl", denoiser="unet",
            scheduler="EulerDiscreteScheduler", negative=True,
        ),
        "qwenimage": Family(
            "QwenImagePipeline", "qwen", "qwen_image", patches, guidance="true_cfg_scale",
            negative=True, check=check_frames,
        ),
        "zimage": Family("ZImagePipeline", "flux1", "zimage", negative=True),
    }
)  # fmt: skip


def check_vae(family: Family, file: Path, space: LatentSpace) -> None:
    """Refuses a pipeline trained on other latents than its family's, by its VAE's config.json.

    A file that is not there is not missed: the VAE itself is not needed.
    """
    if family.check is None or not file.is_file():
        return
    absent = {"shift_factor": None, "latents_mean": None, "latents_std": None}
    config = SimpleNamespace(**{**absent, **json.loads(file.read_text(encoding="utf-8"))})
    family.check(config, space)


def to_space(x: Tensor, sigma: float, space: LatentSpace) -> Latent:
    """A scheduler's x [C,h,w] at its own sigma → the latent in the space's convention."""
    if space.noise == "flow":
        return Latent(x, sigma)
    scale = (1 + sigma**2) ** -0.5
    return Latent(x * scale, sigma * scale)
