"""Shares of few countable things on each picture: words that are wrong, of those that count.

Where such errors are rare, most pictures have none in either arm, and often all of them: then the
mean of the harm has no spread, its interval no width, and it passes any margin (with 24 pages of 20
words in every third case at a harm of exactly 0.0025). So, as for rates of pictures, something is
added on both sides. With u what one thing weighs in its picture's share (1 / words of a picture),

    h = 1.5 u        d_1 … d_N, the pictures' harm, and two pseudo-pictures with d̄ + h and d̄ - h

have the same mean, and a variance that never falls below 2 h² / (N + 1). Why 1.5: without a single
event the upper end is z(0.95) √2 h / N = 3.5 u / N, and the exact bound of a Poisson count of zero
is -ln 0.05 = 3.0 u / N. With k events on pictures of their own, in units of u / N and beside the
exact 95 % bounds (Garwood, Biometrika 28, 1936), N = 200:

    k        0     1     2     5      10
    upper    3.5   6.0   7.6   11.4   17.3
    exact    3.0   4.7   6.3   10.5   17.0

So no margin can be passed with fewer than 3.5 / margin words (1400 for 0.0025), however good the
candidate is. Seeds of a picture fail together, so u does not shrink with their number.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from qa.stats.interval import CONFIDENCE, Array, Interval, sample
from qa.stats.mean import mean_interval

EVENTS = 1.5
"""Things that each pseudo-picture has lost or won."""
METHOD = "sparse shares"


def with_pseudo_pictures(harm: Array, mean: ArrayLike, unit: ArrayLike) -> Array:
    """[…,N] → […,N+2]; `mean` […] is d̄ and `unit` […] is u."""
    centre, height = np.asarray(mean)[..., None], EVENTS * np.asarray(unit)[..., None]
    return np.concatenate([harm, centre + height, centre - height], axis=-1)


def added(unit: float) -> float:
    """2 h²: by how much the pseudo-pictures raise the sum of squares."""
    return 2 * (EVENTS * unit) ** 2


def share_interval(harm: ArrayLike, unit: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Mean harm of shares over pictures [N]; None for no values at all.

    The mean and the standard deviation are those of the pictures, the ends and the p-value those of
    `mean_interval` with the pseudo-pictures. `unit` is u > 0. ValueError for values that are not
    finite or another `unit`.
    """
    if not np.isfinite(unit) or unit <= 0:
        raise ValueError(f"one thing weighs more than 0; this is {unit}")
    if not np.size(harm):
        return None
    found = sample(harm)
    if found.count == 1:
        return Interval(found.mean, None, None, None, 1, METHOD)
    values = np.asarray(harm, dtype=np.float64)
    wide = mean_interval(with_pseudo_pictures(values, found.mean, unit), confidence)
    assert wide is not None
    return replace(wide, mean=found.mean, sd=found.sd, count=found.count, method=METHOD)
