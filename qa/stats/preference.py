"""Which of two arms, or of several, is preferred: win rates, strengths, paired questions.

A comparison scores 1 for the candidate, 0 for the other arm, 1/2 for a tie. Pictures are drawn with
replacement, with known chances q_i, because some are worth more of a rater's time than others. A
draw then weighs w = (1/N) / q, and

    win rate = Σ w x / Σ w        (Hájek; what the mean over all N pictures estimates)

Draws of one picture are not independent, and neither are answers of one rater: the variance is that
of sums over clusters of e = w (x - win rate), for both ways of clustering

    V = V_pictures + max(V_raters - V_answers, 0)      (Cameron, Gelbach and Miller, J. Bus. Econ.
                                                        Stat. 29, 2011; G / (G - 1) for each way)

where an answer is what one rater says of one picture. Where nearly all are ties, V rests on the few
that are not, and is too small where there happen to be fewer: with 30 pictures of which a fifth is
lost and the others are ties, Student's interval would pass a margin of 0.1 in 12 % of cases. So
V_pictures has two pseudo-pictures as in `qa.stats.shares`, at win rate ± 1.5 u with u = 1/2, from a
tie to a win; each weighs W / k (W = Σ w, k is Kish's number of pictures). Where all pictures have
the same score s, nothing varies at all, and still they are a sample: a share of at least
a = α^(1/k) of all of them has it, and the win rate lies in [a s, a s + 1 - a].
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from qa.stats.interval import CONFIDENCE, Array, Interval, t_above, t_quantile
from qa.stats.shares import EVENTS

EVEN = 0.5
"""The win rate of two arms that are alike."""
STEP = 0.5
"""From a tie to a win, or to a loss."""
NOTHING = 1e-12
"""A standard deviation that is rounding alone."""


@dataclass(frozen=True)
class Comparison:
    """One answer about one pair."""

    picture: Hashable
    """Answers about one picture are not independent."""
    rater: Hashable
    score: float
    """1: the candidate is better, 0: the other arm, 1/2: a tie."""
    weight: float = 1.0
    """(1/N) / chance of the draw."""


def win_rate(comparisons: Sequence[Comparison], confidence: float = CONFIDENCE) -> Interval | None:
    """Win rate of the candidate, in [0, 1]; None for no comparisons.

    `count` is pictures. One rater, or answers that are a model's alone, speak for themselves: the
    interval is over pictures. Several are a sample of raters: it is over both, with degrees of
    freedom that fall towards the number of raters the more these differ. `p_worse` is that of "the
    candidate wins half or more".
    """
    if not comparisons:
        return None
    weights = np.array([c.weight for c in comparisons])
    scores = np.array([c.score for c in comparisons])
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("weights are positive numbers")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores lie in [0, 1]")
    rate = math.fsum(weights * scores) / math.fsum(weights)
    pictures = [c.picture for c in comparisons]
    raters = [c.rater for c in comparisons]
    count = len(set(pictures))
    if count == 1:
        return Interval(rate, None, None, None, 1)
    total, each = math.fsum(weights), _sums(weights, pictures)
    number = total**2 / math.fsum(each**2)
    residuals = weights * (scores - rate)
    sd = math.sqrt(_variance(residuals, pictures, raters)[0] * count) / total
    if sd < NOTHING:
        return _alike(rate, number, count, confidence)
    variance, df = _variance(residuals, pictures, raters, total / number)
    error = math.sqrt(variance) / (total * (1 + 2 / number))
    half = t_quantile((1 + confidence) / 2, df) * error
    p_worse = float(t_above((EVEN - rate) / error, df))
    return Interval(rate, max(0.0, rate - half), min(1.0, rate + half), sd, count, "t", p_worse)


def _alike(rate: float, number: float, count: int, confidence: float) -> Interval:
    """The interval where every picture has the same score; `number` is Kish's."""
    share = ((1 - confidence) / 2) ** (1 / number)
    # The error at which the upper end is one half.
    p_worse = 1.0 if rate >= EVEN else (EVEN / (1 - rate)) ** number
    ends = share * rate, share * rate + 1 - share
    return Interval(rate, *ends, 0.0, count, "alike", p_worse)


def _variance(
    residuals: Array,
    pictures: Sequence[Hashable],
    raters: Sequence[Hashable],
    pseudo: float | None = None,
) -> tuple[float, float]:
    """Variance of Σ e, and its degrees of freedom (Satterthwaite, Biometrics Bulletin 2, 1946).

    `pseudo` is the weight of each of two pseudo-pictures; None for none of them.
    """
    sums = _sums(residuals, pictures)
    more = [] if pseudo is None else [pseudo * EVENTS * STEP, -pseudo * EVENTS * STEP]
    by_picture, groups = _spread([*sums, *more])
    if len(set(raters)) == 1:
        return by_picture, groups - 1
    by_rater, people = _spread(_sums(residuals, raters))
    both, _ = _spread(_sums(residuals, list(zip(pictures, raters, strict=True))))
    added = max(by_rater - both, 0.0)  # what raters add beyond the noise of single answers
    found = by_picture + added
    spread = by_picture**2 / (groups - 1) + added**2 / (people - 1)
    return found, found**2 / spread if spread else groups - 1


def _spread(sums: Sequence[float] | Array) -> tuple[float, int]:
    """G / (G - 1) Σ S_g², and G."""
    return len(sums) / (len(sums) - 1) * math.fsum(one**2 for one in sums), len(sums)


def _sums(values: Array, clusters: Sequence[Hashable]) -> Array:
    """Sum of the values of each cluster [G]."""
    place = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros(len(place))
    np.add.at(sums, [place[cluster] for cluster in clusters], values)
    return sums


def mcnemar(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """Exact two-sided p of "both arms are right equally often", of paired yes/no answers.

    McNemar, Psychometrika 12, 1947, with the binomial law of the pairs that differ. 1 where none
    does. ValueError for sequences of different lengths.
    """
    from scipy.special import bdtr

    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} answers and {len(theirs)} are no pairs")
    better = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    worse = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    differ = better + worse
    return min(1.0, 2 * float(bdtr(min(better, worse), differ, 0.5))) if differ else 1.0
