"""Cases of luma, feature and information metrics, and the formulas that they are held to."""

from __future__ import annotations

import math

import numpy as np
import torch
from battery import Case
from scipy import ndimage
from torch import Tensor

STEP = 219 / 255_000
"""The smallest difference of two studio-range lumas, in levels."""
BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr_y() -> Case:
    from skimage.metrics import peak_signal_noise_ratio

    from qa.metrics.psnr import PSNR

    def oracle(picture: Tensor, reference: Tensor) -> float:
        if torch.equal(picture, reference):  # scikit-image says infinity
            return 10 * math.log10(255**2 * reference[0].numel() / (STEP**2 / 2))
        return float(peak_signal_noise_ratio(studio(reference), studio(picture), data_range=255))

    best = 10 * math.log10(255**2 * 48 * 63 / (STEP**2 / 2))
    return Case(PSNR(colour="ycbcr"), oracle, "scikit-image", tolerance=1e-5, least=1, best=best)


def ssim_y() -> Case:
    from skimage.metrics import structural_similarity

    from qa.metrics.ssim import SSIM

    def oracle(picture: Tensor, reference: Tensor) -> float:
        return float(
            structural_similarity(
                studio(picture), studio(reference), data_range=255, gaussian_weights=True,
                sigma=1.5, use_sample_covariance=False,
            )
        )  # fmt: skip

    metric = SSIM(colour="ycbcr", border="valid")
    return Case(metric, oracle, "scikit-image", tolerance=1e-10, least=11, best=1)


def ms_ssim_y() -> Case:
    from qa.metrics.ssim import MultiScaleSSIM

    def oracle(picture: Tensor, reference: Tensor) -> float:
        x, y = studio(picture), studio(reference)
        terms = []
        for _ in BETAS:
            full, structure = similarity(x, y)
            terms.append(structure)
            x, y = halved(x), halved(y)
        return float(np.prod(np.maximum([*terms[:-1], full], 0) ** np.array(BETAS)))

    metric = MultiScaleSSIM(colour="ycbcr", border="valid")
    return Case(metric, oracle, "own formula on SciPy", tolerance=1e-10, least=176, best=1)


def vif() -> Case:
    from torchmetrics.functional.image import visual_information_fidelity

    from qa.metrics.vif import VIF

    def oracle(picture: Tensor, reference: Tensor) -> float:
        x, y = (torch.from_numpy(luma(p))[None, None] for p in (picture, reference))
        return float(visual_information_fidelity(x, y))

    # Guarded divisions leave 1 - 1e-11 for identical pictures.
    return Case(
        VIF(), oracle, "torchmetrics", tolerance=1e-10, least=41, best=1, best_tolerance=1e-9
    )


def fsim() -> Case:
    from qa.metrics.fsim import FSIM

    return Case(
        FSIM(), lambda x, y: feature_similarity(x, y, chroma=False), "own formula on NumPy",
        tolerance=1e-9, least=16, best=1,
    )  # fmt: skip


def fsimc() -> Case:
    from qa.metrics.fsim import FSIM

    return Case(
        FSIM(colour="rgb"), lambda x, y: feature_similarity(x, y, chroma=True),
        "own formula on NumPy", tolerance=1e-9, least=16, best=1,
    )  # fmt: skip


def luma(picture: Tensor) -> np.ndarray:
    """Full-range Y of a picture, [H,W]."""
    red, green, blue = picture.double().numpy()
    return 0.299 * red + 0.587 * green + 0.114 * blue


def studio(picture: Tensor) -> np.ndarray:
    """Y in 16..235 as scikit-image has it, [H,W]."""
    from skimage.color import rgb2ycbcr

    return rgb2ycbcr(picture.permute(1, 2, 0).numpy())[..., 0]


