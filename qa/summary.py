"""The overall state of a verdict and the one sentence that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ORDER = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS-DRIFT", "PASS", "IMPROVED")
"""States of gates, worst first."""
PASSED = ("PASS-DRIFT", "PASS", "IMPROVED")
Rows = Sequence[Mapping[str, Any]]


def overall(judged: bool, gates: Rows, problems: Sequence[str], failures: Sequence[object]) -> str:
    """The worst of the gates that count; INVALID as soon as something is not comparable.

    Missing pictures are INVALID where nothing was `judged` against a baseline, too. Gates of which
    none counts decide nothing, unless people waived them.
    """
    if problems or (not judged and failures):
        return "INVALID"
    if not gates:
        return "INVALID" if judged else "MEASURED"
    states = {str(gate["state"]) for gate in gates if gate["counts"]}
    if not states:
        return "PASS" if any(gate["waiver"] for gate in gates) else "INCONCLUSIVE"
    return next(state for state in ORDER if state in states)


def sentence(
    state: str,
    gates: Rows,
    problems: Sequence[str],
    failures: Rows,
    pictures: int,
    look: Mapping[str, Any] | None = None,
) -> str:
    """What decided, in words; `pictures` counts the candidate's."""
    if state == "INVALID" and failures:
        return _lost(failures)
    if problems:
        return f"Not comparable: {problems[0]}." if gates else f"{problems[0].capitalize()}."
    if state == "MEASURED":
        return f"{pictures} pictures measured; there is no baseline, so nothing was judged."
    counted = [gate for gate in gates if gate["counts"]]
    if not counted:
        waived = sum(bool(gate["waiver"]) for gate in gates)
        return f"No gate counts: {waived} of {len(gates)} waived."
    if state in PASSED:
        return _passed(state, counted)
    return f"{_stopped(state, counted)}{_next(state, look)}"


def _lost(failures: Rows) -> str:
    first = failures[0]
    verb = "picture is" if len(failures) == 1 else "pictures are"
    return (
        f"{len(failures)} {verb} missing. First: {first['sample']} "
        f"seed {first['seed']}: {first['why']}"
    )


def _passed(state: str, counted: Rows) -> str:
    whole = f"All {len(counted)} gates" if len(counted) > 1 else "The only gate"
    alike = [name(gate) for gate in counted if gate["state"] == state]
    if state == "PASS":
        return f"{whole} passed."
    if state == "IMPROVED":
        return f"{whole} improved."
    return f"{whole} passed, with a loss within the margin: {', '.join(alike)}."


def _stopped(state: str, counted: Rows) -> str:
    found = [gate for gate in counted if gate["state"] == state]
    be = "is" if len(found) == 1 else "are"
    verb = {"FAIL": "failed", "INVALID": f"{be} invalid", "INCONCLUSIVE": f"{be} inconclusive"}
    head = f"{len(found)} of {len(counted)} gates {verb[state]}."
    worst = max(found, key=lambda gate: (gate["role"] == "primary", _size(gate)))
    picture = worst["worst"][0] if worst["worst"] else {}
    if state == "FAIL" and picture.get("harm") is not None:
        unit = worst["unit"] if picture.get("metric", worst["metric"]) == worst["metric"] else ""
        metric = picture.get("metric", worst["metric"])
        harm = f"{metric} harm {picture['harm']:.4g} {unit}".rstrip()
        return f"{head} Worst picture: {picture['sample']}, {harm}."
    return f"{head} {name(worst)}: {worst['why']}."


def name(gate: Mapping[str, Any]) -> str:
    """What a row is called: its metric, after the kind of gate where it is not regression."""
    kind, metric = str(gate["gate"]), str(gate["metric"])
    return metric if kind == "regression" else f"{kind} {metric}"


def _size(gate: Mapping[str, Any]) -> float:
    """How many margins the harm is; a gate without a margin or a harm comes last."""
    if not gate["margin"] or gate["estimate"] is None:
        return float(bool(gate["estimate"] and gate["estimate"] > 0))
    return float(gate["estimate"] / gate["margin"])


def _next(state: str, look: Mapping[str, Any] | None) -> str:
    """The look that an inconclusive one goes on to."""
    if state != "INCONCLUSIVE" or not look:
        return ""
    at = f" Look {look['number']} of {look['of']}"
    if look["next"] is None:
        return f"{at} was the last."
    return f"{at}: the same command with extend={look['next']} takes the next."
