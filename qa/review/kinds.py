"""Of what kind everything in a review's plan.json is; what it means stands in `qa.review.plan`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # typing has one that pydantic takes from 3.12 on

from qa.kinds import Count, Number


class Compared(TypedDict):
    """An arm of a review."""

    letter: str
    name: str
    plan: str


class Asks(TypedDict):
    """What a review asks."""

    name: str
    text: str
    shows: list[Literal["prompt", "reference", "words"]]


class Pair(TypedDict):
    """Two pictures of a review."""

    number: Count
    sample: str
    seed: Count
    first: str
    second: str
    digests: Annotated[list[str], Field(min_length=2, max_length=2)]
    unit: str
    weight: Annotated[Number, Field(gt=0)]
    chosen: str
    catch: Literal["", "identical", "defect"]


class Shares(TypedDict):
    """Of a review's draws."""

    harm: Annotated[Number, Field(ge=0, le=1)]
    margin: Annotated[Number, Field(ge=0, le=1)]
    random: Annotated[Number, Field(gt=0, le=1)]


class Review(TypedDict):
    """plan.json of a review."""

    schema: str
    question: Asks
    arms: Annotated[list[Compared], Field(min_length=2, max_length=26)]
    margin: Annotated[Number, Field(gt=0, lt=0.5)]
    margin_why: str
    confidence: Annotated[Number, Field(gt=0, lt=1)]
    rule: Literal["anytime", "fixed"]
    raters: Annotated[int, Field(ge=1, le=1000)]
    lapses: Annotated[Number, Field(gt=0, lt=1)]
    shares: Shares
    seed: Count
    pictures: Count
    left_out: dict[str, Count]
    pairs: list[Pair]
    draws: list[Count]
