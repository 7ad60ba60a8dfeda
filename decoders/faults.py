"""Deliberately bad decoders. A gate that passes one of them is a bug."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decoders.frame import NO_KNOBS, settings_digest
from decoders.spaces import space as find_space
from qa.errors import UsageError
from qa.traits import check_knobs, remark, traits
from qa.types import Decoder, DecodeRequest, Knobs


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


class Shifted:
    """Another decoder's picture, moved right by whole pixels; the left edge is repeated.

    Invisible to the eye and to any score that ignores position; a fidelity gate must see it.
    """

    def __init__(self, decoder: Decoder, by: int = 1) -> None:
        if by < 1:
            raise UsageError(f"by={by} moves nothing.", "It is a count of pixels.", "decoder.by=1")
        self.decoder, self.by = decoder, by
        self.space = decoder.space
        self.licence = decoder.licence
        self.knobs = decoder.knobs
        inner = traits(decoder)
        self.scale, self.size = inner.scale, inner.size
        self.needs_prompt, self.notes = inner.needs_prompt, inner.notes
        self.digest = settings_digest(("shifted", str(by), decoder.digest))

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width] of the wrapped decoder, shifted."""
        return [self._shift(pixels) for pixels in self.decoder.decode(requests)]

    def check_knobs(self, knobs: Knobs) -> None:
        """As the wrapped decoder."""
        check_knobs(self.decoder, knobs)

    def remark(self, request: DecodeRequest) -> str:
        """As the wrapped decoder."""
        return remark(self.decoder, request)

    def _shift(self, pixels: Tensor) -> Tensor:
        width = pixels.shape[-1]
        columns = (torch.arange(width, device=pixels.device) - self.by).clamp(min=0)
        return pixels[:, :, columns]
