"""GenEval's six questions about drawn figures, in a closed language (`qa.drawings.figures`).

Every prompt of the language is asked, but of `position` and `color_attr` only those that are kept
from training (`is_held_out`). Sample `00012/0003` is the fourth picture of the thirteenth prompt.

The control, `shuffled`: each prompt is drawn as ever, and judged by the row of another prompt with
the same tag that says something else. A decoder that pays no heed to its prompt then scores as well
as without, within chance, tag by tag; one that draws what it is told scores nearly nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qa.drawings.figures import TAGS, asks_of, is_held_out, prompts
from qa.errors import UsageError
from qa.files import digest
from qa.types import Sample
from suites import prompted
from suites.geneval.layout import TAKE_DIGITS, prompt_id
from suites.geneval.prompts import PROMPT_FILE

Row = Mapping[str, Any]
HELD_OUT = ("position", "color_attr")
"""Tags that have enough prompts for some to be kept from training."""
MIRRORED = {"right of": "left of", "below": "above"}


class DrawnFigures:
    """`pictures` samples for every prompt, without references; `shuffled` is the control."""

    def __init__(self, pictures: int = 4, shuffled: bool = False) -> None:
        if type(shuffled) is not bool:  # YAML takes `no` for a word here
            raise UsageError(
                f"suite.shuffled={shuffled} says neither yes nor no.", "", "suite.shuffled=true"
            )
        self._pictures, self._shuffled = prompted.checked(pictures), shuffled
        self.name = "figures-shuffled" if shuffled else "figures"

    def samples(self) -> Sequence[Sample]:
        """All samples, sorted by id."""
        drawn = rows()
        language = digest(drawn)
        return [
            sample
            for number, (row, asked) in enumerate(
                zip(drawn, exchanged(drawn) if self._shuffled else drawn, strict=True)
            )
            for sample in prompted.takes(
                Sample(
                    prompt_id(number),
                    prompt=row["prompt"],
                    tags=(row["tag"],),
                    asks={**asked, PROMPT_FILE: language},
                ),
                self._pictures,
                TAKE_DIGITS,
            )
        ]


def rows() -> list[dict[str, Any]]:
    """The row of every prompt that is asked, by tag."""
    return [
        asks_of(prompt)
        for tag in TAGS
        for prompt in prompts(tag)
        if tag not in HELD_OUT or is_held_out(prompt)
    ]


def exchanged(asked: Sequence[Row]) -> list[Row]:
    """For each row another one with its tag that says something else, each of them once.

    Rows of a tag are put into an order that their digests decide, those that say the same side by
    side, and each takes the place as many further on as there are of the most frequent saying. So
    none keeps its own unless that saying is in more than half of them.
    """
    found: dict[str, Row] = {}
    for tag in dict.fromkeys(row["tag"] for row in asked):
        own = [row for row in asked if row["tag"] == tag]
        own.sort(key=lambda row: (digest(saying(row)), row["prompt"]))
        step = max(Counter(map(saying, own)).values())
        others = own[step:] + own[:step]
        found |= {row["prompt"]: other for row, other in zip(own, others, strict=True)}
    return [found[row["prompt"]] for row in asked]


def saying(row: Row) -> tuple[Any, ...]:
    """What a row asks for, however its prompt puts it: equal where the same pictures fulfil it."""
    first, *others = row["include"]
    if others and "position" in others[0]:
        relation, names = others[0]["position"][0], (others[0]["class"], first["class"])
        mirrored = relation in MIRRORED
        return MIRRORED.get(relation, relation), *(names[::-1] if mirrored else names)
    return tuple(
        sorted((one["class"], one["count"], one.get("color", "")) for one in row["include"])
    )
