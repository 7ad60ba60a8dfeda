"""What is said about a mean over pictures, and Student's interval for it.

    mean ± t(1-α; N-1) · sd / √N            ("Student", 1908), α = (1 - confidence) / 2

Sums are exactly rounded (`math.fsum`), so the order of the values changes no bit, and the interval
of -x is that of x mirrored, bit for bit: a verdict does not depend on how a table was sorted, nor
on which arm is called the candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.90
"""Two-sided; each end is a one-sided 5 % bound, which is what the gates use."""

LARGEST = 1e100
"""Sums of cubes (skewness) of larger numbers would leave the range of floats."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over `count` pictures. `low` and `high` are None below two pictures."""

    mean: float
    low: float | None
    high: float | None
    sd: float | None
    """Standard deviation between pictures (n-1)."""
    count: int
    method: str = "t"
    """How the ends were found: "t", "bootstrap-t", "paired counts" or "sparse shares"."""
    p_worse: float | None = None
    """One-sided p-value of "the mean is at most 0". Below α exactly when `low` is above 0."""


@dataclass(frozen=True)
class Sample:
    """Independent values, without their order: rising, around their mean."""

    deviations: Array
    """[N] rising, x - mean."""
    mean: float
    sd: float
    """n-1; 0 for equal values."""

    @property
    def count(self) -> int:
        """N."""
        return len(self.deviations)

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.sd / math.sqrt(self.count)

    @property
    def skew(self) -> float:
        """g1 = m3 / m2^1.5 (Fisher 1930); 0 for equal values."""
        if not self.sd:
            return 0.0
        second, third = (math.fsum(self.deviations**power) / self.count for power in (2, 3))
        return third / second**1.5 if second else 0.0


def sample(values: ArrayLike) -> Sample:
    """At least one finite value [N]; ValueError otherwise."""
    array = np.sort(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"an interval needs finite values [N], and N > 0; these are {array.shape}")
    mean = math.fsum(array) / len(array)
    if array[0] == array[-1]:
        return Sample(np.zeros_like(array), float(array[0]), 0.0)
    deviations = array - mean
    spread = math.sqrt(math.fsum(deviations**2) / (len(array) - 1))
    return Sample(deviations, mean, spread)


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t (scipy.special.stdtrit; scipy.stats takes a second to import)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def t_above(statistic: Any, df: float) -> Any:
    """P(T >= statistic) for Student's t, of a number or an array."""
    from scipy.special import stdtr

    return stdtr(df, -statistic)


def z_quantile(probability: float) -> float:
    """Quantile of the standard normal law."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def z_above(statistic: Any) -> Any:
    """P(Z >= statistic) for the standard normal law, of a number or an array."""
    from scipy.special import ndtr

    return ndtr(-statistic)


def t_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean with Student's interval over independent values [N]. ValueError for no values."""
    return student(sample(values), confidence)


def student(found: Sample, confidence: float) -> Interval:
    """`t_interval` of a sample that was already taken."""
    if found.count == 1:
        return Interval(found.mean, None, None, None, 1)
    if not found.sd:
        return without_spread(found)
    half = t_quantile((1 + confidence) / 2, found.count - 1) * found.error
    p_worse = float(t_above(found.mean / found.error, found.count - 1))
    low, high = found.mean - half, found.mean + half
    return Interval(found.mean, low, high, found.sd, found.count, "t", p_worse)


def wider(one: Interval, other: Interval) -> Interval:
    """`one` with whichever end lies farther out. ValueError below two pictures."""
    low, high, p_worse = zip(_ends(one), _ends(other), strict=True)
    return replace(one, low=min(low), high=max(high), p_worse=max(p_worse))


def _ends(found: Interval) -> tuple[float, float, float]:
    if found.low is None or found.high is None or found.p_worse is None:
        raise ValueError(f"an interval over {found.count} pictures has no ends")
    return found.low, found.high, found.p_worse


def without_spread(found: Sample) -> Interval:
    """Equal values: nothing speaks for any other mean."""
    p_worse = 0.0 if found.mean > 0 else 1.0
    return Interval(found.mean, found.mean, found.mean, 0.0, found.count, "t", p_worse)
