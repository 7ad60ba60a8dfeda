"""Levels of several looks: published constants, another integration, and what they replace."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from qa.stats import spending
from qa.stats.looks import crossing

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
