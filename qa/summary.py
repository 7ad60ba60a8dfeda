"""The overall state of a verdict and the one sentence that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def overall(
    judged: bool,
    gates: Sequence[Mapping[str, Any]],
    problems: Sequence[str],
    failures: Sequence[object],
) -> str:
    """The worst of the gates; INVALID as soon as something is not comparable.

    Missing pictures are INVALID where nothing was `judged`, too.
    """
    if problems or (not judged and failures):
        return "INVALID"
    if not judged:
        return "MEASURED"
    states = {str(gate["state"]) for gate in gates}
    return next(s for s in ("FAIL", "INVALID", "INCONCLUSIVE", "PASS") if s in states)


def sentence(
    state: str,
    gates: Sequence[Mapping[str, Any]],
    problems: Sequence[str],
    failures: Sequence[Mapping[str, Any]],
    pictures: int,
) -> str:
    """What decided, in words; `pictures` counts the candidate's."""
    if state == "INVALID" and failures:
        first = failures[0]
        verb = "picture is" if len(failures) == 1 else "pictures are"
        return (
            f"{len(failures)} {verb} missing. First: {first['sample']} "
            f"seed {first['seed']}: {first['why']}"
        )
    if problems:
        return f"Not comparable: {problems[0]}." if gates else f"{problems[0].capitalize()}."
    if state == "MEASURED":
        return f"{pictures} pictures measured; there is no baseline, so nothing was judged."
    if state == "PASS":
        return f"All {len(gates)} gates passed." if len(gates) > 1 else "The only gate passed."
    counted = [gate for gate in gates if gate["state"] == state]
    be = "is" if len(counted) == 1 else "are"
    verb = {"FAIL": "failed", "INVALID": f"{be} invalid", "INCONCLUSIVE": f"{be} inconclusive"}[
        state
    ]
    head = f"{len(counted)} of {len(gates)} gates {verb}."
    worst = max(counted, key=lambda gate: (gate["estimate"] or 0.0) / gate["margin"])
    if state == "FAIL" and worst["worst"]:
        picture = worst["worst"][0]
        return (
            f"{head} Worst: {worst['metric']} on {picture['sample']}, "
            f"harm {picture['harm']:.4g} {worst['unit']}".rstrip()
            + "."
        )
    return f"{head} {worst['metric']}: {worst['why']}."
