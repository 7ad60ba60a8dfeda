"""Colour errors as an observer sees them: CIEDE2000, its low-resolution drift, and a colour cast.

    sRGB levels ──► linear ──► XYZ ──► CIE L*a*b* under D65 ──► dE00 of two pixels

dE00 is the CIE's colour difference of 2000 (kL = kC = kH = 1): about 1 is just visible side by
side. scikit-image owns both steps.

* `ciede2000`: mean dE00 over pixels. Noise and shifted texture count as much as colour.
* `colour_drift`: mean dE00 over the means of 16x16 blocks, so that texture averages out and only
  areas of another colour are left. PiD's authors measure it so, against the low-resolution picture
  that the latent came from; here both sides are averaged. Blocks average sRGB levels, as resizing
  by area does; blocks at the right and lower border hold what is left.
* `colour_cast`: the length of (mean a* - mean a*', mean b* - mean b*'), the shift of the picture as
  a whole. `ColourCast.shift` has the signs: +a* is red, -a* green, +b* yellow, -b* blue.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from qa.images import to_unit
from qa.metrics.inputs import check_pair, finite
from qa.metrics.windows import row_strips
from qa.types import MetricFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

BLOCK = 16
PROTOCOL: dict[str, str | int | float] = {
    "version": 1,
    "colour": "sRGB to CIE L*a*b*, D65, 2 degrees",
    "levels": "uint8 / 255",
    "dtype": "float64",
}


class Shift(NamedTuple):
    """How a picture's mean colour differs from its reference's, in units of L*a*b*."""

    a: float
    """Positive: redder, negative: greener."""
    b: float
    """Positive: yellower, negative: bluer."""


class _Colour(ABC):
    """What they share: 0 for identical pictures, lower is better, scikit-image on the CPU."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str]
    name: ClassVar[str]
    source: ClassVar[str]
    settings: ClassVar[dict[str, str | int | float]]

    def __init__(self) -> None:
        import skimage.color  # noqa: F401  (here, not in the first of several threads)

        self.facts = MetricFacts(
            name=self.name,
            better=self.better,
            unit=self.unit,
            source=f"{self.source}; scikit-image {version('scikit-image')}",
            licence="BSD-3-Clause (scikit-image)",
            protocol=PROTOCOL | self.settings,
        )

    @abstractmethod
    def _scores(self, pictures: Tensor, reference: Tensor) -> list[float]:
        """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] on the CPU → S values."""

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference."""
        target = check_pair(pictures, reference, least=1)
        return finite(self._scores(pictures.cpu(), target.cpu()))


class CIEDE2000(_Colour):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → mean dE00 over pixels."""

    name = "ciede2000"
    unit = "ΔE00"
    source = "Sharma, Wu and Dalal, Color Research and Application 30(1), 2005, eq. 2-22"
    settings: ClassVar = {"resize": "none", "mean": "over pixels"}

    def _scores(self, pictures: Tensor, reference: Tensor) -> list[float]:
        height, width = reference.shape[1:]
        sums = [0.0] * len(pictures)
        for strip in row_strips(height, width):
            known = _lab(_unit(reference[:, strip]))
            for i, picture in enumerate(pictures):
                sums[i] += float(difference(_lab(_unit(picture[:, strip])), known).sum())
        return [total / (height * width) for total in sums]


class ColourDrift(_Colour):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → mean dE00 over 16x16 means."""

    name = "colour_drift"
    unit = "ΔE00"
    source = (
        "Sharma, Wu and Dalal, Color Research and Application 30(1), 2005, eq. 2-22; "
        "at low resolution as PiD's authors measure it"
    )
    settings: ClassVar = {
        "resize": f"means of {BLOCK}x{BLOCK} sRGB levels, incomplete blocks of what they hold",
        "mean": "over blocks",
    }

    def _scores(self, pictures: Tensor, reference: Tensor) -> list[float]:
        known = _lab(_blocks(reference))
        return [float(difference(_lab(_blocks(picture)), known).mean()) for picture in pictures]


class ColourCast(_Colour):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → length of the (a*, b*) shift."""

    name = "colour_cast"
    unit = "CIELAB"
    source = "CIE 015:2018, 8.2.1: coordinates a* and b*"
    settings: ClassVar = {"resize": "none", "mean": "over pixels, of a* and b* with their signs"}

    def shift(self, picture: Tensor, reference: Tensor) -> Shift:
        """Pictures uint8 [3,H,W] → means of a* and b* minus the reference's.

        Raises ValueError without an equal-sized reference.
        """
        target = check_pair(picture[None], reference, least=1)
        (a, b), (known_a, known_b) = (_mean_ab(p.cpu()) for p in (picture, target))
        return Shift(a - known_a, b - known_b)

    def _scores(self, pictures: Tensor, reference: Tensor) -> list[float]:
        a, b = _mean_ab(reference)
        return [math.dist(_mean_ab(picture), (a, b)) for picture in pictures]


def difference(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """dE00 of two arrays of L*a*b*, float64 [...,3] → [...]."""
    from skimage.color import deltaE_ciede2000

    found: NDArray[np.float64] = deltaE_ciede2000(x, y)
    return found


def _unit(picture: Tensor) -> NDArray[np.float64]:  # uint8 [3,h,W] -> the same in 0..1
    import torch

    found: NDArray[np.float64] = to_unit(picture, torch.float64).numpy()
    return found


def _lab(unit: NDArray[np.float64]) -> NDArray[np.float64]:  # [3,H,W] in 0..1 -> [H,W,3]
    from skimage.color import rgb2lab

    found: NDArray[np.float64] = rgb2lab(unit.transpose(1, 2, 0))
    return found


def _blocks(picture: Tensor) -> NDArray[np.float64]:
    """Picture uint8 [3,H,W] → means of its blocks, float64 [3,h,w] in 0..1."""
    import torch
    from torch.nn.functional import avg_pool2d

    planes = [avg_pool2d(to_unit(p[None], torch.float64), BLOCK, ceil_mode=True) for p in picture]
    found: NDArray[np.float64] = torch.cat(planes).numpy()
    return found


def _mean_ab(picture: Tensor) -> tuple[float, float]:
    """Means of a* and b* over a picture uint8 [3,H,W]."""
    height, width = picture.shape[1:]
    sums = [0.0, 0.0]
    for strip in row_strips(height, width):
        for i, part in enumerate(_lab(_unit(picture[:, strip]))[..., 1:].sum(axis=(0, 1))):
            sums[i] += float(part)
    return sums[0] / (height * width), sums[1] / (height * width)
