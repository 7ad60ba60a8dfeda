"""Shares of pictures: near-ceiling rates of two arms, and rare catastrophes of one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qa.stats.interval import CONFIDENCE, Array, Interval, sample, z_above, z_quantile
from qa.stats.mean import mean_interval

NEAR = 0.1
"""A rate this close to 0 or 1, in either arm, is near its end."""


def rate_interval(
    baseline: ArrayLike, candidate: ArrayLike, confidence: float = CONFIDENCE
) -> Interval | None:
    """Harm (baseline - candidate) of passes, both [P,S] of 0 and 1; None for no pictures.

    A picture with fewer than S values has NaN in their place, in both arms; S is then the smallest
    number that a picture has, which adds more than it would have to.

    With one seed, or near 0 or 1, paired counts with half a picture more in each of the four
    cells (Agresti and Min, Statistics in Medicine 24, 2005): where both arms pass nearly always,
    Student's interval has no width as soon as no picture differs, and passes too often. With
    d_i in {-1, 0, 1} and N' = N + 2,

        Δ = Σd / N'        var = (Σd² + 1/S - (Σd)² / N') / N'²        Δ ± z(1-α) √var

    For S > 1 seeds d_i is the picture's mean over them: the picture stays the unit, and what is
    added shrinks to 1/S like the variance of such a mean (simulated: docs/validation.md). Far from
    0 and 1 `mean_interval` of d. ValueError for other values or shapes.
    """
    arms = [np.asarray(arm, dtype=np.float64) for arm in (baseline, candidate)]
    shapes = [arm.shape for arm in arms]
    if shapes[0] != shapes[1] or arms[0].ndim != 2 or not shapes[0][1]:
        raise ValueError(f"rates need two tables [P,S] of one shape; these are {shapes}")
    there = ~np.isnan(arms[0])
    counts = there.sum(axis=1)
    if not np.array_equal(there, ~np.isnan(arms[1])) or not counts.all():
        raise ValueError("rates need the same values in both arms, one at least for each picture")
    if not all(np.isin(arm[there], (0.0, 1.0)).all() for arm in arms):
        raise ValueError("rates need values of 0 and 1")
    if not len(arms[0]):
        return None
    harm = (np.nansum(arms[0], axis=1) - np.nansum(arms[1], axis=1)) / counts
    ends = [min(rate, 1 - rate) for rate in (float(arm[there].mean()) for arm in arms)]
    fewest = int(counts.min())
    if fewest > 1 and min(ends) >= NEAR:
        return mean_interval(harm, confidence)
    return _paired_counts(harm, 1 / fewest, confidence)


def _paired_counts(harm: Array, added: float, confidence: float) -> Interval:
    found, squares = sample(harm), math.fsum(harm**2)
    if found.count == 1:
        return Interval(found.mean, None, None, None, 1, "paired counts")
    centre, error = adjusted(math.fsum(harm), squares + added, found.count)
    half = z_quantile((1 + confidence) / 2) * float(error)
    p_worse = float(z_above(centre / error))
    ends = centre - half, centre + half
    return Interval(found.mean, *ends, found.sd, found.count, "paired counts", p_worse)


def adjusted(total: Any, squares: Any, count: float) -> tuple[Any, Any]:
    """Centre and standard error from Σd and Σd² + 1/S (numbers or arrays) and N."""
    more = count + 2
    return total / more, np.sqrt(squares - total**2 / more) / more


def clopper_pearson(
    events: float, count: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Exact interval of a rate; each end errs at most (1 - confidence) / 2.

    Clopper and Pearson, Biometrika 26, 1934, as quantiles of Beta laws. No pictures: (0, 1).
    """
    from scipy.special import betaincinv

    if not 0 <= events <= count:
        raise ValueError(f"{events} events in {count} pictures")
    alpha = (1 - confidence) / 2
    low = float(betaincinv(events, count - events + 1, alpha)) if events else 0.0
    high = float(betaincinv(events + 1, count - events, 1 - alpha)) if events < count else 1.0
    return low, high


def zero_events_needed(rate: float, confidence: float = CONFIDENCE) -> int:
    """Pictures without any event that show a rate below `rate`: 299 for 1 %, 59 for 5 %.

    The smallest N with 1 - α^(1/N) < rate.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a rate lies between 0 and 1; this is {rate}")
    alpha = (1 - confidence) / 2
    return math.floor(math.log(alpha) / math.log1p(-rate)) + 1
