"""A verdict as text on stdout: one line a metric, then the verdict in one sentence.

    metric        baseline  candidate   harm [90 % interval]   margin   verdict
    psnr dB          25.10      24.02      1.08 [0.91, 1.25]     1.00   FAIL
    FAIL  2 of 5 gates failed. Worst: psnr on page_03, harm 2.1 dB.

Numbers stay whole on 80 columns; a long metric name continues on the next line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from reports.wording import (
    MISSING,
    gate_digits,
    interval,
    mean,
    metric_digits,
    number,
    sentence,
    visible,
)

STYLES = {
    "PASS": "bold blue",
    "FAIL": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "INVALID": "bold magenta",
    "MEASURED": "bold",
}
MAX_PROBLEMS = 5
UNBOUNDED = 1000
NAME_WIDTH = 12
"""Below this a metric's name breaks into pieces nobody can read; names are never cut off."""


def table(verdict: Mapping[str, Any]) -> RenderableType:
    """What `qa run` and `qa judge` print; fits 80 columns, and no colour where nobody sees it."""
    parts: list[RenderableType] = [_title(verdict)]
    if verdict["gates"]:
        parts.append(Gates(verdict))
        parts += _unjudged(verdict)
    elif verdict["metrics"]:
        parts.append(_metrics(verdict))
    parts += _problems(verdict)
    parts.append(_sentence(verdict))
    return Group(*parts)


def _title(verdict: Mapping[str, Any]) -> Text:
    candidate, baseline = verdict["candidate"], verdict["baseline"]
    words = [_arm(candidate)]
    if baseline:
        words.append(f" against {_arm(baseline)}")
    if verdict.get("use_case"):
        words.append(f"   use case {verdict['use_case']}")
    seeds = candidate.get("seeds")
    words.append(f"   {candidate.get('pictures')} pictures, {seeds} seed{'s' * (seeds != 1)}")
    if candidate.get("limited"):
        words.append(" (limited)")
    return Text(visible("".join(words)))


def _arm(arm: Mapping[str, Any]) -> str:
    return str(arm.get("decoder") or arm.get("name") or "?")


@dataclass(frozen=True)
class Gates:
    """One line a gate; three lines a gate where the screen is too narrow for whole numbers."""

    verdict: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Names may fold, so only their column's least width counts.
        unnamed = self.wide(named=False)
        needed = Measurement.get(console, options.update(width=UNBOUNDED), unnamed).minimum
        if needed <= options.max_width:
            yield self.wide()
        else:
            yield from map(_narrow, self.verdict["gates"])

    def wide(self, named: bool = True) -> Table:
        found = _table()
        longest = max(_name(gate).cell_len for gate in self.verdict["gates"])
        found.add_column("metric", min_width=min(NAME_WIDTH, longest), overflow="fold")
        harm = f"harm [{_confidence(self.verdict)} interval]"
        for heading in ("baseline", "candidate", harm, "margin"):
            found.add_column(heading, justify="right", no_wrap=True)
        found.add_column("verdict", no_wrap=True, min_width=len("verdict"))
        for gate in self.verdict["gates"]:
            found.add_row(_name(gate) if named else "", *_numbers(gate), _state(gate))
        return found


def _unjudged(verdict: Mapping[str, Any]) -> list[Text]:
    """Metrics that were measured but have no margin: said, so that nobody takes them as passed."""
    gated = {gate["metric"] for gate in verdict["gates"]}
    names = [row["metric"] for row in verdict["metrics"] if row["metric"] not in gated]
    return [Text(f"not judged, no margin: {visible(', '.join(names))}", "dim")] if names else []


def _narrow(gate: Mapping[str, Any]) -> Text:
    baseline, candidate, harm, margin = _numbers(gate)
    return Text.assemble(
        _name(gate), "  ", _state(gate),
        f"\n  {baseline} → {candidate}",
        f"\n  harm {harm}, margin {margin}",
    )  # fmt: skip


def _numbers(gate: Mapping[str, Any]) -> tuple[Text, Text, Text, Text]:
    digits = gate_digits(gate)
    return (
        Text(mean(gate.get("baseline"), digits)),
        Text(mean(gate.get("candidate"), digits)),
        _estimate(gate, "estimate", digits),
        Text(number(gate.get("margin"), digits)),
    )


def _state(gate: Mapping[str, Any]) -> Text:
    return Text(gate["state"], STYLES.get(gate["state"], ""))


def _metrics(verdict: Mapping[str, Any]) -> Table:
    found = _table()
    found.add_column("metric", min_width=NAME_WIDTH, overflow="fold")
    found.add_column(f"mean [{_confidence(verdict)} interval]", justify="right", no_wrap=True)
    found.add_column("pictures", justify="right", no_wrap=True)
    found.add_column("", overflow="fold")
    for row in verdict["metrics"]:
        lost = f"{row['missing']} missing" if row.get("missing") else ""
        whole = "one value for all" if row.get("of") == "set" and not lost else ""
        note = ": ".join(filter(None, (lost, row.get("why") or whole)))
        found.add_row(
            _name(row),
            _estimate(row, "mean", metric_digits(row)),
            str(row.get("count", MISSING)),
            Text(visible(note)),
        )
    return found


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _confidence(verdict: Mapping[str, Any]) -> str:
    return f"{100 * (verdict.get('confidence') or 0.9):.3g} %"


def _name(row: Mapping[str, Any]) -> Text:
    unit = row.get("unit")
    text = Text(visible(str(row["metric"])))
    return text.append(f" {visible(unit)}", "dim") if unit else text


def _estimate(row: Mapping[str, Any], key: str, digits: int) -> Text:
    words = (number(row.get(key), digits), interval(row.get("low"), row.get("high"), digits))
    return Text(" ".join(filter(None, words)))


def _problems(verdict: Mapping[str, Any]) -> list[Text]:
    problems = verdict["problems"]
    lines = [Text(visible(f"  ! {problem}")) for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        lines.append(Text(f"  ! and {len(problems) - MAX_PROBLEMS} more, see verdict.json"))
    return lines


def _sentence(verdict: Mapping[str, Any]) -> Text:
    state = verdict["state"]
    head = Text(state, STYLES.get(state, ""))
    return head.append(f"  {visible(sentence(verdict))}", "default not bold")
