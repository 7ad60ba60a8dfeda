"""Intervals of sets: closed forms for a mean, laws, and what is refused."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

from qa.sets.frechet import Frechet, Moments
from qa.sets.intervals import bootstrap, delta, interval
from qa.sets.manifold import Recall
from qa.stats import t_interval, t_quantile
from qa.types import FeatureSet

WIDTH = 6


def make(pictures, each=1, seed=0, scale=1.0, shift=0.0):
    """A set of `pictures` pictures with `each` rows, which share half of their variance."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(pictures), each)
    own = rng.normal(size=(pictures, WIDTH))[owner]
    values = shift + scale * (own + rng.normal(size=(len(owner), WIDTH))) / np.sqrt(2)
    return FeatureSet(values.astype(np.float32), owner)


def shuffled(rows, seed=0):
    order = np.random.default_rng(seed).permutation(len(rows.values))
    return FeatureSet(rows.values[order], rows.pictures[order])


def renumbered(rows):
    """As pictures that no other set has."""
    return FeatureSet(rows.values, rows.pictures + 1000)


def mean(reference):
    """A statistic whose every number is known: the mean over rows of the first feature."""
    return lambda candidate: float(np.asarray(candidate, dtype=np.float64)[:, 0].mean())


def first(rows):
    return rows.values[:, 0].astype(np.float64)


def test_the_mean_of_twenty_pictures_has_students_interval():
    """With one row a group the delete-group jackknife of a mean is its standard error."""
    x = make(20)
    expected = t_interval(first(x))
    found = interval(mean, x, make(20, seed=1))
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), rel=1e-9
    )
    assert (found.rows, found.pictures) == (20, 20)
    # negative control: the same check with the divisor n fails
    assert found.high - found.value != pytest.approx(
        (expected.high - expected.mean) * np.sqrt(19 / 20), rel=1e-3
    )


def test_groups_are_pictures_in_turn_with_all_their_rows():
    """60 pictures of 3 rows: the interval of 20 group means, each of 3 pictures."""
    x = make(60, 3)
    groups = [first(x)[x.pictures % 20 == g].mean() for g in range(20)]
    expected = t_interval(groups)
    found = interval(mean, x, x)
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), rel=1e-9
    )


def test_a_mean_has_no_bias_to_correct_even_in_unequal_groups():
    x, y = make(33, 2), make(33, 2, 1)
    kept = np.random.default_rng(0).random(len(x.values)) < 0.7
    x, y = (FeatureSet(part.values[kept], part.pictures[kept]) for part in (x, y))
    found = delta(mean, x, y, make(33))
    assert found.estimate == pytest.approx(found.plain, rel=1e-9)
    assert found.groups == 20


def variance(reference):
    """The biased variance of the first feature: (n-1)/n of the unbiased one."""
    return lambda candidate: float(np.asarray(candidate, dtype=np.float64)[:, 0].var())


def test_the_bias_of_a_variance_is_corrected_exactly():
    x, y = make(20), make(20, seed=1, scale=2)
    found = delta(variance, x, y, x)
    assert found.estimate == pytest.approx(first(x).var(ddof=1) - first(y).var(ddof=1), rel=1e-9)
    assert found.plain == pytest.approx(first(x).var() - first(y).var(), rel=1e-9)
    low, high = found.at_this_n
    assert (low + high) / 2 == pytest.approx(found.plain, rel=1e-9)
    assert high - low == pytest.approx(found.high - found.low, rel=1e-9)


def test_fewer_pictures_than_groups_are_a_group_each():
    found = delta(mean, make(7, 2), make(7, 2, 1), make(7), confidence=0.8)
    assert (found.groups, found.pictures, found.rows) == (7, 7, 14)
    half = t_quantile(0.9, 6) * found.error
    assert found.high - found.estimate == pytest.approx(half, rel=1e-12)
    assert found.estimate - found.low == pytest.approx(half, rel=1e-12)


