"""Drawn stand-ins for the weights of metrics without a reference, in the published files' layout.

`at_hand("ARNIQA.pth", …)` makes them the published files for as long as it lasts: the asset table
knows their hashes and finds them, and the network is off.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qa import assets, files
from qa.photographs import photograph

_folder = tempfile.TemporaryDirectory()
FOLDER = Path(_folder.name)
PRISTINE = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


@contextmanager
def at_hand(*names: str) -> Iterator[Path]:
    """The folder in which these assets lie, resolvable by name."""
    table = dict(assets.table())
    for name in names:
        path = drawn(name)
        known = replace(table[name].files[0], sha256=files.sha256(path), size=path.stat().st_size)
        table[name] = replace(table[name], files=(known,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qa.assets.resolver.table", lambda: table)
        patch.setenv("QA_ASSETS", str(FOLDER))
        patch.setenv("QA_CACHE", str(FOLDER / "cache"))
        patch.setenv("QA_OFFLINE", "1")
        yield FOLDER


@cache
def drawn(name: str) -> Path:
    """The stand-in for one asset, written when it is first asked for."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated")
        torch.manual_seed(sum(name.encode()))
        WRITERS[name](FOLDER / name)
    return FOLDER / name


def niqe_parameters() -> tuple[np.ndarray, np.ndarray]:
    """Mean [36] and covariance [36,36] of the features of four photographs, well conditioned."""
    from qa.metrics.niqe import block_features, grey_of

    pictures = [torch.from_numpy(photograph(n).transpose(2, 0, 1).copy()) for n in PRISTINE]
    features = torch.cat([block_features(grey_of(picture)) for picture in pictures])
    features = features[features.isfinite().all(dim=1)]
    covariance = features.T.cov() + 1e-3 * torch.eye(36, dtype=torch.float64)
    return features.mean(dim=0).numpy(), covariance.numpy()


def _niqe(path: Path) -> None:
    mean, covariance = niqe_parameters()
    window = np.full((7, 7), 1 / 49)  # in the published file too, and not read
    np.savez(path, mu_pris_param=mean[None], cov_pris_param=covariance, gaussian_window=window)


def _niqe_matlab(path: Path) -> None:
    from scipy.io import savemat

    mean, covariance = niqe_parameters()
    savemat(path, {"mu_prisparam": mean[None], "cov_prisparam": covariance})


def _brisque(path: Path) -> None:
    torch.save((torch.randn(40), torch.randn(40, 36)), path)


def _arniqa(path: Path) -> None:
    from torchvision.models import resnet50

    layers = nn.Sequential(*list(resnet50().children())[:-1]).state_dict()
    state = {f"model.{key}": value for key, value in layers.items()}
    torch.save(state | {"projector.0.weight": torch.zeros(3)}, path)


class _Line(nn.Module):
    """A regressor as published: the score of 4096 features."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(1, 4096) * 20)
        self.biases = nn.Parameter(torch.tensor(50.0))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights.t() + self.biases


def _regressor(path: Path) -> None:
    torch.jit.script(_Line()).save(path)


class _Node(nn.Module):
    def forward(self) -> int:
        return 0


def archive(state: dict[str, Tensor]) -> nn.Module:
    """A TorchScript program that does nothing and has this state: how OpenAI published CLIP."""
    root = _Node()
    for key, value in state.items():
        *path, leaf = key.split(".")
        node: nn.Module = root
        for part in path:
            if part not in node._modules:
                node.add_module(part, _Node())
            node = node._modules[part]
        node.register_buffer(leaf, value)
    return torch.jit.script(root)


@cache
def clip_state(vision: str) -> dict[str, Tensor]:
    """A tiny CLIP with OpenAI's keys, vocabulary and length of texts; values that fit float16."""
    from piq.feature_extractors.clip import CLIP

    shape = ((1, 1, 1, 1), 16, None) if vision == "resnet" else (1, 64, 32)
    model = CLIP(16, 224 if vision == "vit" else 32, *shape, 77, 49408, 64, 1, 1)
    state = {}
    for key, value in model.state_dict().items():
        plain = value.ndim == 0 or not value.is_floating_point() or "running" in key
        state[key] = value if plain else (value + 0.05 * torch.randn(value.shape)).half().float()
    return state | {"logit_scale": torch.tensor(100.0).log()}


def _resnet_clip(path: Path) -> None:
    archive(clip_state("resnet")).save(path)


def _vit_clip(path: Path) -> None:
    archive(clip_state("vit")).save(path)


def _of_pyiqa(model: str, key: str | None, *needed: str) -> Callable[[Path], None]:
    """A network of pyiqa's with drawn values, saved as pyiqa expects it: below `key`, if any."""

    def write(path: Path) -> None:
        from qa.metrics.pyiqa_offline import build_network

        with at_hand(*needed):
            network = build_network(model, needed, {"pretrained": False}).network
        state = {name: _moved(value) for name, value in network.state_dict().items()}
        torch.save(state if key is None else {key: state}, path)

    return write


def _moved(value: Tensor) -> Tensor:
    """Away from the values of a fresh network, so that one that was not filled is noticed."""
    if not value.is_floating_point():
        return value
    return value + 0.02 * (torch.rand(value.shape) - 0.5)


def _qualiclip(path: Path) -> None:
    texts = nn.functional.normalize(torch.randn(14, 16), dim=-1)
    state = {f"clip_model.{k}": _moved(v) for k, v in clip_state("resnet").items()}
    torch.save(state | {"prompts_features": texts}, path)


def _learned_texts(path: Path) -> None:
    torch.save(0.02 * torch.randn(2, 16, 64), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "niqe_pris_params.npz": _niqe,
    "niqe_modelparameters.mat": _niqe_matlab,
    "brisque_svm_weights.pth": _brisque,
    "ARNIQA.pth": _arniqa,
    "regressor_koniq10k.pth": _regressor,
    "regressor_kadid10k.pth": _regressor,
    "RN50.pt": _resnet_clip,
    "ViT-B-32.pt": _vit_clip,
    "musiq_koniq_ckpt-e95806b9.pth": _of_pyiqa("musiq", None),
    "cfanet_nr_koniq_res50-9a73138b.pth": _of_pyiqa("topiq_nr", "params"),
    "HyperIQA-resnet50-koniq10k-c96c41b1.pth": _of_pyiqa("hyperiqa", "params"),
    "liqe_koniq.pt": _of_pyiqa("liqe", "params", "ViT-B-32.pt"),
    "CLIP-IQA+_learned_prompts-603f3273.pth": _learned_texts,
    "QualiCLIP.pth": _qualiclip,
    "QualiCLIP+_koniq.pth": _of_pyiqa("qualiclip+", "params", "RN50.pt", "QualiCLIP.pth"),
}
