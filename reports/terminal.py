"""A verdict as text on stdout: one line a gate, then the verdict in one sentence.

    metric        baseline  candidate   harm [90 % interval]   margin   verdict
    psnr dB          25.10      24.02      1.08 [0.91, 1.25]     1.00   FAIL
    piqe             41.20      41.90      0.70 [-0.1, 1.5]      0.50   (INCONCLUSIVE)
    (…) secondary: shown, does not count
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

from qa.outcomes import counts, label, standing
from reports.wording import (
    MISSING,
    bound,
    confidence,
    footnotes,
    gate_digits,
    interval,
    mean,
    metric_digits,
    number,
    sentence,
    visible,
)

STYLES = {
    "IMPROVED": "bold green",
    "PASS": "bold blue",
    "PASS-DRIFT": "bold cyan",
    "FAIL": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "INVALID": "bold magenta",
    "MEASURED": "bold",
    "warning": "yellow",
}
MAX_PROBLEMS = 5
UNBOUNDED = 1000
NAME_WIDTH = 12
"""Below this a metric's name breaks into pieces nobody can read; names are never cut off."""
NOTE_WIDTH = 8
GAPS = (2, 1)
"""Spaces between columns; the narrower one where only that keeps a gate on one line."""


def table(verdict: Mapping[str, Any]) -> RenderableType:
    """What `qa run` and `qa judge` print; fits 80 columns, and no colour where nobody sees it."""
    parts: list[RenderableType] = [_title(verdict)]
    if verdict["gates"]:
        parts.append(Gates(verdict))
        parts += _aside(verdict)
        parts += _unjudged(verdict)
    elif verdict["metrics"]:
        parts.append(_metrics(verdict))
    parts += _problems(verdict)
    parts += notes(footnotes(verdict))
    parts.append(_sentence(verdict))
    return Group(*parts)


def notes(found: list[tuple[str, str]]) -> list[RenderableType]:
    """(kind, sentence) pairs as lines with a hanging indent."""
    if not found:
        return []
    grid = Table.grid(padding=(0, 0))
    grid.add_column(width=NOTE_WIDTH, no_wrap=True)
    grid.add_column(overflow="fold")
    for kind, said in found:
        grid.add_row(Text(kind, STYLES.get(kind, "dim")), Text(visible(said)))
    return [grid]


def _title(verdict: Mapping[str, Any]) -> Text:
    candidate, baseline = verdict["candidate"], verdict["baseline"]
    words = [_arm(candidate)]
    if baseline:
        words.append(f" against {_arm(baseline)}")
    if verdict.get("use_case"):
        words.append(f"   use case {verdict['use_case']}")
    if verdict.get("policy") == "release":
        words.append("   policy release")
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
        for gap in GAPS:
            if fits(self.wide(gap, named=False), console, options):
                yield self.wide(gap)
                return
        yield from map(_narrow, self.gates)

    @property
    def gates(self) -> list[Mapping[str, Any]]:
        """Those that count first; each half in the verdict's order."""
        return sorted(self.verdict["gates"], key=lambda gate: not counts(gate))

    def wide(self, gap: int = GAPS[0], named: bool = True) -> Table:
        found = _table(gap)
        longest = max(_name(gate).cell_len for gate in self.gates)
        found.add_column("metric", min_width=min(NAME_WIDTH, longest), overflow="fold")
        harm = f"harm [{confidence(self.verdict)} interval]"
        for heading in ("baseline", "candidate", harm, "margin"):
            found.add_column(heading, justify="right", no_wrap=True)
        found.add_column("verdict", no_wrap=True, min_width=len("verdict"))
        for gate in self.gates:
            style = "" if counts(gate) else "dim"
            found.add_row(_name(gate) if named else "", *_numbers(gate), _state(gate), style=style)
        return found


def _aside(verdict: Mapping[str, Any]) -> list[Text]:
    """What the brackets around a state mean."""
    aside = [gate for gate in verdict["gates"] if not counts(gate)]
    reasons = {"waived" if gate.get("waiver") else standing(gate) for gate in aside}
    said = " or ".join(sorted(reasons - {"does not count"}))
    words = f"(…) {said}: shown, does not count" if said else "(…) shown, does not count"
    return [Text(words, "dim")] if aside else []


def _unjudged(verdict: Mapping[str, Any]) -> list[Text]:
    """Metrics that were measured but have no margin: said, so that nobody takes them as passed."""
    gated = {gate.get("metric") for gate in verdict["gates"]}
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
        Text(bound(gate, digits)),
    )


def _state(gate: Mapping[str, Any]) -> Text:
    state = str(gate["state"])
    return Text(state, STYLES.get(state, "")) if counts(gate) else Text(f"({state})")


def _metrics(verdict: Mapping[str, Any]) -> Table:
    found = _table()
    found.add_column("metric", min_width=NAME_WIDTH, overflow="fold")
    found.add_column(f"mean [{confidence(verdict)} interval]", justify="right", no_wrap=True)
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


def fits(unnamed: Table, console: Console, options: ConsoleOptions) -> bool:
    """Whether a table without its names fits unbroken; names may fold, numbers may not."""
    needed = Measurement.get(console, options.update(width=UNBOUNDED), unnamed).maximum
    return needed <= options.max_width


def _table(gap: int = 2) -> Table:
    return Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")


def _name(row: Mapping[str, Any]) -> Text:
    unit = row.get("unit")
    text = Text(visible(label(row)))
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
