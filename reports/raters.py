"""Who answers, and what they know when they do: names, and answers that others overtook."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qa.review import answers
from qa.review.answers import Answer

UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Characters that no name has: controls, halves of surrogate pairs, ends of lines."""


class Wrong(ValueError):
    """What was sent is nothing that the page sends; the text says why."""


class Outdated(Exception):
    """The page does not know what was stored meanwhile; the text says what."""


def named(value: Any) -> str:
    """A rater's name, one and the same however its letters were typed; Wrong for none."""
    name = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    longest = answers.LONGEST["rater"]
    if not 0 < len(name) <= longest or any(unicodedata.category(c) in UNSEEN for c in name):
        raise Wrong(f"a name has 1 to {longest} letters, and no control characters")
    return name


def spelled(name: str, given: Sequence[Answer]) -> str:
    """A name as it was written first: whoever types it in another case is the same rater."""
    known = answers.by_rater(given)
    same = (one for one in known if one.casefold() == name.casefold())
    return name if name in known else next(same, name)


def is_new(answer: Answer, known: Any, given: Sequence[Answer]) -> bool:
    """Whether an answer is to be stored; not so one that was sent twice.

    `known`: date of the answer that the page showed, None for none. Outdated where another one is
    stored, for the last word counts.
    """
    if (name := spelled(answer.rater, given)) != answer.rater:  # who sees other sides
        raise Outdated(f"this name is written {name} by now, so reload the page")
    stored = answers.by_rater(given).get(name, {}).get(answer.pair)
    if known == (None if stored is None else stored.date):
        return True
    if stored and replace(answer, seconds=stored.seconds, date=stored.date) == stored:
        return False
    raise Outdated("this pair was answered in another tab")
