"""How often the rules err: many suites at once, drawn with a known truth.

Harm of picture p and seed s, with B_p and W_ps of one shape, mean 0 and variance 1,

    x_ps = √ICC · B_p + √(1-ICC) · W_ps

    normal, t3       symmetric; t3 has outliers (Student's t with 3 degrees of freedom, scaled)
    lognormal        a few pictures break badly (σ = 0.9: skewness 4.7)
    zero-inflated    only one picture in ten changes at all: A_p (1 + x_ps) / 0.1 - 1 with normal x
    bounded          passes of two arms, 0 or 1 (`passes`)
    sparse           shares of few words, most of them 0 (`sparse`)

`p_values` is `mean_interval` for R suites at once: p-values in place of ends, because asking "is
the lower end above the truth?" is asking "is p below α?". At a true harm of 0 the share of suites
with p(worse) < α is the rate of false FAIL for the smallest margin (larger ones err less); at a
harm equal to the margin the share with p(better) < α is the rate of false PASS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa.stats.bootstrap import p_above, plan, ratios
from qa.stats.interval import Array, t_above, z_above
from qa.stats.mean import FEW, SKEWED
from qa.stats.rates import NEAR, adjusted
from qa.stats.shares import with_pseudo_pictures

SHAPES = ("normal", "t3", "lognormal", "zero-inflated")
SIGMA = 0.9
CHANGED = 0.1
"""Share of pictures that change at all, of `zero-inflated`."""
ROWS = 32
"""Suites whose draws are kept at once: more leave the processor's cache and take twice as long."""


class PValues(NamedTuple):
    """One-sided p-values of R suites."""

    worse: Array
    """[R] of "the mean is at most the truth": small where the lower end lies above it."""
    better: Array
    """[R] of "the mean is at least the truth": small where the upper end lies below it."""


def harms(
    shape: str, rng: np.random.Generator, suites: int, pictures: int, seeds: int, icc: float
) -> Array:
    """[R,P,S] with mean 0. ValueError for an unknown shape."""
    size = suites, pictures, seeds
    kind = "normal" if shape == "zero-inflated" else shape
    between = _drawn(kind, rng, (suites, pictures, 1))
    found = math.sqrt(icc) * between + math.sqrt(1 - icc) * _drawn(kind, rng, size)
    if shape != "zero-inflated":
        return found
    changed = rng.random((suites, pictures, 1)) < CHANGED
    return changed * (1 + found) / CHANGED - 1


