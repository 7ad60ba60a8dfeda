"""What panels saw (`qa.panels`): their summaries as tables, and their notes on the worst pictures.

A summary is JSON of any form. Plain values become a list, an object of plain values a table of two
columns, an object (or list) of such objects a table with their keys as columns; anything deeper is
flattened to dotted names. A table of many columns and few rows is turned. The page writes keys as
words: `by_kind` is "by kind".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qa import panels
from qa.store import RunFolder
from reports import harm
from reports import words as wrong_words
from reports.pictures import Inlined, Inliner, read
from reports.wording import MISSING

READS_WORDS = "legibility"
"""The panel whose notes are shown as words cut out of the pictures."""
MAX_NOTED = 12
MAX_ROWS = 60
MAX_TEXT = 400
SIDE = 192
"""Longest side of a noted picture, in pixels."""
MAX_COLUMNS = 6
"""A table with more of them, and fewer rows, is turned."""
BESIDE = ("sample", "seed")
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table of a summary."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of a row with its cells."""

    @property
    def plain(self) -> bool:
        """Whether each name has one value: a list of facts."""
        return self.columns == ("",)

    @property
    def broad(self) -> bool:
        """Whether no other table fits beside it."""
        return len(self.columns) > MAX_COLUMNS

    def turned(self) -> Grid:
        """Rows as columns."""
        names = tuple(name for name, _ in self.rows)
        cells = zip(*(texts for _, texts in self.rows), strict=True)
        return Grid(self.title, names, tuple(zip(self.columns, cells, strict=True)))


@dataclass(frozen=True)
class Noted:
    """A panel's note on one picture."""

    sample: str
    seed: int
    facts: Pairs
    picture: Inlined | None


@dataclass(frozen=True)
class Section:
    """Everything the page shows of one panel."""

    name: str
    facts: Pairs
    grids: tuple[Grid, ...]
    notes: tuple[Noted, ...]
    words: list[wrong_words.Word]


def sections(
    run: RunFolder,
    record: Mapping[str, Any],
    cells: harm.Cells,
    columns: Sequence[harm.Column],
    samples: Sequence[str],
) -> list[Section]:
    """A section for each panel of a run; `cells` and `columns` of all its metrics rank pictures.

    Summaries are of the whole run, notes of `samples`.
    """
    found = []
    for name, summary in sorted(run.panels().items()):
        metrics = (record.get("panels") or {}).get(name, ())
        own = [column for column in columns if column.metric in metrics]
        facts, grids = tables(summary)
        words, notes = [], []
        if name == READS_WORDS:
            words = wrong_words.worst(run, panels.each_note(run, name, samples))
        else:
            notes = _worst(run, name, harm.table(samples, cells, own))
        found.append(Section(name, facts, grids, tuple(notes), words))
    return found


def tables(summary: Mapping[str, Any]) -> tuple[Pairs, tuple[Grid, ...]]:
    """Plain values of a summary, and its tables."""
    facts: list[tuple[str, str]] = []
    grids = []
    for key, value in summary.items():
        if _plain(value):
            facts.append((str(key), said(value)))
            continue
        grid = _grid(str(key), value)
        if grid is not None and grid.rows:
            grids.append(grid)
        elif grid is None:
            facts += flat(value, str(key))
    return tuple(facts), tuple(grids)


def _grid(title: str, value: Any) -> Grid | None:
    """None where a value is no table."""
    if isinstance(value, list):
        value = {str(place): row for place, row in enumerate(value, 1)}
    if not isinstance(value, Mapping):
        return None
    items = list(value.items())[:MAX_ROWS]
    if all(_plain(entry) for _, entry in items):
        return Grid(title, ("",), tuple((str(name), (said(entry),)) for name, entry in items))
    flats = all(isinstance(row, Mapping) and all(map(_plain, row.values())) for _, row in items)
    if not flats:
        return None
    columns = tuple(dict.fromkeys(str(key) for _, row in items for key in row))
    rows = tuple((str(name), tuple(said(row.get(key)) for key in columns)) for name, row in items)
    grid = Grid(title, columns, rows)
    return grid.turned() if grid.broad and len(rows) < len(columns) else grid


def words(key: str) -> str:
    """A key as words."""
    return key.replace("_", " ")


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """JSON of any depth as (dotted name, text) pairs; lists of plain values on one line."""
    if isinstance(value, Mapping):
        inner: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and not _plain(value):
        inner = enumerate(value, 1)
    else:
        return [(path, said(value))]
    return [
        pair for key, part in inner for pair in flat(part, f"{path}.{key}" if path else str(key))
    ]


def said(value: Any) -> str:
    """A plain value, or a list of them, as text of a bounded length; rates have three decimals."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        rate = value == 0 or 0.001 <= abs(value) < 10
        return f"{value:z.3f}" if rate else f"{value:.4g}"
    text = ", ".join(map(said, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _plain(value: Any) -> bool:
    parts = value if isinstance(value, list) else [value]
    return all(part is None or isinstance(part, str | int | float) for part in parts)


def _worst(run: RunFolder, panel: str, rows: Iterable[harm.Row]) -> list[Noted]:
    """Notes on the pictures that rank first, each at its worst seed."""
    inliner = Inliner(MAX_NOTED)
    found: list[Noted] = []
    for row in rows:
        if len(found) == MAX_NOTED:
            break
        notes = panels.read_notes(run, panel, row.sample)
        seed = next((cell.seed for cell in row.cells if cell.seed is not None), None)
        note = next((n for n in notes if n["seed"] == seed), notes[0] if notes else None)
        if note is not None:
            facts = flat({key: value for key, value in note.items() if key not in BESIDE})
            picture = read(run.path, run.picture_file(row.sample, note["seed"]))
            small = inliner.put(picture, SIDE)
            found.append(Noted(row.sample, note["seed"], tuple(facts), small))
    return found
