"""Intervals: agreement with SciPy, coverage by simulation, and the N that settles a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from qa.stats import Interval, mean_interval, pictures_needed


def test_the_interval_is_students():
    values = [0.3, 1.2, -0.4, 2.2, 0.9]
    expected = scipy.stats.t.interval(
        0.90, len(values) - 1, np.mean(values), scipy.stats.sem(values)
    )
    found = mean_interval(values, 0.90)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


def coverage(interval, replicates: int = 4000, count: int = 12) -> float:
    """How often the interval of `count` normal values holds the true mean 1."""
    rng = np.random.default_rng(5)
    hits = 0
    for values in rng.normal(1.0, 2.0, (replicates, count)):
        low, high = interval(values)
        hits += low <= 1.0 <= high
    return hits / replicates


def test_the_interval_covers_as_often_as_it_says():
    def student(values):
        found = mean_interval(values, 0.90)
        return found.low, found.high

    # 4000 replicates: standard error 0.5 %
    assert coverage(student) == pytest.approx(0.90, abs=0.015)


def test_the_coverage_check_can_fail():
    """Negative control: the normal quantile in place of Student's misses at 12 values."""

    def normal(values):
        half = 1.645 * values.std(ddof=1) / math.sqrt(len(values))
        return values.mean() - half, values.mean() + half

    assert coverage(normal) < 0.885


def test_no_values_have_no_mean_and_one_has_no_interval():
    assert mean_interval([]) is None
    assert mean_interval([3.0]) == Interval(3.0, None, None, None, 1)


def test_equal_values_have_an_interval_of_no_width():
    found = mean_interval([2.0] * 5)
    assert (found.low, found.mean, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.05, 0.12, 0.4])
def test_pictures_needed_is_the_first_number_that_settles(mean):
    margin, sd = 0.2, 0.5
    needed = pictures_needed(Interval(mean, 0, 0, sd, 10), margin)

    def settled(count: int) -> bool:
        half = scipy.stats.t.ppf(0.95, count - 1) * sd / math.sqrt(count)
        return mean + half < margin or mean - half > 0

    assert settled(needed)
    assert not settled(needed - 1)


def test_no_feasible_number_is_said():
    assert pictures_needed(Interval(0.5, 0, 0, 100.0, 10), 1.0, cap=1000) is None
    assert pictures_needed(Interval(0.5, None, None, None, 1), 1.0) is None
