"""Image autoencoders as latent source and as decoder.

`VAEEncoder` and `VAEDecoder` take the same arguments and then share one loaded network:

    family     class name as diffusers has it (AutoencoderKL, AutoencoderKLFlux2,
               AutoencoderKLQwenImage, AutoencoderKLWan, AutoencoderDC, AutoencoderRAE,
               AutoencoderTiny) or MiniVAE
    source     a local folder in diffusers' layout, or None for `asset`
    asset      name in the asset table (repository, pinned revision, hashes, licence), used when
               `source` is None; MiniVAE needs neither, its weights are in the package
    subfolder  part of the folder that holds the VAE, e.g. `vae`
    space      name of the latent space, checked against the network's configuration
    dtype      float32, bfloat16 or float16: the precision of the layers
    device     auto, cpu, cuda or cuda:N
    low_memory  decode and encode in stripes (decoders.exact): the same but for rounding, in a
               quarter of the memory; AutoencoderKL and AutoencoderKLFlux2 only
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from decoders import mini
from decoders.families import FAMILIES, MINI, Autoencoder, load_network, weight_files
from decoders.frame import (
    LOCAL_LICENCE,
    NO_KNOBS,
    decode_request,
    encode_picture,
    pick_dtype,
    settings_digest,
)
from decoders.spaces import space as find_space
from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.types import DecodeRequest, Latent, Sample


class _Half:
    """What encoder and decoder share: arguments, network, licence, digest."""

    half: str

    def __init__(
        self,
        family: str,
        space: str,
        source: str | None = None,
        asset: str | None = None,
        subfolder: str | None = None,
        dtype: str = "float32",
        device: str = "auto",
        low_memory: bool = False,
    ) -> None:
        loaded = _load(family, space, source, asset, subfolder, dtype, device)
        self.network = loaded.network.in_stripes() if low_memory else loaded.network
        self.space = self.network.space
        self.licence = loaded.licence
        settings = ("low_memory",) if low_memory else ()
        self.digest = settings_digest((self.half, *loaded.identity, *settings))


class VAEEncoder(_Half):
    """A LatentSource: the mean of an autoencoder's distribution, normalised as `space` says."""

    half = "encoder"
    scale = 1

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """picture uint8 [3,H,W] → latent float32 [C, ceil(H/factor), ceil(W/factor)]."""
        return Latent(encode_picture(self.network, sample, picture))


class VAEDecoder(_Half):
    """A Decoder: an autoencoder's second half. Seeds, sigma and prompt change nothing."""

    half = "decoder"
    knobs = NO_KNOBS

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], nominal [0,1], not clamped, one request at a time."""
        return [decode_request(self.network, request) for request in requests]


@dataclass(frozen=True)
class Loaded:
    """A network, its licence, and all that determines its numbers."""

    network: Autoencoder
    licence: str
    identity: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where weights lie and under which terms."""

    folder: Path
    licence: str


def _load(
    family: str,
    space: str,
    source: str | None,
    asset: str | None,
    subfolder: str | None,
    dtype: str,
    device: str,
) -> Loaded:
    if family not in FAMILIES:
        raise UsageError(f"There is no family {family!r}.", f"Known: {', '.join(FAMILIES)}.")
    latent_space = find_space(space)
    if (family == MINI) != (space == "mini"):
        raise UsageError(f"A {family} does not have the latent space {latent_space}.")
    target, precision = torch.device(pick_device(device)), pick_dtype(dtype)
    place = _place(family, source, asset)
    folder = place.folder / subfolder if subfolder else place.folder
    files = weight_files(family, folder)
    weights = tuple(f"{file.name}={sha256(file)}" for file in files)
    network = load_network(family, folder.resolve(), weights, latent_space, target, precision)
    return Loaded(network, place.licence, (family, str(latent_space), dtype, str(target), *weights))


def _place(family: str, source: str | None, asset: str | None) -> Place:
    if source is not None:
        return Place(Path(source), LOCAL_LICENCE)
    if asset is not None:
        return Place(assets.resolve(asset), assets.find(asset).licence)
    if family == MINI:
        return Place(Path(mini.__file__).parent, "Apache-2.0")
    raise UsageError(
        f"It is not said where the {family} comes from.",
        "Neither source nor asset is set.",
        "decoder.source=FOLDER",
    )
