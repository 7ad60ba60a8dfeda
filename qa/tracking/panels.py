"""What panels saw (`qa.panels`) in MLflow: numbers of their summaries, and their notes as tables.

Of a summary the numbers at its top and in the objects there become metrics
(`panel/geneval/overall`, `panel/geneval/tags/counting`); what lies deeper is in `panels.json`.
Notes become a table in the form of `MlflowClient.log_table`, with a row for each picture; where a
note holds a list of objects (the words of a page), with a row for each of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qa import panels
from qa.store import RunFolder, file_name
from qa.tracking.values import Numbers

FIRST = ("sample", "seed")
PREFIX = "panel_"
"""How the names of the tables begin."""
Row = Mapping[str, Any]


def add_numbers(folder: RunFolder, numbers: Numbers) -> None:
    """Numbers of all summaries of a run, or why there are none."""
    for name, summary in sorted(folder.panels().items()):
        why = str(summary.get("why") or "")
        for key, value in summary.items():
            inner = value if isinstance(value, Mapping) else {"": value}
            for part, number in inner.items():
                if number is None or type(number) in (int, float):
                    path = "/".join(filter(None, ("panel", name, key, str(part))))
                    numbers.add(path, number, why)


def tables(folder: RunFolder) -> dict[str, bytes]:
    """Artifact → table of a panel's notes, for every panel that left some."""
    samples = [str(row["id"]) for row in folder.each_sample()]
    found = {name: panels.all_notes(folder, name, samples) for name in sorted(folder.panels())}
    return {
        f"{PREFIX}{file_name(name)}.json": _table(notes) for name, notes in found.items() if notes
    }


def _table(notes: Iterable[Row]) -> bytes:
    rows = [row for note in notes for row in _rows(note)]
    columns = [*FIRST, *sorted({key for row in rows for key in row} - set(FIRST))]
    data = [[_cell(row.get(column)) for column in columns] for row in rows]
    return (json.dumps({"columns": columns, "data": data}, allow_nan=False) + "\n").encode()


def _rows(note: Row) -> Iterator[Row]:
    lists = [key for key, value in note.items() if _objects(value)]
    if len(lists) != 1:
        yield note
        return
    rest = {key: value for key, value in note.items() if key != lists[0]}
    for entry in note[lists[0]]:
        yield {**rest, **entry, **{key: note[key] for key in FIRST}}


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _cell(value: Any) -> Any:
    plain = value is None or isinstance(value, str | int | float)
    return value if plain else json.dumps(value, sort_keys=True, ensure_ascii=False)
