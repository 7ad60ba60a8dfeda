"""The studentised bootstrap (bootstrap-t), for few or skewed values.

Where a few pictures break badly, Student's interval ends too early on the side of the long tail.
The bootstrap-t learns the law of t from the data instead of a table (Efron, "The jackknife, the
bootstrap and other resampling plans", 1982, ch. 10; Hall, "Theoretical comparison of bootstrap
confidence intervals", Annals of Statistics 16, 1988):

    t*    = (x̄* - x̄) / (sd* / √N)              of N values drawn with replacement, B times
    ends    x̄ - t*(1-α) · sd/√N  and  x̄ - t*(α) · sd/√N
    p       (1 + #{t* >= x̄ / (sd/√N)}) / (B + 1)

The draws are fixed (`plan`), and each is applied to the values from the smallest up and from the
largest down. So the result depends neither on the order of the values nor on chance, and that of -x
is that of x mirrored, bit for bit. With draws that never change, their luck does not average out
over metrics, so there are many: it moves α = 5 % by √(α (1-α) / B), 0.2 points.

**Draws without spread** (N equal values; usual where most pictures do not change at all) have no
t*. They count as the farthest t* that there is, on the side of their mean, and each end is then the
wider one of Student's and the bootstrap's; so it is for an α below 1 / (B+1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qa.stats.interval import (
    CONFIDENCE,
    Array,
    Interval,
    Sample,
    sample,
    student,
    t_above,
    wider,
)

PLANS = 5000
"""Draws; each gives two t*. B + 1 = 10001 is odd, so no usual α falls on a step of p."""
RESAMPLES = 2 * PLANS
SEED = 1908
FLAT = 1e-12
"""A draw whose squares spread less than this, relative to their sum, has no spread."""
BLOCK = 500
ROOM = 2**23
"""Places that are drawn at once at most: 64 MB."""
KEPT = 20_000
"""Pictures up to which a plan is kept for the next metric; of more it is drawn anew, in parts."""


def bootstrap_t(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean with the bootstrap-t interval over independent values [N]. ValueError for no values."""
    return studentised(sample(values), confidence)


def studentised(found: Sample, confidence: float) -> Interval:
    """`bootstrap_t` of a sample that was already taken."""
    plain = student(found, confidence)
    if plain.low is None or plain.high is None or not found.sd:
        return plain
    drawn, flat = ratios(*_sums(found.deviations), found.count)
    drawn = np.sort(drawn)
    place = rank(confidence)
    low = found.mean - float(drawn[place]) * found.error
    high = found.mean - float(drawn[-1 - place]) * found.error
    p_worse = float(p_above(drawn, found.mean / found.error, found.count))
    again = replace(plain, low=low, high=high, method="bootstrap-t", p_worse=p_worse)
    unresolved = (1 - confidence) / 2 < 1 / (RESAMPLES + 1)
    return wider(again, plain) if unresolved or flat.any() else again


@lru_cache(maxsize=2)
def plan(count: int) -> NDArray[np.uint8]:
    """How often each draw takes each of `count` places: [PLANS, count], 5 kB a picture.

    RandomState's stream is frozen (NumPy Enhancement Proposal 19), so no verdict changes with
    NumPy.
    """
    return np.concatenate(list(_drawn(count)))


def _drawn(count: int) -> Iterator[NDArray[np.uint8]]:
    """The plan in parts [at most BLOCK, count]; how large they are changes no draw."""
    rng = np.random.RandomState(SEED)
    rows = min(BLOCK, max(1, ROOM // count))
    for start in range(0, PLANS, rows):
        size = min(rows, PLANS - start)
        places = rng.randint(0, count, (size, count)) + count * np.arange(size)[:, None]
        taken = np.bincount(places.ravel(), minlength=size * count)
        part = np.empty((size, count), dtype=np.uint8)
        part[:] = taken.reshape(size, count)
        yield part


def ratios(first: Any, second: Any, count: int) -> tuple[Any, NDArray[np.bool_]]:
    """t* from sums of drawn deviations and of their squares [..., B], and which draws are flat."""
    squares = second - first * first / count
    flat = squares <= FLAT * second
    if not flat.any():
        return first / np.sqrt(squares * (count / (count - 1))), flat
    error = np.sqrt(np.where(flat, 1.0, squares) * (count / (count - 1)))
    drawn = np.where(flat, 0.0, first / error)
    farthest = np.abs(drawn).max(axis=-1, keepdims=True)
    return np.where(flat, np.sign(first) * farthest, drawn), flat


def rank(confidence: float) -> int:
    """Place of t*(1-α) among the sorted t*: the first one that at most α (B+1) - 1 reach."""
    return min(math.ceil((RESAMPLES + 1) * (1 + confidence) / 2), RESAMPLES) - 1


def p_above(drawn: Any, statistic: Any, count: int) -> Any:
    """p of a statistic among t* [..., B]. What none of them reaches, Student's tail may bound."""
    reached = np.count_nonzero(drawn >= np.asarray(statistic)[..., None], axis=-1)
    p = (reached + 1) / (RESAMPLES + 1)
    return np.where(reached, p, np.minimum(p, t_above(statistic, count - 1)))


def _sums(deviations: Array) -> tuple[Array, Array]:
    """Sums of drawn deviations and of their squares [B]: from below, then from above.

    Without BLAS, whose bits depend on the number of threads.
    """
    count, squares = len(deviations), deviations**2
    turned = [values[::-1].copy() for values in (deviations, squares)]
    ways = (deviations, turned[0], squares, turned[1])
    sums = [np.empty(PLANS) for _ in ways]
    kept = plan(count) if count <= KEPT else None
    parts = _drawn(count) if kept is None else np.array_split(kept, PLANS // BLOCK)
    start = 0
    for part in parts:
        block, end = part.astype(np.float64), start + len(part)
        for total, values in zip(sums, ways, strict=True):
            total[start:end] = np.einsum("bn,n->b", block, values)
        start = end
    return np.concatenate(sums[:2]), np.concatenate(sums[2:])
