"""What a prompt's row may hold, and what a line of detections may: nothing is guessed at.

    row    {"tag": one of six, "include": [clause, …], "exclude": [clause, …], "prompt": text}
    clause {"class", "count": n >= 1}, included ones with "color" or "position": [relation, place]
    line   {"metadata": row, "detections": {class: [[x1,y1,x2,y2,score], …]},
            "colors": {class: [colour of each detection, …]}}

A tag that is written in another way would have another threshold, a row without a clause would hold
for every picture: such a slip changes the score without a word, so each is a ValueError that names
the field. JSON's true and false are no numbers here, nor are numbers in quotes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suites.geneval.detector import CLASSES, COLOURS
from suites.geneval.score import TAGS

Boxes = NDArray[np.floating]
"""[k,5]: x1, y1, x2, y2, score"""
RELATIONS = ("left of", "right of", "above", "below")
FARTHEST = 1e9
"""Pixels; beyond it no picture reaches, and squares of numbers need not be finite."""
LONGEST = 40
"""Characters of a value that a message shows."""


class Line(NamedTuple):
    """A picture with known detections."""

    row: dict[str, Any]
    boxes: dict[str, Boxes]
    colours: Mapping[str, Sequence[str]]
    """Class → the colour of each of its boxes, for classes of which that is known."""


def check_row(row: Any, classes: Collection[str] | None = None) -> None:
    """ValueError, naming the field, for what is no row about these classes; None allows any.

    A prompt may be absent, since the rules do not read it; what is there has to be text.
    """
    if not isinstance(row, dict):
        raise ValueError(f"the row is {shown(row)}, not an object")
    if row.get("tag") not in TAGS:
        raise ValueError(f"tag is {shown(row.get('tag'))}, not one of {', '.join(TAGS)}")
    if not isinstance(row.get("prompt", ""), str):
        raise ValueError(f"prompt is {shown(row['prompt'])}, not a text")
    for key, absent in (("include", None), ("exclude", [])):
        if not isinstance(row.get(key, absent), list):
            raise ValueError(f"{key} is {shown(row.get(key))}, not a list of clauses")
    if not row["include"]:
        raise ValueError("include is empty, so that every picture would be correct")
    for place, clause in enumerate(row["include"]):
        where = f"include[{place}]"
        _check_clause(clause, where, classes)
        if "color" in clause and clause["color"] not in COLOURS:
            raise ValueError(_no_colour(f"{where}.color", clause["color"]))
        if "position" in clause:
            _check_position(clause["position"], f"{where}.position", place)
    for place, clause in enumerate(row.get("exclude", [])):
        _check_clause(clause, f"exclude[{place}]", classes)


def line_of(given: Any) -> Line:
    """The parts of a parsed line; ValueError, naming the field, for what does not fit."""
    if not isinstance(given, dict):
        raise ValueError(f"it is {shown(given)}, not an object with metadata and detections")
    if "metadata" not in given:
        raise ValueError("metadata is missing")
    try:
        check_row(given["metadata"], CLASSES)
    except ValueError as error:
        raise ValueError(f"in its metadata, {error}") from error
    found, colours = given.get("detections"), given.get("colors", {})
    for key, part in (("detections", found), ("colors", colours)):
        if not isinstance(part, dict):
            raise ValueError(f"{key} is {shown(part)}, not an object of classes")
        for cls in part:
            _check_class(cls, f"a class of {key}", CLASSES)
    boxes = {cls: _boxes(rows, f"detections[{cls!r}]") for cls, rows in found.items()}
    for cls, names in colours.items():
        _check_colours(names, f"colors[{cls!r}]", len(boxes.get(cls, ())))
    return Line(given["metadata"], boxes, colours)


def shown(value: Any) -> str:
    """A value as a message has it."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _check_clause(clause: Any, where: str, classes: Collection[str] | None) -> None:
    if not isinstance(clause, dict):
        raise ValueError(f"{where} is {shown(clause)}, not an object with a class and a count")
    _check_class(clause.get("class"), f"{where}.class", classes)
    count = clause.get("count")
    if type(count) is not int or count < 1:
        raise ValueError(f"{where}.count is {shown(count)}, not a whole number from 1")


def _check_class(cls: Any, where: str, classes: Collection[str] | None) -> None:
    if not isinstance(cls, str) or not cls:
        raise ValueError(f"{where} is {shown(cls)}, not the name of a class")
    if classes is not None and cls not in classes:
        raise ValueError(f"{where} is {shown(cls)}, not one of the {len(classes)} known classes")


def _check_position(position: Any, where: str, place: int) -> None:
    if not isinstance(position, list) or len(position) != 2 or position[0] not in RELATIONS:
        told = f"[one of {', '.join(RELATIONS)}; place of the target]"
        raise ValueError(f"{where} is {shown(position)}, not {told}")
    if type(position[1]) is not int or position[1] not in range(place):
        target = shown(position[1])
        raise ValueError(f"the target of {where} is {target}, not the place of an earlier clause")


def _boxes(found: Any, where: str) -> Boxes:
    if not isinstance(found, list):
        raise ValueError(f"{where} is {shown(found)}, not a list of [x1, y1, x2, y2, score]")
    for place, box in enumerate(found):
        _check_box(box, f"{where}[{place}]")
    return np.array(found, np.float64).reshape(-1, 5)


def _check_box(box: Any, where: str) -> None:
    if not isinstance(box, list) or len(box) != 5:
        raise ValueError(f"{where} is {shown(box)}, not [x1, y1, x2, y2, score]")
    for name, value in zip(("x1", "y1", "x2", "y2", "score"), box, strict=True):
        if type(value) not in (int, float) or not _finite(value):
            raise ValueError(f"{name} of {where} is {shown(value)}, not a finite number")
    if max(map(abs, box)) > FARTHEST:
        raise ValueError(f"{where} is {shown(box)}, outside any picture")
    x1, y1, x2, y2, score = box
    if x2 < x1 or y2 < y1:
        raise ValueError(f"{where} is {shown(box)}, which ends before it begins")
    if not 0 <= score <= 1:
        raise ValueError(f"score of {where} is {shown(score)}, not in 0 to 1")


def _finite(value: float) -> bool:
    return type(value) is int or math.isfinite(value)


def _check_colours(names: Any, where: str, count: int) -> None:
    if not isinstance(names, list):
        raise ValueError(f"{where} is {shown(names)}, not a list of colours")
    for place, name in enumerate(names):
        if name not in COLOURS:
            raise ValueError(_no_colour(f"{where}[{place}]", name))
    if len(names) != count:
        raise ValueError(f"{where} has {len(names)} colours for {count} detections")


def _no_colour(where: str, name: Any) -> str:
    return f"{where} is {shown(name)}, none of {', '.join(COLOURS)}"