def _drawn(kind: str, rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    if kind == "normal":
        return rng.standard_normal(size)
    if kind == "t3":
        return rng.standard_t(3, size) / math.sqrt(3)
    if kind == "lognormal":
        growth = math.exp(SIGMA**2)
        raw = np.exp(SIGMA * rng.standard_normal(size))
        centred: Array = (raw - math.sqrt(growth)) / math.sqrt((growth - 1) * growth)
        return centred
    raise ValueError(f"there is no shape {kind!r}; there are {', '.join(SHAPES)}")


def passes(
    rng: np.random.Generator, suites: int, pictures: int, seeds: int, rate: float, harm: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Passes of baseline and candidate [R,P,S] with rates `rate` and `rate - harm`.

    A picture's difficulty is Beta(8 rate, 8 (1-rate)) and shared by both arms, so that seeds of a
    picture and the two arms agree more often than chance; the candidate then loses each pass with
    probability harm / rate.
    """
    easy = rng.beta(8 * rate, 8 * (1 - rate), (suites, pictures, 1))
    size = suites, pictures, seeds
    baseline = rng.random(size) < easy
    candidate = (rng.random(size) < easy) & (rng.random(size) >= harm / rate)
    return baseline, candidate


def sparse(
    rng: np.random.Generator, suites: int, pictures: int, rate: float, harm: float, clustered: bool
) -> tuple[Array, Array]:
    """Harm [R,P] of shares of wrong words, and how many words each picture has (12 to 24).

    Both arms get a word wrong with probability `rate`, the candidate another one with `harm`.
    Clustered, a picture's chances are these times an exponential number of its own: one for what
    both arms lose there, one for what the candidate adds.
    """
    size = suites, pictures
    words = rng.integers(12, 25, size)
    shared, own = rng.standard_exponential((2, *size)) if clustered else np.ones((2, *size))
    both = [rng.binomial(words, np.minimum(1, rate * shared)) for _ in range(2)]
    more = rng.binomial(words - both[1], np.minimum(1, harm / (1 - rate) * own))
    return (both[1] + more - both[0]) / words, words.astype(np.float64)


def some_seeds(harm: Array, rng: np.random.Generator) -> Array:
    """Means over 1 to S seeds of each picture, drawn anew for each: [R,P] from [R,P,S]."""
    seeds = harm.shape[2]
    kept = np.arange(seeds) < rng.integers(1, seeds + 1, harm.shape[:2])[..., None]
    means: Array = (harm * kept).sum(axis=2) / kept.sum(axis=2)
    return means


def student_p_values(values: Array, truth: float = 0.0) -> PValues:
    """`t_interval` of R suites [R,N]; with rows for pictures it is what forgets the clusters."""
    mean = values.mean(axis=1)
    error = values.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
    return _normed(mean - truth, error, lambda statistic: t_above(statistic, values.shape[1] - 1))


def p_values(values: Array, truth: float = 0.0, alpha: float = 1.0) -> PValues:
    """`mean_interval` of R suites [R,N], for decisions at levels up to `alpha`.

    A p-value there is never below Student's, so suites in which that is above `alpha` keep it: they
    are decided, and the draws are spared.
    """
    found = student_p_values(values, truth)
    chosen = np.flatnonzero(_bootstrapped(values) & (np.minimum(*found) < alpha))
    for start in range(0, len(chosen), ROWS):
        rows = chosen[start : start + ROWS]
        for kept, new in zip(found, _studentised(values[rows], truth), strict=True):
            kept[rows] = new
    return found


def rate_p_values(
    baseline: NDArray[np.bool_],
    candidate: NDArray[np.bool_],
    truth: float = 0.0,
    alpha: float = 1.0,
) -> PValues:
    """`rate_interval` of R suites [R,P,S], for decisions at levels up to `alpha`."""
    pictures, seeds = baseline.shape[1:]
    rates = [arm.mean(axis=(1, 2)) for arm in (baseline, candidate)]
    harm = baseline.mean(axis=2) - candidate.mean(axis=2)
    squares = (harm**2).sum(axis=1) + 1 / seeds
    centre, error = adjusted(harm.sum(axis=1), squares, pictures)
    found = _normed(centre - truth, error, z_above)
    ends = np.minimum(*(np.minimum(rate, 1 - rate) for rate in rates))
    middle = np.flatnonzero(ends >= NEAR) if seeds > 1 else np.empty(0, dtype=np.int64)
    if len(middle):
        for kept, new in zip(found, p_values(harm[middle], truth, alpha), strict=True):
            kept[middle] = new
    return found


def share_p_values(harm: Array, words: Array, truth: float = 0.0, alpha: float = 1.0) -> PValues:
    """`share_interval` of R suites, both [R,N], for decisions at levels up to `alpha`."""
    return p_values(
        with_pseudo_pictures(harm, harm.mean(axis=1), 1 / words.mean(axis=1)), truth, alpha
    )


def _normed(distance: Array, error: Array, above: Callable[[Array], Array]) -> PValues:
    """p-values of distances from the truth; certain where there is no spread at all."""
    spread = error > 0
    statistic = distance / np.where(spread, error, 1.0)
    return PValues(
        *(np.where(spread, above(s * statistic), (s * distance <= 0) * 1.0) for s in (1, -1))
    )


def _bootstrapped(values: Array) -> NDArray[np.bool_]:
    """Where `mean_interval` takes the bootstrap-t."""
    deviations = values - values.mean(axis=1, keepdims=True)
    second, third = ((deviations**power).mean(axis=1) for power in (2, 3))
    spread = np.ptp(values, axis=1) > 0
    skew = third / np.where(spread, second, 1.0) ** 1.5
    chosen: NDArray[np.bool_] = spread & ((values.shape[1] < FEW) | (np.abs(skew) > SKEWED))
    return chosen


def _studentised(values: Array, truth: float) -> PValues:
    count, plain = values.shape[1], student_p_values(values, truth)
    rising = np.sort(values, axis=1)
    mean = rising.mean(axis=1, keepdims=True)
    error = rising.std(axis=1, ddof=1) / math.sqrt(count)
    deviations = rising - mean
    sums = [
        np.concatenate([one @ _plan(count), one[:, ::-1] @ _plan(count)], axis=1)
        for one in (deviations, deviations**2)
    ]
    drawn, _ = ratios(sums[0], sums[1], count)
    statistic = (mean[:, 0] - truth) / error
    # Where the truth lies beyond all pictures, the end there is Student's.
    beyond = rising[:, 0] > truth, rising[:, -1] < truth
    sides = (drawn, statistic, plain.worse), (-drawn, -statistic, plain.better)
    return PValues(
        *(
            np.where(out, student, np.maximum(p_above(draws, value, count), student))
            for out, (draws, value, student) in zip(beyond, sides, strict=True)
        )
    )


@lru_cache(maxsize=2)
def _plan(count: int) -> Array:
    """`plan` for a matrix product: [N, draws]."""
    return np.ascontiguousarray(plan(count).T, dtype=np.float64)
