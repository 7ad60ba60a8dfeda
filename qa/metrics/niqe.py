"""NIQE: how far a picture's local statistics are from those of undistorted photographs.

    s   = (x - m) / (d + 1)                 levels without local mean m and local deviation d
    f   = 18 numbers for each block of s    at full and at half size: 36 in all
    NIQE = sqrt((n - p)^T ((N + P) / 2)^+ (n - p))

with n, N mean and covariance of f over the picture's blocks, p, P those of sharp photographs, which
the authors published. m and d are taken under a 7x7 Gaussian of sigma 7/6; blocks are 96x96 (48x48
at half size, shrunk as MATLAB's imresize does: bicubic, antialiased) without overlap. What is left
of a last incomplete block is not looked at.

The 18 numbers are fits of generalised Gaussian distributions by their moments: an asymmetric one of
shape a and scales l, r has

    (E|v|)^2 / E v^2  ·  (g^3 + 1)(g + 1) / (g^2 + 1)^2  =  G(2/a)^2 / (G(1/a) G(3/a)),   g = l/r

(G is the gamma function), solved on the grid a = 0.2, 0.201 … 10. It is fitted to s (a, mean of the
scales) and to the products of s with itself shifted by one pixel, cyclically within the block, in
four directions (a, mean (r - l) G(2/a)/G(1/a), l, r).

This is the authors' release, as BasicSR and pyiqa have it; MATLAB's own `niqe` has other parameters
and gives half the value. Lower is better, but grain is rewarded: a generative decoder can score
better than a photograph. Few blocks make a noisy value: 20 at 384x512, 880 at 2160x3840.

Two conventions decide the third digit, and both are pyiqa's. Grey is computed in float32, which
rounds one pixel in a thousand the other way than exact arithmetic. The Gaussian's weights are
rounded to float32, so their sum is S = 1 + 1.1e-8 instead of 1, and s of a flat area is not 0 but
slightly negative, unless the area is black. Flat pixels are therefore counted in l (where rounding
errors decide, as in MATLAB, by chance). A block that is flat throughout has no shape: it counts
with a = 0.2 in the means, and not at all in the covariance.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa import assets
from qa.errors import UsageError
from qa.images import to_levels, to_unit
from qa.metrics.inputs import check_colour, check_pictures, planes, score_each
from qa.metrics.windows import gaussian, window_means
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

ASSET = "niqe_pris_params.npz"
BLOCK = 96
LEAST = 2 * BLOCK
"""Two blocks along each side: one block has no covariance."""
WINDOW, SIGMA = 7, 7 / 6
BORDER = WINDOW // 2
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
FEATURES = 36
HALVING = (-0.01171875, -0.03515625, 0.11328125, 0.43359375)
"""First half of the eight weights of MATLAB's imresize by 1/2: half of the cubic at 7/4 … 1/4."""


