"""Intervals over pictures. Pure NumPy and SciPy; no run, file or tensor is known here.

The picture is the sampled unit: values are averaged over a picture's seeds before anything here
sees them, because seeds of one picture are not independent (treating them so gives 17 % false
passes at a nominal 5 %).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.90
"""Two-sided; each end is a one-sided 5 % bound, which is what the gates use."""


@dataclass(frozen=True)
class Interval:
    """A mean over `count` pictures. `low` and `high` are None below two pictures."""

    mean: float
    low: float | None
    high: float | None
    sd: float | None
    """Standard deviation between pictures (n-1)."""
    count: int


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t (scipy.special.stdtrit; scipy.stats takes a second to import)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """Mean with Student's t interval over independent values; None for no values at all."""
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    if count == 0:
        return None
    mean = float(array.mean())
    if count == 1:
        return Interval(mean, None, None, None, 1)
    sd = float(array.std(ddof=1))
    half = t_quantile((1 + confidence) / 2, count - 1) * sd / math.sqrt(count)
    return Interval(mean, mean - half, mean + half, sd, count)


def pictures_needed(
    harm: Interval, margin: float, confidence: float = CONFIDENCE, cap: int = 1_000_000
) -> int | None:
    """How many pictures would settle an inconclusive comparison if mean and spread stay as seen.

    The verdict falls as soon as the interval's half-width is below the larger of `margin - mean`
    (then it passes) and `mean` (then it fails). None below two pictures or above `cap`.
    """
    if harm.sd is None:
        return None
    reach = max(margin - harm.mean, harm.mean)

    def half_width(count: int) -> float:
        return t_quantile((1 + confidence) / 2, count - 1) * (harm.sd or 0.0) / math.sqrt(count)

    if half_width(cap) >= reach:
        return None
    low, high = 2, cap
    while low < high:  # half_width falls with count
        middle = (low + high) // 2
        low, high = (low, middle) if half_width(middle) < reach else (middle + 1, high)
    return low