@pytest.mark.parametrize("shape", [(40, 1), (12, 4)])
def test_the_order_of_rows_does_not_matter(shape):
    x, y = make(*shape), make(*shape, 1, shift=0.2)
    found = delta(Frechet, x, y, make(*shape, 2), permutations=20)
    again = delta(Frechet, *(shuffled(part, s) for s, part in enumerate((x, y))),
                  shuffled(make(*shape, 2), 5), permutations=20)  # fmt: skip
    # rows of one picture have come in another order, and are summed so
    for name in ("plain", "estimate", "error", "low", "high"):
        assert getattr(again, name) == pytest.approx(getattr(found, name), rel=1e-7, abs=1e-9)
    if shape[1] == 1:
        assert (again.p_above, again.p_below) == (found.p_above, found.p_below)
        assert again == found


def test_exchanging_the_arms_mirrors_everything():
    x, y, z = make(40), make(40, seed=1, shift=0.2), make(40, seed=2)
    found, back = delta(Frechet, x, y, z), delta(Frechet, y, x, z)
    assert (back.plain, back.estimate, back.low, back.high) == pytest.approx(
        (-found.plain, -found.estimate, -found.high, -found.low), rel=1e-9
    )
    assert (back.p_above, back.p_below) == (found.p_below, found.p_above)


def test_copies_of_pictures_do_not_shrink_the_interval():
    x, y, z = make(40), make(40, seed=1, shift=0.2), make(40, seed=2)

    def twice(rows, copies_are_new):
        values = np.concatenate([rows.values] * 2)
        return FeatureSet(
            values, np.concatenate([2 * rows.pictures, 2 * rows.pictures + copies_are_new])
        )

    once = delta(mean, x, y, z)
    same = delta(mean, twice(x, False), twice(y, False), z)
    assert (same.error, same.p_above) == pytest.approx((once.error, once.p_above), rel=1e-9)
    # negative control: as pictures of their own the copies look like more evidence
    new = delta(mean, twice(x, True), twice(y, True), z, groups=40)
    assert new.error < 0.8 * delta(mean, x, y, z, groups=40).error


def test_a_picture_leaves_every_set_that_has_it():
    """A perfect decoder is at 0 from its originals whatever pictures are left out."""
    x = make(40, 2)
    found = interval(Frechet, x, shuffled(x))
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.high - found.low < 1e-8
    drawn = bootstrap(Frechet, x, x, replicates=20)
    assert (drawn.value, drawn.low, drawn.high) == (0, 0, 0)
    # negative control: a frozen reference makes up a spread
    frozen = interval(Frechet, x, renumbered(x))
    assert frozen.high - frozen.low > 0.01


def test_an_unrelated_reference_and_given_moments_stay_whole():
    x, y = make(40), make(30, seed=1)
    whole = interval(Frechet, x, renumbered(y))
    assert interval(Frechet, x, Moments.of(y.values)) == whole
    assert interval(Frechet, x, y) != whole
    assert bootstrap(Frechet, x, Moments.of(y.values), 20) == bootstrap(
        Frechet, x, renumbered(y), 20
    )


def test_p_values_are_those_of_all_exchanges():
    """With 4 pictures there are 16 exchanges; random ones approach their share."""
    x, y = make(4, 2), make(4, 2, 1, shift=1)
    measure = Frechet(make(9, seed=2).values)
    every = []
    for signs in itertools.product([False, True], repeat=4):
        swap = np.repeat(signs, 2)[:, None]
        every.append(
            measure(np.where(swap, y.values, x.values))
            - measure(np.where(swap, x.values, y.values))
        )
    found = delta(Frechet, x, y, renumbered(make(9, seed=2)), permutations=2000)
    # a share of 1/8 or more among 2000 pairs: standard error below 1.2 %
    assert found.p_above == pytest.approx(np.mean(np.array(every) >= found.plain - 1e-9), abs=0.04)
    assert found.p_below == pytest.approx(np.mean(np.array(every) <= found.plain + 1e-9), abs=0.04)


