"""PIQE without pyiqa: the refusal, and what we pass to it."""

import sys
from types import ModuleType

import pytest
import torch

from qa.errors import UsageError
from qa.metrics import piqe
from qa.metrics.piqe import PIQE


@pytest.fixture
def stand_in(monkeypatch):
    """A pyiqa whose PIQE is the picture's mean."""
    modules = {name: ModuleType(name) for name in ("pyiqa", "pyiqa.archs", "pyiqa.archs.piqe_arch")}
    modules["pyiqa.archs.piqe_arch"].piqe = lambda x: (100 * x.mean(dim=(1, 2, 3)), None)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(piqe, "version", lambda name: "0.0")


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa.archs.piqe_arch", None)
    with pytest.raises(UsageError, match=r"pip install decoder-qa\[iqa\]"):
        PIQE()


def test_pictures_reach_it_in_unit_range_one_by_one(stand_in):
    pictures = torch.stack([torch.full((3, 16, 20), v, dtype=torch.uint8) for v in (51, 255)])
    assert PIQE()(pictures, None) == [pytest.approx(20, abs=1e-4), pytest.approx(100, abs=1e-4)]


def test_licence_and_refusals(stand_in):
    metric = PIQE()
    assert "Noncommercial" in metric.facts.licence
    with pytest.raises(ValueError, match="all-black"):
        metric(torch.zeros((1, 3, 16, 16), dtype=torch.uint8), None)
    with pytest.raises(ValueError, match=r"is 15 pixels.*at least 16"):
        metric(torch.ones((1, 3, 15, 40), dtype=torch.uint8), None)
