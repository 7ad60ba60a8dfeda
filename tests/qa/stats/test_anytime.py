"""Bounds that hold at every moment: how often they err when somebody looks all the time."""

import math

import numpy as np
import pytest

from qa.stats.anytime import BETS, anytime_interval, wealth

LARGEST = 2.0


def draws(rng, rate: float, count: int, ties: float = 0.2):
    """Scores with this mean, and the weights of pictures of which half are drawn evenly."""
    pictures = 100
    chance = 1 / pictures / LARGEST + (1 - 1 / LARGEST) * rng.dirichlet(np.ones(pictures))
    drawn = rng.choice(pictures, count, p=chance)
    wins = (rate - ties / 2) / (1 - ties)
    scores = np.where(rng.random(count) < ties, 0.5, (rng.random(count) < wins).astype(float))
    return scores, 1 / pictures / chance[drawn]


def ever_above(rng, rate: float, limit: float, looks, peeking: bool) -> bool:
    """Whether the lower bound ever lies above `limit`, of one review that is looked at so often."""
    scores, weights = draws(rng, rate, looks[-1])
    if peeking:
        return any(wealth(scores[:n], weights[:n], LARGEST, limit) >= math.log(20) for n in looks)
    for n in looks:  # what one would do without: Student's one-sided test at each look
        z = weights[:n] * (scores[:n] - limit)
        if z.mean() > 1.645 * z.std(ddof=1) / math.sqrt(n):
            return True
    return False


def test_who_looks_all_the_time_errs_in_one_of_twenty_at_most():
    looks = range(10, 301, 5)
    rng = np.random.default_rng(0)
    errs = sum(ever_above(rng, 0.4, 0.4, looks, True) for _ in range(400)) / 400
    assert errs < 0.05 + 2.6 * (0.05 * 0.95 / 400) ** 0.5
    rng = np.random.default_rng(0)
    naive = sum(ever_above(rng, 0.4, 0.4, looks, False) for _ in range(400)) / 400
    assert naive > 0.15, "the control: a plain test at every look"


def test_a_clear_preference_is_seen_soon():
    rng = np.random.default_rng(1)
    stops = []
    for _ in range(40):
        scores, weights = draws(rng, 0.6, 300)
        stops.append(next(
            (n for n in range(10, 301, 10)
             if anytime_interval(scores[:n], weights[:n], LARGEST).low > 0.4), 999,
        ))  # fmt: skip
    assert np.median(stops) <= 100


def test_the_order_of_the_draws_changes_nothing():
    scores, weights = draws(np.random.default_rng(2), 0.5, 80)
    one = anytime_interval(scores, weights, LARGEST)
    two = anytime_interval(scores[::-1], weights[::-1], LARGEST)
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-12)


def test_exchanged_arms_mirror_the_bounds():
    scores, weights = draws(np.random.default_rng(3), 0.6, 80)
    one = anytime_interval(scores, weights, LARGEST)
    two = anytime_interval(1 - scores, weights, LARGEST)
    assert (1 - two.high, 1 - two.low) == pytest.approx((one.low, one.high), abs=1e-12)


def test_the_bound_is_where_the_wealth_reaches_its_limit():
    scores, weights = draws(np.random.default_rng(4), 0.7, 60)
    found = anytime_interval(scores, weights, LARGEST, 0.9)
    assert wealth(scores, weights, LARGEST, found.low) == pytest.approx(math.log(20), abs=1e-6)
    rates = np.linspace(0.01, 1, 50)
    assert (np.diff([wealth(scores, weights, LARGEST, r) for r in rates]) <= 1e-9).all()


def test_one_draw_by_hand():
    """A win against 1/2 with w = 1, W = 2 multiplies a bet f by 1 + f / 2."""
    found = wealth(np.array([1.0]), np.array([1.0]), 2.0, 0.5)
    assert found == pytest.approx(math.log(np.mean(1 + BETS / 2)))


def test_nothing_is_said_of_nothing_and_nonsense_is_refused():
    assert anytime_interval([], [], LARGEST) is None
    with pytest.raises(ValueError, match="scores lie"):
        anytime_interval([1.2], [1.0], LARGEST)
    with pytest.raises(ValueError, match="weights lie"):
        anytime_interval([1.0], [2.5], LARGEST)
