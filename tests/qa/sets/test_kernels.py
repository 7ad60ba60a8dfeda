"""KID and CMMD: closed forms, the definitions as loops, and two libraries."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
from precision import confirm

from qa.sets import rows as rows_module
from qa.sets.kernels import CMMD, KID, kid_interval
from qa.types import FeatureSet


def rows(count, seed=0, width=6, scale=1.0, shift=0.0):
    return shift + scale * np.random.default_rng(seed).normal(size=(count, width))


def cubic(a, b):
    return (a @ b / len(a) + 1) ** 3


def loops(x, y, kernel, unbiased):
    """MMD² as its definition reads."""

    def mean(a, b, skip):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (skip and i == j)]
        return sum(kernel(a[i], b[j]) for i, j in pairs) / len(pairs)

    return mean(x, x, unbiased) + mean(y, y, unbiased) - 2 * mean(x, y, False)


def test_kid_is_its_definition():
    x, y = rows(9), rows(11, 1, shift=0.5)
    assert KID(y)(x) == pytest.approx(loops(x, y, cubic, True), rel=1e-12)
    # negative control: the biased form fails the same check
    assert KID(y)(x) != pytest.approx(loops(x, y, cubic, False), rel=1e-3)


def test_kid_of_normal_values_has_a_closed_form():
    """d = 1, x of variance 1, y of variance v: E(xx'+1)³ = 1 + 3E(xx')², so MMD² = 3(v-1)²."""
    v, draws = 1.5, 400
    found = [KID(rows(40, seed, 1, np.sqrt(v)))(rows(30, seed + draws, 1)) for seed in range(draws)]
    error = np.std(found) / np.sqrt(draws)
    assert np.mean(found) == pytest.approx(3 * (v - 1) ** 2, abs=3 * error)


def test_kid_of_one_distribution_is_zero_on_average_and_sometimes_negative():
    draws = 400
    found = [KID(rows(12, seed))(rows(9, seed + draws)) for seed in range(draws)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(draws)
    assert min(found) < 0
    biased = [
        CMMD(rows(12, seed))(rows(9, seed + draws)) for seed in range(draws)
    ]  # negative control: a biased estimate is not
    assert abs(np.mean(biased)) > 3 * np.std(biased) / np.sqrt(draws)


def test_kid_is_what_torchmetrics_computes():
    torch = pytest.importorskip("torch")
    from torchmetrics.image.kid import poly_mmd

    x, y = rows(50), rows(50, 1, shift=0.3)
    expected = float(poly_mmd(torch.from_numpy(y), torch.from_numpy(x)))
    assert KID(y)(x) == pytest.approx(expected, rel=1e-10)
    confirm("kid", KID(y)(x), expected, 1e-10, "torchmetrics, all rows")


def test_kid_is_what_clean_fid_computes():
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        fid = pytest.importorskip("cleanfid.fid", exc_type=ImportError)
    x, y = rows(50), rows(50, 1, shift=0.3)
    state = np.random.get_state()  # it draws from the global generator, though all rows are taken
    expected = fid.kernel_distance(x, y, num_subsets=1, max_subset_size=50)
    np.random.set_state(state)
    assert KID(y)(x) == pytest.approx(expected, rel=1e-10)


def test_the_error_is_the_jackknife_of_both_sides():
    x, y = rows(9), rows(7, 1, shift=0.5)
    without_x = np.array([KID(y)(np.delete(x, i, axis=0)) for i in range(len(x))])
    without_y = np.array([KID(np.delete(y, i, axis=0))(x) for i in range(len(y))])
    variance = sum((len(w) - 1) * w.var() for w in (without_x, without_y))
    assert KID(y).estimate(x).error == pytest.approx(np.sqrt(variance), rel=1e-10)


def test_the_error_is_the_spread_of_the_value():
    draws = 500
    found = [
        KID(rows(40, seed, shift=0.6)).estimate(rows(30, seed + draws)) for seed in range(draws)
    ]
    values, errors = np.array(found).T
    # the spread of 500 values is known to 3 %, the jackknife's own noise is far smaller
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.12)
    # negative control: as if every pair of rows were a value of its own
    assert np.sqrt((errors**2).mean()) != pytest.approx(values.std() / 5, rel=0.12)


def one_each(values, first=0):
    return FeatureSet(values, np.arange(first, first + len(values)))


def test_the_interval_of_the_variance_misses_as_often_as_it_says():
    """True value of normal rows, d = 1, variances v and 1: 3 (v-1)². 5 % at each end, nominally."""
    v, draws = 1.5, 400
    found = [
        kid_interval(one_each(rows(60, seed, 1)), one_each(rows(60, seed + draws, 1, np.sqrt(v))))
        for seed in range(draws)
    ]
    truth = 3 * (v - 1) ** 2
    missed = np.mean([not e.low <= truth <= e.high for e in found])
    # an estimate whose error grows with it has tails; ten in a hundred, within their own error
    assert 0.05 < missed < 0.16
    narrow = [abs(e.value - truth) > (e.high - e.low) / 6 for e in found]  # negative control
    assert np.mean(narrow) > 0.3


def test_the_interval_of_the_variance_is_t_times_the_error():
    x, y = rows(9), rows(11, 1, shift=0.5)
    found, exact = kid_interval(one_each(x), one_each(y, 50), 0.8), KID(y).estimate(x)
    half = 1.3968153097438645 * exact.error  # t of 8 degrees of freedom at 0.9
    assert found.value == exact.value
    assert (found.low, found.high) == pytest.approx((exact.value - half, exact.value + half))
    assert (found.rows, found.pictures) == (9, 9)


@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_several_rows_of_a_picture_have_no_variance_of_their_own(side):
    parts = {"candidate": one_each(rows(10)), "reference": one_each(rows(10, 1), 50)}
    parts[side] = FeatureSet(parts[side].values, parts[side].pictures // 2)
    with pytest.raises(ValueError, match=f"the {side}'s 10 rows are of 5 pictures.*jackknife"):
        kid_interval(**parts)


def gaussian(a, b):
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return np.exp(-((a - b) @ (a - b)) / (2 * 10.0**2))


def test_cmmd_is_its_definition():
    x, y = rows(9), rows(11, 1, shift=0.5)
    expected = 1000 * loops(x, y, gaussian, False)
    assert CMMD(y)(x) == pytest.approx(expected, rel=1e-9)
    confirm("cmmd", CMMD(y)(x), expected, 1e-9, "own formula in loops")
    assert CMMD(y)(x) != pytest.approx(1000 * loops(x, y, gaussian, True), rel=1e-3)
    assert CMMD(y, sigma=5.0)(x) != pytest.approx(CMMD(y)(x), rel=1e-3)


def test_cmmd_of_two_directions_has_a_closed_form():
    """All of x in one direction, all of y at a right angle: 2 - 2 exp(-2/2σ²)."""
    x, y = np.zeros((5, 3)), np.zeros((4, 3))
    x[:, 0], y[:, 1] = 2.0, 7.0
    assert CMMD(y)(x) == pytest.approx(1000 * (2 - 2 * np.exp(-1 / 100)), rel=1e-12)


def test_cmmd_looks_at_directions_only():
    x, y = rows(9), rows(11, 1, shift=0.5)
    assert CMMD(y)(x * np.linspace(1, 9, 9)[:, None]) == pytest.approx(CMMD(y)(x), rel=1e-9)
    assert CMMD(x)(x.copy()) == 0.0
    assert 0 <= CMMD(x)(x[::-1]) < 1e-10


def test_blocks_and_order_change_rounding_only(monkeypatch):
    x, y = rows(20), rows(30, 1, shift=0.5)
    kid, cmmd = KID(y).estimate(x), CMMD(y)(x)
    monkeypatch.setattr(rows_module, "BLOCK", 7)
    assert KID(y[::-1]).estimate(x[::-1]) == pytest.approx(kid, rel=1e-12)
    assert CMMD(y[::-1])(x[::-1]) == pytest.approx(cmmd, rel=1e-10)


@pytest.mark.parametrize(
    ("statistic", "x", "y", "message"),
    [
        (KID, rows(2), rows(9), "2 rows"),
        (KID, rows(9), rows(2), "2 rows"),
        (KID, rows(9) * np.nan, rows(9), "NaN"),
        (KID, rows(9), rows(9, width=7), "6 features and the reference 7"),
        (CMMD, rows(1), rows(9), "1 rows"),
        (CMMD, rows(9) * np.inf, rows(9), "NaN or infinity"),
        (CMMD, rows(9) * (np.arange(9) > 1)[:, None], rows(9), "2 of 9 embeddings are zero"),
    ],
)
def test_what_has_no_value_is_refused(statistic, x, y, message):
    with pytest.raises(ValueError, match=message):
        statistic(y)(x)
