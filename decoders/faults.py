"""Deliberately bad decoders. A gate that passes one of them is a bug.

`Flat` ignores its latent. The others spoil another decoder's picture: `Shifted` moves it, `Blurred`
takes its detail away, `Jpeg` compresses it.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from decoders.frame import NO_KNOBS, settings_digest
from decoders.spaces import space as find_space
from qa import images
from qa.errors import UsageError
from qa.roles import Decoder
from qa.traits import check_knobs, remark, traits
from qa.types import DecodeRequest, Knobs


class Flat:
    """One grey level everywhere, whatever the latent: the worst that is still a picture."""

    licence = "Apache-2.0"
    knobs = NO_KNOBS

    def __init__(self, space: str, level: float = 0.5) -> None:
        if not 0 <= level <= 1:
            raise UsageError(
                f"level={level} is no grey.", "It lies in [0, 1].", "decoder.level=0.5"
            )
        self.space = find_space(space)
        self.level = level
        self.digest = settings_digest(("flat", str(self.space), repr(float(level))))

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], all equal to `level`."""
        return [
            torch.full((3, request.height, request.width), self.level, dtype=torch.float32)
            for request in requests
        ]


class _Spoiled(ABC):
    """Another decoder's pictures, each spoiled in the same way."""

    def __init__(self, decoder: Decoder, *settings: str) -> None:
        """`settings` say what is done, for the digest."""
        self.decoder = decoder
        self.space = decoder.space
        self.licence = decoder.licence
        self.knobs = decoder.knobs
        inner = traits(decoder)
        self.scale, self.size = inner.scale, inner.size
        self.needs_prompt, self.notes = inner.needs_prompt, inner.notes
        self.digest = settings_digest((*settings, decoder.digest))

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width] of the wrapped decoder, spoiled."""
        return [self._spoil(pixels) for pixels in self.decoder.decode(requests)]

    def check_knobs(self, knobs: Knobs) -> None:
        """As the wrapped decoder."""
        check_knobs(self.decoder, knobs)

    def remark(self, request: DecodeRequest) -> str:
        """As the wrapped decoder."""
        return remark(self.decoder, request)

    @abstractmethod
    def _spoil(self, pixels: Tensor) -> Tensor:
        """float32 [3,H,W] → the same shape."""


class Shifted(_Spoiled):
    """Another decoder's picture, moved right by whole pixels; the left edge is repeated.

    Invisible to the eye and to any score that ignores position; a fidelity gate must see it.
    """

    def __init__(self, decoder: Decoder, by: int = 1) -> None:
        if by < 1:
            raise UsageError(f"by={by} moves nothing.", "It is a count of pixels.", "decoder.by=1")
        super().__init__(decoder, "shifted", str(by))
        self.by = by

    def _spoil(self, pixels: Tensor) -> Tensor:
        width = pixels.shape[-1]
        columns = (torch.arange(width, device=pixels.device) - self.by).clamp(min=0)
        return pixels[:, :, columns]


class Blurred(_Spoiled):
    """Another decoder's picture, made `by` times smaller and large again (bicubic, antialiased).

    Small text becomes unreadable; it does not turn into other text.
    """

    def __init__(self, decoder: Decoder, by: float = 2) -> None:
        if not by > 1:
            raise UsageError(f"by={by} blurs nothing.", "It lies above 1.", "decoder.by=2")
        super().__init__(decoder, "blurred", repr(float(by)))
        self.by = by

    def _spoil(self, pixels: Tensor) -> Tensor:
        size = pixels.shape[1:]
        small = [max(1, round(length / self.by)) for length in size]
        return _resized(_resized(pixels, small), list(size))


class Jpeg(_Spoiled):
    """Another decoder's picture, rounded to 8 bits and compressed as JPEG (4:2:0)."""

    def __init__(self, decoder: Decoder, quality: int = 30) -> None:
        if not 1 <= quality <= 95:
            raise UsageError(
                f"quality={quality} is none of JPEG's.",
                "It lies between 1 and 95.",
                "decoder.quality=30",
            )
        super().__init__(decoder, "jpeg", str(quality))
        self.quality = quality

    def _spoil(self, pixels: Tensor) -> Tensor:
        from PIL import Image

        picture = images.quantise(pixels).picture.permute(1, 2, 0).contiguous()
        buffer = io.BytesIO()
        Image.fromarray(picture.numpy()).save(
            buffer, "jpeg", quality=self.quality, subsampling="4:2:0"
        )
        with Image.open(buffer) as opened:
            array = np.array(opened.convert("RGB"))
        return images.to_unit(torch.from_numpy(array).permute(2, 0, 1).contiguous())


def _resized(pixels: Tensor, size: list[int]) -> Tensor:
    """float32 [3,h,w] → float32 [3,*size]"""
    return interpolate(pixels[None], size, mode="bicubic", antialias=True)[0]
