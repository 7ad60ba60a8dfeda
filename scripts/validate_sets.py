"""How often the rules for set metrics err: ΔFID of features whose distance is known.

Candidate s·a and baseline b are normal with a decaying spectrum and share 90 % of their variance;
the reference is the exact law of b. FD(N(0, s²S), N(0, S)) = (s-1)² Tr S is the true difference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from qa.sets.frechet import Frechet, Moments
from qa.sets.intervals import Delta, delta
from qa.types import FeatureSet

WIDTH = 64
SPREAD = np.arange(1, WIDTH + 1) ** -0.5
PICTURES = (200, 500, 1000)
EXCHANGED = PICTURES[:2]
"""Numbers of pictures at which labels are exchanged; it takes minutes at the next one."""
SHARED = 0.9
ALPHA = 0.05
PERMUTATIONS = 99


def experiments(suites: int) -> dict[str, Callable[[], Any]]:
    """Experiments by name."""
    found: dict[str, Callable[[], Any]] = {}
    for count in PICTURES:
        found[f"set difference {count}"] = partial(difference, count, suites)
    for count in EXCHANGED:
        found[f"set exchange {count}"] = partial(exchange, count, suites)
    return found


def difference(pictures: int, suites: int, scale: float = 1.3) -> list[float]:
    """Truth, mean plain and corrected difference, and misses of the lower and the upper end."""
    truth = (scale - 1) ** 2 * float((SPREAD**2).sum())
    found = [one for one in _deltas(pictures, suites, scale, 0) if one.low is not None]
    plain, estimate, low, high = np.array(
        [(one.plain, one.estimate, one.low, one.high) for one in found]
    ).T
    return [
        truth,
        float(plain.mean()),
        float(estimate.mean()),
        float((low > truth).mean()),
        float((high < truth).mean()),
    ]


def exchange(pictures: int, suites: int) -> list[float]:
    """Of equally good arms: alarms upwards and downwards, and Kolmogorov-Smirnov's p for p."""
    from scipy.stats import kstest

    found = list(_deltas(pictures, suites, 1.0, PERMUTATIONS))
    above, below = (
        np.array([getattr(one, f"p_{way}") for one in found]) for way in ("above", "below")
    )
    uniform = kstest(above, "uniform").pvalue
    return [float((above <= ALPHA).mean()), float((below <= ALPHA).mean()), float(uniform)]


def _deltas(pictures: int, suites: int, scale: float, permutations: int) -> list[Delta]:
    rng = np.random.default_rng([pictures, permutations])
    exact = Moments.given(np.zeros(WIDTH), np.diag(SPREAD**2))
    found = []
    for suite in range(suites):
        shared = np.sqrt(SHARED) * rng.normal(size=(pictures, WIDTH))
        a, b = (shared + np.sqrt(1 - SHARED) * rng.normal(size=shared.shape) for _ in "ab")
        arms = (FeatureSet(values * SPREAD, np.arange(pictures)) for values in (scale * a, b))
        found.append(delta(Frechet, *arms, exact, permutations=permutations, seed=suite))
    return found
