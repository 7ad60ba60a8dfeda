"""FID∞: its sizes, its line, and that it takes the bias away."""

from __future__ import annotations

import numpy as np
import pytest

from qa.sets.frechet import Frechet, Moments
from qa.sets.infinity import FIDInfinity, sizes

WIDTH = 8


def rows(count, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(count, WIDTH))


@pytest.mark.parametrize(
    ("count", "first", "number"),
    [(16, 8, 9), (17, 9, 9), (100, 50, 15), (9000, 4500, 15), (10000, 5000, 15), (50000, 5000, 15)],
)
def test_the_sizes_are_those_stated(count, first, number):
    found = sizes(count)
    assert (found[0], found[-1], len(found)) == (first, count, number)
    assert (np.diff(found) > 0).all()


def test_it_is_the_intercept_of_the_line():
    """With one row left out of each subset the line can be drawn again from the same subsets."""
    x, y = rows(64), rows(200, 1)
    rng = np.random.default_rng(3)
    counts = sizes(len(x))
    values = [Frechet(y)(x[np.sort(rng.permutation(len(x))[:n])]) for n in counts]
    expected = np.polyfit(1 / counts, values, 1)[1]
    assert FIDInfinity(y, seed=3)(x) == pytest.approx(expected, rel=1e-9)
    assert values[-1] == Frechet(y)(x)
    assert FIDInfinity(y, seed=4)(x) != FIDInfinity(y, seed=3)(x)


def test_it_has_no_bias_that_falls_as_one_over_n():
    truth = Moments.given(np.zeros(WIDTH), np.eye(WIDTH))
    true, draws = WIDTH * 0.2**2, 100
    pairs = [
        (Frechet(truth)(x), FIDInfinity(truth)(x))
        for x in (rows(300, s, 1.2) for s in range(draws))
    ]
    plain, infinite = np.array(pairs).T
    error = infinite.std() / np.sqrt(draws)
    assert infinite.mean() == pytest.approx(true, abs=3 * error)
    # negative control: the plain distance fails the same check
    assert plain.mean() - true > 3 * error


def test_global_random_numbers_are_left_alone():
    before = np.random.get_state()[1].copy()
    FIDInfinity(rows(200, 1))(rows(64))
    assert np.array_equal(np.random.get_state()[1], before)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="15 rows; this statistic needs at least 16"):
        FIDInfinity(rows(200))(rows(15))
