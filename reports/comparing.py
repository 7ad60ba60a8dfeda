"""The table of a comparison, for terminal and page: a line a metric, a cell an arm.

    metric       A  B                        C
    psnr dB  24.02  25.10  FAIL              23.98  PASS
                    1.08 [0.91, 1.25]        -0.04 [-0.1, 0.1]
    B  FAIL  1 of 2 gates failed. Worst picture: page_03, psnr harm 2.1 dB.
    C  PASS  All 2 gates passed.

Below a baseline's value stands the harm against it. Slices are left to `qa judge`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from qa.outcomes import counts, label
from reports.harm import worse
from reports.slices import split
from reports.terminal import GAPS, MAX_PROBLEMS, NAME_WIDTH, STYLES, broken, fits, notes
from reports.wording import (
    confidence,
    gate_digits,
    interval,
    mean,
    metric_digits,
    number,
    sentence,
    visible,
)

Row = Mapping[str, Any]
UNLIKE = "≠"
"""Beside a value that may not be compared with the first arm's."""


@dataclass(frozen=True)
class Cell:
    """One metric of one arm."""

    letter: str
    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""
    """Why it has no value."""
    gate: Row | None = None
    """What the verdict against this arm says about it."""
    apart: str = ""
    """Why it may not be compared with the first arm's."""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One metric of all arms, or a gate that has a name of its own."""

    name: str
    unit: str
    better: str
    digits: int
    """Digits for values; a harm has those of its gate."""
    cells: tuple[Cell, ...]

    @property
    def judged(self) -> bool:
        """Whether a verdict counts it."""
        return any(cell.gate is not None and counts(cell.gate) for cell in self.cells)


def lines(document: Row) -> list[Line]:
    """What counts first, then what is judged, then every metric that some arm has a value of."""
    verdicts = [split(verdict["gates"])[0] for verdict in document["verdicts"]]
    gates = [{label(gate): gate for gate in reversed(rows)} for rows in verdicts]
    values = [{row["metric"]: row for row in arm["metrics"]} for arm in document["arms"]]
    judged = dict.fromkeys(label(gate) for rows in verdicts for gate in rows)
    measured = sorted({name for rows in values for name, row in rows.items() if row["count"]})
    found = [
        _line(name, document["arms"], values, [known.get(name) for known in gates])
        for name in dict.fromkeys([*judged, *measured])
    ]
    return sorted(found, key=lambda line: not line.judged)


def table(document: Row) -> RenderableType:
    """Everything a comparison says, for a terminal; three arms fit 80 columns."""
    whole = lines(document)
    parts: list[RenderableType] = [_arms(document["arms"]), Text("")]
    parts += [Side(document, tuple(whole)), *_legend(document, whole)]
    for arm, verdict in zip(document["arms"][1:], document["verdicts"], strict=True):
        parts += _said(arm["letter"], verdict)
    return Group(*parts)


def _line(
    name: str,
    arms: Sequence[Row],
    values: Sequence[Mapping[str, Row]],
    gates: Sequence[Row | None],
) -> Line:
    known = next(filter(None, gates), None)
    rows = [found.get(name) for found in values]
    cells = [
        _cell(arm, row, gate, _own(gates))
        for arm, row, gate in zip(arms, rows, [None, *gates], strict=True)
    ]
    facts = known or next(filter(None, rows), None) or {}
    widths = [metric_digits(row) for row in rows if row and row["count"]]
    harms = [gate_digits(gate) for gate in gates if gate and gate["estimate"] is not None]
    return Line(
        name,
        str(facts.get("unit") or ""),
        str(facts.get("better") or ""),
        max(widths or harms or [3]),
        tuple(_with_best(cells, str(facts.get("better") or ""))),
    )


def _cell(arm: Row, row: Row | None, gate: Row | None, own: float | None) -> Cell:
    """A metric's mean with its interval, or a gate's own value where it is no metric's."""
    whole = next(iter(arm["incomparable"]), "")
    if row is not None:
        apart = whole or arm["mismatched"].get(row["metric"], "")
        why = "" if row["count"] else str(row["why"] or "no value")
        return Cell(arm["letter"], row["mean"], row["low"], row["high"], why, gate, apart)
    return Cell(arm["letter"], own if gate is None else gate["baseline"], gate=gate, apart=whole)


def _own(gates: Sequence[Row | None]) -> float | None:
    """The first arm's value of a gate that is no metric, if it is the same against every arm.

    The share of broken pictures, which counts only against another arm, is none.
    """
    found = {gate["candidate"] for gate in gates if gate and gate["baseline"] is not None}
    return found.pop() if len(found) == 1 else None


