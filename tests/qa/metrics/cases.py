"""What is known about each metric from elsewhere: one function a metric, listed in `BUILDERS`.

LPIPS and DISTS look at networks that must be downloaded. Their stand-ins have the released files'
names, keys and shapes and drawn values: everything but the values is tested, and the libraries
are given the same file through their own door, torchvision's cache.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from battery import Case
from torch import Tensor

from qa import assets, files

TRUNKS = {"alexnet": "alexnet-owt-7be5be79.pth", "vgg16": "vgg16-397923af.pth"}


def psnr() -> Case:
    from skimage.metrics import peak_signal_noise_ratio

    from qa.metrics.psnr import PSNR, ceiling

    def oracle(picture: Tensor, reference: Tensor) -> float:
        if torch.equal(picture, reference):  # scikit-image says infinity
            return ceiling(*picture.shape[1:])
        return float(peak_signal_noise_ratio(reference.numpy(), picture.numpy(), data_range=255))

    return Case(PSNR(), oracle, "scikit-image", tolerance=1e-5, least=1, best=ceiling(48, 63))


def ssim() -> Case:
    from skimage.metrics import structural_similarity

    from qa.metrics.ssim import SSIM

    def oracle(picture: Tensor, reference: Tensor) -> float:
        # scikit-image does not count 5 border pixels: give it 5 mirrored ones to leave out.
        x, y = (
            np.pad(p.numpy().astype(float), ((0, 0), (5, 5), (5, 5)), mode="reflect")
            for p in (picture, reference)
        )
        return float(
            structural_similarity(
                x, y, data_range=255, channel_axis=0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )
        )  # fmt: skip

    return Case(SSIM(), oracle, "scikit-image", tolerance=1e-10, least=11, best=1)


def ms_ssim() -> Case:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    from qa.metrics.ssim import MultiScaleSSIM

    def oracle(picture: Tensor, reference: Tensor) -> float:
        x, y = picture[None].double(), reference[None].double()
        return float(multiscale_structural_similarity_index_measure(x, y, data_range=255.0))

    return Case(MultiScaleSSIM(), oracle, "torchmetrics", tolerance=1e-7, least=176, best=1)


def gmsd() -> Case:
    from scipy import ndimage

    from qa.metrics.gmsd import GMSD

    def gradient(picture: Tensor) -> np.ndarray:
        red, green, blue = picture.numpy() / 255
        y = 0.299 * red + 0.587 * green + 0.114 * blue
        odd = max(y.shape[0] % 2, y.shape[1] % 2)
        y = np.pad(y, ((0, odd), (0, odd)))
        y = y[: len(y) // 2 * 2, : y.shape[1] // 2 * 2]
        y = y.reshape(y.shape[0] // 2, 2, y.shape[1] // 2, 2).mean((1, 3))
        return np.hypot(*(ndimage.prewitt(y, axis, mode="constant") / 3 for axis in (0, 1)))

    def oracle(picture: Tensor, reference: Tensor) -> float:
        x, y, t = gradient(picture), gradient(reference), 170 / 255**2
        return float(((2 * x * y + t) / (x**2 + y**2 + t)).std())

    return Case(GMSD(), oracle, "own formula on SciPy", tolerance=1e-10, least=6, best=0)


def lpips_alex() -> Case:
    return _lpips("alex", least=31)


def lpips_vgg() -> Case:
    return _lpips("vgg", least=16)


def _lpips(net: str, least: int) -> Case:
    import lpips

    from qa.metrics.lpips import LPIPS

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision.models")
        package = lpips.LPIPS(net=net, verbose=False)

    def oracle(picture: Tensor, reference: Tensor) -> float:
        with torch.no_grad():
            return float(package(picture[None] / 127.5 - 1, reference[None] / 127.5 - 1))

    return Case(LPIPS(net), oracle, "lpips, drawn network", tolerance=1e-6, least=least, best=0)


def dists() -> Case:
    from torchmetrics.functional.image.dists import DISTSNetwork

    from qa.metrics.dists import DISTS

    network = DISTSNetwork()

    def oracle(picture: Tensor, reference: Tensor) -> float:
        with torch.no_grad():
            return float(network(picture[None] / 255, reference[None] / 255))

    return Case(
        DISTS(), oracle, "torchmetrics, drawn network", tolerance=2e-6, least=32, best=0,
        best_tolerance=2e-6,
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], Case]] = {
    build.__name__: build for build in (psnr, ssim, ms_ssim, gmsd, lpips_alex, lpips_vgg, dists)
}


class Cases:
    """The cases by name. A built case is kept; one that cannot be built skips its test."""

    def __init__(self, trunks: Path) -> None:
        self._trunks = trunks
        self._built: dict[str, Case] = {}

    def __getitem__(self, name: str) -> Case:
        if name not in self._built:
            with pytest.MonkeyPatch.context() as patch:
                use_trunks(self._trunks, patch)
                self._built[name] = BUILDERS[name]()
        return self._built[name]


def draw_trunks(folder: Path) -> Path:
    """Write stand-ins for the released networks where torchvision would cache them in `folder`."""
    from torchvision import models

    checkpoints = folder / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for seed, (name, file) in enumerate(TRUNKS.items()):
        with torch.device("meta"):
            layout = getattr(models, name)(weights=None).state_dict()
        rng = np.random.default_rng(seed)
        torch.save({k: _drawn(k, v.shape, rng) for k, v in layout.items()}, checkpoints / file)
    return folder


def _drawn(key: str, shape: torch.Size, rng: np.random.Generator) -> Tensor:
    if key.startswith("classifier"):
        return torch.zeros(1).expand(shape)  # unused: stored as one number, not 500 MB
    if key.endswith("bias"):
        return torch.zeros(shape)
    scale = math.sqrt(2 / math.prod(shape[1:]))  # keeps the size of activations through relu
    return torch.from_numpy(rng.standard_normal(tuple(shape), np.float32) * np.float32(scale))


def use_trunks(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Make the stand-ins the published files: for the mirror, the table and torchvision."""
    table = dict(assets.table())
    for name in TRUNKS.values():
        path = folder / "hub" / "checkpoints" / name
        known = replace(table[name].files[0], sha256=files.sha256(path), size=path.stat().st_size)
        table[name] = replace(table[name], files=(known,))
    patch.setattr("qa.assets.resolver.table", lambda: table)
    patch.setenv("QA_ASSETS", str(folder))
    patch.setenv("QA_CACHE", str(folder / "cache"))
    patch.setenv("QA_OFFLINE", "1")
    patch.setenv("TORCH_HOME", os.fspath(folder))
