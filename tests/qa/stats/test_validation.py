"""The gates' error rates where the truth is known: the fast part of docs/validation.md.

Bars are those of the design: false FAIL and false PASS at most 5.5 % for normal and t3 harm from 50
pictures on, at most 7 % for lognormal harm from 100 on.
"""

from __future__ import annotations

import numpy as np
import pytest
from arms import case, shifted

from qa.baseline import Approved
from qa.gates.margins import Margin
from qa.gates.regression import Regression
from qa.stats import holm, mean_interval, rate_interval, spending, validation
from qa.stats.simulation import (
    SHAPES,
    harms,
    p_values,
    passes,
    rate_p_values,
    some_seeds,
    student_p_values,
)

SUITES = 4000


def within(errors, limit):
    return max(errors) <= limit


CELLS = [
    ("normal", 50, 4, 0.6),
    ("normal", 300, 2, 0.9),
    ("t3", 50, 4, 0.3),
    ("t3", 100, 1, 0.0),
    ("lognormal", 100, 2, 0.6),
    ("lognormal", 300, 4, 0.3),
]


@pytest.mark.parametrize(("shape", "pictures", "seeds", "icc"), CELLS)
def test_false_fail_and_false_pass_stay_below_the_bar(shape, pictures, seeds, icc):
    limit = validation.bar(shape, pictures)
    assert within(validation.grid(shape, pictures, seeds, icc, SUITES), limit)
    if seeds > 1:  # negative control: seeds taken for pictures fail the same check
        naive = validation.grid(shape, pictures, seeds, icc, SUITES, "per row")
        assert not within(naive, limit)


@pytest.mark.parametrize("shape", ["normal", "t3"])
def test_missing_seeds_do_no_harm(shape):
    errors = validation.grid(shape, 50, 4, 0.6, SUITES, "unbalanced")
    assert within(errors, validation.bar(shape, 50))


def test_seeds_taken_for_pictures_err_at_any_number():
    rates = [validation.grid("normal", n, 4, 0.64, SUITES, "per row") for n in (24, 100, 300)]
    assert min(min(errors) for errors in rates) > 0.15


def test_students_t_passes_skewed_harm_too_often():
    """Negative control: why there is a bootstrap."""
    assert validation.grid("lognormal", 100, 1, 0.0, SUITES, "Student").false_pass > 0.07


def test_the_bars():
    assert [validation.bar("normal", n) for n in (24, 50)] == [None, 0.055]
    assert [validation.bar("t3", n) for n in (24, 1000)] == [None, 0.055]
    assert [validation.bar("lognormal", n) for n in (50, 100)] == [None, 0.07]
    assert validation.bar("zero-inflated", 1000) is None


@pytest.mark.parametrize("pictures", [50, 100])
def test_power_is_within_3_points_of_the_formula(pictures):
    found = validation.power("normal", pictures, 4, 0.6, SUITES)
    assert found.fails == pytest.approx(found.formula, abs=0.03)
    assert found.passes == pytest.approx(found.formula, abs=0.03)


def test_the_power_check_can_fail():
    """Negative control: the formula for seeds that are independent promises too much."""
    effect = validation.mde(validation.Components(0.0, 1.0, 100, 4), 100, 4)
    values = harms("normal", np.random.default_rng(0), SUITES, 100, 4, 0.6).mean(axis=2)
    assert (p_values(values, -effect).worse < 0.05).mean() < 0.8 - 0.03


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_family_errs_as_rarely_as_one_metric(correlation):
    found = validation.family(6, correlation, 1000)
    bar = 0.05 + 2.33 * (0.05 * 0.95 / 1000) ** 0.5  # what chance leaves of 5 %, 99 %
    assert found.any_fail <= bar
    assert found.other_fail <= bar
    assert found.passed <= bar
    assert found.found > 0.95
    assert found.any_alarm > 0.12  # negative control: uncorrected, the same check fails


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_nearly_spent_drift_budget_raises_no_false_alarms(correlation):
    found = validation.drift(6, correlation, 1000)
    assert found.any_fail <= 0.05 + 2.33 * (0.05 * 0.95 / 1000) ** 0.5
    assert found.any_alarm > 0.12  # negative control: every loss beyond the budget by itself


def test_simulated_drift_is_the_gates():
    names, suites = "abcdef", 12
    ((rng, count),) = validation._portions(("drift", 6, 0.0), suites, 6 * 60 * 2)
    drawn = validation._unharmed(rng, count, 60, 6, 0.0, (1, 0.0))
    margins, spent = {n: Margin(2.0) for n in names}, dict.fromkeys(names, 1.95)
    fails = alarms = 0
    for place in range(suites):
        harm = {name: list(values[place]) for name, values in zip(names, drawn, strict=True)}
        candidate, baseline = shifted(harm)
        against = Approved(baseline, drift=spent)
        found = Regression()(case(candidate, against, margins, policy="release"))
        fails += any(row["state"] == "FAIL" for row in found)
        alarms += any("budget" in row["why"] for row in found)
    expected = validation.drift(6, 0.0, suites)
    assert (fails / suites, alarms / suites) == (expected.any_fail, expected.any_alarm)
    assert alarms > fails


