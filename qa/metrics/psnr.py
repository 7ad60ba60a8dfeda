"""Peak signal-to-noise ratio of one picture.

    PSNR = 10 log10(255^2 / MSE),   MSE = SSE / (3HW),   SSE = sum of squared differences

over all values of the three channels, in levels 0..255. Per picture, never pooled: the PSNR of the
mean error of several pictures is another number (two pictures with MSE 1 and 100: 31.1 dB pooled,
38.1 dB averaged).

Identical pictures have SSE = 0, hence infinite PSNR, and a value must be finite to be averaged.
SSE is an integer, so the best imperfect picture has SSE = 1: a single value off by one level. An
identical picture is given SSE = 1/2, that is 3.01 dB above any imperfect picture of its size
(104.1 dB at 256x256, 128.2 dB at 4096x4096). A constant such as 100 dB would rank an identical
picture below nearly identical large ones.
"""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.metrics.inputs import check_pair, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

PEAK = 255.0
LEAST_ERROR = 0.5


def ceiling(height: int, width: int) -> float:
    """PSNR in dB of identical pictures of this size: that of a squared error of 1/2 in all."""
    return 10 * math.log10(PEAK**2 * 3 * height * width / LEAST_ERROR)


class PSNR:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → dB, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "dB"

    def __init__(self, device: str = "cpu") -> None:
        from torchmetrics.functional.image import peak_signal_noise_ratio

        self._psnr = peak_signal_noise_ratio
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="psnr",
            better=self.better,
            unit=self.unit,
            source="Wang and Bovik, IEEE Signal Processing Magazine 26(1), 2009, eq. 2; "
            f"torchmetrics {version('torchmetrics')}",
            licence="Apache-2.0 (torchmetrics)",
            protocol={
                "version": 1,
                "colour": "RGB, all values of one picture together",
                "levels": "uint8 0..255",
                "data_range": PEAK,
                "resize": "none",
                "identical": "squared error 1/2: 10 log10(2 * 255^2 * 3HW)",
                "dtype": "float64",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values in dB, at most `ceiling(H, W)`. ValueError without an equal-sized reference."""
        import torch

        # In float64 the squared error of 8-bit levels is an exact integer, so the value depends
        # neither on the order of summation nor on the device.
        target = check_pair(pictures, reference, least=1)[None].to(self._device, torch.float64)
        best = ceiling(*pictures.shape[2:])

        def score(picture: Tensor) -> Tensor:
            levels = picture.to(self._device, torch.float64)
            value: Tensor = self._psnr(
                levels, target, data_range=PEAK, reduction="none", dim=(1, 2, 3)
            )
            return value.clamp(max=best)

        return score_each(score, pictures)
