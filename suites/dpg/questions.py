"""The questions of DPG-Bench and of DSG-1k: one CSV, a row for each question, nine columns.

    item_id, text, keywords, proposition_id, dependency, category_broad, category_detailed, tuple,
    question_natural_language

An item is a prompt. `dependency` names, by `proposition_id`, the questions without whose yes this
one makes no sense ("Is the car red?" needs "Is there a car?"); 0 stands for none. `tuple` begins
with the category, e.g. "attribute - color (car, red)"; where it is missing the two category
columns say the same.

Such files were written by language models. What is wrong in them is read as it was meant, and
counted in `remarks`:

* a dependency that is no number ("5, right"), a parent that does not exist: no parent;
* a parent that is the question itself or comes after it: kept, the rules know what to do;
* rows of one item in several places: put together; a question given twice: the last row counts;
* ids with gaps, numbers written "3.0", blank lines, a byte order mark: nothing is lost.

The official script treats some of it differently: `suites.dpg.rules.BUGS`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from qa.errors import QaError, UsageError
from suites.dpg import table

WANTED = {"item_id", "proposition_id", "dependency", "question_natural_language"}
NO_NUMBER = "dependencies that are no number"
NO_PARENT = "parents that do not exist"
NOT_BEFORE = "parents that do not come before"
IN_PIECES = "rows of an item that began elsewhere"
GAPS = "items whose ids have gaps"
TWICE = "questions given twice"


@dataclass(frozen=True)
class Question:
    """One question that is answered with yes or no."""

    id: int
    text: str
    parents: tuple[int, ...]
    """As the file has them, also those that do not exist."""
    category: str
    """The fine one (L2), e.g. `attribute - color`."""

    @property
    def broad(self) -> str:
        """The broad category (L1), e.g. `attribute`."""
        return self.category.split("-")[0].strip()


@dataclass(frozen=True)
class Item:
    """A prompt and what is asked about its pictures, in the order of the file."""

    id: str
    prompt: str
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Questions:
    """A whole file."""

    items: Mapping[str, Item]
    sha256: str
    """Two versions of DPG-Bench's file are in circulation: results name theirs."""
    remarks: Mapping[str, int]
    """What was wrong in the file, and how often."""


def read(file: Path, bugs: Collection[str] = ()) -> Questions:
    """All items of a CSV, in the order of their first rows. `bugs` are some of `rules.BUGS`.

    UsageError for a file that is not of this kind, QaError where a bug makes the official script
    stop.
    """
    data = table.read(file)
    rows = list(table.rows(data, file, WANTED, _strange(file)))
    if not rows:
        raise UsageError(f"{file} holds no questions.", "It has nothing below its head.")
    if "no_comma" in bugs and not any("," in row["dependency"] for _, row in rows):
        raise QaError(
            f"The official script cannot read {file.name}.",
            "No dependency has a comma, so the whole column becomes numbers that have no parts.",
            "leave the bug no_comma out, or --compat fixed",
        )
    if "first_row" in bugs:
        rows = rows[1:]
    remarks: Counter[str] = Counter()
    found = _collect(rows, file, "overwrite_rows" in bugs, remarks)
    items = {name: Item(name, text, tuple(asked.values())) for name, (text, asked) in found.items()}
    for item in items.values():
        remarks.update(_oddities(item))
    seen = {what: count for what, count in sorted(remarks.items()) if count}
    return Questions(items, sha256(data).hexdigest(), seen)


def _strange(file: Path) -> UsageError:
    return UsageError(
        f"{file} holds no questions of DPG-Bench or DSG.",
        fix="name dpg_bench.csv of ELLA or dsg-1k-anns.csv of DSG",
    )


def _collect(
    rows: list[tuple[int, dict[str, str]]], file: Path, overwrite: bool, remarks: Counter[str]
) -> dict[str, tuple[str, dict[int, Question]]]:
    """Item → prompt, and its questions by id."""
    found: dict[str, tuple[str, dict[int, Question]]] = {}
    before = ""
    for line, row in rows:
        name = row["item_id"]
        question = _question(row, f"{file}, line {line}", remarks)
        if name != before and name in found:
            remarks[IN_PIECES] += 1
        if name not in found or (overwrite and name != before):
            found[name] = (row.get("text", ""), {})
        asked = found[name][1]
        remarks[TWICE] += question.id in asked
        asked[question.id] = question
        before = name
    return found


def _question(row: Mapping[str, str], where: str, remarks: Counter[str]) -> Question:
    number = _whole(row["proposition_id"])
    if not row["item_id"] or number is None or not row["question_natural_language"]:
        raise UsageError(
            f"{where} is no question.",
            "A row needs an item_id, a whole proposition_id and a question_natural_language.",
            "mend the line",
        )
    entries = [entry.strip() for entry in row["dependency"].split(",") if entry.strip()]
    parents = [_whole(entry) for entry in entries]
    remarks[NO_NUMBER] += parents.count(None)
    known = tuple(parent for parent in parents if parent)  # 0 stands for no parent
    return Question(number, row["question_natural_language"], known, _category(row))


def _category(row: Mapping[str, str]) -> str:
    parts = [row.get("category_broad", ""), row.get("category_detailed", "")]
    text = row.get("tuple", "").split("(")[0] or " - ".join(filter(None, parts))
    # "global - - (photo)": a category without a finer one
    return re.sub(r"[\s-]+$", "", text) or "none"


def _whole(text: str) -> int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _oddities(item: Item) -> Counter[str]:
    ids = [question.id for question in item.questions]
    place = {number: index for index, number in enumerate(ids)}
    found: Counter[str] = Counter()
    for index, question in enumerate(item.questions):
        found[NO_PARENT] += sum(parent not in place for parent in question.parents)
        found[NOT_BEFORE] += sum(place.get(parent, -1) >= index for parent in question.parents)
    found[GAPS] += sorted(ids) != list(range(1, len(ids) + 1))
    return found
