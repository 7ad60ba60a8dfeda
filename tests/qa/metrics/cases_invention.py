"""Cases of the metrics of invention. None has a library of its own: the oracles are the formulas,
written a second time on NumPy, SciPy and Pillow."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import torch
from battery import Case
from torch import Tensor


def seed_spread() -> Case:
    import lpips

    from qa.metrics.spread import SeedSpread

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision.models")
        package = lpips.LPIPS(net="alex", verbose=False)

    def oracle(picture: Tensor, pictures: Tensor) -> float:
        x, y = picture / 127.5 - 1, pictures / 127.5 - 1
        with torch.no_grad():
            return float(package(x.expand_as(y), y).sum()) / (len(y) - 1)  # its own adds 0

    return Case(
        SeedSpread(), oracle, "lpips, drawn network", tolerance=1e-6, least=31, best=None,
        paired=False, together=True,
    )  # fmt: skip


def seed_deviation() -> Case:
    from qa.metrics.spread import SeedDeviation

    def oracle(picture: Tensor, pictures: Tensor) -> float:
        variance = pictures.numpy().astype(float).var(axis=0, ddof=1)
        return float(np.sqrt(variance.mean(axis=0)).mean())

    return Case(
        SeedDeviation(), oracle, "NumPy", tolerance=1e-10, least=1, best=None, paired=False,
        together=True,
    )  # fmt: skip


def lowres_psnr() -> Case:
    from PIL import Image

    from qa.metrics.consistency import LowResolutionPSNR

    def down(picture: Tensor) -> np.ndarray:
        size = (picture.shape[2] // 4, picture.shape[1] // 4)
        planes = (Image.fromarray(plane.astype(np.float32)) for plane in picture.numpy())
        return np.stack([np.asarray(p.resize(size, Image.Resampling.BICUBIC)) for p in planes])

    def oracle(picture: Tensor, reference: Tensor) -> float:
        error = np.square(down(picture).astype(float) - down(reference).astype(float)).mean()
        return min(10 * math.log10(255**2 / error), _rounding()) if error else _rounding()

    return Case(
        LowResolutionPSNR(), oracle, "Pillow's resize", tolerance=1e-10, least=16, best=_rounding(),
        best_tolerance=1e-10,
    )  # fmt: skip


def _rounding() -> float:
    """The ceiling for by=4: Keys' kernel at 1/8, 3/8, ..., 15/8 to either side, over 4."""
    weights = [_keys(abs(2 * i - 15) / 8) / 4 for i in range(16)]
    return 10 * math.log10(255**2 * 12 / sum(w * w for w in weights) ** 2)


def _keys(x: float) -> float:
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


def hf_energy() -> Case:
    from qa.metrics.spectrum import HighFrequencyEnergy

    return Case(
        HighFrequencyEnergy(), lambda p, r: min(_ratio(p, r), 1.0), "own formula on SciPy, blur",
        tolerance=1e-10, least=16, best=1, worse=blurred,
    )  # fmt: skip


def hf_excess() -> Case:
    from qa.metrics.spectrum import HighFrequencyExcess

    return Case(
        HighFrequencyExcess(), lambda p, r: max(math.log2(_ratio(p, r)), 0.0),
        "own formula on SciPy", tolerance=1e-10, least=16, best=0,
    )  # fmt: skip


def blurred(picture: Tensor, amount: float) -> Tensor:
    """The picture under a Gaussian of `amount` / 12 pixels."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(picture.numpy().astype(float), (0, amount / 12, amount / 12))
    return torch.from_numpy(np.rint(smooth).astype(np.uint8))


def _ratio(picture: Tensor, reference: Tensor) -> float:
    """r for the cut of 1/4, from the full complex transform."""
    from scipy import fft, signal

    def energy(p: Tensor) -> float:
        y = np.tensordot([0.299, 0.587, 0.114], p.numpy().astype(float), 1)
        # Every second value of a twice as long window: half a sample from either end.
        w = np.outer(*(signal.windows.hann(2 * n, sym=False)[1::2] for n in y.shape))
        spectrum = fft.fft2(w * (y - np.average(y, weights=w)))
        fy, fx = (fft.fftfreq(n) for n in y.shape)
        high = np.hypot(fy[:, None], fx[None]) > 0.25
        return max(
            float((np.abs(spectrum[high]) ** 2).sum() / (y.size * (w**2).sum())),
            (0.299**2 + 0.587**2 + 0.114**2) / 12 * (1 - math.pi / 16),
        )

    return energy(picture) / energy(reference)


def patch_grid() -> Case:
    from qa.metrics.grid import PatchGrid

    def oracle(picture: Tensor, reference: Tensor | None) -> float:
        values = []
        for p in (picture.numpy().astype(float), picture.numpy().astype(float).swapaxes(1, 2)):
            steps = np.abs(p[:, :, 1:] - p[:, :, :-1])
            for top in range(0, p.shape[1] - 15, 16):
                for x in range(15, p.shape[2] - 9, 16):  # steps[x] leads to column x + 1
                    c = steps[:, top : top + 16, x - 8 : x + 9].mean((0, 1))
                    values += [((c[8] - b) / (c[8] + b + 1)) for b in (*c[:8], *c[9:])]
        return float(np.mean(values))

    return Case(
        PatchGrid(), oracle, "own formula on NumPy", tolerance=1e-10, least=32, best=None,
        paired=False,
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], Case]] = {
    build.__name__: build
    for build in (seed_spread, seed_deviation, lowres_psnr, hf_energy, hf_excess, patch_grid)
}
