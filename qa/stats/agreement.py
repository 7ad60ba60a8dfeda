"""How far raters agree beyond chance: Krippendorff's alpha for categories.

    α = 1 - D_o / D_e
    D_o = 1/n Σ_u (m_u² - Σ_c n_uc²) / (m_u - 1)      D_e = (n² - Σ_c n_c²) / (n (n - 1))

n_uc of the m_u answers to item u fall into category c; items with one answer say nothing and are
left out; n = Σ m_u, n_c = Σ_u n_uc (Krippendorff, Content Analysis, 2004, chapter 11; the form with
counts: Hayes and Krippendorff, Communication Methods and Measures 1, 2007). 1 is agreement, 0 is
what chance gives, below 0 is disagreement that is sought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa.stats.interval import CONFIDENCE, Array

RESAMPLES = 2000
FEWEST = 3
"""Items below which an interval would say nothing."""


@dataclass(frozen=True)
class Agreement:
    """Alpha over `items` that have `answers` in all."""

    alpha: float | None
    """None where nobody answered twice, or where all answers are one and the same category."""
    low: float | None
    high: float | None
    items: int
    answers: int


def krippendorff(
    answers: Sequence[Mapping[str, str]], confidence: float = CONFIDENCE, seed: int = 0
) -> Agreement:
    """Alpha of answers, rater → category for each item, with an interval over items.

    The interval is the bootstrap's (percentiles of 2,000 resamples of items): items are what was
    sampled, and the answers to one of them are not independent. It has no ends below three items.
    """
    counts = _counts(answers)
    total = int(counts.sum())
    if not len(counts):
        return Agreement(None, None, None, 0, 0)
    whole = _alpha(counts, np.ones((1, len(counts))))[0]
    alpha = None if np.isnan(whole) else float(whole)
    if alpha is None or len(counts) < FEWEST:
        return Agreement(alpha, None, None, len(counts), total)
    chance = np.random.default_rng(seed)
    times = chance.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES)
    found = _alpha(counts, times.astype(np.float64))
    # A resample that holds one category alone has no alpha; it says the same as full agreement.
    found = np.where(np.isnan(found), 1.0, found)
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, (tail, 1 - tail))
    return Agreement(alpha, float(low), float(high), len(counts), total)


def _counts(answers: Sequence[Mapping[str, str]]) -> NDArray[np.int64]:
    """Answers by item and category [U,C], of the items that have two answers or more."""
    rated = [list(item.values()) for item in answers if len(item) > 1]
    categories = sorted({answer for item in rated for answer in item})
    rows = [[item.count(category) for category in categories] for item in rated]
    return np.array(rows, dtype=np.int64).reshape(len(rated), len(categories))


def _alpha(counts: NDArray[np.int64], times: Array) -> Array:
    """Alpha [B] of items taken `times` [B,U]; NaN where all answers are of one category."""
    each = counts.sum(axis=1)
    apart = (each**2 - (counts**2).sum(axis=1)) / (each - 1)
    of_category = times @ counts
    n = of_category.sum(axis=1)
    observed = (times @ apart) / n
    expected = (n**2 - (of_category**2).sum(axis=1)) / (n * (n - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(expected > 0, 1 - observed / expected, np.nan)
    return found
