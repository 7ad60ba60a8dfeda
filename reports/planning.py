"""What `qa plan` prints: one line a margin, whether the planned size resolves it, what would.

metric      margin   sb      sw    ICC  deff  resolves   pictures 80 %/90 %  best S
psnr dB       0.20  0.31   0.11   0.89  1.9   0.15 yes             27 / 37       1
48 pictures × 2 seeds resolve every primary margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from reports.terminal import GAPS, NAME_WIDTH, fits, notes
from reports.wording import MISSING, decimals, number, visible

YES, NO = "bold blue", "bold yellow"
TOO_MANY = ">1e6"
"""Where not even a million pictures would be enough."""


def table(plan: Mapping[str, Any]) -> RenderableType:
    """Everything a pilot says, for a terminal; fits 80 columns."""
    parts: list[RenderableType] = [_title(plan), Needs(plan)]
    if len(plan["seeds"]) > 1:
        parts.append(_by_seeds(plan))
    said = [("note", f"{row['metric']}: {row['why']}") for row in plan["metrics"] if row["why"]]
    parts += notes([*said, *_tail(plan), *(("warning", line) for line in plan["warnings"])])
    parts.append(_conclusion(plan))
    return Group(*parts)


def _title(plan: Mapping[str, Any]) -> Text:
    arms = [plan[arm] for arm in ("candidate", "baseline") if plan[arm]]
    names = " against ".join(str(arm["decoder"] or arm["name"]) for arm in arms)
    use = f"   use case {plan['use_case']}" if plan["use_case"] else ""
    return Text(visible(f"pilot {names}{use}   planned {_size(plan)}"))


def _size(plan: Mapping[str, Any]) -> str:
    seeds = plan["seeds"][0]
    return f"{plan['pictures']} pictures × {seeds} seed{'s' * (seeds != 1)}"


@dataclass(frozen=True)
class Needs:
    """One line a margin; several where the screen is too narrow."""

    plan: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for gap in GAPS:
            if fits(self.wide(gap, named=False), console, options):
                yield self.wide(gap)
                return
        for row in self.plan["metrics"]:
            yield _narrow(row, self.plan)

    def wide(self, gap: int = GAPS[0], named: bool = True) -> Table:
        found = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
        longest = max(_name(row).cell_len for row in self.plan["metrics"])
        found.add_column("metric", min_width=min(NAME_WIDTH, longest), overflow="fold")
        headings = ("margin", "sb", "sw", "ICC", "deff", "resolves", "", "N 80 / 90 %", "best S")
        for heading in headings:
            left = heading == ""
            found.add_column(heading, justify="left" if left else "right", no_wrap=True)
        for row in self.plan["metrics"]:
            style = "" if row["role"] == "primary" else "dim"
            found.add_row(_name(row) if named else "", *_cells(row, self.plan), style=style)
        return found


def _cells(row: Mapping[str, Any], plan: Mapping[str, Any]) -> tuple[str | Text, ...]:
    digits = decimals(row["margin"], row["smallest"])
    return (
        number(row["margin"], digits),
        number(row["between"], digits),
        number(row["within"], digits),
        number(row["icc"], 2),
        number(row["design_effect"], 1),
        number(row["smallest"], digits),
        _enough(row),
        _pictures(row, plan["seeds"][0]),
        str(row["best_seeds"] or MISSING),
    )


def _enough(row: Mapping[str, Any]) -> Text:
    if row["smallest"] is None or row["margin"] is None:
        return Text("")
    return Text("no", NO) if row["underpowered"] else Text("yes", YES)


def _pictures(row: Mapping[str, Any], seeds: int) -> str:
    found = row["needed"].get(str(seeds))
    return " / ".join(str(count or TOO_MANY) for count in found) if found else MISSING


def _narrow(row: Mapping[str, Any], plan: Mapping[str, Any]) -> Text:
    margin, sb, sw, icc, effect, smallest, enough, pictures, best = _cells(row, plan)
    return Text.assemble(
        _name(row), f"  margin {margin}, resolves {smallest} ", enough,
        f"\n  sb {sb}, sw {sw}, ICC {icc}, deff {effect}",
        f"\n  pictures for 80 / 90 %: {pictures}; best S {best}",
    )  # fmt: skip


def _by_seeds(plan: Mapping[str, Any]) -> Table:
    """Pictures for 80 % and 90 % by number of seeds."""
    found = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    found.add_column("pictures for 80 / 90 % with", min_width=NAME_WIDTH, overflow="fold")
    for seeds in plan["seeds"]:
        heading = f"{seeds} seed{'s' * (seeds != 1)}"
        found.add_column(heading, justify="right", no_wrap=True)
    for row in plan["metrics"]:
        if row["needed"]:
            cells = [_pictures(row, seeds) for seeds in plan["seeds"]]
            found.add_row(_name(row), *cells, style="" if row["role"] == "primary" else "dim")
    return found


def _tail(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    tail = plan["tail"]
    if tail is None:
        return []
    share = f"{100 * tail['rate']:.3g} %"
    enough = "are enough" if plan["pictures"] >= tail["needed"] else "are not enough"
    return [
        (
            "tail",
            f"{tail['needed']} pictures without a broken one bound their share below {share}; "
            f"{plan['pictures']} {enough}",
        )
    ]


def _conclusion(plan: Mapping[str, Any]) -> Text:
    primary = [row for row in plan["metrics"] if row["role"] == "primary"]
    known = [row for row in primary if row["needed"]]
    weak = [row for row in known if row["underpowered"]]
    if not known:
        return Text("No primary margin could be planned from this pilot.", NO)
    if not weak:
        return Text(f"{_size(plan)} resolve every primary margin that was planned.")
    counts = [row["needed"][str(plan["seeds"][0])][0] for row in weak]
    names = ", ".join(row["metric"] for row in weak)
    if None in counts:
        would = "no feasible number of pictures would; take larger margins"
    else:
        would = f"{max(counts)} pictures would, or larger margins"
    return Text(visible(f"{_size(plan)} do not resolve {names}: {would}."))


def _name(row: Mapping[str, Any]) -> Text:
    text = Text(visible(str(row["metric"])))
    return text.append(f" {visible(row['unit'])}", "dim") if row["unit"] else text
