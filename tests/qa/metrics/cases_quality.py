"""Metrics without a reference, on drawn weights: what is known about each from elsewhere."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from battery import Case
from quality_weights import at_hand, niqe_parameters
from tiny_judge import WORDS, write_judge
from torch import Tensor


def niqe() -> Case:
    from qa.metrics.niqe import NIQE

    with at_hand("niqe_pris_params.npz"):
        metric = NIQE()
    mean, covariance = niqe_parameters()

    def oracle(picture: Tensor, reference: Tensor | None) -> float:
        return literal_niqe(picture, mean, covariance)

    return Case(
        metric, oracle, "own formula on SciPy, drawn parameters", tolerance=1e-6, least=192,
        best=None, paired=False,
    )  # fmt: skip


def literal_niqe(picture: Tensor, mean: np.ndarray, covariance: np.ndarray) -> float:
    """The paper's steps, one block at a time."""
    from scipy import ndimage

    red, green, blue = picture.numpy().astype(np.float32) / np.float32(255)
    weights = np.float32([0.299, 0.587, 0.114])
    grey = np.rint((red * weights[0] + green * weights[1] + blue * weights[2]) * np.float32(255))
    height, width = (side // 96 * 96 for side in grey.shape)
    plane, scales = grey[:height, :width].astype(float), []
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) * 18 / 49)  # sigma 7/6: 1/(2 sigma^2)
    window = (window / window.sum()).astype(np.float32).astype(float)
    for block in (96, 48):
        local = ndimage.correlate(plane, window, mode="nearest")
        spread = np.sqrt(abs(ndimage.correlate(plane**2, window, mode="nearest") - local**2))
        s = (plane - local) / (spread + 1)
        tops, lefts = (range(0, side, block) for side in s.shape)
        scales.append([_described(s[y : y + block, x : x + block]) for y in tops for x in lefts])
        plane = _imresize_half(_imresize_half(plane).T).T
    features = np.hstack(scales)
    whole = features[np.isfinite(features).all(1)]
    difference = np.nanmean(features, axis=0) - mean
    middle = np.linalg.pinv((np.cov(whole, rowvar=False) + covariance) / 2)
    return float(np.sqrt(difference @ middle @ difference))


