"""Coverage of ΔFID intervals and of the label swap, by simulation with a known truth.

A check passes when the misses of each nominal 5 % end are no more than the 99 % quantile of a
binomial count with p = 5 %: what chance alone would give a valid method.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from qa.sets.frechet import Frechet, Moments
from qa.sets.intervals import delta
from qa.types import FeatureSet

WIDTH = 64
SPREAD = np.arange(1, WIDTH + 1) ** -0.5
"""Standard deviations of the features: a decaying spectrum, as learned features have."""
NOMINAL = 0.05


def allowed(replicates):
    """The largest share of misses that a valid method still gives."""
    return scipy.stats.binom.ppf(0.99, replicates, NOMINAL) / replicates


def numbered(values, pictures=None):
    return FeatureSet(values, np.arange(len(values)) if pictures is None else pictures)


def misses(deltas, truth):
    """Share of intervals that lie above the truth, and of those that lie below it."""
    low, high = np.array([(found.low, found.high) for found in deltas]).T
    return np.array([(low > truth).mean(), (high < truth).mean()])


def uncorrected(found):
    """The same interval around the plain difference."""
    low, high = found.at_this_n
    return replace(found, low=low, high=high)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1.1, 1.3])
def test_the_difference_to_a_known_distribution_is_covered(scale):
    """Arms scale·y and y', 90 % of their variance in common, against the exact moments of y.

    FD(N(0, s²S), N(0, S)) = (s-1)² Tr S, so that is the difference.
    """
    rng, replicates, count = np.random.default_rng(1), 400, 500
    truth = (scale - 1) ** 2 * (SPREAD**2).sum()
    exact = Moments.given(np.zeros(WIDTH), np.diag(SPREAD**2))
    found = []
    for _ in range(replicates):
        shared = rng.normal(size=(count, WIDTH))
        a, b = (np.sqrt(0.9) * shared + np.sqrt(0.1) * rng.normal(size=shared.shape) for _ in "ab")
        arms = numbered(scale * a * SPREAD), numbered(b * SPREAD)
        found.append(delta(Frechet, *arms, exact, permutations=0))
    assert misses(found, truth).max() <= allowed(replicates)
    if scale > 1:  # negative control: with its bias the same interval fails the same check
        assert misses(map(uncorrected, found), truth).max() > allowed(replicates)


@pytest.mark.slow
def test_the_difference_to_the_originals_is_covered():
    """Two noisy copies y + se of the originals y: FD = Σ (√(1+s²) - 1)² of each variance."""
    rng, replicates, count, noise = np.random.default_rng(2), 400, 300, (0.6, 0.3)
    values = [((np.sqrt(1 + s * s) - 1) ** 2 * SPREAD**2).sum() for s in noise]
    truth = values[0] - values[1]
    found, frozen = [], []
    for _ in range(replicates):
        y = rng.normal(size=(count, WIDTH)) * SPREAD
        arms = [numbered(y + s * SPREAD * rng.normal(size=y.shape)) for s in noise]
        found.append(delta(Frechet, *arms, numbered(y), permutations=0))
        frozen.append(delta(Frechet, *arms, Moments.of(y), permutations=0))
    assert misses(found, truth).max() <= allowed(replicates)
    # negative controls: originals that stay when their copies leave, and no correction
    assert misses(frozen, truth).max() > 0.5
    assert misses(map(uncorrected, found), truth).max() > allowed(replicates)


@pytest.mark.slow
def test_below_as_many_pictures_as_features_only_this_n_can_be_spoken_of():
    rng, replicates, count, noise = np.random.default_rng(4), 400, 48, (0.6, 0.3)
    values = [((np.sqrt(1 + s * s) - 1) ** 2 * SPREAD**2).sum() for s in noise]
    found = []
    for _ in range(replicates):
        y = rng.normal(size=(count, WIDTH)) * SPREAD
        arms = [numbered(y + s * SPREAD * rng.normal(size=y.shape)) for s in noise]
        found.append(delta(Frechet, *arms, numbered(y), permutations=0))
    expected = np.mean([f.plain for f in found])
    assert misses(map(uncorrected, found), expected).max() <= allowed(replicates)
    # negative control and stated limit: the corrected interval misses the limit of N → ∞
    assert misses(found, values[0] - values[1]).max() > allowed(replicates)


@pytest.mark.slow
def test_patches_of_one_picture_are_one_piece_of_evidence():
    """Two equally good arms, 100 pictures of 4 patches that share most of their deviation."""
    rng, replicates, pictures, each = np.random.default_rng(3), 300, 100, 4
    owner = np.repeat(np.arange(pictures), each)
    exact = Moments.given(np.zeros(WIDTH), np.diag(SPREAD**2))

    def arm():
        own = rng.normal(size=(pictures, WIDTH))[owner]
        return (np.sqrt(0.8) * own + np.sqrt(0.2) * rng.normal(size=own.shape)) * SPREAD

    right, naive = [], []
    for _ in range(replicates):
        a, b = arm(), arm()
        right.append(delta(Frechet, numbered(a, owner), numbered(b, owner), exact, permutations=60))
        naive.append(delta(Frechet, numbered(a), numbered(b), exact, permutations=60))
    alarms, rows = (
        np.array([[f.p_above <= NOMINAL, f.p_below <= NOMINAL] for f in arms]).mean(axis=0)
        for arms in (right, naive)
    )
    assert alarms.max() <= allowed(replicates)
    assert misses(right, 0.0).max() <= allowed(replicates)
    # negative controls: patches taken for pictures fail both checks
    assert rows.max() > allowed(replicates)
    assert misses(naive, 0.0).max() > allowed(replicates)
    # a valid test that never alarms would be useless: nominal is also reached
    assert alarms.sum() >= scipy.stats.binom.ppf(0.01, 2 * replicates, NOMINAL) / replicates
