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

A picture that is drawn n times has one answer, and that is a measurement with an error: n times
the product would take it for n of them, and find twelve pictures as telling as two hundred. Its
factor is a line in x instead, below (1 + f / (W m) · w (x - m))^n for the rate at which the answer
could have been x, whatever that rate is:

    B^(n-1) (B - n r + n c x / m),      c = f w / W,  r = min(c, (1 - c) / (n - 1)),  B = 1 - c + r

For r = c, few draws or small bets, it is Bernoulli's 1 + n f / (W m) · w (x - m); for n = 1 it is
the factor above. Otherwise it touches the power further down, so that no wealth is negative. (Look
by look this is proven; over all looks of few pictures it was simulated, and erred less still.)
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


def wealth(scores: Array, weights: Array, times: Array, largest: float, rate: float) -> float:
    """Log of the wealth of who bets that the win rate is above `rate`, in (0, 1].

    One score and weight for each answer, and how many `times` it was drawn.
    """
    lost = BETS[:, None] * weights / largest  # of a picture whose score is 0
    back = np.minimum(lost, (1 - lost) / np.maximum(times - 1, 1e-9))
    left = 1 - lost + back
    line = left - times * back + times * lost * scores / rate
    with np.errstate(divide="ignore"):  # all of it lost
        growth = ((times - 1) * np.log(left) + np.log(np.maximum(line, 0))).sum(axis=1)
    top = float(growth.max())
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(np.exp(growth - top)) / len(BETS))


def anytime_interval(
    scores: Sequence[float],
    weights: Sequence[float],
    times: Sequence[int],
    largest: float,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Win rate with bounds that hold at every moment at once; None for no answers.

    One score and weight for each answer, which was drawn so many `times`. `largest` bounds the
    weights beforehand: 1 / the share of draws that are made uniformly. Each end errs at most
    (1 - confidence) / 2, over all moments. `p_worse` is that of "the candidate wins half or more":
    1 over the wealth of who bets against it, at most 1; `count` is answers. ValueError for scores
    outside [0, 1], weights above `largest` or answers that were never drawn.
    """
    x, w, n = (np.asarray(values, dtype=np.float64) for values in (scores, weights, times))
    if not len(x):
        return None
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("scores lie in [0, 1]")
    if not ((w > 0) & (w <= largest * (1 + 1e-9))).all():
        raise ValueError(f"weights lie in (0, {largest:g}]")
    if not (n >= 1).all():
        raise ValueError("an answer is drawn once or more")
    needed = -math.log((1 - confidence) / 2)
    low = _bound(x, w, n, largest, needed)
    high = 1 - _bound(1 - x, w, n, largest, needed)
    rate = math.fsum(n * w * x) / math.fsum(n * w)
    p_worse = math.exp(min(0.0, -wealth(1 - x, w, n, largest, 1 - EVEN)))
    return Interval(rate, min(low, rate), max(high, rate), None, len(x), "betting", p_worse)


def _bound(scores: Array, weights: Array, times: Array, largest: float, needed: float) -> float:
    """The largest rate of which the wealth of its opponent says that it lies below the truth.

    The wealth falls as the rate grows: every factor of it does.
    """
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if wealth(scores, weights, times, largest, middle) >= needed:
            low = middle
        else:
            high = middle
    return low
