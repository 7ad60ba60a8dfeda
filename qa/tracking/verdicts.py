"""A verdict as tags and numbers: one set of names for every gate of every run.

| tag | of |
|---|---|
| `qa.verdict`, `qa.policy`, `qa.look`, `qa.warnings`, `qa.baseline` … | the document |
| `qa.gate.psnr`, `qa.gate.anchor/psnr`, `qa.waiver.psnr` | a gate: its state; who conceded it |

| number | of |
|---|---|
| `gate/psnr/harm`, `/low`, `/high`, `/margin`, `/count`, `/missing` | a gate; positive = worse |
| `gate/slices/geneval/counting/harm` … | a slice |
| `gate/psnr/p`, `/p_holm`, `/q` | a gate that has them |
| `drift/psnr/spent`, `/budget`; `look/pictures`, `/planned`, `/alpha` | the document |
| `psnr/mean`, `/low`, `/high`, `/count`, `/missing` | a metric, gated or not |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qa.outcomes import waived
from qa.tracking.values import Numbers, clean, text

Row = Mapping[str, Any]

SEVERITY = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS-DRIFT", "PASS", "IMPROVED")
"""States, worst first."""
BASELINE = ("name", "plan", "content", "environment", "by", "why", "until")
ENDS = ("low", "high", "margin", "count", "missing")
PROBABILITIES = ("p", "p_holm", "q")
LOOK = ("pictures", "planned", "alpha")


def tags(verdict: Row) -> dict[str, str]:
    """State of the verdict and of each gate, what it is compared with, and what was conceded."""
    baseline = verdict.get("baseline") or {}
    values: dict[str, Any] = {
        "qa.verdict": verdict.get("state"),
        "qa.exit_code": verdict.get("exit_code"),
        "qa.summary": verdict.get("summary"),
        "qa.problems": "; ".join(verdict.get("problems") or []),
        "qa.warnings": "; ".join(verdict.get("warnings") or []),
        "qa.use_case": verdict.get("use_case"),
        "qa.policy": verdict.get("policy"),
        "qa.look": look(verdict),
        "qa.baseline": baseline.get("name"),
    }
    values |= {f"qa.baseline.{key}": baseline[key] for key in BASELINE[1:] if baseline.get(key)}
    for name, gate in named(verdict.get("gates") or []):
        values[f"qa.gate.{name}"] = gate.get("state")
        if gate.get("waiver"):
            values[f"qa.waiver.{name}"] = waived(gate["waiver"])
    return {clean(key): text(value) for key, value in values.items()}


def add_numbers(verdict: Row, numbers: Numbers) -> None:
    """Every number of a verdict, or why there is none."""
    for row in verdict.get("metrics") or []:
        for part in ("mean", "low", "high", "count", "missing"):
            numbers.add(f"{row['metric']}/{part}", row.get(part), _why(row, part))
    for name, row in named(verdict.get("gates") or []):
        _gate(name, row, numbers)
    for metric, row in (verdict.get("drift") or {}).items():
        for part in ("spent", "budget"):
            numbers.add(f"drift/{metric}/{part}", row.get(part))
    for part in LOOK:
        if (value := (verdict.get("look") or {}).get(part)) is not None:
            numbers.add(f"look/{part}", value)


def look(verdict: Row) -> str:
    """`1 of 3: 48 of 192 pictures`; empty for a run of a single look."""
    found = verdict.get("look") or {}
    if not found:
        return ""
    return (
        f"{found.get('number')} of {found.get('of')}: "
        f"{found.get('pictures')} of {found.get('planned')} pictures"
    )


def named(rows: Iterable[Row]) -> list[tuple[str, Row]]:
    """Gates with a name each: the metric, after the kind of gate where it is not `regression`."""
    found: dict[str, Row] = {}
    for row in rows:
        kind, metric = str(row.get("gate") or "regression"), _metric(row)
        parts = [metric] if kind == "regression" else [kind, *([metric] if metric != kind else [])]
        name, again = "/".join(filter(None, parts)) or kind, 2
        while name in found:
            name, again = f"{name.removesuffix(f'-{again - 1}')}-{again}", again + 1
        found[name] = row
    return list(found.items())


def _metric(row: Row) -> str:
    """A row's metric; of a slice `metric[tag]` as `metric/tag`, since keys take no brackets."""
    metric = str(row.get("metric") or "")
    return metric.replace("[", "/").removesuffix("]") if row.get("gate") == "slices" else metric


def _gate(name: str, row: Row, numbers: Numbers) -> None:
    if row.get("estimate") is None and row.get("margin") is None:
        return  # it judges no number: its tag says all
    numbers.add(f"gate/{name}/harm", row.get("estimate"), _why(row, "estimate"))
    for part in ENDS:
        numbers.add(f"gate/{name}/{part}", row.get(part), _why(row, part))
    for part in PROBABILITIES:
        if row.get(part) is not None:
            numbers.add(f"gate/{name}/{part}", row[part])


def _why(row: Row, part: str) -> str:
    if part in ("low", "high") and row.get("count") == 1:
        return "one picture gives no interval"
    return str(row.get("why") or "")
