"""Shares of pictures: the four-cell formula, exact limits, and what they replace."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from qa.stats import clopper_pearson, mean_interval, rate_interval, zero_events_needed


def arms(both, lost, won, neither):
    """One seed: pictures that pass in both arms, only in the baseline, only in the candidate."""
    baseline = [1] * (both + lost) + [0] * (won + neither)
    candidate = [1] * both + [0] * lost + [1] * won + [0] * neither
    return np.array(baseline)[:, None], np.array(candidate)[:, None]


@pytest.mark.parametrize("cells", [(40, 5, 3, 2), (100, 0, 0, 0), (3, 2, 1, 1), (0, 9, 0, 0)])
def test_one_seed_gives_the_four_cells_with_half_a_picture_more(cells):
    lost, won = cells[1] + 0.5, cells[2] + 0.5
    count = sum(cells) + 2
    centre = (lost - won) / count
    spread = (lost + won - (lost - won) ** 2 / count) / count**2
    half = scipy.stats.norm.ppf(0.95) * math.sqrt(spread)
    found = rate_interval(*arms(*cells))
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), rel=1e-12)
    assert found.p_worse == pytest.approx(scipy.stats.norm.sf(centre / math.sqrt(spread)))
    assert found.mean == pytest.approx((cells[1] - cells[2]) / sum(cells))
    assert found.low <= found.mean <= found.high
    assert (found.p_worse < 0.05) == (found.low > 0)
    assert found.method == "paired counts"


def test_swapped_arms_mirror_exactly_and_no_order_matters():
    rng = np.random.default_rng(0)
    for seeds, rate in ((1, 0.9), (4, 0.97), (4, 0.5)):
        a, b = (rng.random((60, seeds)) < rate for _ in "ab")
        found, mirrored = rate_interval(a, b), rate_interval(b, a)
        assert (mirrored.low, mirrored.high) == (-found.high, -found.low)
        order = rng.permutation(60)
        assert rate_interval(a[order], b[order]) == found


def test_no_difference_still_has_a_width():
    """Negative control: the mean's interval has none and would pass any margin."""
    baseline, candidate = arms(50, 0, 0, 0)
    found = rate_interval(baseline, candidate)
    assert found.high > 0.02
    assert mean_interval((baseline - candidate).mean(axis=1)).high == 0


def test_seeds_of_a_picture_are_no_pictures():
    """Twice the same seed adds nothing; near the ceiling less than a tenth."""
    rng = np.random.default_rng(4)
    for rate, least in ((0.97, 0.9), (0.5, 1.0)):
        a, b = (rng.random((80, 2)) < rate for _ in "ab")
        seeds = width(np.tile(a, 2), np.tile(b, 2)) / width(a, b)
        assert least <= seeds <= 1
        pictures = width(np.concatenate([a, a]), np.concatenate([b, b])) / width(a, b)
        assert pictures < 0.8  # negative control


def width(baseline, candidate):
    found = rate_interval(baseline, candidate)
    return found.high - found.low


def test_far_from_the_ends_seeds_are_averaged():
    rng = np.random.default_rng(5)
    a, b = (rng.random((80, 4)) < 0.5 for _ in "ab")
    assert rate_interval(a, b) == mean_interval(a.mean(axis=1) - b.mean(axis=1))


def test_what_rates_are_not():
    assert rate_interval(np.empty((0, 1)), np.empty((0, 1))) is None
    assert rate_interval([[1]], [[0]]).low is None
    for wrong in (([[1.0]], [[0.5]]), ([[1], [0]], [[1]]), ([1, 0], [1, 0])):
        with pytest.raises(ValueError, match="rates need"):
            rate_interval(*wrong)


@pytest.mark.parametrize(("events", "count"), [(0, 24), (1, 24), (3, 300), (24, 24), (7, 10)])
def test_exact_limits_are_scipys(events, count):
    expected = scipy.stats.binomtest(events, count).proportion_ci(0.9, method="exact")
    assert clopper_pearson(events, count, 0.9) == pytest.approx(tuple(expected), abs=1e-12)


def test_exact_limits_of_nothing():
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 events in 2 pictures"):
        clopper_pearson(3, 2)


@pytest.mark.parametrize(("rate", "published"), [(0.01, 299), (0.05, 59)])
def test_pictures_without_an_event(rate, published):
    assert zero_events_needed(rate) == published


@pytest.mark.parametrize("rate", [0.003, 0.02, 0.1, 0.5])
def test_one_picture_less_would_not_do(rate):
    needed = zero_events_needed(rate)
    assert clopper_pearson(0, needed)[1] < rate <= clopper_pearson(0, needed - 1)[1]
    with pytest.raises(ValueError, match="between 0 and 1"):
        zero_events_needed(0.0)


def test_pictures_may_have_fewer_values_than_others():
    baseline = np.array([[1, 1, 1, 1], [1, 1, np.nan, np.nan], [1, 1, 1, np.nan]])
    candidate = np.array([[1, 0, 1, 1], [1, 1, np.nan, np.nan], [0, 0, 1, np.nan]])
    found, harm = rate_interval(baseline, candidate), np.array([1 / 4, 0, 2 / 3])
    assert found.mean == pytest.approx(harm.mean())
    more = len(harm) + 2
    error = math.sqrt((harm**2).sum() + 1 / 2 - harm.sum() ** 2 / more) / more
    assert found.high - found.low == pytest.approx(2 * scipy.stats.norm.ppf(0.95) * error)
    fewer = rate_interval(baseline[:, :2], candidate[:, :2])
    assert fewer == rate_interval(
        np.column_stack([baseline[:, :2], [np.nan] * 3]),
        np.column_stack([candidate[:, :2], [np.nan] * 3]),
    )
    for wrong in (candidate[:, [0, 1, 3, 2]], np.full((3, 4), np.nan)):
        with pytest.raises(ValueError, match="the same values in both arms"):
            rate_interval(baseline, wrong)
