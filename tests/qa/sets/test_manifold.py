"""Precision, recall, density, coverage: by hand, by brute force, and the prdc package."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from precision import confirm

from qa.sets import rows as rows_module
from qa.sets.manifold import Coverage, Density, Precision, Recall

ALL = (Precision, Recall, Density, Coverage)


def rows(count, seed=0, width=6, scale=1.0, shift=0.0):
    return shift + scale * np.random.default_rng(seed).normal(size=(count, width))


def line(*places):
    return np.array(places, dtype=float)[:, None]


def brute(x, y, k, surface):
    """All four with the same kind of ball, from the definitions: exact distances, no blocks."""

    def between(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(axis=2)

    def radii(a):
        return np.sort(between(a, a), axis=1)[:, k]  # place 0 is the row itself

    inside = np.less_equal if surface else np.less
    in_y, in_x = inside(between(x, y), radii(y)), inside(between(y, x), radii(x))
    return {
        Precision: in_y.any(axis=1).mean(),
        Recall: in_x.any(axis=1).mean(),
        Density: in_y.sum() / k / len(x),
        Coverage: in_y.any(axis=0).mean(),
    }


def test_a_case_by_hand():
    """y = 0, 1, 3 with k = 1: radii 1, 1, 2, so the balls are [-1,1], [0,2] and [1,5].

    x = -1, 1, 9: -1 lies on the surface of the first ball only; 1 on that of the first and the
    third and in the middle of the second; 9 in none. x's own radii: 2, 2, 8, balls [-3,1], [-1,3],
    [1,17].
    """
    y, x = line(0, 1, 3), line(-1, 1, 9)
    assert Precision(y, k=1)(x) == pytest.approx(2 / 3)
    assert Recall(y, k=1)(x) == 1.0
    assert Density(y, k=1)(x) == pytest.approx(1 / 3)  # only the middle one, strictly
    assert Coverage(y, k=1)(x) == pytest.approx(1 / 3)
    # negative controls: exchanged sides, and the other kind of ball, give other numbers
    assert Precision(x, k=1)(y) != pytest.approx(2 / 3)
    assert brute(x, y, 1, surface=False)[Precision] == pytest.approx(1 / 3)
    assert brute(x, y, 1, surface=True)[Density] == pytest.approx(4 / 3)


@pytest.mark.parametrize("statistic", ALL)
def test_the_page_has_them(statistic):
    x, y, closed = rows(40, scale=0.8), rows(50, 9, shift=0.2), statistic in (Precision, Recall)
    expected = brute(x, y, 3 if closed else 5, surface=closed)[statistic]
    name = statistic.__name__.lower()
    confirm(name, statistic(y)(x), expected, 1e-12, "own formula, every pair of rows")


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_they_are_their_definitions(k, seed):
    x, y = rows(40, seed, scale=0.8), rows(50, seed + 9, shift=0.2)
    closed, opened = brute(x, y, k, surface=True), brute(x, y, k, surface=False)
    for statistic, expected in ((Precision, closed), (Recall, closed), (Density, opened)):
        assert statistic(y, k=k)(x) == pytest.approx(expected[statistic], abs=1e-12)
    assert Coverage(y, k=k)(x) == pytest.approx(opened[Coverage], abs=1e-12)
    # negative control: precision and recall exchanged fail the same check
    assert Precision(y, k=k)(x) != pytest.approx(closed[Recall], abs=1e-12)


def test_ties_are_decided_exactly():
    """On a grid of thirds every distance is a tie, and none of the places is a binary fraction."""
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(7)), -1).reshape(-1, 2) / 3 + 9
    x, y = np.split(np.random.default_rng(0).permutation(grid)[:48], 2)
    for statistic in ALL:
        expected = brute(x, y, 3, statistic in (Precision, Recall))[statistic]
        assert statistic(y, k=3)(x) == pytest.approx(expected, abs=1e-12)
    # negative control: distances by products alone fail the same check
    squares = [(part**2).sum(axis=1) for part in (y, y, x)]
    within = squares[0][:, None] + squares[1] - 2 * y @ y.T
    across = squares[2][:, None] + squares[0] - 2 * x @ y.T
    density = (across < np.sort(within, axis=1)[:, 3]).sum() / 3 / len(x)
    assert density != pytest.approx(brute(x, y, 3, False)[Density], abs=1e-12)


def test_they_are_what_prdc_computes():
    prdc = pytest.importorskip("prdc")
    x, y = rows(60, scale=0.8), rows(70, 1, shift=0.2)
    with contextlib.redirect_stdout(io.StringIO()):
        expected = prdc.compute_prdc(y, x, nearest_k=5)
    for statistic in ALL:  # without ties the surface does not matter
        assert statistic(y, k=5)(x) == pytest.approx(expected[statistic.__name__.lower()])


@pytest.mark.parametrize("statistic", ALL)
def test_a_set_against_itself_is_one(statistic):
    x = rows(30) + 100
    assert statistic(x)(x[::-1]) == 1.0


def test_a_collapsed_candidate_is_precise_and_recalls_nothing():
    y = rows(30)
    x = np.repeat(y[:1], 20, axis=0)
    assert Precision(y)(x) == 1.0
    assert Recall(y)(x) == pytest.approx(1 / 30)  # y[0] itself lies on a ball of radius 0
    assert Density(y)(x) > 0
    assert Coverage(y)(x) < 0.7


def test_sets_far_apart_do_not_overlap():
    for statistic in ALL:
        assert statistic(rows(30))(rows(30, 1, shift=50)) == 0.0


def test_blocks_and_order_change_nothing(monkeypatch):
    x, y = rows(40, scale=0.8), rows(50, 1, shift=0.2)
    whole = [statistic(y)(x) for statistic in ALL]
    monkeypatch.setattr(rows_module, "BLOCK", 7)
    monkeypatch.setattr("qa.sets.manifold.PAIRS", 20)
    assert [statistic(y[::-1])(x[::-1]) for statistic in ALL] == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    ("statistic", "x", "y", "message"),
    [
        (Precision, rows(9), rows(4), "4 rows; this statistic needs at least 5"),
        (Recall, rows(4), rows(9), "4 rows; this statistic needs at least 5"),
        (Density, rows(9), rows(6), "6 rows; this statistic needs at least 7"),
        (Coverage, rows(9), rows(6), "6 rows; this statistic needs at least 7"),
        (Precision, rows(1), rows(9), "1 rows"),
        (Coverage, rows(9) * np.nan, rows(9), "NaN"),
        (Density, rows(9), rows(9, width=7), "6 features and the reference 7"),
    ],
)
def test_what_has_no_value_is_refused(statistic, x, y, message):
    with pytest.raises(ValueError, match=message):
        statistic(y)(x)


def test_k_is_at_least_one():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Precision(rows(9), k=0)