class NIQE:
    """Pictures uint8 [S,3,H,W] → NIQE >= 0, lower is better. No reference is looked at.

    `colour` (`qa.metrics.inputs`) is `yiq`, pyiqa's default, or `ycbcr`, BasicSR's and most papers'
    on super-resolution; both are rounded to whole levels.
    """

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, colour: str = "yiq", asset: str = ASSET, device: str = "cpu") -> None:
        import torch

        self._grey = GREY[check_colour(colour, tuple(GREY))]
        mean, covariance = load_parameters(assets.resolve(asset))
        self._device = pick_device(device)
        self._mean = torch.from_numpy(mean)
        self._covariance = torch.from_numpy(covariance)
        self.facts = MetricFacts(
            name="niqe",
            better=self.better,
            unit=self.unit,
            source="Mittal, Soundararajan and Bovik, IEEE SPL 20(3), 2013, eq. 1-10; own code, "
            "equal to pyiqa's `niqe`",
            licence="Apache-2.0 (own code); Apache-2.0 (parameters, from BasicSR)",
            protocol={
                "version": 1,
                "definition": "authors' release",
                "colour": f"Y of {colour.upper()}, rounded",
                "levels": "0..255",
                "blocks": "96x96 and 48x48, no overlap, rest left out",
                "window": "Gaussian 7x7, sigma 7/6, float32 weights, edge repeated",
                "resize": "none; second scale by MATLAB's imresize(0.5)",
                "parameters_sha256": assets.known_hash(asset) or "",
                "dtype": "float64",
            },
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError below 192 pixels, or where all but one block are flat."""
        check_pictures(pictures, LEAST)

        def score(picture: Tensor) -> Tensor:
            features = block_features(self._grey(picture[0].to(self._device)))
            return distance(features.cpu(), self._mean, self._covariance)

        return score_each(score, pictures)


def grey_of(picture: Tensor) -> Tensor:
    """Y of YIQ: picture uint8 [3,H,W] → float64 [H,W], whole levels, computed as pyiqa does."""
    red, green, blue = to_unit(picture)
    return to_levels(red * 0.299 + green * 0.587 + blue * 0.114).double()


def video_grey_of(picture: Tensor) -> Tensor:
    """Y of BT.601's studio range: picture uint8 [3,H,W] → float64 [H,W], whole levels 16..235."""
    return planes(picture, "ycbcr")[0].round()


GREY = {"yiq": grey_of, "ycbcr": video_grey_of}


def load_parameters(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p [36] and P [36,36] from the published file; UsageError where it is another one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            mean = file["mu_pris_param"].astype(np.float64).ravel()
            covariance = file["cov_pris_param"].astype(np.float64)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise _no_parameters(path, str(error)) from error
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
        raise _no_parameters(path, f"Its shapes are {mean.shape} and {covariance.shape}.")
    return mean, covariance


def block_features(grey: Tensor) -> Tensor:
    """Grey levels float64 [H,W] → float64 [blocks,36], blocks row by row; NaN where a fit fails."""
    import torch

    height, width = (side // BLOCK * BLOCK for side in grey.shape)
    grey = grey[:height, :width]
    return torch.cat([_one_scale(grey, BLOCK), _one_scale(halved(grey), BLOCK // 2)], dim=1)


def distance(features: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """NIQE of float64 [blocks,36] given p [36] and P [36,36]; a scalar."""
    import torch

    whole = features[features.isfinite().all(dim=1)]
    if len(whole) < 2:
        raise ValueError(f"only {len(whole)} of {len(features)} blocks have any structure")
    # As in the release: each mean over the blocks where that one number is defined.
    difference = features.nanmean(dim=0) - mean
    inverse = torch.linalg.pinv((whole.T.cov() + covariance) / 2)
    value: Tensor = (difference @ inverse @ difference).clamp(min=0).sqrt()
    return value


def halved(grey: Tensor) -> Tensor:
    """Float64 [H,W] → [H/2,W/2] as MATLAB's imresize(grey, 0.5); borders are mirrored."""
    return _halved_rows(_halved_rows(grey).T).T


def _halved_rows(plane: Tensor) -> Tensor:
    import torch

    height = len(plane)
    weights = (*HALVING, *reversed(HALVING))
    total = torch.zeros_like(plane[::2])
    for tap, weight in enumerate(weights):
        rows = torch.arange(0, height, 2, device=plane.device) + tap - 3
        rows = torch.where(rows < 0, -1 - rows, rows)
        rows = torch.where(rows >= height, 2 * height - 1 - rows, rows)
        total.add_(plane[rows], alpha=weight)
    return total


def _one_scale(plane: Tensor, block: int) -> Tensor:
    """Float64 [H,W], sides multiples of `block` → [blocks,18]. One row of blocks at a time."""
    import torch

    rows = []
    for top in range(0, len(plane), block):
        strip = _with_border(plane, top, top + block)
        s = _structure(strip)
        rows.append(_describe(s.unfold(1, block, block).permute(1, 0, 2)))
    return torch.cat(rows)


def _with_border(plane: Tensor, top: int, bottom: int) -> Tensor:
    """Rows `top`..`bottom` and BORDER more on all four sides, the edge of the plane repeated."""
    import torch
    from torch.nn.functional import pad

    rows = torch.arange(top - BORDER, bottom + BORDER, device=plane.device)
    strip = plane[rows.clamp(0, len(plane) - 1)]
    return pad(strip[None], (BORDER, BORDER, 0, 0), mode="replicate")[0]


def _structure(padded: Tensor) -> Tensor:
    """s [h,w] from levels [h+6,w+6]."""
    inner = padded[BORDER:-BORDER, BORDER:-BORDER]
    mean = _smooth(padded)
    deviation = (_smooth(padded * padded) - mean * mean).abs().sqrt()
    return (inner - mean) / (deviation + 1)


def _smooth(padded: Tensor) -> Tensor:
    """Levels [h+6,w+6] → their mean under the Gaussian [h,w], times S."""
    return window_means(padded, gaussian(WINDOW, SIGMA)).mul_(_excess())


@cache
def _excess() -> float:
    """S: what the Gaussian's weights sum to, rounded to float32."""
    line = np.array(gaussian(WINDOW, SIGMA))
    return float(np.outer(line, line).astype(np.float32).sum(dtype=np.float64))


def _describe(s: Tensor) -> Tensor:
    """Blocks [n,b,b] of s → [n,18]."""
    import torch

    shape = _fit(s)
    numbers = [shape.a, (shape.left + shape.right) / 2]
    for shift in SHIFTS:
        # A circular shift by (i, j) pairs each value with the one i above and j to the left of it.
        product = _fit(s * s.roll(shift, dims=(1, 2)))
        gamma = torch.lgamma(2 / product.a) - torch.lgamma(1 / product.a)
        mean = (product.right - product.left) * gamma.exp()
        numbers += [product.a, mean, product.left, product.right]
    return torch.stack(numbers, dim=1)


class _Shape(NamedTuple):
    """Asymmetric generalised Gaussians, each [n]."""

    a: Tensor
    left: Tensor
    right: Tensor


def _fit(values: Tensor) -> _Shape:
    """Moment fit to each block [n,...]; where it fails, a is 0.2 and a scale is NaN."""
    import torch

    v = values.flatten(1)
    square = v * v
    left = ((square * (v < 0)).sum(1) / (v < 0).sum(1)).sqrt()
    right = ((square * (v > 0)).sum(1) / (v > 0).sum(1)).sqrt()
    g = left / right
    wanted = v.abs().mean(1) ** 2 / square.mean(1)
    wanted = wanted * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    grid, ratios = (torch.from_numpy(table).to(v.device) for table in _ratios())
    # The ratio grows with a: the nearest entry is one of the two around its place.
    above = torch.searchsorted(ratios, wanted).clamp(1, len(ratios) - 1)
    nearest = above - (wanted - ratios[above - 1] <= ratios[above] - wanted).long()
    a = torch.where(wanted.isnan(), grid[0], grid[nearest])
    scale = ((torch.lgamma(1 / a) - torch.lgamma(3 / a)) / 2).exp()
    return _Shape(a, left * scale, right * scale)


@cache
def _ratios() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The grid of a, and G(2/a)^2 / (G(1/a) G(3/a)) on it."""
    grid = np.arange(200, 10001) / 1000
    ratios = [math.exp(2 * math.lgamma(2 / a) - math.lgamma(1 / a) - math.lgamma(3 / a))
              for a in grid]  # fmt: skip
    return grid, np.array(ratios)


def _no_parameters(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path.name} does not hold NIQE's parameters.", why, f"qa assets verify {ASSET}"
    )
