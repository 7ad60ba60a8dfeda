"""What `qa dial` prints: a line for each setting, the confirmation, and what became of it.

setting    worst limit  piqe gain [90 %]  cost s
default              –                 –    0.50  reference, front
sigma=0.1    gmsd 0.50    4.0 [3.0, 5.0]    0.25  picked, front
sigma=0.4    psnr 4.75   9.0 [8.0, 10.0]    0.25  front
CONFIRMED  sigma=0.1 keeps every limit on 24 other pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from reports.front import kind
from reports.terminal import GAPS, NAME_WIDTH, STYLES, fits, notes
from reports.wording import (
    MISSING,
    confidence,
    gate_digits,
    interval,
    number,
    sentence,
    visible,
)

MAX_LINES = 24
"""Settings printed; beyond it only those that matter."""
PICKED = "bold blue"


@dataclass(frozen=True)
class Limit:
    """How close a setting comes to one of its limits."""

    metric: str
    used: float
    """Upper end of the harm's interval, in margins: the limit is kept below 1."""


def limits(document: Mapping[str, Any], setting: Mapping[str, Any]) -> list[Limit]:
    """All limits with numbers, the worst first."""
    found = []
    for limit in document["fidelity"]:
        row = setting["metrics"].get(limit["metric"]) or {}
        high, margin = row.get("harm_high"), row.get("margin") or limit["margin"]
        if high is not None and margin:
            found.append(Limit(limit["metric"], high / margin))
    return sorted(found, key=lambda limit: -limit.used)


def table(document: Mapping[str, Any]) -> RenderableType:
    """Everything a dial says, for a terminal; fits 80 columns."""
    rows = _shown(document)
    parts: list[RenderableType] = [_title(document), _settings(document, rows)]
    left = len(document["settings"]) - len(rows)
    if left:
        parts.append(Text(f"and {left} more settings", "dim"))
    parts.append(
        Text("worst limit: upper end of the harm's interval in margins, kept below 1", "dim")
    )
    if document["confirmation"]:
        parts.append(_confirmation(document))
    parts += notes([*_unexplained(document, rows), *(("note", n) for n in document["notes"])])
    state = str(document["state"])
    head = Text(state, STYLES.get(state, PICKED))
    parts.append(head.append(f"  {visible(sentence(document))}", "default not bold"))
    return Group(*parts)


def said(document: Mapping[str, Any], setting: Mapping[str, Any], why: bool = False) -> str:
    """What a setting is, in a few words; with `why`, also why it is not feasible."""
    words = ["picked"] if setting["name"] == document["picked"] else []
    words += ["reference"] if setting["name"] == document["reference"] else []
    words += ["front"] if setting["front"] else []
    words += [setting["why"]] if why and setting["why"] else []
    return visible(", ".join(words))


def _title(document: Mapping[str, Any]) -> Text:
    halves, seeds = document["pictures"], document["seeds"]
    return Text(
        visible(
            f"dial {document['decoder']} on {document['suite']}   use case {document['use_case']}"
            f"   {halves['selection']} + {halves['confirmation']} pictures, "
            f"{seeds} seed{'s' * (seeds != 1)}"
        )
    )


def _shown(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All settings, or those that matter: reference, picked, front, and the first of the others."""
    rows = list(document["settings"])
    ends = ("picked", "reference")
    ranked = sorted(rows, key=lambda row: (kind(document, row) not in ends, not row["front"]))
    names = {row["name"] for row in ranked[:MAX_LINES]}
    return [row for row in rows if row["name"] in names]


def _unexplained(
    document: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Why settings are not feasible whose numbers do not show it."""
    return [
        ("note", f"{row['name']}: {row['why']}")
        for row in rows
        if row["why"] and not any(limit.used >= 1 for limit in limits(document, row))
    ]


@dataclass(frozen=True)
class Fitted:
    """A table whose numbers are never broken: a few lines a row where the screen is too narrow."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    """The name, numbers, and words that may fold as the name may."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for gap in GAPS:
            if fits(self._wide(gap, named=False), console, options):
                yield self._wide(gap)
                return
        for name, *numbers, word in self.rows:
            yield Text.assemble(name, "  ", word)
            for heading, cell in zip(self.headings[1:], numbers, strict=False):
                yield Text.assemble(f"  {heading} ", cell)

    def _wide(self, gap: int, named: bool = True) -> Table:
        found = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
        names = [Text(self.headings[0]), *(row[0] for row in self.rows)]
        widest = max(name.cell_len for name in names)
        found.add_column(
            self.headings[0] if named else "", min_width=min(NAME_WIDTH, widest), overflow="fold"
        )
        for heading in self.headings[1:]:
            found.add_column(heading, justify="right", no_wrap=True)
        words = [word for row in self.rows for word in row[-1].plain.split()]
        found.add_column("", min_width=max(map(len, words), default=0))
        for name, *cells, word in self.rows:
            found.add_row(name if named else "", *cells, word if named else "")
        return found


def _settings(document: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> Fitted:
    gain = f"{visible(document['plausibility'])} gain [{confidence(document)}]"
    lines = tuple(_line(document, row) for row in rows)
    return Fitted(("setting", "worst limit", gain, "cost s"), lines)


def _line(document: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[Text, ...]:
    what = kind(document, row)
    worst = next(iter(limits(document, row)), None)
    figures = row["metrics"].get(document["plausibility"]) or {}
    harm, low, high = (
        None if figures.get(key) is None else -figures[key]
        for key in ("harm", "harm_high", "harm_low")
    )
    own = row["name"] == document["reference"]
    digits = gate_digits({"low": low, "high": high})
    gain = " ".join(filter(None, (number(harm, digits), interval(low, high, digits))))
    style = {"picked": PICKED, "broken": "dim"}.get(what, "")
    texts = (
        row["name"],
        MISSING if worst is None or own else f"{worst.metric} {worst.used:.2f}",
        MISSING if own else gain,
        number(row["seconds"], 2),
        said(document, row),
    )
    return tuple(Text(visible(text), style) for text in texts)


def _confirmation(document: Mapping[str, Any]) -> Fitted:
    lines = []
    for row in document["confirmation"]["rows"]:
        digits = gate_digits(row)
        harm = number(row["harm"], digits), interval(row["low"], row["high"], digits)
        name = Text(visible(row["metric"]))
        lines.append(
            (
                name.append(f" {visible(row['unit'])}", "dim") if row["unit"] else name,
                Text(" ".join(filter(None, harm))),
                Text(number(row["margin"], digits)),
                Text(str(row["state"]), STYLES.get(str(row["state"]), "")),
            )
        )
    heading = f"on {document['confirmation']['pictures']} others"
    return Fitted((heading, f"harm [{confidence(document)}]", "margin"), tuple(lines))
