"""GenEval's scores: from right and wrong pictures to six tags and one number.

    score of a tag = mean of `correct` over its pictures
    overall        = mean of the tags' scores, whatever their numbers of pictures

A prompt counts as correct as soon as one of its pictures is.

Intervals (90 %) are over prompts, since pictures of one prompt fail together. With s_p the share of
correct ones among the T pictures of prompt p, a tag's is that of the mean of s_p with something
added for how few pictures there are (`qa.stats.share_interval`, u = 1/T), and the overall score's
is put together from those of the K tags:

    low = S - √Σ (S_k - low_k)² / K          high = S + √Σ (high_k - S_k)² / K
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from qa.stats import share_interval

TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
"""In the order in which GenEval prints them."""
OVERALL = "overall"
Ends = dict[str, float | None]
"""`low` and `high`, None where one prompt is all there is."""


class Result(NamedTuple):
    """One judged picture."""

    tag: str
    prompt: str
    correct: bool


def scores(results: Iterable[Result]) -> dict[str, Any]:
    """`overall`; `tags`: tag → score; `correct_images`, `correct_prompts`: shares; and counts.

    `intervals` has `low` and `high` of the overall score and of every tag's. Of tags without a
    picture nothing is said, and `overall` is over the others; without any picture the numbers are
    None.
    """
    found = list(results)
    by_tag: dict[str, list[bool]] = {tag: [] for tag in TAGS}
    by_prompt: dict[tuple[str, str], list[bool]] = {}
    for result in found:
        by_tag.setdefault(result.tag, []).append(result.correct)
        by_prompt.setdefault((result.tag, result.prompt), []).append(result.correct)
    tags = {tag: fmean(correct) for tag, correct in by_tag.items() if correct}
    return {
        "overall": fmean(tags.values()) if tags else None,
        "tags": tags,
        "intervals": _intervals(tags, by_prompt),
        "correct_images": fmean(result.correct for result in found) if found else None,
        "correct_prompts": fmean(map(any, by_prompt.values())) if found else None,
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
        "intervals": {},
        "correct_images": None,
        "correct_prompts": None,
        "why": f"{lost} of {count} pictures were not judged, the first is {first}",
    }


def _intervals(
    tags: Mapping[str, float], prompts: Mapping[tuple[str, str], Sequence[bool]]
) -> dict[str, Ends]:
    found = {
        tag: _ends([right for (own, _), right in prompts.items() if own == tag]) for tag in tags
    }
    return {OVERALL: _together(tags, found), **found} if tags else {}


def _ends(prompts: Sequence[Sequence[bool]]) -> Ends:
    """Of one tag's score, from the pictures of each prompt."""
    shares = [fmean(right) for right in prompts]
    interval = share_interval(shares, 1 / min(map(len, prompts)))
    if interval is None or interval.low is None or interval.high is None:
        return {"low": None, "high": None}
    return {"low": max(interval.low, 0.0), "high": min(interval.high, 1.0)}


def _together(tags: Mapping[str, float], ends: Mapping[str, Ends]) -> Ends:
    """Of the overall score (Zou and Donner, Statistics in Medicine 27, 2008)."""
    overall = fmean(tags.values())
    found: Ends = {}
    for side, sign in (("low", -1), ("high", 1)):
        known = [(tags[tag], end) for tag in tags if (end := ends[tag][side]) is not None]
        far = math.hypot(*(end - score for score, end in known)) / len(tags)
        found[side] = overall + sign * far if len(known) == len(tags) else None
    return found
