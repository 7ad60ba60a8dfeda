"""What a setting costs and gives: its harm against the reference, limit by limit, and its values.

The limits are the margins of the use case's `dial.fidelity`, and what its own gates would ask: the
margins of its primary metrics, and the tail. A limit is kept where the gate would pass: the upper
end of the harm's 90 % interval, a one-sided 95 % bound, lies within the margin (`qa.stats.decide`).
The reference keeps them all: harm is counted from it. Plausibility has no limit; more of it is what
a setting is picked for.
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
from qa.gates import comparable, sets
from qa.gates.case import Case
from qa.gates.compared import Compared, compare
from qa.gates.directions import directions
from qa.gates.regression import Regression
from qa.gates.rows import PASSING, Row, changed
from qa.gates.tail import Tail
from qa.gates.use_case import UseCase
from qa.judge import judge
from qa.results import Results
from qa.stats import CONFIDENCE
from qa.stats.decide import Outcome
from qa.types import Knobs


@dataclass(frozen=True)
class Terms:
    """What a use case asks of a setting, of the metrics that are measured."""

    use: UseCase
    """Its limits alone, all of them primary."""
    first: str
    """The limit that spans the front together with plausibility."""
    plausibility: str
    policy: str = "pr"
    """Of the gates that judge it: `pr` or `release`."""


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
    """Plausibility gained over the reference on the same pictures; NaN where one has no value."""

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
        decoded = self.results.folder.decoded(cost.COLUMNS)
        rows = {row["metric"]: row["value"] for row in cost.rows(decoded)}
        warm, every = rows["seconds_warm"], rows["seconds_median"]
        found: float | None = every if warm is None else warm
        return found


def terms_of(use: UseCase, measured: Collection[str], policy: str = "pr") -> Terms:
    """The use case's terms for the metrics that are measured; UsageError where they are too few.

    Without any fidelity of the dial its limits would say nothing, whatever else is measured.
    """
    if use.dial is None:
        raise UsageError(
            f"The use case {use.name} says nothing about the dial.",
            "It has no section dial.",
            "add dial: {fidelity: […], plausibility: […]}, as conf/use_case/document.yaml has it",
        )
    guarded, plausible, primary = (
        [metric for metric in named if metric in measured]
        for named in (use.dial.fidelity, use.dial.plausibility, use.primary)
    )
    for kind, known, found in (
        ("fidelity", use.dial.fidelity, guarded), ("plausibility", use.dial.plausibility, plausible)
    ):  # fmt: skip
        if not found:
            raise UsageError(
                f"No metric of {kind} is measured.",
                f"The use case {use.name} knows {', '.join(known)}; measured are "
                f"{', '.join(sorted(measured))}.",
                f"metric=[…] with one of them, or use_case.dial.{kind}=[…]",
            )
    limits = tuple(dict.fromkeys([*guarded, *primary]))
    own = replace(
        use,
        margins={metric: use.margins[metric] for metric in limits},
        primary=limits,
        breakage={metric: level for metric, level in use.breakage.items() if metric in limits},
    )
    return Terms(own, guarded[0], plausible[0], policy)


def tried(
    name: str, knobs: Knobs | None, results: Results, reference: Results, terms: Terms
) -> Tried:
    """A setting against the reference, on the pictures of its half."""
    case = case_of(results, reference, terms)
    limits = limits_of(case)
    gain = compare(terms.plausibility, case)
    values = _values(case, limits, {terms.plausibility: gain})
    known = gain.harm is not None and not gain.missing
    worth = -gain.harm.mean if gain.harm is not None and known else math.nan
    return Tried(name, knobs, results, limits, values, worth)


def case_of(candidate: Results, reference: Results, terms: Terms) -> Case:
    """The two arms as gates see them."""
    return Case(
        candidate, Approved(reference), terms.use, terms.policy, CONFIDENCE,
        directions([candidate, reference], {}, terms.use.margins), utc_today(),
        partial=_cut(reference),
        mismatch=comparable.mismatched(candidate, reference),
    )  # fmt: skip


def limits_of(case: Case) -> list[Row]:
    """Rows of every limit, in the use case's order, and of the tail.

    The tail is no limit where so few pictures could not show it to be rare.
    """
    rows = _judged(case)
    return [_identical(row) for row in rows] if _itself(case) else rows


def too_few_for(results: Results, terms: Terms) -> list[Row]:
    """Limits that no setting can keep on these pictures: no harm at all has too wide an interval.

    Shares of few words are such: what was not lost on ten pages may be lost on the eleventh.
    """
    rows = _judged(case_of(results, results, terms))
    return [row for row in rows if row["state"] == "INCONCLUSIVE"]


def _judged(case: Case) -> list[Row]:
    order = {metric: place for place, metric in enumerate(case.use.primary)}
    rows = sorted(Regression()(case), key=lambda row: order[row["metric"]])
    return [row for row in (*rows, *Tail()(case)) if row["counts"]]


def _itself(case: Case) -> bool:
    """Whether both arms are the same pictures: then nothing is left to chance."""
    ours, theirs = case.candidate, case.baseline
    folders = [None if arm.folder is None else arm.folder.path.resolve() for arm in (ours, theirs)]
    return ours is theirs or (folders[0] is not None and folders[0] == folders[1])


def _identical(row: Row) -> Row:
    if row["state"] != "INCONCLUSIVE":
        return row
    return changed(row, Outcome("PASS", "the reference itself"), low=0.0, high=0.0)


def _values(
    case: Case, limits: Sequence[Row], compared: Mapping[str, Compared]
) -> dict[str, dict[str, Any]]:
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
            ends = _ends(metric, case, compared.get(metric))
        values |= dict(zip(("harm", "harm_low", "harm_high"), ends, strict=True))
        values |= {key: limit[key] if limit else None for key in ("margin", "state")}
        found[metric] = values
    return found


def _ends(metric: str, case: Case, found: Compared | None) -> list[float | None]:
    """Harm with its interval, known already or compared here; None where there is none.

    The difference of sets takes long, so only the one that decides is compared.
    """
    comparable_here = metric in case.better and metric in case.baseline.metrics
    if found is None and comparable_here and not sets.is_set(metric, case.candidate):
        found = compare(metric, case)
    harm = None if found is None else found.harm
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
