"""An encoder that sees a smaller picture, for decoders that make larger ones.

A decoder of scale k makes k x k pixels of every pixel that its latent stands for. To measure it
against a full-size picture, that picture is reduced by k before it is encoded: each pixel becomes
the mean of a k x k block, at the right and bottom edge of a block filled up by repeating the last
pixel. Sums are of integers and the mean is rounded once, half to even, so every value is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from decoders.frame import settings_digest
from qa.errors import UsageError
from qa.roles import LatentSource
from qa.types import Latent, Sample


class Reduced:
    """A LatentSource: `encoder` given the picture at 1/`by` of its size.

    `scale` is the picture's pixels per pixel that is encoded.
    """

    def __init__(self, encoder: LatentSource, by: int = 4) -> None:
        if by < 1:
            raise UsageError(f"by={by} is no reduction.", "It is 1 or more.", "encoder.by=4")
        self.encoder, self.by = encoder, by
        self.space = encoder.space
        self.scale = by * getattr(encoder, "scale", 1)
        self.licence = getattr(encoder, "licence", "")
        self.digest = settings_digest(("reduced", str(by), encoder.digest))

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """picture uint8 [3,H,W] → latent of [3, ceil(H/by), ceil(W/by)]."""
        smaller = None if picture is None else reduce(picture, self.by)
        return self.encoder.latent(sample, smaller)


def reduce(picture: Tensor, by: int) -> Tensor:
    """picture uint8 [3,H,W] → uint8 [3, ceil(H/by), ceil(W/by)], means of `by` x `by` blocks."""
    _, height, width = picture.shape
    # Replication pads no integers; float64 holds these exactly, and every sum of them.
    values = picture[None].to(torch.float64)
    values = pad(values, (0, -width % by, 0, -height % by), mode="replicate")[0]
    rows, columns = values.shape[1] // by, values.shape[2] // by
    sums = values.reshape(3, rows, by, columns, by).sum(dim=(2, 4))
    return (sums / by**2).round().to(torch.uint8)
