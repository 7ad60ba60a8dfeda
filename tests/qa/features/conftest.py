"""Stand-ins of the released Inception: its names, keys and shapes, and drawn values."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qa import assets
from qa.features import inception
from qa.features.extractors import InceptionFeatures
from qa.files import sha256

PTH, PT = "pt_inception-2015-12-05-6726825d.pth", "inception-2015-12-05.pt"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """One picture at a time: a pool of threads is only contention."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def drawn() -> dict[str, Tensor]:
    """A whole state dict, with other statistics than 0 and 1 so that normalisation shows."""
    state = inception.random_state(3)
    generator = torch.Generator().manual_seed(0)
    for key, value in state.items():
        if value.ndim == 1:
            change = torch.rand(value.shape, generator=generator)
            state[key] = value + (change * 0.4 - 0.2)
    return state


@pytest.fixture(scope="session")
def pth(drawn, tmp_path_factory) -> Path:
    """pytorch-fid's layout."""
    file = tmp_path_factory.mktemp("pth") / PTH
    torch.save(drawn, file)
    return file


@pytest.fixture(scope="session")
def network(drawn) -> nn.Module:
    """The same weights, as a module [1,3,h,w] → [1,2048]."""
    return inception.build(drawn, "drawn")


class Released(nn.Module):
    """The outside of the TorchScript file: its own levels, `layers` up to the features, and the
    classes behind them, which it returns unless asked for features."""

    def __init__(self, layers: nn.Module, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.layers = layers
        self.output = nn.Linear(inception.WIDTH, inception.CLASSES)
        with torch.no_grad():
            self.output.weight.copy_(state["fc.weight"])
            self.output.bias.copy_(state["fc.bias"])

    def forward(self, img: Tensor, return_features: bool = False) -> Tensor:
        features = self.layers((img.float() - 128.0) / 128.0)
        if return_features:
            return features
        return self.output(features)


@pytest.fixture(scope="session")
def pt(network, drawn, tmp_path_factory) -> Path:
    """The layout of StyleGAN's and clean-fid's TorchScript file, same weights."""
    return write_script(Released(traced(network), drawn), tmp_path_factory.mktemp("pt") / PT)


@pytest.fixture(scope="session", autouse=True)
def in_use(pth, pt) -> list[InceptionFeatures]:
    """Held all the while, so that tests share their networks as the metrics of a run do."""
    return [InceptionFeatures("clean", weights) for weights in (str(pth), str(pt), "random")]


def traced(module: nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch 2.15 calls TorchScript deprecated
        return torch.jit.trace(module, torch.zeros(1, 3, 299, 299), check_trace=False)


def write_script(module: nn.Module, file: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(file))
    return file


@pytest.fixture(scope="session")
def save_script():
    """A function: write a module to a file as TorchScript."""
    return write_script


@pytest.fixture
def picture():
    """A function: smooth structure with noise, uint8 [3,H,W], different for every seed."""

    def make(height: int, width: int, seed: int = 0) -> Tensor:
        return draw(height, width, seed)

    return make


def draw(height: int, width: int, seed: int) -> Tensor:
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = generator.uniform(3, 40, (3, 2))
    levels = [
        128 + 80 * np.sin(x / a + seed) * np.cos(y / b) + generator.normal(0, 20, x.shape)
        for a, b in waves
    ]
    return torch.from_numpy(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


@pytest.fixture
def no_assets(tmp_path, monkeypatch) -> Path:
    """An empty mirror, an empty cache, no network; the mirror."""
    for name, value in {"QA_ASSETS": "mirror", "QA_CACHE": "cache"}.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("QA_OFFLINE", "1")
    (tmp_path / "mirror").mkdir()
    return tmp_path / "mirror"


@pytest.fixture
def stand_in(no_assets, monkeypatch):
    """A function: a file that the asset table knows by its name; returns the name."""

    def known(file):
        (no_assets / file.name).symlink_to(file)
        asset = assets.find(file.name)
        same = replace(asset.files[0], sha256=sha256(file), size=file.stat().st_size)
        rows = assets.table() | {file.name: replace(asset, files=(same,))}
        monkeypatch.setattr("qa.assets.resolver.table", lambda: rows)
        return file.name

    return known
