"""What raters answered: a line for each answer, added and never changed.

Each rater has a file, so answers that were given on several machines are brought together by
copying files. A line is on disk before it counts as given. Whoever answers a pair again is taken by
the last word; the earlier ones stay in the file. Half a line, of a process that was killed while it
wrote, is no answer: who writes next ends it with `CUT`. Nothing is ever taken out of a file, so
several processes may write into one.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from qa.errors import QaError
from qa.files import cannot_write
from qa.review.plan import Pair, Plan, ReviewFolder
from qa.store import file_name

PERSON, MODEL = "person", "model"
PEOPLE = "people"
"""What all people together are called; no model is."""
LEFT, RIGHT, TIE, BAD = "left", "right", "tie", "bad"
SAID = (LEFT, RIGHT, TIE, BAD)
"""Left is better, right is better, they are equally good, both are bad."""
TAGS = ("wrong text", "invented object", "artefact", "colour", "blur", "identity")
"""What is wrong with the worse picture, or with both."""
LONGEST = {"rater": 100, "note": 2000}
Key = tuple[str, str, int, bool | None]
"""Whose answer to what: kind, rater, pair, and of a model which picture came first."""
CUT = b"\x18"
"""Ends half a line; JSON has no such byte."""
_ONE = threading.Lock()


@dataclass(frozen=True)
class Box:
    """A place that a rater drew, in shares of the picture's width and height, in [0, 1]."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Answer:
    """One rater's answer about one pair."""

    pair: int
    rater: str
    kind: str
    """PERSON or MODEL."""
    first_is_left: bool
    """Which picture was on the left; for a model, which came first."""
    said: str | None
    """One of SAID; None where there is no answer."""
    why: str = ""
    """Why there is none."""
    tags: tuple[str, ...] = ()
    box: Box | None = None
    note: str = ""
    seconds: float | None = None
    """How long it took."""
    date: str = ""
    """ISO 8601, UTC."""
    begun: str = field(default="", compare=False)
    """Date of the rater's first answer to this pair, which keeps the place; known when read."""

    @property
    def score(self) -> float | None:
        """1 if the pair's first picture is better, 0 if the second is, 1/2 for neither."""
        if self.said in (None, TIE, BAD):
            return None if self.said is None else 0.5
        return float((self.said == LEFT) == self.first_is_left)


def add(folder: ReviewFolder, plan: Plan, answer: Answer) -> None:
    """Append an answer to `plan`; it is on disk when this returns. ValueError for no answer.

    With it stands the digest of the plan: of another one it is no answer. QaError where the folder
    has another plan by now.
    """
    _checked(answer)
    if folder.digest != plan.digest:
        why = "It was registered anew, or changed, since these pairs were shown."
        raise QaError(f"{folder.plan_file} is another plan now.", why, "begin anew: qa review RUN")
    file = folder.answers / f"{answer.kind}-{file_name(answer.rater)}.jsonl"
    row = {**asdict(answer), "plan": plan.digest}
    del row["begun"]
    line = json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False)
    try:
        with _ONE:
            folder.answers.mkdir(parents=True, exist_ok=True)
            with file.open("a+b") as out:
                cut = b"" if _whole(out) else CUT + b"\n"
                out.write(cut + line.encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())
    except OSError as error:
        raise cannot_write(file, error) from error


def read(folder: ReviewFolder, plan: Plan) -> list[Answer]:
    """The last answer of every rater to every pair, in order of their dates.

    A model answers each pair twice, once in each order; that it has no answer takes none back. In a
    file the last line counts, of several files the last date. People whose names differ in case
    alone are one. QaError for a file with lines of answers that cannot be of this plan.
    """
    found: dict[Key, Answer] = {}
    begun: dict[Key, str] = {}
    names: dict[str, str] = {}
    for file in folder.files()[1:]:
        last: dict[Key, Answer] = {}
        for answer in _given(file, plan):
            if answer.kind == PERSON:
                name = names.setdefault(answer.rater.casefold(), answer.rater)
                answer = replace(answer, rater=name)
            key = (
                answer.kind, answer.rater, answer.pair,
                answer.first_is_left if answer.kind == MODEL else None,
            )  # fmt: skip
            begun[key] = min(begun.get(key, answer.date), answer.date)
            if answer.said is not None or key not in last or last[key].said is None:
                last[key] = answer
        for key, answer in last.items():
            if key not in found or _weight(found[key]) <= _weight(answer):
                found[key] = answer
    whole = (replace(answer, begun=begun[key]) for key, answer in found.items())
    return sorted(whole, key=lambda answer: (answer.date, answer.pair, answer.rater))


