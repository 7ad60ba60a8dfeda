"""Pilots and plans: components by hand and by simulation, and numbers that are the first to do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from qa.stats import (
    Components,
    Interval,
    best_seeds,
    components,
    mde,
    mean_interval,
    pictures_for,
    pictures_needed,
    pictures_until,
    rate_interval,
)
from qa.stats.planning import CAP


def test_components_by_hand():
    """Means 2 and 6: MSB = 2 (4 + 4) / 1 = 16, MSW = 4 / 2 = 2, sb² = (16 - 2) / 2."""
    found = components([[1.0, 3.0], [5.0, 7.0]])
    assert found == Components(7.0, 2.0, 2, 2)
    assert found.icc == pytest.approx(7 / 9)
    assert found.design_effect == pytest.approx(1 + 7 / 9)


def test_pictures_that_agree_have_no_component_below_0():
    assert components([[1.0, -1.0], [-1.0, 1.0]]).between == 0.0


def drawn(rng, between, within, sizes):
    """[P,S] with missing seeds."""
    table = rng.normal(0, math.sqrt(between), (len(sizes), 1)) + rng.normal(
        0, math.sqrt(within), (len(sizes), max(sizes))
    )
    table[np.arange(max(sizes)) >= np.array(sizes)[:, None]] = np.nan
    return table


def test_missing_seeds_leave_the_components_unbiased():
    """Negative control: the variance of unequal means holds part of what is within."""
    rng, sizes = np.random.default_rng(6), [1, 4, 2, 4, 3, 4, 1, 4] * 4
    tables = [drawn(rng, 3.0, 2.0, sizes) for _ in range(1500)]
    found = np.array([(c.between, c.within) for c in map(components, tables)])
    error = found.std(axis=0) / math.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - [3.0, 2.0]) < 3.5 * error).all()
    means = np.mean([np.nanmean(table, axis=1).var(ddof=1) for table in tables])
    assert means - 3.0 > 10 * error[0]


def test_one_seed_cannot_tell_seeds_from_pictures():
    values = np.random.default_rng(7).normal(size=(30, 1))
    found = components(values)
    assert (found.between, found.within) == pytest.approx((values.var(ddof=1), 0.0))
    assert found.icc is None
    assert found.design_effect is None
    assert components(values[:1]) is None
    with pytest.raises(ValueError, match="table"):
        components(values[:, 0])


def test_a_picture_without_values_is_none():
    table = [[1.0, 3.0], [np.nan, np.nan], [5.0, 7.0]]
    assert components(table) == components([[1.0, 3.0], [5.0, 7.0]])


@pytest.mark.parametrize(("power", "factor"), [(0.8, 6.18), (0.9, 8.56)])
def test_the_published_factors(power, factor):
    """(z + z)² of Miller's formula, which t approaches; N = factor / m² for a variance of 1."""
    found = mde(Components(1.0, 0.0, 2, 1), 100_000, 1, power=power)
    assert 100_000 * found**2 == pytest.approx(factor, abs=5e-3)


def test_pictures_for_a_margin():
    """0.64 + 0.36 / 4 = 0.73 and a margin of 0.2 need 113 pictures by z, so a few more by t."""
    parts = Components(0.64, 0.36, 30, 4)
    assert parts.variance(4) == pytest.approx(0.73)
    needed = pictures_for(parts, 0.2, 4)
    assert 113 < needed <= 115
    assert mde(parts, needed, 4) <= 0.2 < mde(parts, needed - 1, 4)
    assert pictures_for(parts, 100.0, 4) == 2


@pytest.mark.parametrize("margin", [1e-3, 1e-12, 1e-300])
def test_a_margin_that_no_feasible_number_resolves(margin):
    parts = Components(0.64, 0.36, 30, 4)
    assert pictures_for(parts, margin, 4) is None
    assert mde(parts, CAP, 4) > margin
    least = mde(parts, CAP, 4)  # the margin that all of them just resolve
    assert pictures_for(parts, least, 4) == CAP
    assert pictures_for(parts, least * (1 - 1e-9), 4) is None


@pytest.mark.parametrize("count", [5, 24, 100])
def test_the_power_is_that_of_the_noncentral_law(count):
    """Exactly, by SciPy; the formula is an approximation of it."""
    effect = mde(Components(1.0, 0.0, 2, 1), count, 1)
    critical = scipy.stats.t.ppf(0.95, count - 1)
    exact = scipy.stats.nct.sf(critical, count - 1, effect * math.sqrt(count))
    assert exact == pytest.approx(0.8, abs=0.01 if count > 5 else 0.03)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 4.0, 30.0])
def test_best_seeds_lie_beside_the_formula(ratio):
    parts = Components(0.5, 1.5, 30, 4)
    exact = math.sqrt(ratio * 1.5 / 0.5)
    assert best_seeds(parts, ratio) in {max(1, math.floor(exact)), max(1, math.ceil(exact))}


def test_seeds_are_worth_nothing_where_pictures_differ_most():
    assert best_seeds(Components(1.0, 0.05, 30, 4), 1.0) == 1
    assert best_seeds(Components(0.0, 1.0, 30, 4), 1.0) == 16  # nothing but seeds differs


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


def test_more_pictures_are_needed_than_there_are():
    """Whatever the method: what is undecided now is not said to be decided with fewer."""
    rng = np.random.default_rng(9)
    kinds = [
        *(rng.normal(0.1, 1, n) for n in (5, 24, 80)),
        *(np.exp(rng.normal(size=n)) - 1.5 for n in (10, 80)),
        np.array([0.0] * 40 + [1.0]),
    ]
    methods = set()
    for harm in [*map(mean_interval, kinds), rate_interval(np.ones((9, 1)), np.ones((9, 1)))]:
        margin = max(harm.high, 0.0) * 0.99
        if harm.low <= 0 < margin:
            methods.add(harm.method)
            assert pictures_needed(harm, margin) > harm.count
    assert methods == {"t", "bootstrap-t", "paired counts"}


def test_pairs_that_agree_need_what_the_formula_says():
    """No picture differs: high(N) = z / (N + 2) for the variance 1 / (N + 2)²."""
    harm = rate_interval(np.ones((20, 1)), np.ones((20, 1)))
    z = scipy.stats.norm.ppf(0.95)
    expected = math.floor(z / 0.02 - 2) + 1
    assert pictures_needed(harm, 0.02) == expected


@pytest.mark.parametrize(("seeds", "margin"), [(1, 0.05), (4, 0.01)])
def test_pairs_of_several_seeds_need_what_another_run_shows(seeds, margin):
    """The same shares among more pictures: the first number whose interval passes."""
    baseline, candidate = np.ones((40, seeds)), np.ones((40, seeds))
    candidate[0, 0] = 0
    needed = pictures_needed(rate_interval(baseline, candidate), margin)
    for count, settled in ((40 * (needed // 40 + 1), True), (40 * (needed // 40), False)):
        times = count // 40
        found = rate_interval(np.tile(baseline, (times, 1)), np.tile(candidate, (times, 1)))
        assert (found.high < margin or found.low > 0) == settled


def test_skewed_widths_shrink_with_the_root():
    harm = Interval(0.0, -1.0, 3.0, 1.0, 25, "bootstrap-t")
    assert pictures_until(harm, lambda low, high: high < 1.0) == 25 * 9 + 1
    assert pictures_until(harm, lambda low, high: low > -0.5) == 25 * 4 + 1