@pytest.mark.parametrize("scheme", ["pocock", "obrien-fleming"])
def test_looks_together_spend_5_percent(scheme):
    looks = (100, 200, 400)
    found = validation.extension(looks, spending(looks, scheme), "normal", SUITES)
    assert within(found[:2], 0.055)
    assert 100 < found.pictures < 400
    naive = validation.extension(looks, [0.05] * 3, "normal", SUITES)
    assert min(naive[:2]) > 0.08  # negative control


def test_shares_near_the_ceiling_pass_rarely_where_they_should_not():
    """Few pictures near the ceiling: the mean's interval is the negative control."""
    found = validation.rates(0.98, 0.02, 50, 1, SUITES)
    assert within(found, 0.055)
    assert validation.rates(0.98, 0.02, 50, 1, SUITES, "Student").false_pass > 0.15


@pytest.mark.parametrize("pictures", [12, 24, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_simulated_is_what_is_used(shape, pictures):
    values = harms(shape, np.random.default_rng(1), 40, pictures, 2, 0.5).mean(axis=2)
    if shape == "normal":
        values[1] = np.round(values[1])
        values[2] = 0.25  # equal values
    for truth in (0.0, 0.1):
        found = p_values(values, truth)
        for place, row in enumerate(values):
            worse = mean_interval(row - truth).p_worse
            better = mean_interval(truth - row).p_worse
            assert found.worse[place] == pytest.approx(worse, abs=2.1e-4)
            assert found.better[place] == pytest.approx(better, abs=2.1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_sparing_draws_changes_no_decision(shape):
    values = harms(shape, np.random.default_rng(8), 300, 30, 1, 0.0).mean(axis=2)
    for level in (0.05, 0.2):
        every, spared = p_values(values, 0.1), p_values(values, 0.1, level)
        for side, quick in zip(every, spared, strict=True):
            assert ((side < level) == (quick < level)).all()


@pytest.mark.parametrize(("seeds", "rate"), [(1, 0.9), (4, 0.97), (4, 0.5)])
def test_simulated_shares_are_those_that_are_used(seeds, rate):
    baseline, candidate = passes(np.random.default_rng(2), 30, 60, seeds, rate, 0.1)
    found = rate_p_values(baseline, candidate)
    for place in range(30):
        expected = rate_interval(baseline[place], candidate[place])
        assert found.worse[place] == pytest.approx(expected.p_worse, abs=2.1e-4)


def test_simulated_families_are_those_that_are_used():
    p = np.random.default_rng(3).random((5, 20)) ** 2
    found = validation._holm(p)
    for place in range(20):
        expected = holm({str(k): p[k, place] for k in range(5)})
        assert found[:, place] == pytest.approx(list(expected.values()))


@pytest.mark.parametrize("shape", SHAPES)
def test_drawn_harm_has_mean_0_and_the_intraclass_correlation(shape):
    drawn = harms(shape, np.random.default_rng(4), 200, 500, 2, 0.6)
    error = drawn.mean(axis=2).std() / (200 * 500) ** 0.5
    assert abs(drawn.mean()) < 4 * error
    if shape in {"normal", "t3"}:
        found = np.corrcoef(drawn[..., 0].ravel(), drawn[..., 1].ravel())[0, 1]
        assert found == pytest.approx(0.6, abs=0.05)
    with pytest.raises(ValueError, match="no shape"):
        harms("cauchy", np.random.default_rng(4), 1, 2, 1, 0.0)


def test_drawn_passes_have_their_rates():
    baseline, candidate = passes(np.random.default_rng(5), 100, 500, 4, 0.9, 0.05)
    assert baseline.mean() == pytest.approx(0.9, abs=0.005)
    assert candidate.mean() == pytest.approx(0.85, abs=0.005)


def test_some_seeds_are_one_to_all():
    ones = np.cumsum(np.ones((1, 3000, 4)), axis=2)  # the mean of the first n is (n + 1) / 2
    means = some_seeds(ones, np.random.default_rng(6))
    assert set(np.unique(means)) == {1.0, 1.5, 2.0, 2.5}


def test_the_same_picture_twice_is_no_more_evidence():
    """Copies of seeds change nothing; copies taken for pictures narrow it: the negative control."""
    rows = harms("normal", np.random.default_rng(7), 50, 60, 2, 0.5)
    once = student_p_values(rows.mean(axis=2))
    twice = student_p_values(np.tile(rows, 2).mean(axis=2))
    assert np.allclose(once.worse, twice.worse)
    copied = student_p_values(np.concatenate([rows, rows], axis=1).mean(axis=2))
    assert np.minimum(copied.worse, copied.better).mean() < np.minimum(*once).mean()


def test_no_experiment_depends_on_another():
    alone = validation.grid("normal", 50, 2, 0.3, 500)
    validation.grid("normal", 50, 4, 0.3, 500)
    assert validation.grid("normal", 50, 2, 0.3, 500) == alone
    assert validation.grid("normal", 50, 2, 0.6, 500) != alone
