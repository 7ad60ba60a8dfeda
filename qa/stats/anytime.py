"""Bounds of a win rate that hold at whatever moment one looks, so that a review may stop when it
has seen enough.

A gambler bets on "the win rate is above m". Over draws with scores x in [0, 1] and weights
w = (1/N) / q <= W the wealth

    K_t(m) = mean over f of Π_i (1 + f / (W m) · w_i (x_i - m)),      f in (0, 1)

is a fair game if the win rate is m, and a losing one if it is less, whatever it is that makes
raters answer as they do: E[w (x - m)] <= 0. By Ville's inequality it ever reaches 1/α with
probability α at most. All m whose wealth reached 1/α lie below the win rate; the upper bound is the
same game with the arms exchanged (Waudby-Smith and Ramdas, J. R. Statist. Soc. B 86, 2024, with a
mean over fixed bets in place of adaptive ones: the order of the draws then changes nothing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from qa.stats.interval import CONFIDENCE, Array, Interval
from qa.stats.preference import EVEN

BETS = np.geomspace(0.01, 0.95, 24)
"""Shares of the largest bet that cannot ruin: small ones for slight preferences, and large ones."""
STEPS = 60
"""Halvings of [0, 1] towards a bound."""


def wealth(scores: Array, weights: Array, largest: float, rate: float) -> float:
    """Log of the wealth of who bets that the win rate is above `rate`, in (0, 1]."""
    gains = weights * (scores - rate) / (largest * rate)
    growth = np.log1p(BETS[:, None] * gains[None, :]).sum(axis=1)
    top = float(growth.max())
    return top + math.log(math.fsum(np.exp(growth - top)) / len(BETS))


def anytime_interval(
    scores: Sequence[float],
    weights: Sequence[float],
    largest: float,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Win rate with bounds that hold at every moment at once; None for no draws.

    `largest` bounds the weights beforehand: 1 / the share of draws that are made uniformly. Each
    end errs at most (1 - confidence) / 2, over all moments. `p_worse` is that of "the candidate
    wins half or more": 1 over the wealth of who bets against it, at most 1. ValueError for scores
    outside [0, 1] or weights above `largest`.
    """
    x, w = np.asarray(scores, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if not len(x):
        return None
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("scores lie in [0, 1]")
    if not ((w > 0) & (w <= largest * (1 + 1e-9))).all():
        raise ValueError(f"weights lie in (0, {largest:g}]")
    needed = -math.log((1 - confidence) / 2)
    low = _bound(x, w, largest, needed)
    high = 1 - _bound(1 - x, w, largest, needed)
    rate = math.fsum(w * x) / math.fsum(w)
    p_worse = min(1.0, math.exp(-wealth(1 - x, w, largest, 1 - EVEN)))
    return Interval(rate, min(low, rate), max(high, rate), None, len(x), "betting", p_worse)


def _bound(scores: Array, weights: Array, largest: float, needed: float) -> float:
    """The largest rate of which the wealth of its opponent says that it lies below the truth.

    The wealth falls as the rate grows: every factor of it does.
    """
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if wealth(scores, weights, largest, middle) >= needed:
            low = middle
        else:
            high = middle
    return low
