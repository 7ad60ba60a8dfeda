"""The latent spaces as data, and their arithmetic.

A latent diffusion model never sees the encoder's mean z itself but a normalised form z'. Three
kinds exist among image autoencoders:

* affine, one number for all channels (SD, SD3, FLUX.1, DC-AE): z' = scale * (z - shift);
* affine per channel (Qwen-Image, Wan 2.1): z' = (z - mean_c) / std_c;
* FLUX.2: 2x2 patches become channels, index c*4 + py*2 + px, then a batch norm with the running
  statistics stored in the weights: z' = (z - mean_c) / sqrt(var_c + 1e-4).

Sources: the `scaling_factor`, `shift_factor`, `latents_mean` and `latents_std` of each published
config.json; the order of FLUX.2's patches from diffusers' Flux2Pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from qa.errors import UsageError
from qa.types import LatentSpace

QWEN_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
QWEN_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
FLUX2_PATCH = 2
FLUX2_EPS = 1e-4


@dataclass(frozen=True)
class Affine:
    """z' = scale * (z - shift), with one entry for all channels or one for each."""

    scale: tuple[float, ...] = (1.0,)
    shift: tuple[float, ...] = (0.0,)

    def normalise(self, z: Tensor) -> Tensor:
        """z [...,C,h,w] → z' of the same shape."""
        return _per_channel(self.scale, z) * (z - _per_channel(self.shift, z))

    def denormalise(self, z: Tensor) -> Tensor:
        """z' [...,C,h,w] → z of the same shape."""
        return z / _per_channel(self.scale, z) + _per_channel(self.shift, z)


@dataclass(frozen=True)
class PatchNorm:
    """FLUX.2: 2x2 patches to channels, then the batch norm's running statistics."""

    mean: Tensor
    """float32 [4C]"""
    variance: Tensor
    """float32 [4C]"""
    eps: float = FLUX2_EPS

    def normalise(self, z: Tensor) -> Tensor:
        """z [N,C,2h,2w] → z' [N,4C,h,w]."""
        mean, deviation = self._statistics(z)
        return (patchify(z) - mean) / deviation

    def denormalise(self, z: Tensor) -> Tensor:
        """z' [N,4C,h,w] → z [N,C,2h,2w]."""
        mean, deviation = self._statistics(z)
        return unpatchify(z * deviation + mean)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:  # two [4C,1,1]
        mean = self.mean.to(like)[:, None, None]
        deviation = (self.variance + self.eps).sqrt().to(like)[:, None, None]
        return mean, deviation


def patchify(z: Tensor) -> Tensor:
    """z [N,C,2h,2w] → [N,4C,h,w]; channel c*4 + py*2 + px holds pixel (py, px) of each patch."""
    return torch.nn.functional.pixel_unshuffle(z, FLUX2_PATCH)


def unpatchify(z: Tensor) -> Tensor:
    """The inverse of `patchify`: [N,4C,h,w] → [N,C,2h,2w]."""
    return torch.nn.functional.pixel_shuffle(z, FLUX2_PATCH)


SPACES: Mapping[str, LatentSpace] = MappingProxyType(
    {
        space.name: space
        for space in (
            LatentSpace("sd1", 4, 8, "0.18215*z"),
            LatentSpace("sdxl", 4, 8, "0.13025*z", noise="vp"),
            LatentSpace("sd3", 16, 8, "1.5305*(z-0.0609)"),
            LatentSpace("flux1", 16, 8, "0.3611*(z-0.1159)"),
            LatentSpace("flux2_raw", 32, 8, "z"),
            LatentSpace("flux2", 128, 16, "2x2 patches, batch norm of the weights, eps 1e-4"),
            LatentSpace("qwen", 16, 8, "(z-mean_c)/std_c of Wan 2.1"),
            LatentSpace("dcae", 32, 32, "0.41407*z"),
            LatentSpace("rae_dinov2", 768, 16, "(z-mean)/(std+1e-5) of the weights"),
            LatentSpace("rae_siglip2", 1152, 16, "layer norm without affine, eps 1e-6"),
            LatentSpace("mini", 16, 8, "z"),
        )
    }
)
"""Every space by name. Z-Image shares `flux1`, Wan 2.1 shares `qwen`, Sana's DC-AE is `dcae`."""

AFFINE: Mapping[str, Affine] = MappingProxyType(
    {
        "sd1": Affine((0.18215,)),
        "sdxl": Affine((0.13025,)),
        "sd3": Affine((1.5305,), (0.0609,)),
        "flux1": Affine((0.3611,), (0.1159,)),
        "flux2_raw": Affine(),
        "qwen": Affine(tuple(1 / std for std in QWEN_STD), QWEN_MEAN),
        "dcae": Affine((0.41407,)),
        "mini": Affine(),
    }
)
"""The spaces whose normalisation is known without weights. `flux2` and the `rae_` are not here:
their statistics come with the network."""


def space(name: str) -> LatentSpace:
    """The space of that name; UsageError lists the names that exist."""
    if name not in SPACES:
        known = ", ".join(sorted(SPACES))
        raise UsageError(f"There is no latent space {name!r}.", f"Known: {known}.")
    return SPACES[name]


def cells(pixels: int, factor: int) -> int:
    """Latent cells that cover so many picture pixels along one side."""
    return math.ceil(pixels / factor)


def _per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
