"""How many pictures and seeds a comparison needs.

Of harm x_ps for picture p and seed s, with independent A_p and E_ps,

    x_ps = μ + A_p + E_ps        Var A = sb² (between pictures),  Var E = sw² (within, seeds)
    Var of the mean of N pictures with S seeds each = (sb² + sw²/S) / N

(Miller, "Adding error bars to evals", 2024, 3.2 and 5: ω² + σ²/K). A test at one-sided α finds a
true harm m with probability `power` from N pictures on, where

    N = (t(1-α) + t(power))² (sb² + sw²/S) / m²        t of N - 1 degrees of freedom

and solved for m that is the minimum detectable effect. With normal quantiles, as Miller has it, the
power at N = 24 would be 4 points less than promised. For sparse shares (`qa.stats.shares`) the
variance of the mean is larger by 2 h² / N².
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qa.stats.interval import CONFIDENCE, Interval, t_above, t_quantile, z_quantile
from qa.stats.rates import adjusted
from qa.stats.shares import METHOD as SHARES

CAP = 1_000_000


@dataclass(frozen=True)
class Components:
    """Where the spread of a pilot comes from."""

    between: float
    """sb², variance between pictures; with one seed it holds both."""
    within: float
    """sw², variance between seeds of one picture; 0 with one seed, which cannot show it."""
    pictures: int
    seeds: int
    """Most seeds of a picture."""
    added: float = 0.0
    """What pseudo-pictures add to the sum of squares (`qa.stats.shares.added`)."""

    @property
    def icc(self) -> float | None:
        """Intraclass correlation sb² / (sb² + sw²); None with one seed or without any spread."""
        total = self.between + self.within
        return self.between / total if self.seeds > 1 and total > 0 else None

    @property
    def design_effect(self) -> float | None:
        """1 + (S-1) ICC (Kish 1965): how much too small the variance is that forgets pictures."""
        return None if self.icc is None else 1 + (self.seeds - 1) * self.icc

    def variance(self, seeds: int) -> float:
        """sb² + sw²/S: variance of a picture's mean over S seeds."""
        return self.between + self.within / seeds

    def error(self, pictures: int, seeds: int) -> float:
        """Standard error of the mean over so many of both: √((sb² + sw²/S) / N + added / N²)."""
        return math.sqrt(self.variance(seeds) / pictures + self.added / pictures**2)


def components(table: ArrayLike) -> Components | None:
    """Variance components of [P,S], NaN where a seed is missing; None below two pictures.

    Analysis of variance of one random factor (Searle, Casella and McCulloch, "Variance
    Components", 1992, 3.6): with n_p seeds of picture p,

        sw² = MSW        sb² = max(0, (MSB - MSW) / n₀)        n₀ = (n - Σ n_p² / n) / (P - 1)
    """
    rows = np.asarray(table, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"components need a table [P,S]; this is {rows.shape}")
    rows = rows[~np.isnan(rows).all(axis=1)]
    pictures, sizes = len(rows), (~np.isnan(rows)).sum(axis=1)
    if pictures < 2:
        return None
    total, means = sizes.sum(), np.nanmean(rows, axis=1)
    centre = (sizes * means).sum() / total
    between = (sizes * (means - centre) ** 2).sum() / (pictures - 1)
    if total == pictures:
        return Components(float(between), 0.0, pictures, 1)
    within = float(np.nansum((rows - means[:, None]) ** 2) / (total - pictures))
    share = (total - (sizes**2).sum() / total) / (pictures - 1)
    return Components(max(0.0, float(between - within) / share), within, pictures, int(sizes.max()))


