"""Visual information fidelity in the pixel domain, as its authors released it.

    VIFp = sum over scales of log(1 + g^2 s^2 / (v^2 + n^2)) / sum over scales of log(1 + s^2 / n^2)

with s^2 the local variance of the reference's luminance, g the local gain and v^2 the noise that
turn it into the picture's, and n^2 = 2 the noise of vision itself: the share of the reference's
information that an eye can still get from the picture. 1 for identical pictures; a picture of
higher contrast can exceed 1, which is why "higher is better" ends at 1.

    g = cov(x, y) / (s^2 + e),   v^2 = var(x) - g cov(x, y),   e = 1e-10

Four scales under Gaussians of n = 17, 9, 5 and 3 pixels and sigma n/5, borders left out; from one
scale to the next the Gaussian of the new one and every second pixel. torchmetrics has the same on
each of R, G and B; the code is our own because convolutions as there and in piq need 40 GB for a
4096x4096 picture (`qa.metrics.windows`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qa.images import luma
from qa.metrics.inputs import COLOURS, check_pair, score_each
from qa.metrics.windows import gaussian, row_strips, window_means
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

NOISE = 2.0
"""n^2, in squared levels."""
EPSILON = 1e-10
WINDOWS = (17, 9, 5, 3)
LEAST = 41
"""What leaves one window at the last scale."""


class VIF:
    """Pictures uint8 [S,3,H,W] and a reference uint8 [3,H,W] → VIFp >= 0, higher is better."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = ""

    def __init__(self, device: str = "cpu") -> None:
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="vif",
            better=self.better,
            unit=self.unit,
            source="Sheikh and Bovik, IEEE TIP 15(2), 2006, in the pixel domain as its authors "
            "released it; own code, equal to torchmetrics on luminance",
            licence="Apache-2.0 (own code)",
            protocol={
                "version": 1,
                "colour": COLOURS["yiq"],
                "levels": "uint8 0..255",
                "noise": NOISE,
                "windows": "Gaussians of 17, 9, 5 and 3 pixels, sigma a fifth",
                "resize": "none",
                "border": "left out",
                "dtype": "float64",
            },
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError without an equal-sized reference, below 41 pixels, or if it is flat.

        A flat reference holds no information: any picture would keep all of it.
        """
        target = luma(check_pair(pictures, reference, LEAST).to(self._device))[0]
        if target.max() == target.min():
            raise ValueError("a reference of flat luminance holds no information to keep")
        return score_each(lambda p: _fidelity(luma(p[0].to(self._device))[0], target), pictures)


def _fidelity(x: Tensor, y: Tensor) -> Tensor:
    """VIFp of a picture's and its reference's luminance, float64 [H,W] each."""
    import torch

    kept, held = [], []
    for scale, window in enumerate(WINDOWS):
        taps = gaussian(window, window / 5)
        if scale > 0:
            x, y = _half(x, taps), _half(y, taps)
        height, width = (side - window + 1 for side in y.shape)
        for strip in row_strips(height, width):
            read = slice(strip.start, strip.stop + window - 1)
            parts = _information(x[read], y[read], taps)
            kept.append(parts[0])
            held.append(parts[1])
    return torch.stack(kept).sum() / torch.stack(held).sum()


def _half(plane: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Every second row and column of the window means of a plane float64 [H,W]."""
    import torch

    height, width = (plane.shape[0] - len(taps) + 2) // 2, plane.shape[1]
    return torch.cat(
        [
            window_means(plane[2 * s.start : 2 * s.stop - 2 + len(taps)], taps)[::2, ::2]
            for s in row_strips(height, width)
        ]
    )


def _information(x: Tensor, y: Tensor, taps: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Two strips float64 → what the picture keeps of the reference, and what that held."""
    import torch

    mx, my = window_means(x, taps), window_means(y, taps)
    variance = (window_means(x * x, taps) - mx * mx).clamp_(min=0)
    signal = (window_means(y * y, taps) - my * my).clamp_(min=0)
    covariance = window_means(x * y, taps) - mx * my
    gain = covariance / (signal + EPSILON)
    # Without signal, or against it, all that the picture shows is noise.
    lost = (signal < EPSILON) | (gain < 0)
    noise = torch.where(lost, variance, variance - gain * covariance).clamp_(min=EPSILON)
    gain = gain.masked_fill_(lost | (variance < EPSILON), 0)
    signal = signal.masked_fill_(signal < EPSILON, 0)
    kept = gain.square_().mul_(signal).div_(noise.add_(NOISE)).log1p_().sum()
    return kept, signal.div_(NOISE).log1p_().sum()
