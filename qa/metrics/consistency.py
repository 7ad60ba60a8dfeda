"""Low-resolution consistency: is the picture still the one that the latent came from?

    PSNR = 10 log10(255^2 / MSE)  of  down(x) and down(reference)

where `down` reduces both sides by `by` with Pillow's bicubic filter in floating point, antialiased,
neither rounded to levels nor clipped. Over all values of one picture, as in `qa.metrics.psnr`. A
decoder that makes k x k pixels of every pixel it was told about is free in what `down` by k takes
away and bound in what it leaves: detail may be invented, content, colour and position may not. PiD
has k = 4.

The ceiling. `down` is blind to most differences (pictures that differ by a checkerboard of single
pixels have MSE = 0, however strong it is), so there is no best imperfect value, as PSNR has one.
But every picture is rounded to 8 bits; independent rounding errors have a variance of 1/12 each,
which leaves

    MSE = s^2 / 12,    s = sum of squares of the filter's weights along one axis.

What lies below this is luck, so no value goes above it: 72.75 dB for by=4, whatever the size. It is
also what identical pictures get. A ceiling that grows with the picture would let a few exact
pictures decide a mean.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.errors import UsageError
from qa.features.resize import resize, taps
from qa.metrics.inputs import check_pair, score_each
from qa.metrics.psnr import PEAK
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor


def ceiling(by: int) -> float:
    """The highest value in dB: what rounding to 8 bits alone leaves after reduction by `by`."""
    # A window spans 4 cells: the middle one of 9 is not cut off at a border.
    weights = taps("bicubic", 9 * by, 9)[1][4]
    share = float((weights**2).sum())
    return 10 * math.log10(PEAK**2 / (share**2 / 12))


class LowResolutionPSNR:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → dB, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "dB"

    def __init__(self, by: int = 4, device: str = "cpu") -> None:
        """`by` is the factor of the reduction along each side, 2 or more."""
        if by < 2:
            raise UsageError(f"by={by} is no reduction.", "It is 2 or more.", "by=4")
        self._by, self._device = by, pick_device(device)
        self.facts = MetricFacts(
            name="lowres_psnr",
            better=self.better,
            unit=self.unit,
            source="own definition: the module's docstring; bicubic filter of Pillow",
            licence="Apache-2.0 (own code)",
            protocol={
                "version": 1,
                "colour": "RGB, all values of one picture together",
                "levels": "uint8 0..255, reduced values not rounded and not clipped",
                "data_range": PEAK,
                "resize": "bicubic of Pillow, mode F, to floor(H/by), floor(W/by)",
                "by": by,
                "ceiling": ceiling(by),
                "dtype": "float64",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values in dB, at most `ceiling(by)`.

        ValueError without an equal-sized reference, or where a side is shorter than the filter.
        """
        target = self._reduced(check_pair(pictures, reference, least=4 * self._by)[None])
        best = ceiling(self._by)

        def score(picture: Tensor) -> Tensor:
            error = (self._reduced(picture) - target).square().mean()
            return (10 * (PEAK**2 / error).log10()).clamp(max=best)

        return score_each(score, pictures)

    def _reduced(self, picture: Tensor) -> Tensor:  # uint8 [1,3,H,W] -> float64 [1,3,h,w]
        height, width = picture.shape[2:]
        size = (height // self._by, width // self._by)
        return resize(picture.to(self._device), size, filter="bicubic", exact=True).double()
