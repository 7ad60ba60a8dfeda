"""A verdict as a list of checks: the form that test reports and test runners understand.

    FAIL → failed     INVALID → broken     INCONCLUSIVE → skipped, with what would settle it
    a gate that does not count (secondary, waived, too few pictures) is never red: its state and
    the reason stand in its message

Something is failed, broken or skipped whenever the verdict as a whole is: what no single gate
explains (missing pictures, nothing measured) is a check of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["passed", "failed", "broken", "skipped", "waived"]
KINDS: dict[str, Kind] = {"FAIL": "failed", "INVALID": "broken", "INCONCLUSIVE": "skipped"}
"""State → kind; every other state is passed."""
NUMBERS = (
    "estimate", "low", "high", "margin", "margin_relative", "limit", "sd", "baseline", "candidate",
    "count", "missing", "needs", "p", "p_holm", "q",
)  # fmt: skip
WORDS = ("state", "gate", "metric", "role", "unit", "better", "method", "margin_why")
SINGLE = ("tail", "reproducibility")
"""Gates of one row."""
WHOLE = "verdict"
"""Name of the check that stands for what no single gate explains."""


@dataclass(frozen=True)
class Check:
    """One line of a test report."""

    gate: str
    name: str
    kind: Kind
    message: str
    """One sentence: why it is not passed; what is special about it where it is."""
    details: str = ""
    """Several lines for whoever opens it."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """The row's values as text: state, harm, low, high, margin, …; what is not known is left out"""


def label(gate: Mapping[str, Any]) -> str:
    """What a gate's row is called: its metric, after the gate where that says more.

    A gate that has one row goes by its own name.
    """
    kind, metric = str(gate.get("gate") or ""), str(gate.get("metric") or "")
    if kind in {"", "regression", "slices"}:  # a slice names itself: psnr[photo]
        return metric or kind
    return kind if kind in SINGLE or not metric else f"{kind} {metric}"


def counts(gate: Mapping[str, Any]) -> bool:
    """Whether the row takes part in the verdict."""
    return bool(gate.get("counts", True)) and not gate.get("waiver")


def standing(gate: Mapping[str, Any]) -> str:
    """Why a row does not count, in words; empty if it does."""
    if gate.get("waiver"):
        return waived(gate["waiver"])
    if counts(gate):
        return ""
    return "secondary" if gate.get("role") == "secondary" else "does not count"


def waived(waiver: Mapping[str, Any]) -> str:
    """`waived until 2027-01-31 by Ada: the reason`."""
    who = f" by {waiver['by']}" if waiver.get("by") else ""
    why = f": {waiver['why']}" if waiver.get("why") else ""
    return f"waived until {waiver.get('until')}{who}{why}{citing(waiver.get('review'))}"


def citing(review: Mapping[str, Any] | None) -> str:
    """`, citing the review overall PASS at margin 0.1: …`; "" where a waiver cites none."""
    if not review:
        return ""
    name, said = str(review.get("name")), str(review.get("said"))
    alike = said.startswith(f"{name} ")
    return f", citing the review {said if alike else f'{name}, {said}'}"


def checks(verdict: Mapping[str, Any]) -> list[Check]:
    """Every gate of a verdict, and the verdict itself where no gate says what it says."""
    found = [_check(gate, verdict) for gate in verdict["gates"]]
    kind = "broken" if verdict["problems"] else KINDS.get(str(verdict["state"]), "passed")
    said = any(check.kind == kind for check in found) and not verdict["problems"]
    return found if said else [_whole(verdict, kind), *found]


def _check(gate: Mapping[str, Any], verdict: Mapping[str, Any]) -> Check:
    kind = KINDS.get(str(gate["state"]), "passed")
    aside, why = standing(gate), str(gate.get("why") or "")
    if aside and kind != "passed":
        kind = "waived" if gate.get("waiver") else "skipped"
    elif gate.get("waiver"):
        aside = ""  # it passed: nothing had to be waived
    parts = filter(None, (str(gate["state"]), aside, why))
    message = ": ".join(parts) if kind != "passed" else "; ".join(filter(None, (aside, why)))
    return Check(
        str(gate.get("gate") or "gate"),
        str(gate.get("metric") or gate.get("gate") or "gate"),
        kind,
        message,
        _details(gate, verdict),
        _properties(gate, verdict),
    )


def _whole(verdict: Mapping[str, Any], kind: Kind) -> Check:
    if verdict["state"] == "MEASURED":
        kind = "skipped"  # nothing was judged: green would say that something passed
    lost = [
        f"{row['sample']} seed {row['seed']}: {row.get('why') or 'no picture'}"
        for row in verdict["failures"]
    ]
    lines = [*map(str, verdict["problems"]), *lost]
    properties = {"state": str(verdict["state"]), "exit_code": str(verdict["exit_code"])}
    message = f"{verdict['state']}: {verdict.get('summary') or ''}"
    return Check(WHOLE, WHOLE, kind, message, "\n".join(lines), properties)


def _details(gate: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """What a reader of a red line asks next, a fact a line."""
    percent = f"{100 * (verdict.get('confidence') or 0.9):.3g} %"
    ends = [gate.get("low"), gate.get("high")]
    range_ = f" [{_short(ends[0])}, {_short(ends[1])}]" if None not in ends else ""
    unit = f" {gate['unit']}" if gate.get("unit") else ""
    what = "pairs" if gate.get("gate") == "preference" else "pictures"
    lines = [
        f"harm {_short(gate.get('estimate'))}{range_}{unit} ({percent} interval; positive: worse)",
        f"margin {_short(gate.get('margin'))}{unit}: {gate.get('margin_why') or 'no reason given'}",
        f"baseline {_short(gate.get('baseline'))}, candidate {_short(gate.get('candidate'))}",
        f"{gate.get('count')} {what}, {gate.get('missing') or 0} missing",
    ]
    if gate.get("needs"):
        lines.append(f"{gate['needs']} pictures would settle it")
    lines += [_worst(row) for row in gate.get("worst") or ()]
    return "\n".join(lines)


def _properties(gate: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, str]:
    found = {name: str(gate[name]) for name in WORDS if gate.get(name)}
    for name in NUMBERS:
        if gate.get(name) is not None:
            found["harm" if name == "estimate" else name] = str(gate[name])
    found["counts"] = "yes" if counts(gate) else "no"
    if verdict.get("confidence"):
        found["confidence"] = str(verdict["confidence"])
    return found


def _short(value: Any) -> str:
    return "–" if value is None else f"{value:.5g}"


def _worst(row: Mapping[str, Any]) -> str:
    harm = row.get("why") or "no picture" if row.get("harm") is None else f"harm {row['harm']:.5g}"
    metric = f" {row['metric']}" if row.get("metric") else ""
    return f"worst:{metric} {row['sample']}, {harm}"