def _described(s: np.ndarray) -> list[float]:
    from scipy.special import gamma

    a, left, right = _fitted(s)
    numbers = [a, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a, left, right = _fitted(s * np.roll(s, shift, (0, 1)))
        numbers += [a, (right - left) * gamma(2 / a) / gamma(1 / a), left, right]
    return numbers


def _fitted(v: np.ndarray) -> tuple[float, float, float]:
    from scipy.special import gamma

    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((v[v < 0] ** 2).sum() / (v < 0).sum())
        right = np.sqrt((v[v > 0] ** 2).sum() / (v > 0).sum())
        g = left / right
        wanted = abs(v).mean() ** 2 / (v**2).mean() * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    grid = np.arange(0.2, 10.0005, 0.001)
    ratios = gamma(2 / grid) ** 2 / (gamma(1 / grid) * gamma(3 / grid))
    a = grid[np.argmin(abs(ratios - wanted))]
    scale = np.sqrt(gamma(1 / a) / gamma(3 / a))
    return a, left * scale, right * scale


def _imresize_half(plane: np.ndarray) -> np.ndarray:
    """MATLAB's bicubic imresize of the rows by 1/2: a kernel twice as wide and half as high."""
    height = len(plane)
    out = np.zeros((height // 2, plane.shape[1]))
    for i in range(height // 2):
        centre = 2 * i + 0.5
        for j in range(2 * i - 4, 2 * i + 6):
            t = abs(centre - j) / 2
            inner = 1.5 * t**3 - 2.5 * t**2 + 1
            outer = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
            weight = (inner if t <= 1 else outer if t <= 2 else 0) / 2
            mirrored = -1 - j if j < 0 else 2 * height - 1 - j if j >= height else j
            out[i] += weight * plane[mirrored]
    return out


def arniqa() -> Case:
    from torchmetrics.image.arniqa import ARNIQA as Library

    from qa.metrics.arniqa import ARNIQA

    with at_hand("ARNIQA.pth", "regressor_koniq10k.pth") as folder:
        metric = ARNIQA()
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*(TorchScript|torch.jit)")
            patch.setattr("torch.hub.load_state_dict_from_url", lambda url, **_: torch.load(
                folder / Path(url).name, weights_only=False))  # fmt: skip
            library = Library(reduction="none")

    def oracle(picture: Tensor, reference: Tensor | None) -> float:
        return float(library(picture[None] / 255))

    return Case(
        metric, oracle, "torchmetrics, drawn network", tolerance=1e-6, least=64, best=None,
        paired=False,
    )  # fmt: skip


def clip_iqa() -> Case:
    import piq

    from qa.metrics.clip_iqa import CLIPIQA, TOKENS

    with at_hand("RN50.pt") as folder, pytest.MonkeyPatch.context() as patch:
        metric = CLIPIQA()
        texts = torch.zeros(2, 77, dtype=torch.long)
        texts[:, :5] = torch.tensor(list(TOKENS.values()))
        patch.setattr(
            "piq.feature_extractors.clip._download", lambda url, root: str(folder / "RN50.pt")
        )
        patch.setattr("piq.clip_iqa.download_tensor", lambda url, root: texts)
        with torch.no_grad(), torch.random.fork_rng(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.load.*deprecated")
            library = piq.CLIPIQA()

    def oracle(picture: Tensor, reference: Tensor | None) -> float:
        return float(library(picture[None] / 255))

    return Case(
        metric, oracle, "piq, drawn network", tolerance=1e-6, least=32, best=None, paired=False
    )


def vlm_judge() -> Case:
    from transformers import CLIPImageProcessor, LlavaForConditionalGeneration

    from qa.metrics.vlm import VLMJudge

    with tempfile.TemporaryDirectory() as folder:
        write_judge(Path(folder))
        metric = VLMJudge(path=folder, dtype="float32")
        model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    see = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    text = ("<s> USER: <image> <image> <image> <image> How would you rate the quality of this "
            "image? ASSISTANT: The quality of the image is").split()  # fmt: skip
    ids = torch.tensor([[WORDS.index(word) for word in text]])

    def oracle(picture: Tensor, reference: Tensor | None) -> float:
        pixels = see(images=[picture], return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            logits = model(input_ids=ids, pixel_values=pixels).logits[0, -1].double().tolist()
        odds = {word: np.exp(logits[WORDS.index(word)]) for word in WORDS[-5:]}
        return sum(k * odds[w] for w, k in zip(WORDS[-5:], (5, 4, 3, 2, 1), strict=True)) / sum(
            odds.values()
        )

    return Case(
        metric, oracle, "by hand, drawn model", tolerance=1e-5, least=28, best=None, paired=False
    )


def piqe() -> Case:
    return _of_pyiqa("piqe", least=16)


def brisque() -> Case:
    return _of_pyiqa("brisque", least=32, weights="brisque_svm_weights.pth")


def _of_pyiqa(name: str, least: int, weights: str | None = None) -> Case:
    pyiqa = pytest.importorskip("pyiqa", reason="an optional extra")
    from qa.config import build, compose

    node = compose([f"metric=[{name}]"]).group("metric")[name]
    with at_hand(*([weights] if weights else [])) as folder:
        metric = build(node, name)
        settings = {"pretrained_model_path": str(folder / weights)} if weights else {}
        package = pyiqa.create_metric(name, device="cpu", **settings)

    def oracle(picture: Tensor, reference: Tensor | None) -> float:
        return float(package(picture[None] / 255))

    return Case(metric, oracle, "pyiqa", tolerance=0, least=least, best=None, paired=False)


BUILDERS: dict[str, Callable[[], Case]] = {
    build.__name__: build for build in (niqe, arniqa, clip_iqa, vlm_judge, piqe, brisque)
}
