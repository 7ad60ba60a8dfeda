"""Set metrics in a verdict: their row, and the gate over a difference of two arms.

A value of a set has no harm per picture. What is judged is the difference of the two arms' values
against the same reference, with an interval and a permutation test over pictures (`qa.sets`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from qa.gates.margins import Margin
from qa.gates.regression import Outcome, regression
from qa.results import Results
from qa.sets.intervals import Delta, delta
from qa.sets.statistics import bound
from qa.stats import Interval

PER_FEATURE = 3
"""Pictures for each feature from which the part of the bias that falls as 1/N is nearly all of it.
Below, only the difference at this N can be bounded (qa.sets.intervals)."""


def is_set(metric: str, results: Results) -> bool:
    """Whether a metric has one value for all pictures of a run."""
    return bool(results.record.get("facts", {}).get(metric, {}).get("of") == "set")


def row(metric: str, results: Results) -> dict[str, Any]:
    """The metric's numbers as a verdict lists them; `count` is pictures."""
    found = results.sets.get(metric, {})
    mean = _finite(found.get("value"))
    if mean is None:
        why = found.get("why") or "it was not computed: run the same `qa run` command again"
        return _numbers(None, None, None, 0) | {"missing": 1, "why": str(why)}
    ends = _finite(found.get("low")), _finite(found.get("high"))
    count = int(_finite(found.get("pictures")) or 0)
    return _numbers(mean, *ends, count) | {"missing": 0, "why": ""}


def _finite(value: object) -> float | None:
    known = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def gate(
    metric: str,
    candidate: Results,
    baseline: Results,
    margin: Margin,
    better: str,
    confidence: float,
) -> dict[str, Any]:
    """State, harm (positive = worse) with interval, and why, as a gate of the verdict."""
    rows = [row(metric, arm) for arm in (candidate, baseline)]
    missing, harm = max(entry["missing"] for entry in rows), None
    if missing:
        outcome = Outcome("INVALID", next(entry["why"] for entry in rows if entry["missing"]))
    else:
        outcome, harm = _judged(metric, candidate, baseline, margin, better, confidence)
    numbers = (harm.mean, harm.low, harm.high, harm.count) if harm else (None, None, None, 0)
    return {
        "state": outcome.state,
        **dict(zip(("estimate", "low", "high", "count"), numbers, strict=True)),
        "candidate": rows[0]["mean"],
        "baseline": rows[1]["mean"],
        "missing": missing,
        "needs": outcome.needs,
        "why": outcome.why,
        "worst": [],
    }


def _judged(
    metric: str,
    candidate: Results,
    baseline: Results,
    margin: Margin,
    better: str,
    confidence: float,
) -> tuple[Outcome, Interval | None]:
    """FAIL needs both the interval and the permutation test.

    With few pictures neither alone keeps its error rate. The test costs two more values a
    permutation, so it is made only where the interval says FAIL.
    """
    try:
        found = _delta(metric, candidate, baseline, confidence)
    except ValueError as error:
        return Outcome("INVALID", str(error)), None
    up = better == "lower"
    harm = _harm(found, 1.0 if up else -1.0)
    if harm.low is None:
        return Outcome("INCONCLUSIVE", f"no interval: {found.why}"), harm
    outcome = regression(harm, 0, margin.value, confidence)
    if outcome.state != "FAIL":
        return outcome, harm
    tested = _delta(metric, candidate, baseline, confidence, permuted=True)
    p_value = tested.p_above if up else tested.p_below
    if p_value is not None and p_value > (1 - confidence) / 2:
        why = f"exchanging the arms' pictures gives as much in {p_value:.2g} of all cases"
        outcome = Outcome("INCONCLUSIVE", why)
    return outcome, harm


def _delta(
    metric: str,
    candidate: Results,
    baseline: Results,
    confidence: float,
    permuted: bool = False,
) -> Delta:
    """Candidate minus baseline, against the candidate's references: both arms have the same.

    With few pictures the interval is the one for the expected difference at this N.
    """
    ours, reference = candidate.feature_sets(metric)
    theirs, _ = baseline.feature_sets(metric)
    protocol = candidate.record["facts"][metric]["protocol"]
    found = delta(
        bound(protocol),
        ours,
        theirs,
        reference,
        groups=int(protocol["groups"]),
        permutations=int(protocol["permutations"]) if permuted else 0,
        confidence=confidence,
    )
    at_this_n = found.at_this_n
    if at_this_n is None or found.pictures >= PER_FEATURE * ours.values.shape[1]:
        return found
    return replace(found, estimate=found.plain, low=at_this_n[0], high=at_this_n[1])


def _harm(found: Delta, sign: float) -> Interval:
    """The difference with the sign that makes positive worse."""
    estimate = found.plain if found.estimate is None else found.estimate
    if found.low is None or found.high is None:
        return Interval(sign * estimate, None, None, None, found.pictures)
    low, high = sorted((sign * found.low, sign * found.high))
    sd = None if found.error is None else found.error * found.pictures**0.5
    return Interval(sign * estimate, low, high, sd, found.pictures)


def _numbers(
    mean: float | None, low: float | None, high: float | None, count: int
) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "count": count}
