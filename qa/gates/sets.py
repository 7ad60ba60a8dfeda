"""Set metrics in a verdict: their row, and the difference of two arms.

A value of a set has no harm per picture. What is judged is the difference of the two arms' values
against the same reference, with an interval and a permutation test over pictures (`qa.sets`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from qa.gates.pairs import sign
from qa.results import Results
from qa.sets.intervals import Delta, delta
from qa.sets.statistics import bound
from qa.stats import Interval

PER_FEATURE = 3
"""Pictures for each feature from which the part of the bias that falls as 1/N is nearly all of it.
Below, only the difference at this N can be bounded (qa.sets.intervals)."""


@dataclass(frozen=True)
class Difference:
    """Harm of a set metric (positive = worse), or why there is none."""

    harm: Interval | None
    candidate: float | None
    baseline: float | None
    why: str = ""
    """Why there is no harm, or no interval of it."""
    missing: int = 0
    """1 if an arm has no value."""


def is_set(metric: str, *arms: Results) -> bool:
    """Whether a metric has one value for all pictures of a run."""
    return any(arm.record.get("facts", {}).get(metric, {}).get("of") == "set" for arm in arms)


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


def difference(
    metric: str,
    candidate: Results,
    baseline: Results,
    better: str,
    confidence: float,
    partial: bool = False,
) -> Difference:
    """How much worse the candidate's value is.

    `p_worse` is that of the interval; where the interval lies above 0, the larger one of it and of
    exchanging the arms' pictures: with few pictures neither alone keeps its error rate. That test
    costs two more values for each exchange, so it is not made where it could not matter. With
    `partial`, the baseline's value is the one on the candidate's pictures.
    """
    rows = [row(metric, arm) for arm in (candidate, baseline)]
    why = next((str(entry["why"]) for entry in rows if entry["missing"]), "")
    ours, theirs = (entry["mean"] for entry in rows)
    if why:
        return Difference(None, ours, theirs, why, 1)
    try:
        found = _delta(metric, candidate, baseline, confidence)
        harm = _harm(found, sign(better))
        if harm.low is not None and harm.low > 0:
            tested = _delta(metric, candidate, baseline, confidence, permuted=True)
            p_value = tested.p_above if better == "lower" else tested.p_below
            harm = replace(harm, p_worse=max(p for p in (harm.p_worse, p_value) if p is not None))
    except ValueError as error:
        return Difference(None, ours, theirs, str(error))
    return Difference(harm, ours, ours - found.plain if partial else theirs, found.why)


def _finite(value: object) -> float | None:
    known = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


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
    """The difference with the sign that makes positive worse.

    `sign` is that of a metric that is better when higher, whose harm is baseline − candidate.
    """
    estimate = -sign * (found.plain if found.estimate is None else found.estimate)
    known: dict[str, Any] = {
        "mean": estimate, "count": found.pictures, "method": "jackknife"
    }  # fmt: skip
    if found.low is None or found.high is None or found.error is None:
        return Interval(**known, low=None, high=None, sd=None, p_worse=None)
    low, high = sorted((-sign * found.low, -sign * found.high))
    return Interval(
        **known,
        low=low,
        high=high,
        sd=found.error * found.pictures**0.5,
        p_worse=_p_worse(estimate, found.error, found.groups),
    )


def _p_worse(estimate: float, error: float, groups: int) -> float:
    """One-sided p of "no harm" from the jackknife's error, with groups − 1 degrees of freedom."""
    from scipy.special import stdtr

    if error == 0:
        return 0.0 if estimate > 0 else 1.0
    return float(stdtr(groups - 1, -estimate / error))


def _numbers(
    mean: float | None, low: float | None, high: float | None, count: int
) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "count": count}
