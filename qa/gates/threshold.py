"""Limits of one arm's own values: "at least 30 dB", whatever the baseline has.

The interval of the mean over pictures must lie on the right side of the limit. In a row, harm is by
how much the limit is missed: limit − value for `at_least`, value − limit for `at_most`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qa import groups
from qa.errors import UsageError
from qa.gates import pairs, sets
from qa.gates.case import Case
from qa.gates.margins import number
from qa.gates.rows import Row, numbers, row
from qa.results import Results
from qa.stats import CONFIDENCE, Interval
from qa.stats.decide import Outcome, threshold

SET = "set"
"""How the interval of a set metric was found: by the metric, when it was measured."""
WAYS = {"at_least": "higher", "at_most": "lower"}


class Threshold:
    """One row for each limit."""

    name = "threshold"
    compares = False

    def __init__(self, limits: Mapping[str, Any] | None = None) -> None:
        """`limits`: `{metric: {at_least: 30, why: "…"}}`, or `at_most`."""
        self.limits = {str(metric): _limit(metric, e) for metric, e in (limits or {}).items()}
        if not self.limits:
            raise UsageError(
                "The threshold gate has no limits.",
                "",
                "e.g. +gate.threshold.limits.psnr.at_least=30",
            )

    def __call__(self, case: Case) -> list[Row]:
        """Rows by metric; INVALID for one that was not measured."""
        return [self._row(metric, case) for metric in sorted(self.limits)]

    def _row(self, metric: str, case: Case) -> Row:
        way, limit, why = self.limits[metric]
        value, missing, told = _value(metric, case)
        better = WAYS[way]
        missed = None if value is None else _missed(value, limit, pairs.sign(better))
        if value is None or missing:
            outcome = Outcome("INVALID", told or f"{metric} was not measured", None)
        elif value.method == SET and case.confidence != CONFIDENCE:
            kept = f"{metric} keeps a {CONFIDENCE:.0%} interval, and this look decides at another"
            outcome = Outcome("INCONCLUSIVE", kept, None)
        elif value.method == SET and value.low is None:
            outcome = Outcome("INCONCLUSIVE", f"{metric} has no interval", None)
        else:
            outcome = threshold(value, limit, better, case.confidence)
        return row(
            self.name,
            metric,
            outcome,
            **{**numbers(missed), "p": None},
            missing=missing,
            margin=0.0,
            margin_why=why,
            limit=limit,
            unit=case.unit(metric),
            better=case.better.get(metric, better),
            candidate=None if value is None else value.mean,
        )


def _limit(metric: object, entry: Any) -> tuple[str, float, str]:
    given = dict(entry) if isinstance(entry, Mapping) else {}
    ways = [way for way in WAYS if way in given]
    if len(ways) != 1 or set(given) - {*WAYS, "why"} or not number(given[ways[0]]):
        raise UsageError(
            f"The limit of {metric} is not understood: {entry}.",
            "It has at_least or at_most (a number), and may have why (a text).",
            f"e.g. +gate.threshold.limits.{metric}.at_least=30",
        )
    return ways[0], float(given[ways[0]]), str(given.get("why", ""))


def _value(metric: str, case: Case) -> tuple[Interval | None, int, str]:
    """The candidate's mean with its interval, how much is missing, and why."""
    results = case.candidate
    if metric not in results.metrics:
        return None, 0, ""
    if sets.is_set(metric, results):
        found = sets.row(metric, results)
        value = Interval(found["mean"], found["low"], found["high"], None, found["count"], SET)
        return (None if found["missing"] else value), int(found["missing"]), str(found["why"])
    values = results.by_group(metric)
    missing = int(values.isna().sum())
    told = f"{missing} of {len(values)} pictures have no {metric}" if missing else ""
    if not len(values):
        told = f"{metric} applies to no picture"
    known, unit = values.dropna().sort_index(), _unit(metric, results)
    return pairs.picture_interval(known, unit, case.confidence), missing, told


def _unit(metric: str, results: Results) -> float | None:
    """What one word weighs in a share, or one picture in a rate; None for other values."""
    if not pairs.is_rate(metric, results, results):
        return pairs.share_unit(metric, results)
    takes = groups.rows(pairs.table(results, metric), groups.units(results.samples, results.groups))
    return 1 / int(takes.shape[1])


def _missed(value: Interval, limit: float, sign: float) -> Interval:
    """By how much a limit is missed, with an interval; `sign` 1 if the value must be above it."""
    ends = [None if end is None else sign * (limit - end) for end in (value.low, value.high)]
    low, high = ends if sign < 0 else ends[::-1]
    return replace(value, mean=sign * (limit - value.mean), low=low, high=high)
