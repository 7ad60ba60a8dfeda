"""Gradient magnitude similarity deviation, as piq defines it.

    GMS = (2 gx gy + T) / (gx^2 + gy^2 + T),   GMSD = standard deviation of GMS over positions

with gx, gy the magnitudes of the Prewitt gradients of luminance (Y of YIQ, in [0, 1]) after a 2x2
mean. 0 for identical pictures; about 0.35 for the worst.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.images import luma
from qa.metrics.inputs import COLOURS, check_pair, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

PEAK = 255.0
T = 170 / PEAK**2
LEAST = 6
"""The Prewitt window is 3x3, on a picture of half the size."""


class GMSD:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → GMSD, lower is better."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, device: str = "cpu") -> None:
        import piq

        self._gmsd = piq.gmsd
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="gmsd",
            better=self.better,
            unit=self.unit,
            source="Xue, Zhang, Mou and Bovik, IEEE TIP 23(2), 2014, eq. 4-6; "
            f"piq {version('piq')}",
            licence="Apache-2.0 (piq)",
            protocol={
                "version": 1,
                "colour": COLOURS["yiq"],
                "levels": "uint8 / 255",
                "t": T,
                "resize": "2x2 mean; an odd side adds one row and one column of zeros",
                "border": "zeros, counted",
                "dtype": "float64",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, or below 6 pixels."""
        # piq would turn colour into the same Y with six float64 pictures in memory at once.
        target = luma(check_pair(pictures, reference, LEAST)[None].to(self._device))

        def score(picture: Tensor) -> Tensor:
            y = luma(picture.to(self._device))
            value: Tensor = self._gmsd(y, target, reduction="none", data_range=PEAK, t=T)
            return value

        return score_each(score, pictures)
