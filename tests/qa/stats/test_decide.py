"""Rules from interval to state: every state, its edges, and how often each rule errs."""

from __future__ import annotations

import numpy as np
import pytest

from qa.stats import (
    Interval,
    clopper_pearson,
    equivalence,
    mean_interval,
    non_inferiority,
    tail,
    threshold,
)
from qa.stats.decide import Outcome


def interval(low, high, count=100):
    return Interval((low + high) / 2, low, high, (high - low) * 3, count)


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (-0.3, -0.1, "IMPROVED"),
        (-0.3, 0.0, "PASS"),
        (-0.1, 0.19, "PASS"),
        (0.0, 0.19, "PASS"),
        (0.01, 0.19, "PASS-DRIFT"),
        (0.01, 0.2, "FAIL"),
        (0.2, 0.4, "FAIL"),
        (0.0, 0.2, "INCONCLUSIVE"),
        (-0.3, 0.5, "INCONCLUSIVE"),
    ],
)
def test_non_inferiority(low, high, state):
    found = non_inferiority(interval(low, high), 0, 0.2, 0.9)
    assert found.state == state
    assert found.why
    assert (found.needs is not None) == (state == "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (-0.1, 0.1, "PASS"),
        (0.01, 0.19, "PASS"),
        (-0.2, 0.1, "INCONCLUSIVE"),
        (-0.1, 0.2, "INCONCLUSIVE"),
        (0.1, 0.3, "INCONCLUSIVE"),
        (0.2, 0.3, "FAIL"),
        (-0.3, -0.2, "FAIL"),
    ],
)
def test_equivalence(low, high, state):
    found = equivalence(interval(low, high), 0, 0.2, 0.9)
    assert found.state == state
    mirrored = equivalence(interval(-high, -low), 0, 0.2, 0.9)
    assert (mirrored.state, mirrored.needs) == (found.state, found.needs)


def test_a_gain_is_no_equivalence():
    """Negative control: what non-inferiority calls improved is not the same decoder."""
    gain = interval(-0.9, -0.5)
    assert non_inferiority(gain, 0, 0.2, 0.9).state == "IMPROVED"
    assert equivalence(gain, 0, 0.2, 0.9) == Outcome("FAIL", "better by the margin or more")


@pytest.mark.parametrize(
    ("low", "high", "better", "state"),
    [
        (30.0, 31.0, "higher", "PASS"),
        (28.0, 29.9, "higher", "FAIL"),
        (29.0, 31.0, "higher", "INCONCLUSIVE"),
        (30.0, 31.0, "lower", "FAIL"),
        (28.0, 30.0, "lower", "PASS"),
        (30.0, 30.0, "higher", "PASS"),
        (30.0, 30.0, "lower", "PASS"),
    ],
)
def test_threshold(low, high, better, state):
    assert threshold(interval(low, high), 30.0, better, 0.9).state == state


@pytest.mark.parametrize("rule", [non_inferiority, equivalence])
def test_what_cannot_be_judged(rule):
    assert rule(None, 0, 0.2, 0.9) == Outcome("INVALID", "nothing was compared")
    assert rule(None, 3, 0.2, 0.9).state == "INVALID"
    gap = rule(interval(-0.1, 0.1, 9), 1, 0.2, 0.9)
    assert gap == Outcome("INVALID", "1 of 10 pictures have no pair of values")
    one = rule(Interval(0.0, None, None, None, 1), 0, 0.2, 0.9)
    assert (one.state, one.needs) == ("INCONCLUSIVE", 2)


def test_a_limit_that_cannot_be_judged():
    assert threshold(None, 30.0, "higher").state == "INVALID"
    assert threshold(interval(31, 32), 30.0, "higher", missing=1).state == "INVALID"
    assert threshold(Interval(31.0, None, None, None, 1), 30.0, "higher").needs == 2


@pytest.mark.parametrize(
    ("events", "count", "state"),
    [(0, 299, "PASS"), (0, 298, "INCONCLUSIVE"), (1, 299, "INCONCLUSIVE"), (20, 299, "FAIL")],
)
def test_tail(events, count, state):
    assert tail(events, count, 0.01, 0.9).state == state


def test_a_tail_says_what_would_settle_it():
    assert tail(0, 24, 0.01, 0.9).needs == 299
    rare = tail(1, 250, 0.01, 0.9).needs
    assert clopper_pearson(rare / 250, rare)[1] < 0.01
    assert clopper_pearson((rare - 1) / 250, rare - 1)[1] >= 0.01
    often = tail(1, 24, 0.01, 0.9).needs
    assert clopper_pearson(often / 24, often)[0] > 0.01
    assert tail(1, 100, 0.01, 0.9).needs is None  # exactly the rate: never
    assert tail(0, 0, 0.01).state == "INVALID"


@pytest.mark.parametrize("n", [24, 80])
def test_what_is_undecided_needs_more_pictures(n):
    rng = np.random.default_rng(n)
    seen = 0
    for shape in (rng.normal(size=n), np.exp(rng.normal(size=n)) - 1.6):
        harm = mean_interval(shape)
        for margin in (0.05, 0.1, 0.3):
            rules = (non_inferiority, equivalence)
            outcomes = [rule(harm, 0, margin, 0.9) for rule in rules]
            outcomes.append(threshold(harm, margin, "higher"))
            for outcome in outcomes:
                if outcome.state == "INCONCLUSIVE" and outcome.needs is not None:
                    seen += 1
                    assert outcome.needs > n
    assert seen
