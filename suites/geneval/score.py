"""GenEval's scores: from right and wrong pictures to six tags and one number.

    score of a tag = mean of `correct` over its pictures
    overall        = mean of the tags' scores, whatever their numbers of pictures

A prompt counts as correct as soon as one of its pictures is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any, NamedTuple

TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
"""In the order in which GenEval prints them."""


class Result(NamedTuple):
    """One judged picture."""

    tag: str
    prompt: str
    correct: bool


def scores(results: Iterable[Result]) -> dict[str, Any]:
    """`overall`; `tags`: tag → score; `correct_images`, `correct_prompts`: shares; and counts.

    Of tags without a picture nothing is said, and `overall` is over the others; without any picture
    the numbers are None.
    """
    found = list(results)
    by_tag: dict[str, list[bool]] = {tag: [] for tag in TAGS}
    by_prompt: dict[tuple[str, str], bool] = {}
    for result in found:
        by_tag.setdefault(result.tag, []).append(result.correct)
        prompt = result.tag, result.prompt
        by_prompt[prompt] = by_prompt.get(prompt, False) or result.correct
    tags = {tag: fmean(correct) for tag, correct in by_tag.items() if correct}
    return {
        "overall": fmean(tags.values()) if tags else None,
        "tags": tags,
        "correct_images": fmean(result.correct for result in found) if found else None,
        "correct_prompts": fmean(by_prompt.values()) if found else None,
        "images": len(found),
        "prompts": len(by_prompt),
        "images_of_tags": {tag: len(correct) for tag, correct in by_tag.items() if correct},
    }


def withheld(found: Mapping[str, Any], lost: int, first: str) -> dict[str, Any]:
    """`scores` of a run that lacks `lost` pictures: its counts, None for every share, and why.

    The pictures that are hard to draw, or to look at, are the ones that get lost: a score of the
    others would be too good, and comparable with none.
    """
    count = found["images"] + lost
    return {
        **found,
        "overall": None,
        "tags": dict.fromkeys(found["tags"]),
        "correct_images": None,
        "correct_prompts": None,
        "why": f"{lost} of {count} pictures were not judged, the first is {first}",
    }
