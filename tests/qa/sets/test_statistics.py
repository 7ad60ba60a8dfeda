"""The table of statistics: every name gives a value, with parameters or without."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qa.sets.frechet import Moments
from qa.sets.intervals import interval
from qa.sets.statistics import OF_MOMENTS, STATISTICS, bound, target
from qa.types import FeatureSet, ReferenceMoments


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)


@pytest.mark.parametrize("name", STATISTICS)
def test_every_name_gives_a_finite_value_and_an_interval(name):
    x, y = rows(60), rows(70, 1)
    found = STATISTICS[name](y)(x)
    assert isinstance(found, float)
    assert np.isfinite(found)
    pair = [FeatureSet(part, np.arange(len(part))) for part in (x, y)]
    estimate = interval(STATISTICS[name], *pair)
    assert estimate.value == found
    assert estimate.low < estimate.high


@pytest.mark.parametrize("name", STATISTICS)
def test_one_row_and_nan_have_no_value(name):
    with pytest.raises(ValueError, match="1 rows"):
        STATISTICS[name](rows(70, 1))(rows(1))
    with pytest.raises(ValueError, match="NaN"):
        STATISTICS[name](rows(70, 1))(rows(60) * np.float32(np.nan))


def test_parameters_reach_the_statistic():
    x, y = rows(60), rows(70, 1) + np.float32(0.5)
    few, many = (STATISTICS["precision"](y, k=k)(x) for k in (1, 9))
    assert few < many
    protocol = {"statistic": "precision", "statistic.k": 9, "resize": "none"}
    assert bound(protocol)(y)(x) == many
    with pytest.raises(TypeError):
        bound({"statistic": "frechet", "statistic.k": 1})(y)


@pytest.mark.parametrize("name", STATISTICS)
def test_moments_are_a_reference_of_the_frechet_distances(name):
    x, y = rows(60), rows(70, 1)
    if name in OF_MOMENTS:
        assert STATISTICS[name](Moments.of(y))(x) == STATISTICS[name](y)(x)
    else:
        with pytest.raises((ValueError, TypeError)):
            STATISTICS[name](Moments.of(y))(x)


def test_a_reference_of_rows_or_of_moments():
    y = rows(70, 1)
    whole = FeatureSet(y, np.arange(70))
    assert target(whole) is whole
    moments = Moments.of(y)
    made = target(ReferenceMoments(moments.mean, moments.covariance))
    assert made.equals(moments)
    with pytest.raises(ValueError, match="do not fit"):
        target(ReferenceMoments(moments.mean[1:], moments.covariance))


def test_no_torch_is_imported():
    code = "import sys, qa.sets.statistics, qa.sets.intervals; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    # negative control: the same check notices torch
    done = subprocess.run(
        [sys.executable, "-c", "import torch; " + code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