def mde(
    parts: Components, pictures: int, seeds: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true harm that so many pictures (at least 2) and seeds find with this power."""
    found = t_quantile(1 - alpha, pictures - 1) + t_quantile(power, pictures - 1)
    return found * parts.error(pictures, seeds)


def pictures_for(
    parts: Components, margin: float, seeds: int, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Fewest pictures (at least 2) whose minimum detectable effect is not above the margin.

    None where not even `CAP` pictures are enough.
    """
    if mde(parts, CAP, seeds, alpha, power) > margin:
        return None
    found = z_quantile(1 - alpha) + z_quantile(power)
    half, square = parts.variance(seeds) / 2, (margin / found) ** 2
    count = max(2, math.ceil((half + math.sqrt(half**2 + square * parts.added)) / square))
    while mde(parts, count, seeds, alpha, power) > margin:  # t needs a few more than z
        count += 1
    return count


def best_seeds(parts: Components, cost_ratio: float, most: int = 16) -> int:
    """Seeds that buy the most precision, from 1 to `most`.

    `cost_ratio` is what a further picture costs beyond its decodes, in decodes: it costs
    cost_ratio + S. Of the whole numbers, the one with the least (cost_ratio + S) (sb² + sw²/S),
    which lies beside S* = √(cost_ratio · sw² / sb²) (Snijders and Bosker 1993).
    """
    return min(range(1, most + 1), key=lambda s: ((cost_ratio + s) * parts.variance(s), s))


def pictures_needed(
    harm: Interval, margin: float, confidence: float = CONFIDENCE, cap: int = CAP
) -> int | None:
    """How many pictures would settle an inconclusive comparison if mean and spread stay as seen.

    It passes as soon as the upper end is below the margin and fails as soon as the lower one is
    above 0. None below two pictures or above `cap`.
    """
    return pictures_until(harm, lambda low, high: high < margin or low > 0, confidence, cap)


def pictures_until(
    seen: Interval,
    settled: Callable[[float, float], bool],
    confidence: float = CONFIDENCE,
    cap: int = CAP,
) -> int | None:
    """The first number of pictures whose expected ends (low, high) are `settled`.

    As if mean and spread stayed as seen; None below two pictures or above `cap`.
    """
    if seen.sd is None or seen.low is None or seen.high is None:
        return None
    ends = _ends(seen, confidence)
    if not settled(*ends(cap)):
        return None
    low, high = 2, cap
    while low < high:  # the interval only shrinks with the number
        middle = (low + high) // 2
        low, high = (low, middle) if settled(*ends(middle)) else (middle + 1, high)
    return low


def _ends(seen: Interval, confidence: float) -> Callable[[int], tuple[float, float]]:
    """Expected ends by number of pictures, by the method of the interval."""
    mean, sd, count = seen.mean, seen.sd or 0.0, seen.count
    low, high = seen.low or 0.0, seen.high or 0.0
    z, square = z_quantile((1 + confidence) / 2), sd**2 * (count - 1) / count + mean**2

    def by_t(n: int) -> tuple[float, float]:
        half = t_quantile((1 + confidence) / 2, n - 1) * sd / math.sqrt(n)
        return mean - half, mean + half

    def by_counts(n: int) -> tuple[float, float]:
        error = (high - low) / 2 / z
        added = (error * (count + 2)) ** 2 + (mean * count) ** 2 / (count + 2) - square * count
        centre, error = adjusted(mean * n, square * n + added, n)
        return centre - z * float(error), centre + z * float(error)

    def by_shares(n: int) -> tuple[float, float]:
        error = (high - low) / 2 / t_quantile((1 + confidence) / 2, count + 1)
        more = max(0.0, error**2 * (count + 2) * (count + 1) - sd**2 * (count - 1))
        squares = (sd**2 * (n - 1) + more) / (n + 2) / (n + 1)
        half = t_quantile((1 + confidence) / 2, n + 1) * math.sqrt(squares)
        return mean - half, mean + half

    def by_scale(n: int) -> tuple[float, float]:
        """Both widths fall as 1/√n; the longer one of skewed values falls faster."""
        scale = math.sqrt(count / n)
        return mean - scale * (mean - low), mean + scale * (high - mean)

    ways = {"t": by_t, "paired counts": by_counts, SHARES: by_shares}
    return ways.get(seen.method, by_scale)


def power_from(low: float, high: float, margin: float, count: int, confidence: float) -> float:
    """Chance that a comparison like this one finds a true harm of its whole margin.

    That is P(lower end > 0) where the harm is `margin` and the interval as wide as [low, high] is
    here: T(m / e - t(1-α)) with the standard error e = (high - low) / 2 t(1-α) and T the law of
    Student's t with `count` - 1 degrees of freedom. By symmetry it is also the chance that a
    candidate without any harm passes. ValueError below two pictures or for an interval of no width.
    """
    if count < 2 or not high > low or margin <= 0:
        raise ValueError(f"no power from [{low}, {high}], margin {margin}, {count} pictures")
    quantile = t_quantile((1 + confidence) / 2, count - 1)
    error = (high - low) / 2 / quantile
    return 1.0 - float(t_above(margin / error - quantile, count - 1))
