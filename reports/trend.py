"""Geometry of the trend: each primary metric's mean over the baselines of a suite, and this run.

    25.2 │  ◇           │        one mark a baseline, in the order of promotion
         │  ┊  ○──○     │        ◇ an anchor    ● this run
    24.8 │        ┊     ●
         └──────────────────
          2026-03 …   this run

Marks are joined where their values may be compared: same protocol, same pictures. Positions are
percentages of the plot, from the left and from the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from reports.axes import Axis, covering
from reports.forest import Tick
from reports.wording import interval, mean, metric_digits

BASELINE, ANCHOR, RUN = "baseline", "anchor", "run"
EDGE = 6.0
"""Per cent of the width kept free at both ends."""
ROOMY = 16.0
"""Per cent of the width that a date below a mark needs; one that has less is left out."""


@dataclass(frozen=True)
class Mark:
    """One baseline's value, or this run's."""

    kind: str
    name: str
    """Of the run."""
    day: str
    """ISO date of its promotion; empty for this run."""
    why: str
    """The reason of its promotion."""
    value: str
    range: str
    x: float
    y: float
    low: float | None
    high: float | None
    apart: str
    """Why this run's value may not be compared with it; empty if it may."""
    label: str
    """What stands below it, if there is room."""


@dataclass(frozen=True)
class Trend:
    """One metric over all baselines."""

    metric: str
    unit: str
    better: str
    marks: tuple[Mark, ...]
    lines: tuple[tuple[Mark, Mark], ...]
    """Neighbours whose values may be compared."""
    ticks: tuple[Tick, ...]
    """From the bottom."""

    @property
    def apart(self) -> int:
        """How many marks this run's value may not be compared with."""
        return sum(bool(mark.apart) for mark in self.marks)


@dataclass(frozen=True)
class Value:
    """What a run measured, and by what."""

    kind: str
    told: Mapping[str, Any]
    row: Mapping[str, Any]
    """`mean`, `low`, `high`."""
    measure: tuple[Any, Any]
    """Fingerprint of the protocol and digest of the samples."""


def trends(
    verdict: Mapping[str, Any], record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> tuple[Trend, ...]:
    """A trend for each primary metric that this run and a baseline before it have.

    `history` is `qa.baseline.Approved.history`. It is followed up to the baseline that the verdict
    names: a run that became a baseline itself does not appear twice. Nothing without such a one.
    """
    followed = _followed(history, verdict.get("baseline") or {})
    primary = [row["metric"] for row in verdict["gates"] if row.get("role") == "primary"]
    rows = {row["metric"]: row for row in verdict["metrics"] if row["mean"] is not None}
    return tuple(
        _trend(rows[metric], values)
        for metric in dict.fromkeys(primary)
        if metric in rows and len(values := _values(rows[metric], record, followed)) > 1
    )


def _followed(
    history: Sequence[Mapping[str, Any]], baseline: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """Up to the last one of the baseline's plan: promoted again it has another content."""
    plans = [entry["plan"] for entry in history]
    plan = baseline.get("plan")
    return history[: len(plans) - plans[::-1].index(plan)] if plan in plans else ()


def _values(
    row: Mapping[str, Any], record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> list[Value]:
    metric = row["metric"]
    found = [
        Value(
            ANCHOR if entry["anchor"] else BASELINE,
            entry,
            entry["metrics"][metric],
            (entry["metrics"][metric]["fingerprint"], entry["suite_digest"]),
        )
        for entry in history
        if metric in entry["metrics"]
    ]
    return [*found, Value(RUN, {}, row, (row["fingerprint"], record.get("suite_digest")))]


def _trend(row: Mapping[str, Any], values: Sequence[Value]) -> Trend:
    ends = ("mean", "low", "high")
    axis = covering(v.row[key] for v in values for key in ends if v.row[key] is not None)
    digits = max(metric_digits(value.row) for value in values)
    labels = _labels(values)
    marks = tuple(
        _mark(value, values[-1], place, labels.get(place, ""), axis, digits)
        for place, value in zip(_places(len(values)), values, strict=True)
    )
    pairs = zip(pairwise(marks), pairwise(values), strict=True)
    return Trend(
        row["metric"],
        row.get("unit") or "",
        row.get("better") or "",
        marks,
        tuple(line for line, (one, other) in pairs if one.measure == other.measure),
        axis.ticks(),
    )


def _mark(value: Value, now: Value, place: float, label: str, axis: Axis, digits: int) -> Mark:
    row, told = value.row, value.told
    low, high = (None if row[end] is None else axis.down(row[end]) for end in ("low", "high"))
    return Mark(
        value.kind,
        str(told.get("run") or ""),
        _day(value),
        str(told.get("why") or ""),
        mean(row["mean"], digits),
        interval(row["low"], row["high"], digits),
        place,
        axis.down(row["mean"]),
        low,
        high,
        _apart(value, now),
        label,
    )


def _places(count: int) -> list[float]:
    return [round(EDGE + (100 - 2 * EDGE) * place / (count - 1), 2) for place in range(count)]


def _labels(values: Sequence[Value]) -> dict[float, str]:
    """Place → what stands below it: this run, the first, anchors, then whatever has room."""
    places = _places(len(values))
    ranked = sorted(
        zip(places, values, strict=True),
        key=lambda pair: (pair[1].kind != RUN, pair[0] != places[0], pair[1].kind != ANCHOR),
    )
    found: dict[float, str] = {}
    for place, value in ranked:
        if all(abs(place - other) >= ROOMY for other in found):
            found[place] = "this run" if value.kind == RUN else _day(value)
    return found


def _day(value: Value) -> str:
    return str(value.told.get("promoted") or "")[:10]


def _apart(value: Value, now: Value) -> str:
    """Why two values may not be compared; empty if they may."""
    reasons = zip(("another protocol", "other pictures"), value.measure, now.measure, strict=True)
    return " and ".join(said for said, one, other in reasons if one != other)