def _with_best(cells: Sequence[Cell], better: str) -> Iterable[Cell]:
    """Mark the best of the values that may be compared; where all are equal none is."""
    able = [cell.value for cell in cells if cell.value is not None and not cell.apart]
    if not better or len(set(able)) < 2 or cells[0].value is None:
        return cells
    best = min(able, key=lambda value: worse(value, better))
    return [replace(cell, best=cell.value == best and not cell.apart) for cell in cells]


def _arms(arms: Sequence[Row]) -> Table:
    """Who is who; what is the same in all arms is said once."""
    found = Table.grid(padding=(0, 2, 0, 0))
    for place, arm in enumerate(arms):
        said = _extent(arm) if place == 0 or _extent(arm) != _extent(arms[0]) else ""
        name = arm["name"] if arm["decoder"] else ""
        words = (arm["decoder"] or arm["name"], name, said)
        found.add_row(arm["letter"], *(Text(visible(word)) for word in words))
    return found


def _extent(arm: Row) -> str:
    seeds, cut = arm["seeds"], " (limited)" if arm["limited"] else ""
    suite = f"{arm['suite']}, " if arm["suite"] else ""
    return f"{suite}{arm['pictures']} pictures, {seeds} seed{'s' * (seeds != 1)}{cut}"


@dataclass(frozen=True)
class Side:
    """Lines and arms as a table; a line for each cell where the screen is too narrow for it."""

    document: Row
    lines: tuple[Line, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for gap in GAPS:
            if fits(self._wide(gap, 0), console, options):
                unnamed = console.measure(self._wide(gap, 0), options=options).maximum
                yield self._wide(gap, NAME_WIDTH + options.max_width - unnamed)
                return
        for line in self.lines:
            yield _name(line)
            for cell in line.cells:
                yield Text.assemble(f"  {cell.letter} ", _value(line, cell), "  ", _harm(cell))

    def _wide(self, gap: int, width: int) -> Table:
        """With names of at most so many cells; 0 leaves them out."""
        found = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
        found.add_column("metric" if width else " " * NAME_WIDTH, no_wrap=not width)
        for arm in self.document["arms"]:
            found.add_column(arm["letter"], no_wrap=True)
        for line in self.lines:
            name = broken(_name(line), width) if width else ""
            cells = [_stacked(line, cell) for cell in line.cells]
            found.add_row(name, *cells, style="" if line.judged else "dim")
        return found


def _name(line: Line) -> Text:
    text = Text(visible(line.name))
    return text.append(f" {visible(line.unit)}", "dim") if line.unit else text


def _stacked(line: Line, cell: Cell) -> Text:
    value, harm = _value(line, cell), _harm(cell)
    return Text.assemble(value, "\n", harm) if harm.plain else value


def _value(line: Line, cell: Cell) -> Text:
    """The value, then whether it may be compared, then the state of its gate."""
    text = Text(mean(cell.value, line.digits))
    if cell.apart:
        text.append(f" {UNLIKE}", "dim")
    if cell.gate is not None:
        state = str(cell.gate["state"])
        found = Text(state, STYLES.get(state, "")) if counts(cell.gate) else Text(f"({state})")
        text = Text.assemble(text, "  ", found)
    return text


def _harm(cell: Cell) -> Text:
    if cell.gate is None or cell.gate["estimate"] is None:
        return Text("")
    digits = gate_digits(cell.gate)
    ends = interval(cell.gate["low"], cell.gate["high"], digits)
    return Text(" ".join(filter(None, (number(cell.gate["estimate"], digits), ends))))


def _legend(document: Row, whole: Sequence[Line]) -> list[RenderableType]:
    used = document["use_case"]
    found = [
        f"below a value: harm, how much worse A is [{confidence(document)} interval]"
        + (f"; use case {used}" if used else "")
    ]
    if any(cell.gate and not counts(cell.gate) for line in whole for cell in line.cells):
        found.append("(…) shown, does not count")
    parts: list[RenderableType] = [Text(visible(said), "dim") for said in found]
    apart = {(cell.letter, cell.apart): None for line in whole for cell in line.cells if cell.apart}
    return [*parts, *notes([(UNLIKE, f"{letter}  {why}") for letter, why in apart])]


def _said(letter: str, verdict: Row) -> list[RenderableType]:
    """The verdict against one baseline in its own words."""
    state = str(verdict["state"])
    head = Text.assemble(f"{letter}  ", (state, STYLES.get(state, "")))
    head.append(f"  {visible(sentence(verdict))}", "default not bold")
    problems = verdict["problems"]
    told = [Text(visible(f"   ! {problem}")) for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        told.append(Text(f"   ! and {len(problems) - MAX_PROBLEMS} more"))
    warnings = [("warning", f"{letter}  {line}") for line in verdict.get("warnings") or ()]
    return [*notes(warnings), head, *told]
