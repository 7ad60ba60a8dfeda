"""Fine detail: the energy above a spatial frequency, compared with the reference's.

    E(x) = sum over f > c of |F[w (y - m)]|^2 / (HW sum of w^2)     r = E(x) / E(reference)

with y the luminance in levels 0..255, w a Hann window, m the mean of y under w, F the discrete
Fourier transform and f the length of the frequency in cycles per pixel, any direction; c = 1/4 is
half of what pixels can hold, where a decoder that works at half the resolution ends. E is the
variance of that detail in levels^2; the window keeps the jump between opposite edges out of it.

r tells two faults apart, so there are two metrics, either of which is best for identical pictures:

    hf_energy = min(r, 1)              how much of the reference's fine detail is there: softness
    hf_excess = max(log2 r, 0)         how much more there is than that: noise, invented texture

r alone has no better direction (noise has plenty of it), and over several pictures one with r = 2
would make up for a blurred one with r = 1/2. Having the right amount of detail is not having the
right detail: energy knows no phase. Read these beside a metric that does.

Rounding to 8 bits adds a known energy of its own; a smaller E than that is taken as that much.
So two flat pictures have r = 1, and every picture has a value.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.errors import UsageError
from qa.images import LUMA, luma
from qa.metrics.inputs import check_pair
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

CUT = 0.25
LEAST = 16
"""The window spreads a frequency by 2/N to either side: here by half of the cut."""


class _Detail(ABC):
    """What both share: a function of r."""

    better: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str]
    name: ClassVar[str]

    def __init__(self, cut: float = CUT, device: str = "cpu") -> None:
        """`cut` is c, in cycles per pixel, above 0 and below 1/2."""
        if not 0 < cut < 0.5:
            raise UsageError(f"cut={cut} is no cut.", "It lies between 0 and 0.5.", f"cut={CUT}")
        self._cut, self._device = cut, pick_device(device)
        self.facts = MetricFacts(
            name=self.name,
            better=self.better,
            unit=self.unit,
            source="own definition: the module's docstring",
            licence="Apache-2.0 (own code)",
            protocol={
                "version": 1,
                "colour": "Y (BT.601, full range)",
                "levels": "uint8 0..255",
                "cut": cut,
                "frequency": "Euclidean length, cycles per pixel",
                "window": "Hann, sin^2(pi (n + 1/2) / N) on each axis",
                "least_energy": floor(cut),
                "resize": "none",
                "dtype": "float64",
            },
        )

    @abstractmethod
    def _value(self, ratio: float) -> float:
        """r > 0 → the value."""

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, or below 16 pixels."""
        target = check_pair(pictures, reference, LEAST).to(self._device)
        known = energy(target, self._cut)
        energies = [energy(picture.to(self._device), self._cut) for picture in pictures]
        return [self._value(value / known) for value in energies]


class HighFrequencyEnergy(_Detail):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → min(r, 1), higher is better."""

    better = "higher"
    unit = ""
    name = "hf_energy"

    def _value(self, ratio: float) -> float:
        return min(ratio, 1.0)


class HighFrequencyExcess(_Detail):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → max(log2 r, 0), lower is better."""

    better = "lower"
    unit = "doublings"
    name = "hf_excess"

    def _value(self, ratio: float) -> float:
        return max(math.log2(ratio), 0.0)


def high_frequency_ratio(picture: Tensor, reference: Tensor, cut: float = CUT) -> float:
    """Picture and reference uint8 [3,H,W] → r > 0. ValueError for unequal sizes."""
    check_pair(picture[None], reference, LEAST)
    return energy(picture, cut) / energy(reference, cut)


def energy(picture: Tensor, cut: float = CUT) -> float:
    """Picture uint8 [3,H,W] → E in levels^2, at least `floor(cut)`."""
    import torch

    y = luma(picture)[0]
    rows, columns = (_hann(length).to(y.device) for length in y.shape)
    window = rows[:, None] * columns
    size = float((window * window).sum()) * y.numel()
    y.sub_((window * y).sum() / window.sum()).mul_(window)
    del window
    power = torch.view_as_real(torch.fft.rfft2(y)).square_().sum(dim=2)
    # Of the real transform's columns all stand for two, but the first and an even width's last.
    power[:, 1 : (y.shape[1] + 1) // 2] *= 2
    low = _squared_frequency(*y.shape).to(y.device) <= cut**2
    return max(float(power.masked_fill_(low, 0).sum()) / size, floor(cut))


def floor(cut: float) -> float:
    """Energy above the cut, in levels^2, of rounding each channel to whole levels.

    Rounding errors are evenly spread over one level (variance 1/12) and over all frequencies, a
    square of area 1, of which the cut removes a disc.
    """
    return sum((weight / 1000) ** 2 for weight in LUMA) / 12 * (1 - math.pi * cut**2)


def _squared_frequency(height: int, width: int) -> Tensor:
    """float64 [H, W//2 + 1], f^2 of every value of a real transform."""
    import torch

    rows = torch.arange(height, dtype=torch.float64)
    rows = torch.minimum(rows, height - rows) / height
    columns = torch.arange(width // 2 + 1, dtype=torch.float64) / width
    return rows.square()[:, None] + columns.square()


def _hann(length: int) -> Tensor:
    import torch

    steps = torch.arange(length, dtype=torch.float64) + 0.5
    return torch.sin(steps * (math.pi / length)).square()
