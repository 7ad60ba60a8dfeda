"""Non-inferiority: is the candidate worse than the baseline by more than a margin allows?

Harm is oriented so that positive is worse. With the confidence interval [low, high] of the mean
harm over pictures and a margin m > 0:

    PASS           high < m                 provably not worse by the margin
    FAIL           low > 0 and high >= m    provably worse, and not provably within the margin
    INCONCLUSIVE   low <= 0 and high >= m   the data cannot tell; says how many pictures could
    INVALID        a value is missing, or nothing was compared

So P(FAIL | no harm) and P(PASS | harm >= m) are each at most the one-sided level of the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

from qa.stats import Interval, pictures_needed


@dataclass(frozen=True)
class Outcome:
    """State of one gate with the reason in words."""

    state: str
    why: str
    needs: int | None = None
    """Pictures that would settle an INCONCLUSIVE gate."""


def regression(harm: Interval | None, missing: int, margin: float, confidence: float) -> Outcome:
    """Judge one metric's paired harm. `missing` counts pictures without a pair of values."""
    if harm is None or missing:
        planned = missing + (harm.count if harm else 0)
        if not planned:
            return Outcome("INVALID", "nothing was compared")
        return Outcome("INVALID", f"{missing} of {planned} pictures have no pair of values")
    if harm.low is None or harm.high is None:
        return Outcome("INCONCLUSIVE", "one picture gives no interval: at least 2 are needed", 2)
    if harm.high < margin:
        return Outcome("PASS", "not worse by the margin")
    if harm.low > 0:
        return Outcome("FAIL", "worse, and not within the margin")
    needs = pictures_needed(harm, margin, confidence)
    told = f"{needs} pictures would settle it" if needs else "no feasible number would settle it"
    return Outcome("INCONCLUSIVE", f"{harm.count} pictures cannot tell: {told}", needs)
