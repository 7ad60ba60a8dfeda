"""Fixtures that several parts share. Helper modules (toys, battery) lie beside this file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_AUTHOR_NAME", "Tester")  # who approves, where git knows nobody


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with a cache of its own: what a user's project looks like."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tiny networks: with more threads they take longer."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six small pictures of several sizes, all different and none flat."""
    return make_pictures(tmp_path / "pictures", 6)


def make_pictures(folder: Path, count: int) -> Path:
    """`count` smooth colour pictures p00.png, p01.png, …"""
    folder.mkdir(parents=True)
    for index in range(count):
        height, width = 48 + 8 * (index % 3), 64 - 5 * (index % 2)
        y, x = np.mgrid[0:height, 0:width]
        channels = [128 + 100 * np.sin((x * (c + 1) + y * index) / 17 + c) for c in range(3)]
        Image.fromarray(np.stack(channels, 2).astype(np.uint8)).save(folder / f"p{index:02d}.png")
    return folder


@pytest.fixture
def toy(pictures: Path) -> Callable[..., list[str]]:
    """Overrides of a run of `toys` decoders over `pictures`, with PSNR and no tracker."""

    def overrides(decoder: str = "Sampler", *more: str) -> list[str]:
        return toy_overrides(pictures, decoder, *more)

    return overrides


def toy_overrides(pictures: Path, decoder: str = "Sampler", *more: str) -> list[str]:
    """Overrides of `qa run` for a decoder of toys.py; `more` come last and win."""
    return [
        "suite=folder",
        f"suite.path={pictures}",
        "suite.name=toy",
        f"hydra.searchpath=[file://{Path(__file__).parent / 'conf'}]",
        "decoder=toy",
        f"decoder._target_=toys.{decoder}",
        "metric=[psnr]",
        "tracking=none",
        "report=null",
        "seeds=2",
        *more,
    ]


def run_slowly(pictures: str, out: str) -> None:
    """A run that a test kills. Here, because another process finds this module by its name.

    (`tests.qa.test_run` it would look for in torch-fidelity, which installs a package `tests`.)
    """
    from qa.run import evaluate

    evaluate(*toy_overrides(Path(pictures), "Sampler", "+decoder.delay=0.02", f"out={out}"))
