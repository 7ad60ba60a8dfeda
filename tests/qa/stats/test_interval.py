"""Intervals of a mean: agreement with SciPy, exact mirror images, and which method is taken."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats

from qa.stats import CONFIDENCE, Interval, bootstrap_t, mean_interval, t_interval
from qa.stats.bootstrap import PLANS, plan, ratios
from qa.stats.interval import sample

WAYS = (t_interval, bootstrap_t, mean_interval)


def samples():
    """Values of many kinds: skewed, tied, symmetric, mostly equal, far from 0, few."""
    rng = np.random.default_rng(3)
    yield from (rng.normal(size=n) for n in (2, 3, 7, 24, 60))
    yield from (np.exp(rng.normal(size=n)) - 1 for n in (8, 50, 130))
    yield from (1e6 + rng.normal(size=n) for n in (9, 51))
    yield from (rng.integers(-2, 3, n).astype(float) for n in (12, 80))
    yield from (np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([0.0] * 30 + [0.3, -0.2]))
    yield from (np.array([0.0] * 99 + [5.0]), np.array([0.0, -0.0, 0.0, 1.0]), np.full(6, 0.1))


@pytest.mark.parametrize("count", [2, 5, 24, 200])
def test_students_interval_and_p_are_scipys(count):
    values = np.random.default_rng(count).normal(0.3, 2, count)
    theirs = scipy.stats.ttest_1samp(values, 0, alternative="greater")
    expected = scipy.stats.t.interval(0.9, count - 1, values.mean(), scipy.stats.sem(values))
    found = t_interval(values, 0.9)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)
    assert found.p_worse == pytest.approx(theirs.pvalue, rel=1e-12)
    assert found.sd == pytest.approx(values.std(ddof=1), rel=1e-14)


def test_the_skewness_is_scipys():
    for values in samples():
        if np.ptp(values):
            expected = scipy.stats.skew(values)
            assert sample(values).skew == pytest.approx(expected, rel=1e-6, abs=1e-12)


def by_hand(values, confidence):
    """The bootstrap-t from its definition, a draw at a time."""
    rising, count = np.sort(values), len(values)
    drawn = []
    for counts in plan(count).astype(int):
        for ordered in (rising, rising[::-1]):
            again = np.repeat(ordered, counts)
            error = again.std(ddof=1) / math.sqrt(count)
            drawn.append((again.mean() - rising.mean()) / error)
    error = rising.std(ddof=1) / math.sqrt(count)
    drawn, alpha = np.sort(drawn), (1 - confidence) / 2
    place = math.ceil((len(drawn) + 1) * (1 - alpha))
    reached = (drawn >= rising.mean() / error).sum()
    low = rising.mean() - drawn[place - 1] * error
    high = rising.mean() - drawn[len(drawn) - place] * error
    return low, high, (reached + 1) / (len(drawn) + 1)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.9768])
def test_the_bootstrap_is_its_definition(confidence):
    values = np.exp(np.random.default_rng(8).normal(size=20)) - 1
    found = bootstrap_t(values, confidence)
    expected = by_hand(values, confidence)
    assert (found.low, found.high, found.p_worse) == pytest.approx(expected, rel=1e-9)


def test_the_draws_are_bootstrap_draws_and_never_change():
    counts = plan(7)
    assert counts.shape == (PLANS, 7)
    assert (counts.sum(axis=1) == 7).all()
    # a place is drawn Binomial(7, 1/7) times: mean 1, variance 6/7
    assert counts.mean(axis=0) == pytest.approx(np.ones(7), abs=4 * math.sqrt(6 / 7 / PLANS))
    assert counts.var() == pytest.approx(6 / 7, rel=0.05)
    rng = np.random.RandomState(1908)
    assert counts[0].tolist() == np.bincount(rng.randint(0, 7, 7), minlength=7).tolist()


@pytest.mark.parametrize("way", WAYS)
def test_neither_order_nor_direction_changes_a_bit(way):
    rng = np.random.default_rng(1)
    for values in samples():
        found, mirrored = way(values), way(-values)
        assert way(rng.permutation(values)) == found
        assert (mirrored.low, mirrored.high) == (-found.high, -found.low)
        assert (mirrored.mean, mirrored.sd) == (-found.mean, found.sd)


def test_that_check_can_fail():
    """Negative control: sums as NumPy makes them, and draws from one end only, fail it."""

    def careless(values):
        deviations = np.sort(values) - values.mean()
        drawn, _ = ratios(plan(24) @ deviations, plan(24) @ deviations**2, 24)
        return values.mean(), np.sort(drawn)[249], np.sort(drawn)[-250]

    rng = np.random.default_rng(1)
    values = rng.normal(size=24)
    orders = {careless(rng.permutation(values))[0] for _ in range(50)}
    assert len(orders) > 1
    assert careless(-values)[1] != -careless(values)[2]


@pytest.mark.parametrize("way", WAYS)
def test_units_do_not_matter(way):
    """Of powers of two not a bit."""
    for values in samples():
        found, scaled, moved = way(values), way(4 * values), way(values + 3)
        assert (scaled.low, scaled.high) == (4 * found.low, 4 * found.high)
        assert scaled.p_worse == found.p_worse
        assert moved.low - 3 == pytest.approx(found.low, abs=1e-9 * max(1, abs(found.low)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.0232, 0.0005, 1e-5, 0.2])
def test_p_is_below_alpha_exactly_when_the_lower_end_is_above_0(way, alpha):
    states = set()
    for values in samples():
        low = way(values, 1 - 2 * alpha).low
        for nudge in (-1e-3, -1e-6, 1e-6, 1e-3):
            found = way(values - low + nudge * max(1, np.ptp(values)), 1 - 2 * alpha)
            assert (found.p_worse < alpha) == (found.low > 0)
            states.add(found.low > 0)
    assert states == {True, False}


@pytest.mark.parametrize("way", WAYS)
def test_a_higher_confidence_is_never_narrower(way):
    for values in samples():
        found = [way(values, confidence) for confidence in (0.5, 0.9, 0.99, 0.99999)]
        assert all(a.low >= b.low and a.high <= b.high for a, b in pairwise(found))


@pytest.mark.parametrize("changed", [1, 2, 3, 5])
def test_draws_without_spread_give_the_wider_of_both_ends(changed):
    """Where few pictures change, many draws take none of them."""
    values = np.array([0.0] * (60 - changed) + list(np.linspace(0.5, 1, changed)))
    counts = plan(60)
    flat = (counts[:, -changed:] == 0).all(axis=1) | (counts[:, :changed] == 0).all(axis=1)
    assert flat.any()
    found, plain = bootstrap_t(values), t_interval(values)
    assert found.low <= plain.low
    assert found.high >= plain.high
    assert found.p_worse >= plain.p_worse
    assert np.isfinite([found.low, found.high]).all()


def test_the_method_follows_number_and_skewness():
    rng = np.random.default_rng(2)
    even, skewed = rng.normal(size=50), np.exp(rng.normal(size=50))
    assert abs(sample(even).skew) < 1 < sample(skewed).skew
    assert mean_interval(even) == t_interval(even)
    assert mean_interval(even).method == "t"
    for values in (skewed, even[:-1]):
        found, ways = mean_interval(values), (t_interval(values), bootstrap_t(values))
        assert found.method == "bootstrap-t"
        assert found.low == min(way.low for way in ways)
        assert found.high == max(way.high for way in ways)
        assert found.p_worse == max(way.p_worse for way in ways)
    ends = [(way(skewed).low, way(skewed).high) for way in (t_interval, bootstrap_t)]
    assert ends[0][0] < ends[1][0]  # each has the wider end on one side
    assert ends[0][1] < ends[1][1]


def test_one_picture_among_equal_ones_does_not_send_the_end_beyond_itself():
    values = np.append(0.01 * np.abs(np.random.default_rng(0).normal(size=23)), 2.2)
    found, far, plain = mean_interval(values), bootstrap_t(values), t_interval(values)
    assert plain.high < 1 < 2.2 < far.high  # what the bootstrap alone would say
    assert found.high == pytest.approx(2.2, rel=1e-12)
    assert (found.low, found.p_worse) == (plain.low, plain.p_worse)  # the wider one, as ever
    mirrored = mean_interval(-values)
    assert (mirrored.low, mirrored.high) == (-found.high, -found.low)


def test_where_every_picture_is_worse_students_end_decides():
    values = np.array([4.5, 8.4, 8.9, 9.1, 9.2])
    found, far, plain = mean_interval(values), bootstrap_t(values), t_interval(values)
    assert far.low < plain.low < 7.4
    assert (found.low, found.p_worse) == (min(plain.low, 4.5), plain.p_worse)
    mixed = values - 5  # one picture is better: the wider end decides again
    assert mean_interval(mixed).p_worse == bootstrap_t(mixed).p_worse > t_interval(mixed).p_worse


def test_no_values_have_no_mean_and_one_has_no_interval():
    assert mean_interval([]) is None
    assert mean_interval([3.0]) == Interval(3.0, None, None, None, 1)
    with pytest.raises(ValueError, match="finite"):
        t_interval([])
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, math.nan])


@pytest.mark.parametrize(("value", "p"), [(2.0, 0.0), (0.1, 0.0), (0.0, 1.0), (-2.0, 1.0)])
def test_equal_values_have_an_interval_of_no_width(value, p):
    for way in WAYS:
        found = way([value] * 7, CONFIDENCE)
        assert (found.low, found.mean, found.high) == (value, value, value)
        assert found.p_worse == p