def test_equal_arms_differ_by_nothing():
    x = make(30)
    found = delta(Frechet, x, shuffled(x), make(30, seed=1), permutations=10)
    assert (found.plain, found.estimate, found.low, found.high) == (0, 0, 0, 0)
    assert (found.p_above, found.p_below) == (1, 1)


def test_a_clear_difference_is_seen():
    x, y, z = make(60, shift=0.8), make(60, seed=1), make(60, seed=2)
    found = delta(Frechet, x, y, z)
    assert found.low > 0
    # the observed labels are the least likely of 201 pairs
    assert found.p_above == pytest.approx(1 / 402)
    assert found.p_below == 1


def test_the_seed_decides_the_exchanges_and_nothing_else():
    x, y, z = make(30), make(30, seed=1), make(30, seed=2)
    one, same, other = (delta(Frechet, x, y, z, seed=s, permutations=50) for s in (0, 0, 1))
    assert one == same
    assert one.p_above != other.p_above
    assert one.low == other.low
    before = np.random.get_state()[1].copy()
    bootstrap(Frechet, x, z, 5)
    assert np.array_equal(np.random.get_state()[1], before)


def test_a_bootstrap_of_a_mean_has_its_error():
    x = make(200)
    found = bootstrap(mean, x, x, replicates=1500)
    error = first(x).std() / np.sqrt(200)
    # 90 %: 1.645 standard errors on either side; the quantiles of 1500 are good to 3 %
    assert found.high - found.low == pytest.approx(2 * 1.645 * error, rel=0.06)
    # negative control: rows drawn one by one from pictures of two equal rows
    pairs = FeatureSet(np.repeat(x.values, 2, axis=0), np.repeat(x.pictures, 2))
    as_rows = FeatureSet(pairs.values, np.arange(400))
    right, naive = (bootstrap(mean, part, x, replicates=1500) for part in (pairs, as_rows))
    assert right.high - right.low == pytest.approx(2 * 1.645 * error, rel=0.06)
    assert naive.high - naive.low != pytest.approx(2 * 1.645 * error, rel=0.06)


def test_a_bootstrap_does_not_repeat_the_bias():
    x, y = make(40), Moments.of(make(2000, seed=1).values)
    found = bootstrap(Frechet, x, y, 400)
    assert found.low < found.value < found.high
    # negative control: percentiles of the replicates themselves leave the value outside
    rng = np.random.default_rng(0)
    measure = Frechet(y)
    plain = [measure(x.values[rng.integers(0, 40, 40)]) for _ in range(400)]
    assert np.quantile(plain, 0.05) > found.value


def test_where_there_is_no_interval_it_says_why():
    one = FeatureSet(make(5).values, np.zeros(5, dtype=np.int64))
    found = delta(Frechet, one, one, make(5), permutations=0)
    assert (found.estimate, found.low, found.high, found.error) == (None,) * 4
    assert (found.p_above, found.p_below, found.at_this_n) == (None, None, None)
    assert "one picture" in found.why
    assert (found.plain, found.groups, found.pictures) == (0, 1, 1)
    few = delta(partial(Recall, k=3), make(5), make(5, seed=1), make(9, seed=2))
    assert few.low is None
    assert "4 rows; this statistic needs at least 5" in few.why
    alone = interval(Frechet, one, make(5))
    assert (alone.low, alone.high, alone.rows, alone.pictures) == (None, None, 5, 1)
    alone = bootstrap(Frechet, one, make(5))
    assert (alone.low, alone.high) == (None, None)


def test_arms_of_other_pictures_are_refused():
    with pytest.raises(ValueError, match="same pictures"):
        delta(Frechet, make(20), make(21), make(20))
    with pytest.raises(ValueError, match="same pictures"):
        delta(Frechet, make(20), renumbered(make(20)), make(20))
    with pytest.raises(ValueError, match="6 rows have 5 picture numbers"):
        interval(Frechet, FeatureSet(make(6).values, np.arange(5)), make(6))
    with pytest.raises(ValueError, match="1 rows"):
        interval(Frechet, make(1), make(6))
