"""Feature similarity: phase congruency and gradients, as piq defines them.

    S = PC similarity x gradient similarity,   PC: (2 p q + T1) / (p^2 + q^2 + T1), gradient alike
    FSIM = sum of S max(p, q) / sum of max(p, q)        FSIMc: S times |S_I S_Q|^0.03

with p and q the phase congruency of the two pictures' luminance (log-Gabor filters, 4 scales and 4
orientations), gradients by Scharr, and S_I, S_Q the similarities of the chroma of YIQ. FSIM looks
at luminance alone (`colour="yiq"`, `qa.metrics.inputs`), FSIMc at chroma too (`colour="rgb"`).

The paper first averages blocks of round(min(H, W) / 256) pixels: 4x4 at 1024, 16x16 at 4096. What a
decoder does below that size, FSIM cannot see.

piq counts the angles of filters from the vertical axis, where the authors count from the horizontal
one, and takes the lower of two middle values as their median: values move by about 1e-5.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.images import luma
from qa.metrics.inputs import COLOURS, check_colour, check_pair, planes, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

PEAK = 255.0
LEAST = 16
"""Four scales of filters need a few periods of the shortest wavelength, 6 pixels."""
SEEN = {"yiq": COLOURS["yiq"], "rgb": "YIQ, chroma with exponent 0.03"}


class FSIM:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → FSIM or FSIMc, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""

    def __init__(self, colour: str = "yiq", device: str = "cpu") -> None:
        """`colour="rgb"` is FSIMc. UsageError for anything but yiq and rgb."""
        import piq

        self._colour = check_colour(colour, tuple(SEEN))
        self._chromatic = colour == "rgb"
        self._fsim = piq.fsim
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="fsimc" if self._chromatic else "fsim",
            better=self.better,
            unit=self.unit,
            source="Zhang, Zhang, Mou and Zhang, IEEE TIP 20(8), 2011, section III; "
            f"piq {version('piq')}",
            licence="Apache-2.0 (piq)",
            protocol={
                "version": 1,
                "colour": SEEN[colour],
                "levels": "uint8 0..255",
                "t1": 0.85,
                "t2": 160,
                "resize": "mean of blocks of round(min(H, W) / 256) pixels, at least 1",
                "border": "gradients with zeros, counted; phase congruency periodic",
                "dtype": "float64",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, below 16 pixels, or if it is flat.

        Flat luminance has no phase congruency: rounding errors would be all that is compared.
        """
        target = check_pair(pictures, reference, LEAST)[None]
        known, y = self._levels(target), luma(target)
        if y.max() == y.min():
            raise ValueError("a reference of flat luminance has no features to be similar to")

        def score(picture: Tensor) -> Tensor:
            value: Tensor = self._fsim(
                self._levels(picture),
                known,
                reduction="none",
                data_range=PEAK,
                chromatic=self._chromatic,
            )
            return value

        return score_each(score, pictures)

    def _levels(self, picture: Tensor) -> Tensor:
        """Pictures uint8 [1,3,H,W] → what piq compares, float64 [1,3,H,W] or [1,1,H,W]."""
        return planes(picture.to(self._device), self._colour)
