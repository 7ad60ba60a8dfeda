"""Loads `tests/battery.py` and the cases by path: `tests` is no package."""

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

HERE = Path(__file__).parent


def _load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


_battery = _load(HERE.parents[1] / "battery.py")
_cases = _load(HERE / "cases.py")
for _more in sorted(HERE.glob("cases_*.py")):
    _cases.BUILDERS.update(_load(_more).BUILDERS)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The pictures are small: a pool of threads for each of eight callers is only contention."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def battery() -> ModuleType:
    return _battery


@pytest.fixture(scope="session")
def trunks(tmp_path_factory) -> Path:
    """A mirror folder with stand-ins for the released networks, and torchvision's cache of them."""
    return _cases.draw_trunks(tmp_path_factory.mktemp("mirror"))


@pytest.fixture
def mirror(trunks, monkeypatch) -> Path:
    """The stand-ins, resolvable: the asset table knows their hashes."""
    _cases.use_trunks(trunks, monkeypatch)
    return trunks


@pytest.fixture(scope="session")
def all_cases(trunks) -> _cases.Cases:
    """Every case, built when it is first asked for."""
    return _cases.Cases(trunks)


@pytest.fixture(params=_cases.BUILDERS)
def case(request, all_cases):
    return all_cases[request.param]


@pytest.fixture(params=_battery.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def check(request):
    return request.param


@pytest.fixture(scope="session")
def cases_module() -> ModuleType:
    return _cases
