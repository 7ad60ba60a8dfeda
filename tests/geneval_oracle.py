"""GenEval without networks: rows, a detector that sees what their pictures ask for, and faults.

A picture says in its first pixel which row it belongs to and whether it is at fault:
(number // 256, number % 256, fault).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qa.types import DecodeRequest
from suites.geneval.detector import CLASSES, COLOURS, Detections

TAGS = {
    "single_object": 80, "two_object": 99, "counting": 80, "colors": 94, "position": 100,
    "color_attr": 100,
}  # fmt: skip
"""How many rows of the official file have each tag."""
AWAY = {"left of": (-300, 0), "right of": (300, 0), "above": (0, -300), "below": (0, 300)}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
SIDE, CENTRE = 100, 500


def row(tag: str, place: int) -> dict[str, Any]:
    """A row of that tag, like one of the official file."""
    one, two = CLASSES[place % 80], CLASSES[(place + 7) % 80]
    red, blue = COLOURS[place % 10], COLOURS[(place + 3) % 10]
    count = 2 + place % 3
    clauses: dict[str, list[dict[str, Any]]] = {
        "single_object": [{"class": one, "count": 1}],
        "two_object": [{"class": one, "count": 1}, {"class": two, "count": 1}],
        "counting": [{"class": one, "count": count}],
        "colors": [{"class": one, "count": 1, "color": red}],
        "position": [
            {"class": one, "count": 1},
            {"class": two, "count": 1, "position": [list(AWAY)[place % 4], 0]},
        ],
        "color_attr": [
            {"class": one, "count": 1, "color": red},
            {"class": two, "count": 1, "color": blue},
        ],
    }
    made = {"tag": tag, "include": clauses[tag], "prompt": f"{tag} {place}"}
    if tag == "counting":
        made["exclude"] = [{"class": one, "count": count + 1}]
    return made


def rows(counts: Mapping[str, int] = TAGS) -> list[dict[str, Any]]:
    """As many rows of each tag."""
    return [row(tag, place) for tag, count in counts.items() for place in range(count)]


def write_rows(file: Path, made: Sequence[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(one) + "\n" for one in made))
    return file


def seen(
    row: Mapping[str, Any], fault: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Boxes and colours of each class in a picture that is what the row asks for.

    With a fault, it lacks what its tag is about: an object, an exact count, a colour or a relation.
    """
    boxes: dict[str, list[list[float]]] = {}
    colours: dict[str, list[str]] = {}
    for place, clause in enumerate(row["include"]):
        cls, wanted = clause["class"], clause.get("color", "white")
        count, centre = clause["count"], (CENTRE, CENTRE + 2 * SIDE * place)
        last = place == len(row["include"]) - 1
        if fault and last and row["tag"] in ("single_object", "two_object"):
            continue
        if fault and last and row["tag"] == "counting":
            count += 1
        if fault and last and "color" in clause:
            wanted = COLOURS[(COLOURS.index(wanted) + 1) % len(COLOURS)]
        if "position" in clause:
            relation = clause["position"][0]
            dx, dy = AWAY[OPPOSITE[relation] if fault else relation]
            centre = CENTRE + dx, CENTRE + dy
        for k in range(count):
            boxes.setdefault(cls, []).append(box(*centre, score=0.99 - 0.01 * k))
            colours.setdefault(cls, []).append(wanted)
    return {cls: np.array(found, np.float32) for cls, found in boxes.items()}, colours


def box(x: float, y: float, score: float = 0.95, side: float = SIDE) -> list[float]:
    """x1, y1, x2, y2, score of a square around (x, y)."""
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2, score]


def line(row: Mapping[str, Any], fault: bool = False) -> str:
    """A line for `python -m suites.geneval.rules`."""
    boxes, colours = seen(row, fault)
    found = {cls: np.round(part.astype(float), 4).tolist() for cls, part in boxes.items()}
    return json.dumps({"metadata": row, "detections": found, "colors": colours}) + "\n"


def picture(number: int, fault: bool = False) -> torch.Tensor:
    """uint8 [3,8,8]"""
    levels = torch.tensor([number // 256, number % 256, int(fault)], dtype=torch.uint8)
    return levels[:, None, None].repeat(1, 8, 8)


def is_faulty(number: int, take: int) -> bool:
    """Which pictures are at fault: the first two of every fifth row, the last of every third."""
    return (number % 5 == 0 and take < 2) or (number % 3 == 0 and take == 3)


def planted(made: Sequence[Mapping[str, Any]], takes: int = 4) -> dict[str, float]:
    """Tag → the share of its pictures that is not at fault."""
    right, all_ = Counter(), Counter()
    for number, one in enumerate(made):
        all_[one["tag"]] += takes
        right[one["tag"]] += sum(not is_faulty(number, take) for take in range(takes))
    return {tag: right[tag] / count for tag, count in all_.items()}


class Oracle:
    """A `Detector` that knows the rows."""

    label = "oracle"
    licence = "MIT"
    classes = CLASSES

    def __init__(self, rows: str | Sequence[Mapping[str, Any]], digest: str = "oracle-1") -> None:
        """`rows`: themselves, or the file that holds them."""
        self.digest = digest
        self.rows = rows
        if isinstance(rows, str):
            self.rows = [json.loads(text) for text in Path(rows).read_text().splitlines()]
        self.checked = 0

    def check(self) -> None:
        self.checked += 1

    def detect(self, picture: torch.Tensor) -> dict[str, Detections]:
        boxes, _ = seen(*self.known(picture))
        height, width = picture.shape[1:]
        return {
            cls: Detections(found, np.ones((len(found), height, width), np.bool_))
            for cls, found in boxes.items()
        }

    def known(self, picture: torch.Tensor) -> tuple[Mapping[str, Any], bool]:
        high, low, fault = picture[:, 0, 0].tolist()
        return self.rows[256 * high + low], bool(fault)


class Palette:
    """A `ColourClassifier` that knows the rows: it names the colours of the boxes it is shown."""

    label = "palette"
    digest = "palette-1"
    licence = "MIT"

    def __init__(self, rows: str | Sequence[Mapping[str, Any]]) -> None:
        self.oracle = Oracle(rows)
        self.asked: list[tuple[str, int]] = []

    def check(self) -> None:
        self.oracle.check()

    def colours(
        self,
        picture: torch.Tensor,
        cls: str,
        boxes: np.ndarray,
        masks: np.ndarray | None,
    ) -> list[str]:
        assert masks is not None
        assert masks.shape == (len(boxes), *picture.shape[1:])
        self.asked.append((cls, len(boxes)))
        known, colours = seen(*self.oracle.known(picture))
        places = [int(np.flatnonzero((known[cls] == box).all(axis=1))[0]) for box in boxes]
        return [colours[cls][place] for place in places]


class Draws:
    """A decoder without latents that draws what `Oracle` reads."""

    space = None
    knobs: frozenset[str] = frozenset()
    licence = "test"
    size = (8, 8)

    def __init__(self, faults: bool = True, breaks: str = "") -> None:
        """`breaks` names a sample of which there is no picture."""
        self.faults, self.breaks = faults, breaks
        self.digest = f"draws-{faults}-{breaks}"

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        return [self._draw(request.sample) for request in requests]

    def _draw(self, sample: str) -> torch.Tensor:
        if sample == self.breaks:
            raise RuntimeError("the pencil broke")
        number, take = map(int, sample.split("/"))
        return picture(number, self.faults and is_faulty(number, take)).float() / 255
