"""What a setting costs and gives: its harm against the reference, limit by limit, and its values.

The limits are the margins of the use case's `dial.fidelity`, and what its own gates would ask: the
margins of its primary metrics, and the tail. A limit is kept where the gate would pass: the upper
end of the harm's 90 % interval, a one-sided 95 % bound, lies within the margin (`qa.stats.decide`).
Plausibility has no limit; more of it is what a setting is picked for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qa import cost
from qa.baseline import Approved
from qa.baseline.approved import utc_today
from qa.errors import UsageError
from qa.gates import comparable, pairs, sets
from qa.gates.case import Case
from qa.gates.compared import compare
from qa.gates.directions import directions
from qa.gates.regression import Regression
from qa.gates.rows import PASSING, Row
from qa.gates.tail import Tail
from qa.gates.use_case import UseCase
from qa.judge import judge
from qa.results import Results
from qa.stats import CONFIDENCE
from qa.types import Knobs


@dataclass(frozen=True)
class Terms:
    """What a use case asks of a setting, of the metrics that are measured."""

    use: UseCase
    """Its limits alone, all of them primary."""
    first: str
    """The limit that spans the front together with plausibility."""
    plausibility: str


@dataclass(frozen=True)
class Tried:
    """A setting, or an outside run, with everything known about it on one half."""

    name: str
    knobs: Knobs | None
    """None for a run that is no setting (`baseline=`)."""
    results: Results
    limits: Sequence[Row]
    values: Mapping[str, Mapping[str, Any]]
    """Metric → mean, low, high, harm, harm_low, harm_high, margin, state, why."""
    worth: float
    """Plausibility, the more the better; NaN where it has no value."""

    @property
    def why_not(self) -> str:
        """Which limit is not kept, or "" for a feasible setting."""
        broken = [row for row in self.limits if row["state"] not in PASSING]
        if broken:
            return "; ".join(map(_told, broken))
        return "" if math.isfinite(self.worth) else "its plausibility has no value"

    @property
    def feasible(self) -> bool:
        """Whether it keeps every limit."""
        return not self.why_not

    def excess(self) -> float:
        """By how much of its margin the worst limit is exceeded; NaN where one is not known."""
        if any(row["high"] is None or row["state"] == "INVALID" for row in self.limits):
            return math.nan
        return max(float(row["high"] / row["margin"] - 1) for row in self.limits)

    def seconds(self) -> float | None:
        """Of a warm decode, or of any where none was warm; None where there was none."""
        if self.results.folder is None:
            return None
        rows = {row["metric"]: row["value"] for row in cost.rows(self.results.folder.decoded())}
        warm, every = rows["seconds_warm"], rows["seconds_median"]
        found: float | None = every if warm is None else warm
        return found


def terms(use: UseCase, measured: Collection[str]) -> Terms:
    """The use case's terms for the metrics that are measured; UsageError where they are too few."""
    if use.dial is None:
        raise UsageError(
            f"The use case {use.name} says nothing about the dial.",
            "It has no section dial.",
            "add dial: {fidelity: […], plausibility: […]}, as conf/use_case/document.yaml has it",
        )
    named = dict.fromkeys([*use.dial.fidelity, *use.primary])
    limits = tuple(metric for metric in named if metric in measured)
    plausible = [metric for metric in use.dial.plausibility if metric in measured]
    for kind, known, found in (
        ("fidelity", named, limits), ("plausibility", use.dial.plausibility, plausible)
    ):  # fmt: skip
        if not found:
            raise UsageError(
                f"No metric of {kind} is measured.",
                f"The use case {use.name} knows {', '.join(known)}; measured are "
                f"{', '.join(sorted(measured))}.",
                f"metric=[…] with one of them, or use_case.dial.{kind}=[…]",
            )
    own = replace(
        use,
        margins={metric: use.margins[metric] for metric in limits},
        primary=limits,
        breakage={metric: level for metric, level in use.breakage.items() if metric in limits},
    )
    return Terms(own, limits[0], plausible[0])


def tried(
    name: str, knobs: Knobs | None, results: Results, reference: Results, terms: Terms
) -> Tried:
    """A setting against the reference, on the pictures of its half."""
    case = case_of(results, reference, terms)
    limits = limits_of(case)
    values = _values(case, limits, terms)
    mean = values[terms.plausibility]["mean"]
    worth = math.nan if mean is None else pairs.sign(case.better[terms.plausibility]) * mean
    return Tried(name, knobs, results, limits, values, worth)


def case_of(candidate: Results, reference: Results, terms: Terms) -> Case:
    """The two arms as gates see them."""
    return Case(
        candidate, Approved(reference), terms.use, "pr", CONFIDENCE,
        directions([candidate, reference], {}, terms.use.margins), utc_today(),
        partial=_cut(reference),
        mismatch=comparable.mismatched(candidate, reference),
    )  # fmt: skip


def limits_of(case: Case) -> list[Row]:
    """Rows of every limit, in the use case's order, and of the tail.

    The tail is no limit where so few pictures could not show it to be rare.
    """
    order = {metric: place for place, metric in enumerate(case.use.primary)}
    rows = sorted(Regression()(case), key=lambda row: order[row["metric"]])
    return [row for row in (*rows, *Tail()(case)) if row["counts"]]


def _values(case: Case, limits: Sequence[Row], terms: Terms) -> dict[str, dict[str, Any]]:
    """Every metric's mean with its interval, and its harm against the reference."""
    rows = {row["metric"]: row for row in limits}
    found = {}
    for row in judge(case.candidate, None, UseCase(), gates=[])["metrics"]:
        metric, limit = row["metric"], rows.get(row["metric"])
        values = {key: row[key] for key in ("mean", "low", "high", "why")}
        if row["of"] == "set" and _cut(case.candidate):
            values = dict.fromkeys(values) | {"why": "known of the whole run only"}
        if limit is not None:
            ends = [limit[key] for key in ("estimate", "low", "high")]
        else:
            ends = _ends(metric, case, terms)
        values |= dict(zip(("harm", "harm_low", "harm_high"), ends, strict=True))
        values |= {key: limit[key] if limit else None for key in ("margin", "state")}
        found[metric] = values
    return found


def _ends(metric: str, case: Case, terms: Terms) -> list[float | None]:
    """Harm with its interval; None where there is none.

    The difference of sets takes long, so only the one that decides is looked at.
    """
    unasked = sets.is_set(metric, case.candidate) and metric != terms.plausibility
    if unasked or metric not in case.better or metric not in case.baseline.metrics:
        return [None] * 3
    harm = compare(metric, case).harm
    return [None] * 3 if harm is None else [harm.mean, harm.low, harm.high]


def run_of(results: Results) -> str:
    """Name of the folder that an arm lies in, or of a table."""
    return results.name if results.folder is None else results.folder.name


def _cut(results: Results) -> bool:
    """Whether this is a part of its run: then values of sets are those of the whole."""
    return len(results.samples) < int(results.record.get("pictures", 0))


def _told(row: Row) -> str:
    """`psnr: harm 0.4 [0.3, 0.5], limit 0.2`."""
    if row["state"] == "INVALID" or row["estimate"] is None:
        return f"{row['metric']}: {row['why']}"
    ends = "" if row["low"] is None else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return f"{row['metric']}: harm {row['estimate']:.3g}{ends}, limit {row['margin']:.3g}"
