"""Levels of several looks: published constants, another integration, and what they replace."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from qa.stats import holm, spending
from qa.stats.looks import crossing, price

# Jennison and Turnbull, Group Sequential Methods (2000), tables 2.1 and 2.3, two-sided 10 %,
# equally spaced looks: the constants c of Z_k >= c and Z_k >= c √(K/k).
POCOCK = {2: 1.875, 3: 1.992, 4: 2.067, 5: 2.122}
OBRIEN_FLEMING = {2: 1.678, 3: 1.710, 4: 1.733, 5: 1.751}


def boundaries(levels):
    return scipy.stats.norm.isf(levels)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_constants_are_the_published_ones(count):
    looks = [30 * k for k in range(1, count + 1)]
    pocock = boundaries(spending(looks, "pocock"))
    assert pocock == pytest.approx([POCOCK[count]] * count, abs=2e-3)
    late = boundaries(spending(looks, "obrien-fleming"))
    expected = [OBRIEN_FLEMING[count] * (count / k) ** 0.5 for k in range(1, count + 1)]
    assert late == pytest.approx(expected, rel=1.5e-3)


@pytest.mark.parametrize("scheme", ["pocock", "obrien-fleming"])
@pytest.mark.parametrize("looks", [(24, 48), (100, 200, 400), (50, 60, 400)])
def test_together_they_cross_as_often_as_asked(scheme, looks):
    """By SciPy's multivariate normal law."""
    levels = spending(looks, scheme, 0.05)
    shares = np.array(looks) / looks[-1]
    covariance = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    inside = scipy.stats.multivariate_normal.cdf(
        boundaries(levels), cov=covariance, abseps=1e-6, releps=1e-6, maxpts=1_000_000
    )
    assert 1 - inside == pytest.approx(0.05, abs=2e-5)


def test_the_same_level_at_each_look_crosses_too_often():
    """Negative control, with the figure that the module states."""
    shares = np.array([0.25, 0.5, 1.0])
    assert crossing(scipy.stats.norm.isf([0.05] * 3), shares) == pytest.approx(0.11, abs=0.005)


def test_shapes_of_the_schemes():
    pocock = spending([100, 200, 400], "pocock")
    late = spending([100, 200, 400], "obrien-fleming")
    assert pocock == pytest.approx([pocock[0]] * 3)
    assert late[0] < late[1] < late[2] < 0.05
    assert late[2] > 0.8 * 0.05 > pocock[2]
    assert late == pytest.approx(spending([1, 2, 4], "obrien-fleming"))


def test_one_look_has_it_all():
    assert spending([24], "pocock") == spending([24], "obrien-fleming") == [0.05]
    assert crossing([1.6448536269514722], [1.0]) == pytest.approx(0.05)


@pytest.mark.parametrize("looks", [[], [48, 24], [24, 24], [0, 24]])
def test_looks_increase(looks):
    with pytest.raises(ValueError, match="increase"):
        spending(looks, "pocock")


def test_another_scheme_is_refused():
    with pytest.raises(ValueError, match="pocock or obrien-fleming"):
        spending([1, 2], "haybittle")


MANY = [(100, 200, 400), (50, 100, 200, 400, 800), tuple(range(20, 401, 20))]


def families(looks, scheme, metrics, levels):
    """How often one of `metrics` unharmed ones crosses: if they are independent, and at most."""
    shares = np.array(looks) / looks[-1]
    one = crossing(boundaries(levels), shares)
    return 1 - (1 - one) ** metrics, metrics * one


@pytest.mark.parametrize("metrics", [2, 4, 6])
@pytest.mark.parametrize("looks", MANY)
@pytest.mark.parametrize("scheme", ["pocock", "obrien-fleming"])
def test_a_family_over_looks_errs_as_asked(scheme, looks, metrics):
    """What Holm rejects first over all looks spends α, whatever the dependence."""
    levels = spending(looks, scheme)
    first = [level / price(looks, scheme, k, metrics) for k, level in enumerate(levels)]
    independent, most = families(looks, scheme, metrics, first)
    assert most == pytest.approx(0.05, abs=1e-9)
    assert independent <= 0.05
    # Negative control: the level of the look divided by the metrics, as Holm has it for one look.
    assert families(looks, scheme, metrics, [level / metrics for level in levels])[1] > 0.0503


@pytest.mark.parametrize(("looks", "error"), [(MANY[0], 0.054), (MANY[2], 0.060)])
def test_dividing_the_level_of_a_look_errs_too_often(looks, error):
    levels = [level / 6 for level in spending(looks, "pocock")]
    assert families(looks, "pocock", 6, levels)[0] == pytest.approx(error, abs=5e-4)


def test_one_look_costs_what_holm_says():
    assert price([64], "pocock", 0, 3) == pytest.approx(3)
    assert price([24, 48], "pocock", 1, 1) == 1


def test_holms_steps_compare_with_the_levels_of_smaller_shares():
    looks = (100, 200, 400)
    levels = {n: spending(looks, "pocock", 0.05 / n)[0] for n in (3, 2, 1)}

    def adjusted(p):
        return holm(p, lambda among: price(looks, "pocock", 0, among))

    for factor, rejected in ((0.999, 3), (1.001, 0)):
        p = {f"m{n}": factor * level for n, level in levels.items()}
        assert sum(value <= levels[1] for value in adjusted(p).values()) == rejected
    stops = {"a": 0.999 * levels[3], "b": 1.001 * levels[2], "c": 1.002 * levels[2]}
    assert stops["c"] <= levels[1]
    assert [value <= levels[1] for value in adjusted(stops).values()] == [True, False, False]
