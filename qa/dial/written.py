"""A confirmed setting as a commented file that `qa run dial=` takes."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from qa.setting import SCHEMA

Document = Mapping[str, Any]
"""The contents of dial.json."""


def text(document: Document) -> str:
    """The file of a confirmed setting: equal findings give equal bytes."""
    import yaml

    chosen = next(row for row in document["settings"] if row["name"] == document["picked"])
    content = {
        "schema": SCHEMA,
        "decoder": document["decoder"],
        "use_case": document["use_case"],
        "knobs": chosen["knobs"],
        "pins": document["pins"],
    }
    lines = [f"# {_visible(line)}".rstrip() for line in _comment(document, chosen)]
    said = yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)
    return "\n".join(lines) + "\n" + said


def _comment(document: Document, chosen: Document) -> Iterator[str]:
    halves, seeds = document["pictures"], document["seeds"]
    yield from _wrapped(
        f"{chosen['name']}: {document['decoder']} for the use case {document['use_case']}. Written "
        "by `qa dial`: do not edit, dial again. `qa run dial=…` takes it, for this decoder alone."
    )
    yield f"  {shlex.join(['qa', 'dial', *document['command']])}"
    yield ""
    yield from _wrapped(
        f"Tried {_tried(document)} on {halves['selection']} pictures x {seeds} seeds of "
        f"{document['suite']}, all with the same latents and noise. {document['why']} Harm is "
        f"against {document['reference']}, positive = worse, with "
        f"{100 * document['confidence']:g} % intervals:"
    )
    for row in document["settings"]:
        marks = [row["name"] == document["picked"] and "picked", row["front"] and "front"]
        told = "; ".join(filter(None, [*marks, row["why"]]))
        yield f"  {row['name']}: {_figures(document, row)}{told and f' ({told})'}"
    yield ""
    yield f"Confirmed on the {halves['confirmation']} pictures that the choice did not see. Harm:"
    for row in document["confirmation"]["rows"]:
        limit = "no limit" if row["margin"] is None else f"limit {row['margin']:.4g}"
        yield f"  {row['metric']}: {_interval(row, 'harm', 'low', 'high')}, {limit}: {row['state']}"
    for note in document["notes"]:
        yield ""
        yield from _wrapped(note)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 98, break_long_words=False)


def _visible(line: str) -> str:
    """What ends a line of YAML, or is none of its characters, written out: a comment stays one."""
    return "".join(sign if sign.isprintable() else f"<U+{ord(sign):04X}>" for sign in line)


def _tried(document: Document) -> str:
    lists = [
        f"{name} {', '.join('as the reference' if v is None else repr(v) for v in values)}"
        for name, values in document["search"]["lists"].items()
        if values != [None]
    ]
    count = sum(not row["outside"] for row in document["settings"])
    return f"{count} settings ({'; '.join(lists)})"


def _figures(document: Document, row: Document) -> str:
    """Harm in the first fidelity metric, and the plausibility."""
    first, metric = document["fidelity"][0]["metric"], document["plausibility"]
    harm = _interval(row["metrics"][first], "harm", "harm_low", "harm_high")
    return (
        f"{first} harm {harm}, {metric} {_interval(row['metrics'][metric], 'mean', 'low', 'high')}"
    )


def _interval(row: Document, middle: str, low: str, high: str) -> str:
    if row[middle] is None:
        return "not known"
    ends = "" if row[low] is None else f" [{_number(row[low])}, {_number(row[high])}]"
    return f"{_number(row[middle])}{ends}"


def _number(value: float) -> str:
    return f"{round(value, 9) + 0.0:.4g}"  # what rounding left over is 0