def similarity(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Means of l cs and of cs where the window lies inside."""

    def mean(plane: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(plane, 1.5, radius=5)[5:-5, 5:-5]

    c1, c2 = 2.55**2, 7.65**2
    mx, my = mean(x), mean(y)
    sxx, syy, sxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    contrast = (2 * sxy + c2) / (sxx + syy + c2)
    return float(((2 * mx * my + c1) / (mx**2 + my**2 + c1) * contrast).mean()), contrast.mean()


def halved(plane: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in plane.shape)
    return plane[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))


def feature_similarity(picture: Tensor, reference: Tensor, chroma: bool) -> float:
    """FSIM or FSIMc of pictures that are small enough not to be averaged first."""
    assert round(min(picture.shape[1:]) / 256) <= 1
    sides = [p.double().numpy() for p in (picture, reference)]
    one, two = (luma(p) for p in (picture, reference))
    p, q = phase_congruency(one), phase_congruency(two)
    agreement = alike(p, q, 0.85) * alike(gradient(one), gradient(two), 160)
    if chroma:
        for row in ((0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)):
            i, j = (np.tensordot(row, side, axes=1) for side in sides)
            agreement = agreement * np.abs(alike(i, j, 200)) ** 0.03
    weight = np.maximum(p, q)
    return float((agreement * weight).sum() / weight.sum())


def alike(x: np.ndarray, y: np.ndarray, t: float) -> np.ndarray:
    return (2 * x * y + t) / (x**2 + y**2 + t)


def gradient(y: np.ndarray) -> np.ndarray:
    """Scharr, a sixteenth of 3, 10, 3, zeros outside."""
    sides = [
        ndimage.correlate1d(
            ndimage.correlate1d(y, [-1, 0, 1], axis, mode="constant"),
            np.array([3, 10, 3]) / 16, 1 - axis, mode="constant",
        )
        for axis in (0, 1)
    ]  # fmt: skip
    return np.hypot(*sides)


def phase_congruency(y: np.ndarray) -> np.ndarray:
    """Kovesi's measure as FSIM takes it, of 4 scales and 4 orientations.

    Per orientation: energy of the summed responses along their mean phase, less what deviates from
    it, less the noise that the finest scale suggests; divided by the sum of amplitudes. piq counts
    angles from the vertical axis.
    """
    height, width = y.shape
    v, u = (axis_of(n) for n in (height, width))
    radius, angle = np.hypot(u[None], v[:, None]), np.arctan2(-u[None], v[:, None])
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    spectrum, energy, amplitude = np.fft.fft2(y), 0.0, 0.0
    with np.errstate(divide="ignore"):
        radial = [
            np.exp(-(np.log(radius * 6 * 2**s) ** 2) / (2 * math.log(0.55) ** 2)) * low_pass
            for s in range(4)
        ]
    for orientation in range(4):
        away = angle - orientation * math.pi / 4
        away = np.abs(np.arctan2(np.sin(away), np.cos(away)))
        spread = np.exp(-(away**2) / (2 * (math.pi / (4 * 1.2)) ** 2))
        filters = np.array([part * spread for part in radial])
        responses = np.fft.ifft2(spectrum * filters)
        total = responses.sum(0)
        phase = total / (np.abs(total) + np.finfo(float).eps)
        aligned = responses * phase.conj()
        strength = (aligned.real - np.abs(aligned.imag)).sum(0)
        energy = energy + np.maximum(strength - threshold(responses[0], filters), 0)
        amplitude = amplitude + np.abs(responses).sum(0)
    return energy / amplitude


def threshold(finest: np.ndarray, filters: np.ndarray) -> float:
    """Mean and two deviations of the energy that noise alone would have (Rayleigh), over 1.7.

    Of an even number of values piq takes the lower middle one as their median.
    """
    middle = np.quantile(np.abs(finest) ** 2, 0.5, method="lower")
    power = -middle / math.log(0.5) / (filters[0] ** 2).sum()
    kernels = np.fft.ifft2(filters).real * math.sqrt(finest.size)
    own = (kernels**2).sum()
    cross = sum((kernels[a] * kernels[b]).sum() for a in range(4) for b in range(a + 1, 4))
    tau = math.sqrt(power * own + 2 * power * cross)
    return (tau * math.sqrt(math.pi / 2) + 2 * tau * math.sqrt(2 - math.pi / 2)) / 1.7


def axis_of(n: int) -> np.ndarray:
    """Frequencies in the order of a Fourier transform; for odd n up to 1/2 at both ends."""
    grid = np.arange(-(n // 2), (n + 1) // 2)
    return np.fft.ifftshift(grid / (n - n % 2))


BUILDERS = {build.__name__: build for build in (psnr_y, ssim_y, ms_ssim_y, vif, fsim, fsimc)}
