"""Questions, answers and pictures of DPG-Bench's kind, small enough to reckon by hand."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
import torch

COLUMNS = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,"
    "question_natural_language"
).split(",")
ANSWER_COLUMNS = "t2i_model,item_id,question,question_id,panel,answer".split(",")

PARENTS: Mapping[int, Sequence[int]] = {1: [], 2: [1], 3: [2], 4: [], 5: [1, 2]}
PANELS = ([0, 1, 1, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 1, 0, 1])
"""Answers to questions 1 to 5 about four pictures."""
KINDS = ["entity - whole", "attribute - color", "attribute - color", "global -", "other - count"]


def question(
    item: str, number: object, dependency: str = "0", kind: str = "entity - whole", **more: str
) -> dict[str, str]:
    """A row of a CSV of questions."""
    row = dict.fromkeys(COLUMNS, "") | {
        "item_id": item, "text": f"a prompt for {item}", "proposition_id": str(number),
        "dependency": dependency, "tuple": f"{kind} (thing {number})",
        "question_natural_language": f"Is {item} brighter than {number}?",
    }  # fmt: skip
    return row | more


def toy_item(item: str = "toy") -> list[dict[str, str]]:
    """The item of `PARENTS`."""
    return [
        question(item, number, ",".join(map(str, parents)) or "0", KINDS[number - 1])
        for number, parents in PARENTS.items()
    ]


def toy_answers(item: str = "toy", panels: Sequence[Sequence[int]] = PANELS) -> list[dict]:
    """Recorded answers of `PANELS`."""
    return [
        {"t2i_model": "toy", "item_id": item, "question_id": number, "panel": index,
         "question": f"Is {item} brighter than {number}?", "answer": "yes" if answer else "no"}
        for index, panel in enumerate(panels)
        for number, answer in enumerate(panel, 1)
    ]  # fmt: skip


def write(file: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Path:
    """A CSV of these rows."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, columns)
        writer.writeheader()
        writer.writerows(rows)
    return file


def questions_file(folder: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    return write(folder / "questions.csv", rows, COLUMNS)


def answers_file(folder: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    return write(folder / "answers.csv", rows, ANSWER_COLUMNS)


def grey(level: int, side: int = 8) -> torch.Tensor:
    """A picture of one brightness."""
    return torch.full((3, side, side), level, dtype=torch.uint8)


def asset(*parts: str) -> Path:
    """A file or folder of the test data; without it the test is skipped."""
    for root in filter(None, os.environ.get("QA_ASSETS", "").split(os.pathsep)):
        found = Path(root, "data", *parts)
        if found.exists():
            return found
    pytest.skip(f"QA_ASSETS has no data/{'/'.join(parts)}")
