"""Structural similarity, single- and multi-scale, as torchmetrics defines them.

    l  = (2 mx my + C1) / (mx^2 + my^2 + C1)      cs = (2 sxy + C2) / (sxx + syy + C2)
    SSIM = mean of l cs            MS-SSIM = product over scales of (mean of cs)^beta, last: l cs

with local means and (population) covariances under an 11x11 Gaussian of sigma 1.5, C1 = (0.01 L)^2,
C2 = (0.03 L)^2, L = 255; means over positions and over R, G and B.

SSIM has several current definitions that differ by up to 0.2 on one pair of pictures. What is
chosen here is an argument, and part of the protocol; nothing is downsampled before the first scale.

* `colour="rgb"`: the mean over the channels. `colour="ycbcr"`: luma in 16..235 alone
  (`qa.metrics.inputs`), still with L = 255.
* `border="mirrored"`: windows reach over the border, mirrored without repeating the edge, and those
  positions count (torchmetrics). `border="valid"`: only positions whose window lies inside count
  (the paper, scikit-image with Gaussian weights, pytorch-msssim). Up to 0.008 apart.

The code is our own for accuracy, speed and memory; tests hold it to torchmetrics in float64 within
1e-7. E[x^2] - E[x]^2 cancels: torchmetrics in float32 misses SSIM by 9e-4 on flat bright areas,
such as paper, and in float64 takes 0.6 s for 256x256. The Gaussian is separable: 22 taps instead of
121. It runs over strips of rows, so that what it works on stays in the processor's cache and a
large picture takes no more memory than a small one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from qa.errors import UsageError
from qa.metrics.inputs import COLOURS, check_colour, check_pair, planes, score_each
from qa.metrics.windows import gaussian, row_strips, window_means
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
    "levels": "uint8 0..255",
    "data_range": PEAK,
    "window": "Gaussian 11x11, sigma 1.5, population covariance",
    "k1": 0.01,
    "k2": 0.03,
    "resize": "none",
    "dtype": "float64",
}
MEANS = {"rgb": "RGB, mean over channels", "ycbcr": COLOURS["ycbcr"]}
BORDERS = ("mirrored", "valid")
LICENCE = "Apache-2.0 (own code)"


class _Means(NamedTuple):
    """Means over one pair of pictures, each a scalar."""

    similarity: Tensor
    """Of l cs."""
    contrast: Tensor
    """Of cs."""


class _Similarity(ABC):
    """What both share: 1 for identical pictures, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""
    name: ClassVar[str]
    least: ClassVar[int]
    source: ClassVar[str]

    def __init__(self, colour: str = "rgb", border: str = "mirrored", device: str = "cpu") -> None:
        """UsageError for a colour or border that the module does not name."""
        if border not in BORDERS:
            raise UsageError(f"border={border} is unknown.", "", f"border={' or '.join(BORDERS)}")
        self._colour = check_colour(colour, tuple(MEANS))
        self._device = pick_device(device)
        self._mirrored = border == "mirrored"
        self.facts = MetricFacts(
            name=self.name if colour == "rgb" else f"{self.name}_y",
            better=self.better,
            unit=self.unit,
            source=self.source,
            licence=LICENCE,
            protocol=PROTOCOL | {"colour": MEANS[colour]} | self._protocol(border),
        )

    @abstractmethod
    def _protocol(self, border: str) -> dict[str, str | int | float]:
        """What this definition adds to the common part."""

    @abstractmethod
    def _measure(self, picture: Tensor, reference: Tensor) -> Tensor:
        """Two pictures uint8 [3,H,W] → the value, a scalar."""

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, or below `least` pixels."""
        target = check_pair(pictures, reference, self.least).to(self._device)
        return score_each(lambda p: self._measure(p[0].to(self._device), target), pictures)

    def _planes(self, picture: Tensor) -> Tensor:
        """Pictures uint8 [3,n,W] → what is compared, float64 [C,n,W]; planes stay as they are."""
        import torch

        return planes(picture, self._colour) if picture.dtype == torch.uint8 else picture

    def _means(self, x: Tensor, y: Tensor, mirrored: bool) -> _Means:
        """Two pictures or float64 planes [C,H,W] → means over positions and channels."""
        import torch

        height, width = x.shape[1:]
        edge = 0 if mirrored else 2 * BORDER
        rows = _mirrored_rows(height) if mirrored else torch.arange(height)
        rows, parts = rows.to(x.device), []
        for strip in row_strips(height - edge, width):
            read = rows[strip.start : strip.stop + 2 * BORDER]
            planes = [self._planes(p.index_select(1, read)) for p in (x, y)]
            parts += [_plane(a, b, mirrored) for a, b in zip(*planes, strict=True)]
        count = len(planes[0]) * (height - edge) * (width - edge)
        similarity, contrast = zip(*parts, strict=True)
        return _Means(torch.stack(similarity).sum() / count, torch.stack(contrast).sum() / count)


class SSIM(_Similarity):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → SSIM in [-1, 1]."""

    name = "ssim"
    least = WINDOW
    source = (
        "Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004, eq. 13 and 17; "
        "own code, equal to torchmetrics"
    )

    def _protocol(self, border: str) -> dict[str, str | int | float]:
        counted = {"mirrored": "mirrored without the edge, counted", "valid": "left out"}
        return {"border": counted[border]}

    def _measure(self, picture: Tensor, reference: Tensor) -> Tensor:
        return self._means(picture, reference, self._mirrored).similarity


