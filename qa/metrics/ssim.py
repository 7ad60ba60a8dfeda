"""Structural similarity, single- and multi-scale, as torchmetrics defines them.

    l  = (2 mx my + C1) / (mx^2 + my^2 + C1)      cs = (2 sxy + C2) / (sx^2 + sy^2 + C2)
    SSIM = mean of l cs            MS-SSIM = product over scales of (mean of cs)^beta, last: l cs

with local means and (population) covariances under an 11x11 Gaussian of sigma 1.5, C1 = (0.01 L)^2,
C2 = (0.03 L)^2, L = 255; means over positions and over R, G and B.

SSIM has several current definitions that differ by up to 0.2 on one pair of pictures. This one:
colour, no downsampling, borders mirrored without repeating the edge, and the border counted
(scikit-image leaves it out: up to 0.008 apart).

The code is our own for accuracy at speed; tests hold it to torchmetrics in float64 within 1e-7.
E[x^2] - E[x]^2 cancels: torchmetrics in float32 misses SSIM by 9e-4 on flat bright areas, such as
paper, and in float64 takes 0.6 s for 256x256. The Gaussian is separable: 22 taps instead of 121.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from qa.metrics.inputs import check_pair, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

WINDOW, SIGMA, PEAK = 11, 1.5, 255.0
BORDER = WINDOW // 2
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang, Simoncelli and Bovik 2003, section 3.2)."""

PROTOCOL: dict[str, str | int | float] = {
    "version": 1,
    "definition": "torchmetrics",
    "colour": "RGB, mean over channels",
    "levels": "uint8 0..255",
    "data_range": PEAK,
    "window": "Gaussian 11x11, sigma 1.5, population covariance",
    "k1": 0.01,
    "k2": 0.03,
    "resize": "none",
    "dtype": "float64",
}
LICENCE = "Apache-2.0 (own code)"


class _Means(NamedTuple):
    """Means over one picture, each a scalar."""

    similarity: Tensor
    """Of l cs, border included."""
    contrast: Tensor
    """Of cs, without the border."""


class _Similarity(ABC):
    """What both share: 1 for identical pictures, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""
    least: ClassVar[int]

    def __init__(self, device: str = "cpu") -> None:
        self._device = pick_device(device)

    @abstractmethod
    def _measure(self, picture: Tensor, reference: Tensor) -> Tensor:
        """Two pictures float64 [3,H,W], levels 0..255 → the value, a scalar."""

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, or below `least` pixels."""
        import torch

        target = check_pair(pictures, reference, self.least).to(self._device, torch.float64)
        return score_each(
            lambda picture: self._measure(picture[0].to(self._device, torch.float64), target),
            pictures,
        )


class SSIM(_Similarity):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → SSIM in [-1, 1]."""

    least = WINDOW
    facts = MetricFacts(
        name="ssim",
        better=_Similarity.better,
        unit=_Similarity.unit,
        source="Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004, eq. 13 and 17; "
        "own code, equal to torchmetrics",
        licence=LICENCE,
        protocol=PROTOCOL | {"border": "mirrored without the edge, counted"},
    )

    def _measure(self, picture: Tensor, reference: Tensor) -> Tensor:
        return _means(picture, reference).similarity


class MultiScaleSSIM(_Similarity):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → MS-SSIM in [0, 1].

    Five scales, each half the size of the one before; the coarsest must hold the window, hence
    sides of at least 176 pixels.
    """

    least = WINDOW * 2 ** (len(BETAS) - 1)
    facts = MetricFacts(
        name="ms_ssim",
        better=_Similarity.better,
        unit=_Similarity.unit,
        source="Wang, Simoncelli and Bovik, Asilomar 2003, eq. 7; own code, equal to torchmetrics",
        licence=LICENCE,
        protocol=PROTOCOL
        | {
            "border": "mirrored without the edge; counted at the last scale, not before it",
            "scales": "5, 2x2 mean between them, a last odd row or column dropped",
            "betas": " ".join(map(str, BETAS)),
            "negative": "a mean below 0 counts as 0",
        },
    )

    def _measure(self, picture: Tensor, reference: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import avg_pool2d

        terms = []
        for _ in BETAS[:-1]:
            terms.append(_means(picture, reference).contrast)
            picture, reference = avg_pool2d(picture, 2), avg_pool2d(reference, 2)
        terms.append(_means(picture, reference).similarity)
        scales = torch.stack(terms).relu()  # a negative base has no real power
        return (scales ** scales.new_tensor(BETAS)).prod()


def _means(x: Tensor, y: Tensor) -> _Means:
    """x, y float64 [3,H,W] in 0..255 → means over channels. One channel at a time, for memory."""
    import torch

    planes = [_plane(a, b) for a, b in zip(x, y, strict=True)]
    similarity, contrast = zip(*planes, strict=True)
    return _Means(torch.stack(similarity).mean(), torch.stack(contrast).mean())


def _plane(x: Tensor, y: Tensor) -> _Means:  # float64 [H,W] each
    mx, my = _blur(x), _blur(y)
    sxx = (_blur(x * x) - mx * mx).clamp(min=0)
    syy = (_blur(y * y) - my * my).clamp(min=0)
    sxy = _blur(x * y) - mx * my
    luminance = (2 * mx * my + C1) / (mx * mx + my * my + C1)
    contrast = (2 * sxy + C2) / (sxx + syy + C2)
    inner = slice(BORDER, -BORDER)
    return _Means((luminance * contrast).mean(), contrast[inner, inner].mean())


def _blur(plane: Tensor) -> Tensor:
    """Gaussian mean around every position: float64 [H,W] → [H,W], mirrored at the borders."""
    import torch
    from torch.nn.functional import pad

    height, width = plane.shape
    offsets = torch.arange(-BORDER, BORDER + 1, dtype=torch.float64)
    weights = torch.exp(-((offsets / SIGMA) ** 2) / 2)
    taps: list[float] = (weights / weights.sum()).tolist()
    padded = pad(plane[None], (BORDER,) * 4, mode="reflect")[0]
    # Shifted sums: several times faster on a CPU than a float64 convolution of one channel.
    rows = padded[:height] * taps[0]
    for i in range(1, WINDOW):
        rows.add_(padded[i : i + height], alpha=taps[i])
    out = rows[:, :width] * taps[0]
    for i in range(1, WINDOW):
        out.add_(rows[:, i : i + width], alpha=taps[i])
    return out
