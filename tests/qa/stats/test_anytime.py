"""Bounds that hold at every moment: how often they err when somebody looks all the time."""

import math

import numpy as np
import pytest

from qa.stats.anytime import BETS, anytime_interval, wealth

LARGEST = 2.0


def once(count: int):
    """Each answer was drawn one time."""
    return np.ones(count, dtype=int)


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
        return any(
            wealth(scores[:n], weights[:n], once(n), LARGEST, limit) >= math.log(20) for n in looks
        )
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
             if anytime_interval(scores[:n], weights[:n], once(n), LARGEST).low > 0.4), 999,
        ))  # fmt: skip
    assert np.median(stops) <= 100


def test_the_order_of_the_draws_changes_nothing():
    scores, weights = draws(np.random.default_rng(2), 0.5, 80)
    one = anytime_interval(scores, weights, once(80), LARGEST)
    two = anytime_interval(scores[::-1], weights[::-1], once(80), LARGEST)
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=1e-12)


def test_exchanged_arms_mirror_the_bounds():
    scores, weights = draws(np.random.default_rng(3), 0.6, 80)
    one = anytime_interval(scores, weights, once(80), LARGEST)
    two = anytime_interval(1 - scores, weights, once(80), LARGEST)
    assert (1 - two.high, 1 - two.low) == pytest.approx((one.low, one.high), abs=1e-12)


def test_the_bound_is_where_the_wealth_reaches_its_limit():
    scores, weights = draws(np.random.default_rng(4), 0.7, 60)
    times = np.tile([1, 2, 5], 20)
    found = anytime_interval(scores, weights, times, LARGEST, 0.9)
    assert wealth(scores, weights, times, LARGEST, found.low) == pytest.approx(
        math.log(20), abs=1e-6
    )
    rates = np.linspace(0.01, 1, 50)
    assert (np.diff([wealth(scores, weights, times, LARGEST, r) for r in rates]) <= 1e-9).all()


def test_one_draw_by_hand():
    """A win against 1/2 with w = 1, W = 2 multiplies a bet f by 1 + f / 2."""
    found = wealth(np.array([1.0]), np.array([1.0]), once(1), 2.0, 0.5)
    assert found == pytest.approx(math.log(np.mean(1 + BETS / 2)))


def test_nothing_is_said_of_nothing_and_nonsense_is_refused():
    assert anytime_interval([], [], [], LARGEST) is None
    with pytest.raises(ValueError, match="scores lie"):
        anytime_interval([1.2], [1.0], [1], LARGEST)
    with pytest.raises(ValueError, match="weights lie"):
        anytime_interval([1.0], [2.5], [1], LARGEST)
    with pytest.raises(ValueError, match="once or more"):
        anytime_interval([1.0], [1.0], [0], LARGEST)


@pytest.mark.parametrize("times", [1, 2, 3, 40, 400])
def test_the_factor_of_an_answer_lies_below_the_power_whatever_its_rate_is(times):
    """What makes it fair: E[factor] <= (1 + f / (W m) w (p - m))^n for any chance p of a win."""
    weight, rate, n = np.array([1.3]), 0.4, np.array([times])
    lost, won = (
        math.exp(wealth(np.array([score]), weight, n, LARGEST, rate)) for score in (0.0, 1.0)
    )
    assert 0 <= lost <= 1
    assert lost < won <= 1 / rate
    for chance in np.linspace(0, 1, 41):
        power = np.mean((1 + BETS / (LARGEST * rate) * weight * (chance - rate)) ** times)
        assert chance * won + (1 - chance) * lost <= power * (1 + 1e-9)


def test_an_answer_that_is_drawn_often_tells_less_than_as_many_answers():
    """Twelve answers are twelve, however often they were drawn."""
    scores, weights = np.tile([1.0, 1.0, 0.0], 4), np.ones(12)
    often = anytime_interval(scores, weights, once(12) * 20, 1.0)
    many = anytime_interval(np.tile(scores, 20), np.ones(240), once(240), 1.0)
    assert often.mean == many.mean
    assert many.low > 0.5 > often.low
    assert often.count == 12


def test_one_answer_that_was_drawn_for_ever_is_one_answer():
    found = anytime_interval([1.0], [1.0], [10**6], 1.0)
    assert found.low < 0.06
    assert found.high == pytest.approx(1)
    assert anytime_interval([0.0], [1.0], [10**6], 1.0).p_worse > 0.4


def ever_wrong(rng, times_of, pictures=12, count=120, reviews=200):
    """How often bounds of a review of few pictures, looked at after every answer, leave out the
    rate of 1/2 at which each of its answers is a coin."""
    errs = 0
    for _ in range(reviews):
        coins = (rng.random(pictures) < 0.5).astype(float)
        drawn = rng.integers(pictures, size=count)
        for looked in range(10, count + 1, 10):
            scores, times = times_of(coins, drawn[:looked])
            if wealth(scores, np.ones(len(scores)), times, 1.0, 0.5) >= math.log(20):
                errs += 1
                break
    return errs / reviews


def test_few_pictures_that_are_drawn_often_keep_the_error_rate():
    def apart(coins, drawn):
        numbers, times = np.unique(drawn, return_counts=True)
        return coins[numbers], times

    assert ever_wrong(np.random.default_rng(6), apart) <= 0.05
    naive = ever_wrong(
        np.random.default_rng(6), lambda coins, drawn: (coins[drawn], once(len(drawn)))
    )
    assert naive > 0.15, "the control: each draw as an answer of its own"
