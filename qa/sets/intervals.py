"""How far a statistic of sets can be trusted: over pictures, never over rows.

The rows of one picture (its seeds, its patches) are not independent, so pictures are what is left
out, swapped or drawn again, always with all their rows. Rows are first sorted by picture and
seed: the order of these at the call changes nothing but rounding.

**Seeds.** Every seed is a set of its own, of as many rows as the reference, and the value is the
mean over seeds. In one heap the copies that a deterministic decoder makes would be each other's
nearest neighbours (recall 0), and identical sets would be at a distance.

**Delete-group jackknife.** The P pictures, in order of their numbers, are dealt in turn to
G = min(20, P) groups. Let θ be the statistic, θ_(g) the one without group g and h_g = N / n_g the
rows in all for each row of the group (Busing, Meijer and van der Leeden 1999):

    estimate   θ_J = G θ - Σ (1 - 1/h_g) θ_(g)
    error²     1/G Σ (p_g - θ_J)² / (h_g - 1)    with pseudo-values p_g = h_g θ - (h_g - 1) θ_(g)
    interval   θ_J ± t(G-1) · error

θ_J lacks the part of the bias that falls as 1/N: nearly all of it once N is several times d, the
number of features. For N below d the rest is large, and the interval may nearly always miss the
limit of N → ∞. Only `Delta.at_this_n` is valid there: the same width around the plain difference,
for what to expect of other pictures at this N. Simulated one-sided misses with d = 64 (5 % nominal)
at N = 300 and 500: 1 to 3 % of lower ends and 1 to 7 % of upper ones, most for large differences,
because the error grows with the estimate; at N = 24 up to 99 %, of `at_this_n` 1 to 6 %.

**The reference.** A picture that is left out leaves *every* set that has it. So a reference of
other pictures, or one given as `Moments`, stays frozen, while originals of the candidate's pictures
(rows with the same numbers) leave with their copies. This matters: candidate and original share
their content, so their sampling errors cancel in θ, and would not in θ_(g) if only one of them
left. For normal features with d = 64, N = 300 and a true difference of 0.122 between two noisy
copies, freezing the originals makes 87 % of the nominal 95 % lower bounds miss, and leaving out
both 3 %. Number the pictures of an unrelated reference differently from the candidate's.

**Label swap.** If candidate and baseline are equally good, exchanging their rows picture by picture
changes nothing, and the observed difference is one of many equally likely ones. Every random
exchange is counted together with its complement, whose difference is the negative, which costs
nothing. The whole reference is used: nothing is left out.

**Bootstrap.** P pictures are drawn with replacement. Drawing repeats the bias of a small sample
(the mean of the replicates lies as far above the value as that above the truth), so percentiles are
taken of the deviations from the replicates' mean. Made for the Fréchet distance of many patches;
repeated rows have nearest neighbours at distance 0 and spoil precision and its kin.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa.sets.frechet import Moments
from qa.sets.rows import Measure
from qa.stats import CONFIDENCE, t_quantile
from qa.types import Estimate, FeatureSet

GROUPS = 20
TIE = 1e-9
"""Differences this close, relative to the two values, are ties: rounding must not decide."""

Statistic = Callable[[Any], Measure]
"""What a class of this package is: reference rows [m,d], or `Moments` → measure of a candidate.
`functools.partial(Precision, k=3)` is one too."""
Pictures = NDArray[np.int64]


@dataclass(frozen=True)
class Delta:
    """Candidate minus baseline. Fields are None where they cannot be had; `why` says why."""

    plain: float
    """Difference of the two values as they are."""
    estimate: float | None
    """θ_J: without the bias that falls as 1/N. The interval is around it."""
    error: float | None
    """Standard error of both."""
    low: float | None
    high: float | None
    p_above: float | None
    """One-sided: how often a difference at least as far up comes from exchanging labels."""
    p_below: float | None
    """The same downwards, for statistics where less is worse."""
    rows: int
    """N of each arm."""
    pictures: int
    groups: int
    """G; the interval has G-1 degrees of freedom."""
    why: str = ""

    @property
    def at_this_n(self) -> tuple[float, float] | None:
        """The interval around `plain`: for the expected difference at this N, also below d rows."""
        if self.estimate is None or self.low is None or self.high is None:
            return None
        shift = self.plain - self.estimate
        return self.low + shift, self.high + shift


def interval(
    statistic: Statistic,
    candidate: FeatureSet,
    reference: FeatureSet | Moments,
    groups: int = GROUPS,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The statistic's value, with where that of another draw of as many pictures would lie.

    Value and interval are those of this N: what is biased at this N stays so. `low` and `high` are
    None below two pictures, or where the statistic needs more rows than a group leaves. ValueError
    where there is no value.
    """
    x, target = _sorted(candidate), _Reference(statistic, reference)
    value = _value(target.whole, x)

    def without(gone: Pictures) -> float:
        return _value(target.without(gone), _without(x, gone))

    found = _jackknife(without, value, x.pictures, groups)
    low, high = _around(value, found, confidence)
    return Estimate(value, low, high, _count(x), len(np.unique(x.pictures)))


