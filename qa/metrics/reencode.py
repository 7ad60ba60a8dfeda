"""Re-encode consistency: does a decoded picture still say what its latent said?

    r = || E(D(z)) - z || / || z ||

with z the latent, D the decoder under test and E the encoder that z came from; both norms over all
values of the latent. 0 means that everything the latent states survived; 1 that what came back is
as far from z as nothing at all would be. What an encoder does not see (grain, detail below its
resolution) is free to be invented; what it does see was changed.

E is not the inverse of any decoder, so the value of the family's own VAE is the yardstick, not 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor


class Reencode:
    """A latent float [C,h,w] and one like it for each seed → r >= 0 for each, lower is better."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""
    facts = MetricFacts(
        name="reencode",
        better=better,
        unit=unit,
        source="own definition: the module's docstring",
        licence="Apache-2.0 (own code)",
        protocol={
            "version": 1,
            "encoder": "the run's own: its digest is the record's encoder_digest",
            "norm": "Euclidean over all values, float64",
            "latent": "clean, as the encoder gave it, before any corruption",
        },
        paired=False,
        of="latent",
    )

    def __call__(self, latent: Tensor, again: Sequence[Tensor]) -> list[float]:
        """ValueError for another shape, for a latent of zeros, and for NaN or infinity."""
        z = latent.double().cpu()
        size = float(z.norm())
        if size == 0:
            raise ValueError("the latent is zero everywhere: there is nothing to divide by")
        values = []
        for other in again:
            if other.shape != latent.shape:
                raise ValueError(
                    f"the picture encodes to {list(other.shape)}, its latent is "
                    f"{list(latent.shape)}"
                )
            values.append(float((other.double().cpu() - z).norm()) / size)
        if not all(map(math.isfinite, values)):
            raise ValueError("the encoder returned NaN or infinity")
        return values
