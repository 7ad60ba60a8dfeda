"""Peak signal-to-noise ratio of one picture.

    PSNR = 10 log10(255^2 / MSE),   MSE = SSE / N,   SSE = sum of squared differences

over all N = 3HW values of the three channels, in levels 0..255. Per picture, never pooled: the PSNR
of the mean error of several pictures is another number (two pictures with MSE 1 and 100: 31.1 dB
pooled, 38.1 dB averaged).

Identical pictures have SSE = 0, hence infinite PSNR, and a value must be finite to be averaged.
SSE is an integer, so the best imperfect picture has SSE = 1: a single value off by one level. An
identical picture is given SSE = 1/2, that is 3.01 dB above any imperfect picture of its size
(104.1 dB at 256x256, 128.2 dB at 4096x4096). A constant such as 100 dB would rank an identical
picture below nearly identical large ones.

`colour="ycbcr"` compares luma in 16..235 alone (`qa.metrics.inputs`), with a peak of 255 all the
same. N is HW then. Luma spans 219 levels where the channels span 255, so a grey error is 1.32 dB
less than in RGB. Its steps are u = 219/255000 of a level, the least error of a picture whose luma
differs is u^2, and identical luma is given u^2/2.
"""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.metrics.inputs import COLOURS, check_colour, check_pair, planes, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

PEAK = 255.0
STEPS = {"rgb": 1.0, "ycbcr": 219 / 255_000}
"""The smallest difference of two values, in levels: a thousandth of 219/255 for luma."""
CHANNELS = {"rgb": 3, "ycbcr": 1}


def ceiling(height: int, width: int, colour: str = "rgb") -> float:
    """PSNR in dB of identical pictures of this size: that of half the least squared error."""
    values = CHANNELS[colour] * height * width
    return 10 * math.log10(PEAK**2 * values / (STEPS[colour] ** 2 / 2))


_PROTOCOLS = {
    "rgb": {
        "colour": "RGB, all values of one picture together",
        "identical": "squared error 1/2: 10 log10(2 * 255^2 * 3HW)",
    },
    "ycbcr": {
        "colour": COLOURS["ycbcr"],
        "identical": "squared error u^2/2 with u = 219/255000: 10 log10(2 * 255^2 * HW / u^2)",
    },
}


class PSNR:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → dB, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "dB"

    def __init__(self, colour: str = "rgb", device: str = "cpu") -> None:
        """UsageError for a colour other than rgb and ycbcr."""
        from torchmetrics.functional.image import peak_signal_noise_ratio

        self._colour = check_colour(colour, tuple(STEPS))
        self._psnr = peak_signal_noise_ratio
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="psnr" if colour == "rgb" else "psnr_y",
            better=self.better,
            unit=self.unit,
            source="Wang and Bovik, IEEE Signal Processing Magazine 26(1), 2009, eq. 2; "
            f"torchmetrics {version('torchmetrics')}",
            licence="Apache-2.0 (torchmetrics)",
            protocol={
                "version": 1,
                "levels": "uint8 0..255",
                "data_range": PEAK,
                "resize": "none",
                "dtype": "float64",
                **_PROTOCOLS[colour],
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values in dB, at most `ceiling`. ValueError without an equal-sized reference."""
        target = self._levels(check_pair(pictures, reference, least=1)[None])
        height, width = pictures.shape[2:]
        best = ceiling(height, width, self._colour)

        def score(picture: Tensor) -> Tensor:
            value: Tensor = self._psnr(
                self._levels(picture), target, data_range=PEAK, reduction="none", dim=(1, 2, 3)
            )
            return value.clamp(max=best)

        return score_each(score, pictures)

    def _levels(self, picture: Tensor) -> Tensor:
        """Pictures uint8 [1,3,H,W] → what is compared, float64 [1,3,H,W] or [1,1,H,W]."""
        # In float64 the squared error of 8-bit RGB is an exact integer, so the value depends
        # neither on the order of summation nor on the device.
        return planes(picture.to(self._device), self._colour)
