"""Exchange of labels between equally good arms: p-values are uniform. Bars by Kolmogorov-Smirnov.

What needs more pictures (bias against N, coverage) is in tests/qa/sets/test_coverage.py and in
docs/validation.md.
"""

from __future__ import annotations

import numpy as np
import scipy.stats

from qa.sets.frechet import Frechet, Moments
from qa.sets.intervals import delta
from qa.types import FeatureSet

WIDTH, PICTURES, PATCHES, SUITES = 6, 40, 4, 150


def test_p_values_of_equal_arms_are_uniform():
    rng = np.random.default_rng(11)
    exact = Moments.given(np.zeros(WIDTH), np.eye(WIDTH))
    owner = np.repeat(np.arange(PICTURES), PATCHES)

    def arm():
        own = rng.normal(size=(PICTURES, WIDTH))[owner]
        return np.sqrt(0.8) * own + np.sqrt(0.2) * rng.normal(size=own.shape)

    pictures, rows = [], []
    for suite in range(SUITES):
        a, b = arm(), arm()
        for found, numbers in ((pictures, owner), (rows, np.arange(len(owner)))):
            arms = FeatureSet(a, numbers), FeatureSet(b, numbers)
            tested = delta(Frechet, *arms, exact, permutations=60, seed=suite)
            found.append(tested.p_above)
    assert scipy.stats.kstest(pictures, "uniform").pvalue > 0.01
    # negative control: patches exchanged one by one
    assert scipy.stats.kstest(rows, "uniform").pvalue < 0.01