def delta(
    statistic: Statistic,
    candidate: FeatureSet,
    baseline: FeatureSet,
    reference: FeatureSet | Moments,
    groups: int = GROUPS,
    permutations: int = 200,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Delta:
    """Candidate against baseline on the same pictures, with interval and p-values.

    ValueError unless both have the same pictures with as many rows each: the bias of these
    statistics depends on N. `permutations=0` leaves the p-values out.
    """
    a, b, target = _sorted(candidate), _sorted(baseline), _Reference(statistic, reference)
    if not np.array_equal(a.pictures, b.pictures) or not np.array_equal(_seeds(a), _seeds(b)):
        raise ValueError(
            f"the arms must have the same pictures and rows; the candidate has {_size(a)}, "
            f"the baseline {_size(b)}, or their picture numbers differ"
        )
    values = _value(target.whole, a), _value(target.whole, b)
    plain = values[0] - values[1]

    def without(gone: Pictures) -> float:
        measure = target.without(gone)
        return _value(measure, _without(a, gone)) - _value(measure, _without(b, gone))

    found = _jackknife(without, plain, a.pictures, groups)
    low, high = _around(found.estimate, found, confidence)
    above, below = _swap(target.whole, a, b, values, permutations, seed)
    pictures = len(np.unique(a.pictures))
    return Delta(
        plain, found.estimate, found.error, low, high, above, below,
        _count(a), pictures, found.groups, found.why,
    )  # fmt: skip


def bootstrap(
    statistic: Statistic,
    candidate: FeatureSet,
    reference: FeatureSet | Moments,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The value with a percentile interval over pictures drawn with replacement, recentred.

    None for `low` and `high` with one picture. ValueError where there is no value.
    """
    x, target = _sorted(candidate), _Reference(statistic, reference)
    value = _value(target.whole, x)
    pictures = np.unique(x.pictures)
    rows = _count(x)
    if len(pictures) < 2:
        return Estimate(value, None, None, rows, len(pictures))
    rng = np.random.default_rng(seed)
    found = np.empty(replicates)
    for index in range(replicates):
        drawn = pictures[rng.integers(0, len(pictures), len(pictures))]
        found[index] = _value(target.drawn(pictures, drawn), _drawn(x, drawn))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = value + np.quantile(found - found.mean(), tails)
    return Estimate(value, float(low), float(high), rows, len(pictures))


class _Reference:
    """A statistic bound to its reference, whole or with pictures left out or drawn."""

    def __init__(self, statistic: Statistic, reference: FeatureSet | Moments) -> None:
        self._statistic = statistic
        self._set = None if isinstance(reference, Moments) else _sorted(reference)
        self.whole = statistic(reference if self._set is None else self._set.values)

    def without(self, gone: Pictures) -> Measure:
        """Without these pictures; the whole one if it has none of them."""
        if self._set is None or not np.isin(self._set.pictures, gone).any():
            return self.whole
        return self._statistic(_without(self._set, gone).values)

    def drawn(self, pictures: Pictures, drawn: Pictures) -> Measure:
        """With the rows of `pictures` replaced by those of `drawn`, and all others as they are."""
        if self._set is None or not np.isin(self._set.pictures, pictures).any():
            return self.whole
        others = _without(self._set, pictures).values
        return self._statistic(np.concatenate([others, _drawn(self._set, drawn).values]))


class _Jackknife(NamedTuple):
    estimate: float | None
    error: float | None
    groups: int
    why: str


def _jackknife(
    without: Callable[[Pictures], float], whole: float, pictures: Pictures, groups: int
) -> _Jackknife:
    """`without` gives θ with pictures left out, `whole` is θ, `pictures` [N] owns the rows."""
    distinct, counts = np.unique(pictures, return_counts=True)
    count = min(groups, len(distinct))
    if count < 2:
        return _Jackknife(None, None, count, "one picture, or one group, has no spread")
    member = np.arange(len(distinct)) % count
    try:
        left = np.array([without(distinct[member == group]) for group in range(count)])
    except ValueError as error:
        return _Jackknife(None, None, count, f"with a group of pictures left out: {error}")
    h = len(pictures) / np.bincount(member, weights=counts)
    pseudo = h * whole - (h - 1) * left
    estimate = count * whole - float(((1 - 1 / h) * left).sum())
    spread = math.sqrt(float(((pseudo - estimate) ** 2 / (h - 1)).mean()))
    return _Jackknife(estimate, spread, count, "")


def _around(
    centre: float | None, found: _Jackknife, confidence: float
) -> tuple[float | None, float | None]:
    if centre is None or found.error is None:
        return None, None
    half = t_quantile((1 + confidence) / 2, found.groups - 1) * found.error
    return centre - half, centre + half


def _swap(
    measure: Measure,
    a: FeatureSet,
    b: FeatureSet,
    values: tuple[float, float],
    permutations: int,
    seed: int,
) -> tuple[float | None, float | None]:
    """p-values upwards and downwards."""
    if permutations < 1:
        return None, None
    distinct, owner = np.unique(a.pictures, return_inverse=True)
    rng = np.random.default_rng(seed)
    observed = values[0] - values[1]
    found = [observed]
    for _ in range(permutations):
        swapped = rng.integers(0, 2, len(distinct), dtype=bool)[owner, None]
        first, other = (
            _value(measure, replace(a, values=np.where(swapped, one.values, two.values)))
            for one, two in ((b, a), (a, b))
        )
        found.append(first - other)
    every = np.concatenate([found, np.negative(found)])
    tie = TIE * (abs(values[0]) + abs(values[1]))
    return float((every >= observed - tie).mean()), float((every <= observed + tie).mean())


def _value(measure: Measure, rows: FeatureSet) -> float:
    """Mean over seeds of what the rows of one seed measure."""
    if rows.seeds is None:
        return measure(rows.values)
    return float(np.mean([measure(rows.values[rows.seeds == s]) for s in np.unique(rows.seeds)]))


def _seeds(rows: FeatureSet) -> Pictures:
    return np.zeros_like(rows.pictures) if rows.seeds is None else rows.seeds


def _count(rows: FeatureSet) -> int:
    """Rows of one seed."""
    return len(rows.values) // len(np.unique(_seeds(rows)))


def _taken(rows: FeatureSet, index: NDArray[Any]) -> FeatureSet:
    seeds = None if rows.seeds is None else rows.seeds[index]
    return FeatureSet(rows.values[index], rows.pictures[index], seeds)


def _sorted(rows: FeatureSet) -> FeatureSet:
    if len(rows.values) != len(rows.pictures):
        raise ValueError(f"{len(rows.values)} rows have {len(rows.pictures)} picture numbers")
    return _taken(rows, np.lexsort((_seeds(rows), rows.pictures)))


def _without(rows: FeatureSet, gone: Pictures) -> FeatureSet:
    return _taken(rows, ~np.isin(rows.pictures, gone))


def _drawn(rows: FeatureSet, drawn: Pictures) -> FeatureSet:
    """The rows of these pictures, as often as they are named; `rows` are sorted."""
    first = np.searchsorted(rows.pictures, drawn, side="left")
    last = np.searchsorted(rows.pictures, drawn, side="right")
    counts = last - first
    index = np.arange(counts.sum()) + np.repeat(last - np.cumsum(counts), counts)
    return _taken(rows, index)


def _size(rows: FeatureSet) -> str:
    return f"{len(np.unique(rows.pictures))} with {len(rows.values)} rows"
