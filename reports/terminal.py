"""A verdict as text on stdout: one line a gate, then the verdict in one sentence.

    metric        baseline  candidate   harm [90 % interval]   margin   verdict
    psnr dB          25.10      24.02      1.08 [0.91, 1.25]     1.00   FAIL
    piqe             41.20      41.90      0.70 [-0.1, 1.5]      0.50   (INCONCLUSIVE)
    (…) secondary: shown, does not count
    FAIL  2 of 5 gates failed. Worst picture: page_03, psnr harm 2.1 dB.

Numbers stay whole on 80 columns; a long metric name continues on the next line. Slices follow the
gates in the same columns, a block a metric.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import starmap
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from qa.outcomes import counts, label, standing
from reports.slices import Block, split
from reports.wording import (
    BREAKS,
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


Row = tuple[Text, Mapping[str, Any]]
"""What a line is called, and its row of the verdict."""


class Gates:
    """One line a gate or slice; three lines where the screen is too narrow for whole numbers."""

    def __init__(self, verdict: Mapping[str, Any]) -> None:
        """The gates that count come first; each half in the verdict's order."""
        gates, blocks = split(verdict["gates"])
        self.gates: list[Row] = [(_name(gate), gate) for gate in sorted(gates, key=_last)]
        self.blocks = [(_heading(block), _slices(block)) for block in blocks]
        harm = f"harm [{confidence(verdict)} interval]"
        self.headings = ("baseline", "candidate", harm, "margin", "verdict")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [*self.gates, *(row for _, rows in self.blocks for row in rows)]
        numbers = self._widths(rows)
        longest = max(len("metric"), *(name.cell_len for name, _ in rows))
        for gap in GAPS:
            spare = options.max_width - sum(numbers) - gap * len(numbers)
            if spare >= min(NAME_WIDTH, longest):
                widths = (min(longest, spare), *numbers)
                yield self._table(self.gates, gap, widths)
                for heading, slices in self.blocks:
                    table = self._table(slices, gap, widths, headed=False)
                    yield Group("", broken(heading, options.max_width), table)
                break
        else:
            yield from starmap(_narrow, self.gates)
            for heading, slices in self.blocks:
                yield Group("", broken(heading, options.max_width), *starmap(_narrow, slices))
        if self.blocks:
            yield Text("")

    def _widths(self, rows: Iterable[Row]) -> tuple[int, ...]:
        """Of the columns after the name: slices stand below the gates' headings."""
        lines = [[*map(Text, self.headings)], *([*_numbers(row), _state(row)] for _, row in rows)]
        return tuple(max(cell.cell_len for cell in column) for column in zip(*lines, strict=True))

    def _table(
        self, rows: Iterable[Row], gap: int, widths: tuple[int, ...], headed: bool = True
    ) -> Table:
        found = _table(gap)
        found.show_header = headed
        name, *numbers, state = widths
        found.add_column("metric", width=name, overflow="fold")
        for heading, width in zip(self.headings, numbers, strict=False):
            found.add_column(heading, width=width, justify="right", no_wrap=True)
        found.add_column(self.headings[-1], width=state, no_wrap=True)
        for text, gate in rows:
            style = "" if counts(gate) else "dim"
            found.add_row(broken(text, name), *_numbers(gate), _state(gate), style=style)
        return found


def _last(gate: Mapping[str, Any]) -> bool:
    return not counts(gate)


def _slices(block: Block) -> list[Row]:
    return [(Text(visible(tag)), gate) for tag, gate in block.rows]


def _heading(block: Block) -> Text:
    unit = f", {block.unit}" if block.unit else ""
    return Text(visible(f"{block.metric} by tag{unit}"), "dim")


def broken(name: Text, width: int) -> Text:
    """A name on lines of at most so many cells, broken at spaces and `wording.BREAKS`.

    A piece that is longer is left whole, for its column to fold.
    """
    if name.cell_len <= width:
        return name
    lines: list[Text] = []
    places = re.finditer(rf"(?<= )|{BREAKS.pattern}", name.plain, BREAKS.flags)
    for piece in name.divide([place.end() for place in places]):
        if lines and cell_len(lines[-1].plain + piece.plain.rstrip()) <= width:
            lines[-1] = lines[-1] + piece
        else:
            lines.append(piece)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


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


def _narrow(name: Text, gate: Mapping[str, Any]) -> Text:
    baseline, candidate, harm, margin = _numbers(gate)
    return Text.assemble(
        name, "  ", _state(gate),
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
