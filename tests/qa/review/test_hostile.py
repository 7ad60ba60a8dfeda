"""Anything at any place of a review's files: a tally, or an error that says what to do."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from raters import plan, said

from qa.errors import QaError
from qa.review import answers
from qa.review.plan import ReviewFolder
from qa.review.tally import tally

MADE = plan(4, draws=5)
OTHERS = (None, True, -1, 0, 10**30, 1e308, "", "A", "\x00", [], [1], {}, {"a": 1})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, its own as ()."""
    yield path
    inner: Any = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else inner:
        yield from places(part, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    if not path:
        return value
    found = copy.deepcopy(document)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def review(tmp_path) -> ReviewFolder:
    folder = ReviewFolder(tmp_path / "overall")
    folder.register(MADE)
    real = [pair.number for pair in MADE.pairs if not pair.catch]
    for row in said(MADE, "Ada", dict.fromkeys(real, "first")):
        answers.add(folder, MADE, row)
    return folder


def refused(folder: ReviewFolder) -> bool:
    """Whether it has no tally; a tally can be written as JSON."""
    try:
        json.dumps(tally(folder), allow_nan=False).encode()
    except QaError:
        return True
    return False


def test_something_else_at_a_place_of_the_plan(tmp_path):
    """Where answers know their plan any change is refused, without answers what cannot be is."""
    folder = review(tmp_path)
    assert not refused(folder), "control"
    whole = json.loads(folder.plan_file.read_text())
    (given,) = folder.answers.iterdir()
    kept = given.read_text()
    for path in places(whole):
        for value in OTHERS:
            wrong = changed(whole, path, value)
            if wrong == whole and repr(wrong) == repr(whole):
                continue
            folder.plan_file.write_text(json.dumps(wrong))
            given.write_text("")
            refused(folder)
            given.write_text(kept)
            assert refused(folder), (path, value)


def test_something_else_at_a_place_of_an_answer(tmp_path):
    folder = review(tmp_path)
    (given,) = folder.answers.iterdir()
    first, *others = map(json.loads, given.read_text().splitlines())
    first |= {"box": {"x": 0, "y": 0, "width": 0.5, "height": 0.5}, "tags": ["blur"]}
    known = 0
    for path in places(first):
        for value in OTHERS:
            rows = [changed(first, path, value), *others]
            given.write_text("".join(json.dumps(row) + "\n" for row in rows))
            known += not refused(folder)
    assert known > 0, "some changes, of seconds, say, are answers as well"
