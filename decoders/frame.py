"""What every autoencoder adapter does around its network: sizes, devices, precision, checks.

Pictures whose sides are no multiple of the network's factor are padded to the next one, right and
bottom, by repeating the edge; the decoder's output is cropped back. Replication, because unlike
reflection it works for a single pixel. Pictures pass one at a time on purpose: a picture must not
depend on its batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from decoders.spaces import cells
from qa import images
from qa.errors import QaError, UsageError
from qa.types import DecodeRequest, LatentSpace, Sample

FRAME_VERSION = "1"
NO_KNOBS: frozenset[str] = frozenset()
"""A deterministic decoder has no dial of its own."""
LOCAL_LICENCE = "not stated: weights from a local folder"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Network(Protocol):
    """One autoencoder, whatever its family, with its latents in normalised form."""

    space: LatentSpace
    device: torch.device
    dtype: torch.dtype
    size: int | None
    """The only side length that the network can do, or None for any multiple of the factor."""

    def encode(self, pixels: Tensor) -> Tensor:
        """pixels float32 [1,3,H,W] in [0,1] → normalised mean, float32 [1,C,h,w]."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """normalised latent float32 [1,C,h,w] → pixels float32 [1,3,H,W], not clamped."""
        ...


@torch.inference_mode()
def encode_picture(network: Network, sample: Sample, picture: Tensor | None) -> Tensor:
    """picture uint8 [3,H,W] → latent float32 [C,h,w] on the CPU, h = ceil(H / factor)."""
    if picture is None:
        raise QaError(
            f"Sample {sample.id} has no picture to encode.",
            "An encoder is this run's source of latents.",
            "use a suite with pictures, or stored latents",
        )
    _, height, width = picture.shape
    _check_size(network, sample.id, height, width)
    factor = network.space.factor
    right = cells(width, factor) * factor - width
    bottom = cells(height, factor) * factor - height
    pixels = images.to_unit(picture)[None].to(network.device)
    latent = network.encode(pad(pixels, (0, right, 0, bottom), mode="replicate"))
    return latent[0].to("cpu", torch.float32)


@torch.inference_mode()
def decode_request(network: Network, request: DecodeRequest) -> Tensor:
    """The request's latent → pixels float32 [3,height,width], nominal [0,1], not clamped.

    The pixels stay on the network's device. Raises QaError where the latent does not fit the
    space or the size asked for.
    """
    latent = request.latent
    if latent is None:
        raise QaError(
            f"There is no latent for {request.sample}.", f"The decoder takes {network.space}."
        )
    _check_size(network, request.sample, request.height, request.width)
    space = network.space
    rows, columns = cells(request.height, space.factor), cells(request.width, space.factor)
    if list(latent.shape) != [space.channels, rows, columns]:
        raise QaError(
            f"The latent of {request.sample} has shape {list(latent.shape)}.",
            f"{request.width}x{request.height} pixels in space {space} need "
            f"{[space.channels, rows, columns]}.",
            "ask for the size that the latent was made for, or encode the picture again",
        )
    pixels = network.decode(latent[None].to(network.device, torch.float32))
    return pixels[0, :, : request.height, : request.width].to(torch.float32)


def pick_dtype(name: str) -> torch.dtype:
    """The precision that the network's layers run in."""
    if name not in DTYPES:
        raise UsageError(f"{name!r} is no precision.", f"Known: {', '.join(DTYPES)}.")
    return DTYPES[name]


def settings_digest(parts: Iterable[str]) -> str:
    """SHA-256 over settings and weight digests, in order, with the version of this frame."""
    return hashlib.sha256("\x1f".join((FRAME_VERSION, *parts)).encode()).hexdigest()


def _check_size(network: Network, sample: str, height: int, width: int) -> None:
    if min(height, width) < 1:
        raise QaError(f"{sample} is {width}x{height} pixels.", "A picture has at least one.")
    if network.size is not None and (height, width) != (network.size, network.size):
        raise QaError(
            f"{sample} is {width}x{height} pixels.",
            f"This network does {network.size}x{network.size} only.",
            "resize or crop the pictures of the suite",
        )
