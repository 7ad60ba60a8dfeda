"""Which pairs a review shows: chances and weights are those that the page says."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from raters import SHARES, plan, stock

from qa.errors import UsageError
from qa.review.plan import DEFECT, IDENTICAL


def real(made):
    return [pair for pair in made.pairs if not pair.catch]


def test_weights_are_those_of_the_mixture():
    harm = [float(place) for place in range(50)]  # the worst five, and the five nearest 1
    made = plan(50, harm, draws=2000)
    worst, near = {f"p{k:03}" for k in range(45, 50)}, {f"p{k:03}" for k in range(5)}
    for pair in real(made):
        chance = 0.5 / 50 + 0.25 / 5 * (pair.sample in worst) + 0.25 / 5 * (pair.sample in near)
        assert pair.weight == pytest.approx(1 / 50 / chance, rel=1e-12)
    assert {pair.sample for pair in real(made)} >= worst | near


def test_draws_come_as_often_as_their_chances_say():
    harm = [float(place) for place in range(50)]
    made = plan(50, harm, draws=20000)
    counts = Counter(made.pairs[number].sample for number in made.draws)
    chance = 0.5 / 50 + 0.25 / 5
    error = (20000 * chance * (1 - chance)) ** 0.5
    assert abs(counts["p049"] - 20000 * chance) < 4 * error
    assert abs(counts["p020"] - 20000 * 0.01) < 4 * (20000 * 0.01) ** 0.5
    assert abs(counts["p049"] - 20000 * 0.02) > 4 * error  # as often as by chance alone: no


def test_the_weighted_mean_is_that_of_all_pictures():
    """E[w x] is the mean of x over pictures, though the worst are drawn six times as often."""
    harm = [float(place) for place in range(50)]
    value = {f"p{k:03}": float(k >= 45) for k in range(50)}  # what only the worst have
    means = []
    for seed in range(300):
        made = plan(50, harm, draws=60, seed=seed)
        rows = [made.pairs[number] for number in made.draws]
        means.append(np.mean([pair.weight * value[pair.sample] for pair in rows]))
    error = np.std(means) / len(means) ** 0.5
    assert abs(np.mean(means) - 0.1) < 4 * error
    plain = [value[made.pairs[number].sample] for number in made.draws]
    assert np.mean(plain) > 0.2  # without weights it would be that of what was drawn


def test_without_known_harm_all_is_drawn_at_random():
    made = plan(30)
    assert made.shares == {"harm": 0.0, "margin": 0.0, "random": 1.0}
    assert {pair.weight for pair in real(made)} == {1.0}
    assert made.largest == 1


def test_nothing_is_worst_where_nothing_was_harmed():
    made = plan(30, [-1.0] * 30)
    assert made.shares["harm"] == 0
    assert made.shares["random"] == pytest.approx(SHARES["random"] + SHARES["harm"])


def test_a_pair_is_shown_once_however_often_it_is_drawn():
    made = plan(5, draws=400)
    assert len(made.draws) == 400
    keys = [(pair.sample, pair.seed) for pair in real(made)]
    assert sorted(keys) == sorted(set(keys))
    assert len(keys) == 10  # five pictures at two seeds


def test_pairs_are_shown_in_the_order_of_their_first_draw():
    made = plan(60, draws=150)
    first = list(dict.fromkeys(made.draws))
    assert first == sorted(first) == [pair.number for pair in real(made)]


def test_catch_trials_are_of_both_kinds_and_all_over_the_review():
    made = plan(200, draws=150)
    kinds = Counter(pair.catch for pair in made.catches)
    assert kinds[DEFECT] == kinds[IDENTICAL]
    assert sum(kinds.values()) >= 0.1 * len(real(made))
    places = [pair.number for pair in made.catches]
    assert max(b - a for a, b in pairwise([0, *places, len(made.pairs)])) < 2.1 * (
        len(made.pairs) / len(places)
    )
    assert plan(200, draws=150, catch=0.0).catches == ()


@pytest.mark.parametrize(("lapses", "each"), [(0.01, 2), (0.1, 3), (0.3, 5)])
def test_the_first_trials_are_enough_to_know_a_rater_and_come_soon(lapses, each):
    """So many of a kind that to miss them all is rarer than 1 %, there being two kinds."""
    assert 2 * lapses**each < 0.01 <= 2 * lapses ** (each - 1)
    made = plan(400, draws=400, lapses=lapses)
    first = made.catches[: 2 * each]
    assert Counter(pair.catch for pair in first) == {DEFECT: each, IDENTICAL: each}
    assert first[-1].number < 5 * 2 * each
    few = plan(400, draws=10, lapses=lapses)
    assert Counter(pair.catch for pair in few.catches) == {DEFECT: each, IDENTICAL: each}
    assert few.catches[-1].number >= len(few.pairs) * (1 - 1 / (2 * each)) - 1


def test_catch_trials_are_a_share_of_what_is_asked():
    """Nine in ten pictures are alike in both arms, and nobody sees those pairs."""
    same = stock(200, seeds=1)
    for place, name in enumerate(same.samples):
        if place % 10:
            same.digests[1][name, 0] = same.digests[0][name, 0]
    made = plan(of=same, draws=400)
    asked = list(made.asked)
    assert len(made.catches) == 6
    places = [place for place, pair in enumerate(asked) if pair.catch]
    edges = [round(k * len(asked) / 6) for k in range(7)]
    assert all(low <= at < high for at, (low, high) in zip(places, pairwise(edges), strict=True))
    assert [made.pairs[number].alike for number in dict.fromkeys(made.draws)].count(True) > 100
    for name in same.samples:
        same.digests[1][name, 0] = same.digests[0][name, 0]
    assert list(plan(of=same, draws=50).asked) == []


def test_a_catch_trial_is_one_picture_twice():
    for pair in plan(40).catches:
        assert pair.first == pair.second
        assert pair.digests[0] == pair.digests[1]
        assert not pair.alike


def test_three_arms_meet_each_other():
    made = plan(60, arms=3, draws=300)
    met = Counter((made.pairs[n].first, made.pairs[n].second) for n in made.draws)
    assert set(met) == {("A", "B"), ("A", "C"), ("B", "C")}
    assert min(met.values()) > 60


def test_equal_seeds_give_equal_plans_and_others_do_not():
    assert plan(60, seed=1) == plan(60, seed=1)
    assert plan(60, seed=1) != plan(60, seed=2)


def test_sides_are_by_lot_and_those_of_catch_trials_alternate():
    made = plan(300, draws=300)
    sides = [made.first_is_left(pair, "Ada") for pair in real(made)]
    assert 0.4 < np.mean(sides) < 0.6
    assert sides != [made.first_is_left(pair, "Grace") for pair in real(made)]
    for kind in (DEFECT, IDENTICAL):
        trials = [pair for pair in made.catches if pair.catch == kind]
        turns = [made.first_is_left(pair, "Ada") for pair in trials]
        assert all(a != b for a, b in pairwise(turns))


def test_pictures_that_are_equal_are_not_asked():
    same = stock(4, seeds=1)
    same.digests[1]["p001", 0] = same.digests[0]["p001", 0]
    made = plan(of=same, draws=100)
    assert {pair.sample for pair in made.pairs if pair.alike} == {"p001"}
    assert "p001" not in {pair.sample for pair in made.asked if not pair.catch}


@pytest.mark.parametrize(
    "terms",
    [
        {"draws": 0},
        {"margin": 0.0},
        {"margin": 0.5},
        {"rule": "soon"},
        {"catch": 1.0},
        {"lapses": 0.0},
        {"raters": 0},
        {"confidence": 1.0},
        {"seed": -1},
        {"shares": {"harm": 0.5, "margin": 0.5, "random": 0.0}},
        {"shares": {"harm": 0.5, "random": 0.6, "margin": 0.0}},
        {"shares": {"random": 1.0}},
    ],
)
def test_terms_that_cannot_be_registered(terms):
    with pytest.raises(UsageError, match="cannot be that"):
        plan(10, **terms)