class MultiScaleSSIM(_Similarity):
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → MS-SSIM in [0, 1].

    Five scales, each half the size of the one before; the coarsest must hold the window, hence
    sides of at least 176 pixels.
    """

    name = "ms_ssim"
    least = WINDOW * 2 ** (len(BETAS) - 1)
    source = "Wang, Simoncelli and Bovik, Asilomar 2003, eq. 7; own code, equal to torchmetrics"

    def _protocol(self, border: str) -> dict[str, str | int | float]:
        counted = {
            "mirrored": "mirrored without the edge; counted at the last scale, not before it",
            "valid": "left out",
        }
        return {
            "border": counted[border],
            "scales": "5, 2x2 mean between them, a last odd row or column dropped",
            "betas": " ".join(map(str, BETAS)),
            "negative": "a mean below 0 counts as 0",
        }

    def _measure(self, picture: Tensor, reference: Tensor) -> Tensor:
        import torch

        terms = []
        for _ in BETAS[:-1]:
            terms.append(self._means(picture, reference, mirrored=False).contrast)
            picture, reference = self._half(picture), self._half(reference)
        terms.append(self._means(picture, reference, self._mirrored).similarity)
        scales = torch.stack(terms).relu()  # a negative base has no real power
        return (scales ** scales.new_tensor(BETAS)).prod()

    def _half(self, picture: Tensor) -> Tensor:
        """Pictures or planes [C,H,W] → float64 [C,H//2,W//2], means of 2x2 pixels."""
        import torch
        from torch.nn.functional import avg_pool2d

        height, width = picture.shape[1] // 2, picture.shape[2]
        return torch.cat(
            [
                avg_pool2d(self._planes(picture[:, 2 * strip.start : 2 * strip.stop]), 2)
                for strip in row_strips(height, width)
            ],
            dim=1,
        )


def _plane(x: Tensor, y: Tensor, mirrored: bool) -> _Means:
    """Two strips float64 [n+10,W], 5 rows more on either side → sums of l cs and of cs."""
    from torch.nn.functional import pad

    if mirrored:
        x, y = (pad(p[None], (BORDER, BORDER), mode="reflect")[0] for p in (x, y))
    taps = gaussian(WINDOW, SIGMA)
    mx, my = window_means(x, taps), window_means(y, taps)
    product, square = mx * my, mx.square_().addcmul_(my, my)  # mx my, mx^2 + my^2
    # The formula takes the two variances together only. Below 0 they are nothing but rounding.
    variance = window_means((x * x).addcmul_(y, y), taps).sub_(square).clamp_(min=0)
    covariance = window_means(x * y, taps).sub_(product)
    contrast = covariance.mul_(2).add_(C2).div_(variance.add_(C2))
    luminance = product.mul_(2).add_(C1).div_(square.add_(C1))
    return _Means(luminance.mul_(contrast).sum(), contrast.sum())


def _mirrored_rows(height: int) -> Tensor:
    """Numbers of H + 10 rows, 5 on either side mirrored without repeating the edge: int64."""
    import torch

    rows = torch.arange(-BORDER, height + BORDER).abs()
    return torch.where(rows < height, rows, 2 * (height - 1) - rows)
