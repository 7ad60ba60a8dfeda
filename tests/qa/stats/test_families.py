"""Several tests at once: Holm by the closure principle, Benjamini-Hochberg by SciPy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from qa.stats import benjamini_hochberg, holm

CASES = [
    {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005},
    {"a": 0.2, "b": 0.2, "c": 0.9},
    {"a": 0.03},
    {},
    dict(zip("abcdefgh", np.random.default_rng(0).random(8) ** 3, strict=True)),
]


def closed(p):
    """Holm is the closed procedure of Bonferroni tests: the largest p of a family with the test."""
    families = [c for size in range(1, len(p) + 1) for c in combinations(p, size)]
    return {
        name: max(min(1.0, len(f) * min(p[n] for n in f)) for f in families if name in f)
        for name in p
    }


@pytest.mark.parametrize("p", CASES)
def test_holm_is_closed_bonferroni(p):
    assert holm(p) == pytest.approx(closed(p))
    assert list(holm(p)) == list(p)


@pytest.mark.parametrize("p", CASES[:-2] + CASES[-1:])
def test_q_values_are_scipys(p):
    expected = scipy.stats.false_discovery_control(list(p.values()), method="bh")
    assert list(benjamini_hochberg(p).values()) == pytest.approx(list(expected))


def test_q_values_of_nothing():
    assert benjamini_hochberg({}) == {}


def test_no_order_matters():
    p = CASES[-1]
    turned = dict(reversed(list(p.items())))
    assert holm(turned) == holm(p)
    assert benjamini_hochberg(turned) == benjamini_hochberg(p)


def test_the_corrections_differ():
    """Negative control: neither is the other, nor none."""
    p = CASES[0]
    assert holm(p) != benjamini_hochberg(p) != p
