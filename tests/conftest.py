"""Fixtures that several parts share. Helper modules (toys, toyruns, battery) lie beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from toyruns import make_pictures, toy_overrides

from qa import trust

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
trust.admit(  # what tests build without a command line
    ("toys", "planted", "dial_toys", "dpg_toys", "figure_artist", "geneval_oracle", "tiny_l2p",
     "signing", "mydec", "tests")
)  # fmt: skip
os.environ.setdefault("GIT_AUTHOR_NAME", "Tester")  # who approves, where git knows nobody


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/decoders/kernels tests/decoders/test_steps.py --device cuda` needs a GPU."""
    parser.addoption(
        "--device", choices=("cpu", "cuda"), default="cpu",
        help="where kernels and graphs run; on the CPU they are interpreted and stood in for",
    )  # fmt: skip


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """cpu or cuda, as `--device` says."""
    return str(request.config.getoption("--device"))


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
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one of scripts/ by name; they import each other as neighbours."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    return import_module


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six small pictures of several sizes, all different and none flat."""
    return make_pictures(tmp_path / "pictures", 6)


@pytest.fixture
def toy(pictures: Path) -> Callable[..., list[str]]:
    """Overrides of a run of `toys` decoders over `pictures`, with PSNR and no tracker."""

    def overrides(decoder: str = "Sampler", *more: str) -> list[str]:
        return toy_overrides(pictures, decoder, *more)

    return overrides
