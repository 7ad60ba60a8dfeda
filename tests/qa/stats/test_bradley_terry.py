"""Strengths of arms: against choix, by hand, and their intervals by simulation."""

import math

import choix
import numpy as np
import pytest

from qa.stats.bradley_terry import Duel, bradley_terry


def drawn(seed: int, truth, pictures: int, ties: float = 0.0) -> list[Duel]:
    """Every pair of arms once for each picture."""
    rng = np.random.default_rng(seed)
    found = []
    for picture in range(pictures):
        for i in range(len(truth)):
            for j in range(i):
                chance = 1 / (1 + math.exp(truth[j] - truth[i]))
                score = 0.5 if rng.random() < ties else float(rng.random() < chance)
                found.append(Duel(picture, f"arm{i}", f"arm{j}", score))
    return found


def values(duels) -> dict[str, float]:
    return {entry.arm: entry.value for entry in bradley_terry(duels)}


@pytest.mark.parametrize("seed", range(12))
def test_strengths_are_those_of_choix(seed):
    rng = np.random.default_rng(seed)
    arms = 2 + seed % 4
    duels = drawn(seed, rng.normal(size=arms), 60)
    games = [
        (int(d.first[3:]), int(d.second[3:])) if d.score else (int(d.second[3:]), int(d.first[3:]))
        for d in duels
    ]
    expected = choix.opt_pairwise(arms, games, alpha=0, method="Newton-CG", tol=1e-12)
    expected -= expected.mean()
    found = values(duels)
    assert [found[f"arm{i}"] for i in range(arms)] == pytest.approx(list(expected), abs=1e-6)


def test_two_arms_by_hand():
    """Three wins and one loss: odds of 3, and ± half of their logarithm."""
    duels = [Duel(n, "a", "b", float(n > 0)) for n in range(4)]
    found = bradley_terry(duels)
    assert [entry.arm for entry in found] == ["a", "b"]
    assert [entry.value for entry in found] == pytest.approx([math.log(3) / 2, -math.log(3) / 2])


def test_a_tie_is_half_a_win_for_each():
    ties = [Duel(0, "a", "b", 0.5), Duel(1, "a", "b", 0.5), Duel(2, "a", "b", 1.0)]
    wins = [Duel(0, "a", "b", 1.0), Duel(1, "a", "b", 0.0), Duel(2, "a", "b", 1.0)]
    assert values(ties) == pytest.approx(values(wins))


def test_who_is_named_first_does_not_matter():
    duels = drawn(3, (0.0, 0.4, -0.5), 40, ties=0.2)
    turned = [Duel(d.picture, d.second, d.first, 1 - d.score, d.weight) for d in duels]
    assert values(turned) == pytest.approx(values(duels), abs=1e-12)


def test_a_weight_is_so_many_duels():
    duels = drawn(4, (0.0, 0.7), 30)
    heavy = [Duel(d.picture, d.first, d.second, d.score, 2.0) for d in duels]
    assert values(heavy) == pytest.approx(values(duels + duels))


@pytest.mark.parametrize(
    ("duels", "named"),
    [
        ([Duel(0, "a", "b", 1.0), Duel(1, "a", "b", 1.0)], "b"),
        ([Duel(0, "a", "b", 1.0), Duel(1, "b", "a", 1.0), Duel(2, "c", "d", 0.5)], "c, d"),
    ],
)
def test_arms_without_a_finite_strength_are_named(duels, named):
    with pytest.raises(ValueError, match=f"no finite strength: {named} won, lost or met"):
        bradley_terry(duels)


@pytest.mark.parametrize("pictures", [0, 1])
def test_fewer_than_two_pictures_have_no_strengths(pictures):
    duels = [Duel(number, "A", "B", 0.5) for number in range(pictures)]
    with pytest.raises(ValueError, match="fewer than two pictures"):
        bradley_terry(duels)
    assert len(bradley_terry([*duels, Duel("p", "A", "B", 1.0), Duel("q", "B", "A", 1.0)])) == 2


def test_intervals_cover_the_truth():
    """Pictures are alike here; 95 % but for 2.6 standard errors of 300 runs of 3 arms."""
    truth = np.array([0.5, 0.0, -0.5])
    hits = sum(
        entry.low <= truth[int(entry.arm[3:])] <= entry.high
        for seed in range(300)
        for entry in bradley_terry(drawn(seed, truth, 60), confidence=0.95)
    )
    assert abs(hits / 900 - 0.95) < 2.6 * (0.95 * 0.05 / 300) ** 0.5
