"""What people read in MLflow: a run's description, and the table of its gates.

The description is Markdown that MLflow shows at the top of a run; the table is a JSON file in the
form of `MlflowClient.log_table` (pandas' `split`), which MLflow shows as a table that can be
sorted and filtered, beside the same table of other runs. `log_table` itself appends, so a second
export would double it. Both have the worst first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from qa.outcomes import counts, standing
from qa.signature import Signature
from qa.tracking.values import MAX_TEXT, text
from qa.tracking.verdicts import SEVERITY, look, named

Row = Mapping[str, Any]

TABLE = "regressions.json"
COLUMNS = (
    "gate", "metric", "state", "counts", "role", "harm", "low", "high", "margin", "unit",
    "baseline", "candidate", "pictures", "missing", "needs", "p", "p_holm", "q", "standing",
    "worst", "why",
)  # fmt: skip
SHOWN = 20
"""Rows of the description; the table has all."""
WARNED = 10
SENTENCE = 300
"""Letters of a reason or warning in the description."""
ENTITIES = {mark: f"&#{ord(mark)};" for mark in "|[]`*<>&#\\"}


def table(verdict: Row) -> bytes:
    """All gates of a verdict as a table; no rows where nothing was judged."""
    rows = [_cells(row) for _, row in _ranked(verdict)]
    data = [[row[column] for column in COLUMNS] for row in rows]
    return (json.dumps({"columns": COLUMNS, "data": data}, allow_nan=False) + "\n").encode()


def note(
    verdict: Row,
    baseline_link: str | None = None,
    repro: str = "",
    signature: Signature | None = None,
) -> str:
    """The description of a run.

    `baseline_link` leads to the MLflow run of the baseline; `repro` is the level of
    reproducibility that was reached; `signature` the newest one.
    """
    parts = [
        f"**{plain(verdict.get('state'))}** {plain(verdict.get('summary') or '')}",
        _signed(signature),
        _against(verdict.get("baseline") or {}, baseline_link),
        _terms(verdict, repro),
        _list("Not comparable", verdict.get("problems") or []),
        _list("Warnings", verdict.get("warnings") or []),
        _gates(verdict),
    ]
    return text("\n\n".join(filter(None, parts)), MAX_TEXT)


def plain(value: Any, limit: int = SENTENCE) -> str:
    """A text on one line that Markdown and HTML leave as it is."""
    shown = " ".join(str(value).split())
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return "".join(ENTITIES.get(letter, letter) for letter in shown)


def _ranked(verdict: Row) -> list[tuple[str, Row]]:
    """Gates with their names, worst first; those that count before the others."""

    def place(item: tuple[str, Row]) -> tuple[bool, int]:
        state = item[1].get("state")
        return not counts(item[1]), SEVERITY.index(state) if state in SEVERITY else 0

    return sorted(named(verdict.get("gates") or []), key=place)


def _cells(row: Row) -> dict[str, Any]:
    worst = [str(item.get("sample")) for item in row.get("worst") or []]
    return {
        **{column: row.get(column) for column in COLUMNS},
        "gate": row.get("gate") or "regression",
        "counts": counts(row),
        "harm": row.get("estimate"),
        "pictures": row.get("count"),
        "standing": standing(row),
        "worst": ", ".join(worst),
        "why": row.get("why") or "",
    }


def _signed(signature: Signature | None) -> str:
    if signature is None:
        return ""
    why = f": {plain(signature.why)}" if signature.why else ""
    who = f"signed by {plain(signature.by)}, {signature.date}{why}"
    if not signature.holds:
        broken = plain(signature.broken)
        return f"A signature no longer holds ({broken}): {signature.decision}, {who}"
    return f"**{signature.decision}** {who}"


def _against(baseline: Row, link: str | None) -> str:
    if not baseline:
        return "No baseline: nothing was compared."
    name = plain(baseline.get("name"))
    said = [f"Baseline: [{name}]({link})" if link else f"Baseline: {name}"]
    if baseline.get("by"):
        said.append(f"promoted by {plain(baseline['by'])}")
    if baseline.get("why"):
        said.append(plain(baseline["why"]))
    if baseline.get("until"):
        said.append(f"until {plain(baseline['until'])}")
    return ", ".join(said)


def _terms(verdict: Row, repro: str) -> str:
    """Under which rules it was judged, in one line."""
    terms = {
        "use case": verdict.get("use_case"),
        "policy": verdict.get("policy"),
        "look": look(verdict),
        "reproducibility": repro,
    }
    return " · ".join(f"{name} {plain(value)}" for name, value in terms.items() if value)


def _list(title: str, items: Iterable[str]) -> str:
    lines = [f"* {plain(item)}" for item in items]
    if not lines:
        return ""
    more = [f"* and {len(lines) - WARNED} more"] if len(lines) > WARNED else []
    return "\n".join([f"{title}:", "", *lines[:WARNED], *more])


def _gates(verdict: Row) -> str:
    ranked = _ranked(verdict)
    if not ranked:
        return ""
    percent = f"{100 * (verdict.get('confidence') or 0.9):.3g} % interval"
    lines = [
        f"| gate | state | harm | {percent} | margin | why |",
        "|---|---|---|---|---|---|",
        *(_line(name, row) for name, row in ranked[:SHOWN]),
    ]
    rest = len(ranked) - SHOWN
    lines += ["", f"and {rest} more in {TABLE}"] if rest > 0 else []
    return "\n".join(lines)


def _line(name: str, row: Row) -> str:
    aside = standing(row)
    state = f"{row.get('state')} ({aside})" if aside else str(row.get("state"))
    low, high = row.get("low"), row.get("high")
    interval = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
    harm = _number(row.get("estimate"))
    unit = str(row.get("unit") or "") if harm else ""
    margin, why = _number(row.get("margin")), row.get("why") or ""
    cells = [name, state, f"{harm} {unit}".strip(), interval, margin, why]
    return "| " + " | ".join(plain(cell) for cell in cells) + " |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