def _weight(answer: Answer) -> tuple[bool, str]:
    return answer.said is not None, answer.date


def _given(file: Path, plan: Plan) -> Iterator[Answer]:
    """Every answer that a file has."""
    for number, line in _lines(file):
        try:
            answer = _answer(json.loads(line), plan)
            if not 0 <= answer.pair < len(plan.pairs):
                raise ValueError(f"there is no pair {answer.pair}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise QaError(
                f"{file} holds something that is no answer.",
                f"Line {number}: {error}.",
                "remove that line, or bring the file back as it was",
            ) from error
        yield answer


def by_rater(answers: Sequence[Answer]) -> dict[str, dict[int, Answer]]:
    """Person → pair → answer."""
    found: dict[str, dict[int, Answer]] = {}
    for answer in answers:
        if answer.kind == PERSON and answer.said is not None:
            found.setdefault(answer.rater, {})[answer.pair] = answer
    return found


def next_pair(plan: Plan, known: Mapping[int, Answer]) -> Pair | None:
    """The first pair that a rater has not answered; None after the last."""
    return next((pair for pair in plan.asked if pair.number not in known), None)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines with their numbers, from 1; one that was cut short was never written."""
    try:
        if not file.is_file():  # a pipe would be waited for
            raise FileNotFoundError(errno.ENOENT, "It is no file")
        data = file.read_bytes()
    except OSError as error:
        raise QaError(f"Cannot read {file}.", f"{error.strerror or error}.") from error
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        if line.strip() and not line.endswith(CUT):
            yield number, line


def _whole(opened: BinaryIO) -> bool:
    """Whether the last line of a file has its end, or there is none."""
    if not opened.seek(0, os.SEEK_END):
        return True
    opened.seek(-1, os.SEEK_END)
    return opened.read(1) == b"\n"


def _answer(content: Any, plan: Plan) -> Answer:
    if not isinstance(content, dict):
        raise TypeError("it is no JSON object")
    if content.get("plan") != plan.digest:
        raise ValueError("it was given to another plan, or the plan was changed since")
    if "begun" in content:
        raise ValueError("no file has when an answer was begun")
    own = {key: value for key, value in content.items() if key != "plan"}
    box = own.get("box")
    tags = own.get("tags", ())
    if isinstance(tags, str):
        raise ValueError("tags are no list")
    known = {**own, "box": None if box is None else Box(**box), "tags": tuple(tags)}
    return _checked(Answer(**known))


def _checked(answer: Answer) -> Answer:
    """The same; ValueError for anything that this module would not have written."""
    wrong = {
        "pair": type(answer.pair) is not int,
        "rater": not isinstance(answer.rater, str) or not answer.rater.strip(),
        "kind": answer.kind not in (PERSON, MODEL),
        "first_is_left": type(answer.first_is_left) is not bool,
        "said": answer.said is not None and answer.said not in SAID,
        "why": not isinstance(answer.why, str),
        "tags": not set(answer.tags) <= set(TAGS) or len(set(answer.tags)) < len(answer.tags),
        "note": not isinstance(answer.note, str) or len(answer.note) > LONGEST["note"],
        "seconds": answer.seconds is not None and not _number(answer.seconds, 1e9),
        "date": not isinstance(answer.date, str),
        "box": answer.box is not None and not _inside(answer.box),
    }
    if not wrong["rater"]:
        wrong["rater"] = len(answer.rater) > LONGEST["rater"]
        wrong["rater"] |= answer.kind == MODEL and answer.rater == PEOPLE
    try:
        for text in (answer.rater, answer.why, answer.note, answer.date):
            str(text).encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise ValueError(f"it holds what is no text: {error.reason}") from error
    bad = [name for name, is_wrong in wrong.items() if is_wrong]
    if bad:
        raise ValueError(f"{', '.join(bad)} cannot be what it is")
    return answer


def _inside(box: Box) -> bool:
    ends = (box.x, box.y, box.width, box.height)
    if not all(_number(end, 1) for end in ends):
        return False
    return box.x + box.width <= 1 + 1e-6 and box.y + box.height <= 1 + 1e-6


def _number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
