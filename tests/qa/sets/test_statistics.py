"""The table of statistics: every name gives a value, with parameters or without."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qa.sets.frechet import Moments
from qa.sets.intervals import interval
from qa.sets.statistics import STATISTICS, bound, value
from qa.types import FeatureSet


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)


@pytest.mark.parametrize("name", STATISTICS)
def test_every_name_gives_a_finite_value_and_an_interval(name):
    x, y = rows(60), rows(70, 1)
    found = value(name, x, y)
    assert isinstance(found, float)
    assert np.isfinite(found)
    pair = [FeatureSet(part, np.arange(len(part))) for part in (x, y)]
    estimate = interval(STATISTICS[name], *pair)
    assert estimate.value == found
    assert estimate.low < estimate.high


@pytest.mark.parametrize("name", STATISTICS)
def test_one_row_and_nan_have_no_value(name):
    with pytest.raises(ValueError, match="1 rows"):
        value(name, rows(1), rows(70, 1))
    with pytest.raises(ValueError, match="NaN"):
        value(name, rows(60) * np.float32(np.nan), rows(70, 1))


def test_parameters_reach_the_statistic():
    x, y = rows(60), rows(70, 1) + np.float32(0.5)
    assert value("precision", x, y, k=1) < value("precision", x, y, k=9)
    protocol = {"statistic": "precision", "statistic.k": 9, "resize": "none"}
    assert bound(protocol)(y)(x) == value("precision", x, y, k=9)
    with pytest.raises(TypeError):
        value("frechet", x, y, k=1)


def test_moments_are_a_reference():
    x, y = rows(60), rows(70, 1)
    for name in ("frechet", "fid_infinity"):
        assert value(name, x, Moments.of(y)) == value(name, x, y)


def test_no_torch_is_imported():
    code = "import sys, qa.sets.statistics, qa.sets.intervals; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    # negative control: the same check notices torch
    done = subprocess.run(
        [sys.executable, "-c", "import torch; " + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
