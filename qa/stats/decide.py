"""From an interval to a state: the rules of all gates, without gates.

Harm is oriented so that positive is worse; [low, high] is its confidence interval, m > 0 a margin.

    non-inferiority   IMPROVED       high < 0                   provably better
                      PASS           low <= 0, high < m         provably not worse by the margin
                      PASS-DRIFT     low > 0, high < m          provably worse, within the margin
                      FAIL           low > 0, high >= m         provably worse, not within it
                      INCONCLUSIVE   low <= 0, high >= m        the data cannot tell

    equivalence       PASS           -m < low, high < m         two one-sided tests (Schuirmann,
                      FAIL           low >= m or high <= -m     J. Pharmacokin. Biopharm. 15, 1987)

    tail, threshold   PASS or FAIL where the whole interval lies on one side of the limit

INVALID where a value is missing or nothing was compared; INCONCLUSIVE otherwise, with the number of
pictures that would settle it. With α the error of each end, P(FAIL | harm <= 0) <= α and
P(passed | harm >= m) <= α, and likewise for the other rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qa.stats.interval import CONFIDENCE, Interval
from qa.stats.planning import CAP, pictures_needed, pictures_until
from qa.stats.rates import clopper_pearson, zero_events_needed


@dataclass(frozen=True)
class Outcome:
    """State of one gate with the reason in words."""

    state: str
    why: str
    needs: int | None = None
    """Pictures that would settle an INCONCLUSIVE gate."""


def non_inferiority(
    harm: Interval | None, missing: int, margin: float, confidence: float = CONFIDENCE
) -> Outcome:
    """Judge one metric's paired harm. `missing` counts pictures without a pair of values."""
    ends = _ends(harm, missing, "pair of values")
    if isinstance(ends, Outcome):
        return ends
    found, low, high = ends
    if high < 0:
        return Outcome("IMPROVED", "better than the baseline")
    if high < margin:
        if low <= 0:
            return Outcome("PASS", "not worse by the margin")
        return Outcome("PASS-DRIFT", "worse, but within the margin")
    if low >= margin:
        return Outcome("FAIL", "worse by the margin or more")
    if low > 0:
        return Outcome("FAIL", "worse, and not within the margin")
    return _unsettled(found.count, pictures_needed(found, margin, confidence))


def equivalence(
    harm: Interval | None, missing: int, margin: float, confidence: float = CONFIDENCE
) -> Outcome:
    """Judge whether two arms are the same within a margin, in both directions."""
    ends = _ends(harm, missing, "pair of values")
    if isinstance(ends, Outcome):
        return ends
    found, low, high = ends

    def same(low: float, high: float) -> bool:
        return -margin < low and high < margin

    def apart(low: float, high: float) -> bool:
        return low >= margin or high <= -margin

    if same(low, high):
        return Outcome("PASS", "the same within the margin")
    if apart(low, high):
        return Outcome("FAIL", f"{'worse' if low > 0 else 'better'} by the margin or more")
    return _unsettled(found.count, _until(found, same, apart, confidence))


def threshold(
    value: Interval | None,
    limit: float,
    better: str,
    confidence: float = CONFIDENCE,
    missing: int = 0,
) -> Outcome:
    """Judge one arm's mean against a limit: at least that for `better="higher"`, else at most."""
    ends = _ends(value, missing, "value")
    if isinstance(ends, Outcome):
        return ends
    found, low, high = ends

    def above(low: float, _: float) -> bool:
        return low >= limit

    def below(_: float, high: float) -> bool:
        return high <= limit

    good, bad = (above, below) if better == "higher" else (below, above)
    words = f"{'at least' if better == 'higher' else 'at most'} {limit:g}"
    if good(low, high):
        return Outcome("PASS", words)
    if bad(low, high):
        return Outcome("FAIL", f"not {words}")
    return _unsettled(found.count, _until(found, good, bad, confidence))


def tail(events: int, count: int, rate: float, confidence: float = CONFIDENCE) -> Outcome:
    """Judge whether catastrophes are rarer than `rate`, from `events` among `count` pictures.

    Exact, by `clopper_pearson`; without events 1 % needs 299 pictures.
    """
    if not count:
        return Outcome("INVALID", "nothing was compared")
    low, high = clopper_pearson(events, count, confidence)
    seen = f"{events} of {count} pictures"
    if high < rate:
        return Outcome("PASS", f"{seen}: at most {high:.3g} of all")
    if low > rate:
        return Outcome("FAIL", f"{seen}: at least {low:.3g} of all, and {rate:g} is allowed")
    return _unsettled(count, _tail_needs(events, count, rate, confidence))


def _tail_needs(events: int, count: int, rate: float, confidence: float) -> int | None:
    """Pictures that would settle it if the share of events stays as seen."""
    share = events / count
    if not events:
        return zero_events_needed(rate, confidence)
    low, high = count, CAP

    def settled(n: int) -> bool:
        ends = clopper_pearson(share * n, n, confidence)
        return ends[1] < rate or ends[0] > rate

    if not settled(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle + 1, high)
    return low


Rule = Callable[[float, float], bool]


def _until(found: Interval, good: Rule, bad: Rule, confidence: float) -> int | None:
    return pictures_until(found, lambda *ends: good(*ends) or bad(*ends), confidence)


def _ends(
    found: Interval | None, missing: int, what: str
) -> Outcome | tuple[Interval, float, float]:
    """The interval with its ends, or what it means that there are none."""
    if found is None or missing:
        planned = missing + (found.count if found else 0)
        if not planned:
            return Outcome("INVALID", "nothing was compared")
        return Outcome("INVALID", f"{missing} of {planned} pictures have no {what}")
    if found.low is None or found.high is None:
        return Outcome("INCONCLUSIVE", "one picture gives no interval: at least 2 are needed", 2)
    return found, found.low, found.high


def _unsettled(count: int, needs: int | None) -> Outcome:
    told = f"{needs} pictures would settle it" if needs else "no feasible number would settle it"
    return Outcome("INCONCLUSIVE", f"{count} pictures cannot tell: {told}", needs)
