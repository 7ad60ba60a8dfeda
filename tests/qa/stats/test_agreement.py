"""Krippendorff's alpha: against the library of that name, by hand, its interval by simulation."""

import krippendorff as library
import numpy as np
import pytest

from qa.stats.agreement import krippendorff

CATEGORIES = ("left", "right", "tie", "bad")


def drawn(seed: int, items: int, raters: int, there: float, same: float) -> list[dict[str, str]]:
    """Answers: the item's own category so often as `same` says, else chance; some are missing."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(items):
        own = rng.choice(CATEGORIES, p=(0.5, 0.3, 0.15, 0.05))
        found.append({
            f"r{rater}": str(own if rng.random() < same else rng.choice(CATEGORIES))
            for rater in range(raters)
            if rng.random() < there
        })  # fmt: skip
    return found


def by_library(answers: list[dict[str, str]], raters: int) -> float:
    table = [
        [CATEGORIES.index(item[f"r{r}"]) if f"r{r}" in item else np.nan for item in answers]
        for r in range(raters)
    ]
    return float(library.alpha(np.array(table), level_of_measurement="nominal"))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_librarys(seed):
    raters = 2 + seed % 4
    answers = drawn(seed, 40, raters, 0.6 + 0.02 * seed, seed / 20)
    assert krippendorff(answers).alpha == pytest.approx(by_library(answers, raters), abs=1e-12)


def test_four_items_by_hand():
    """Two raters agree on three of four items: D_o = 1/4; with 4 a, 4 b, D_e = 32 / 56."""
    pairs = [("a", "a"), ("a", "a"), ("b", "b"), ("b", "a")]
    found = krippendorff([{"x": one, "y": two} for one, two in pairs])
    counted = {"a": 5, "b": 3}
    expected = 1 - (2 / 8) / ((64 - sum(n**2 for n in counted.values())) / (8 * 7))
    assert found.alpha == pytest.approx(expected)
    assert (found.items, found.answers) == (4, 8)


def test_who_answered_alone_says_nothing():
    answers = drawn(1, 30, 3, 0.8, 0.5)
    assert krippendorff([*answers, {"r0": "tie"}, {}]) == krippendorff(answers)


@pytest.mark.parametrize(
    "answers", [[], [{"x": "a"}], [{"x": "a", "y": "a"}, {"x": "a", "y": "a"}]]
)
def test_without_two_categories_there_is_no_alpha(answers):
    found = krippendorff(answers)
    assert (found.alpha, found.low, found.high) == (None, None, None)


@pytest.mark.slow
def test_the_interval_covers_what_many_items_have():
    """95 % hold the alpha of 20,000 items, but for 2.6 standard errors of 400 runs."""
    truth = krippendorff(drawn(99, 20_000, 3, 1.0, 0.6)).alpha
    hits = 0
    for seed in range(400):
        found = krippendorff(drawn(seed, 80, 3, 1.0, 0.6), confidence=0.95)
        hits += found.low <= truth <= found.high
    assert abs(hits / 400 - 0.95) < 2.6 * (0.95 * 0.05 / 400) ** 0.5
