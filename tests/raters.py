"""Raters of known preference, bias and attention, and plans for them without any picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qa.pairing import Stock, Terms, registered
from qa.review.answers import BAD, LEFT, PERSON, RIGHT, TIE, Answer
from qa.review.plan import DEFECT, IDENTICAL, Arm, Pair, Plan, Question

QUESTION = Question("overall", "Which picture is better?")
SHARES = {"harm": 0.25, "margin": 0.25, "random": 0.5}

Prefers = Callable[[Pair], float]
"""Probability that the first picture is preferred."""


def stock(pictures: int = 60, seeds: int = 2, arms: int = 2, **changes: Any) -> Stock:
    """Pictures `p000` … that differ in all arms and stand for themselves."""
    names = [f"p{place:03}" for place in range(pictures)]
    digests = [
        {(name, seed): f"{arm}-{name}-{seed}" for name in names for seed in range(seeds)}
        for arm in range(arms)
    ]
    known = {
        "samples": tuple(names), "seeds": tuple(range(seeds)), "digests": digests,
        "unit": {name: name for name in names}, "left_out": {},
    }  # fmt: skip
    return Stock(**known | changes)


def plan(
    pictures: int = 60, harm: Sequence[float] | None = None, arms: int = 2, *,
    of: Stock | None = None, **terms: Any,
) -> Plan:  # fmt: skip
    """A plan over such pictures; `harm` in margins, none known without it."""
    known = of or stock(pictures, arms=arms)
    asked = {"question": QUESTION, "margin": 0.1, "margin_why": "toy", "draws": 100} | terms
    asked.setdefault("shares", SHARES)
    letters = tuple(Arm(letter, f"run {letter}", letter * 64) for letter in "ABCDEFG"[:arms])
    values = np.full(len(known.samples), np.nan) if harm is None else np.array(harm, float)
    return registered(letters, known, values, Terms(**asked))


def rate(
    plan: Plan,
    name: str,
    prefers: Prefers,
    lots: np.random.Generator,
    *,
    bias: float = 0.0,
    lapses: float = 0.0,
    ties: float = 0.0,
    pairs: int | None = None,
) -> list[Answer]:
    """What a rater says of the first `pairs` of a plan, or of all.

    With probability `bias` it takes the left side without a look, `lapses` any side; else a catch
    trial is answered right, and a pair by preference, or with probability `ties` as a tie.
    """
    found = []
    for place, pair in enumerate(list(plan.asked)[:pairs]):
        first_is_left = plan.first_is_left(pair, name)
        said = _said(pair, first_is_left, prefers, lots, bias, lapses, ties)
        date = f"2026-01-01T{place // 3600:02}:{place // 60 % 60:02}:{place % 60:02}+00:00"
        found.append(Answer(pair.number, name, PERSON, first_is_left, said, date=date, begun=date))
    return found


def _said(
    pair: Pair, first_is_left: bool, prefers: Prefers, lots: np.random.Generator,
    bias: float, lapses: float, ties: float,
) -> str:  # fmt: skip
    chance = lots.random()
    if chance < bias:
        return LEFT
    if chance < bias + lapses:
        return LEFT if lots.random() < 0.5 else RIGHT
    if pair.catch == IDENTICAL or (not pair.catch and lots.random() < ties):
        return TIE
    first = pair.catch == DEFECT or lots.random() < prefers(pair)
    return LEFT if first == first_is_left else RIGHT


def said(plan: Plan, name: str, words: Mapping[int, str], second: int = 0) -> list[Answer]:
    """Answers by pair: "first", "second", TIE or BAD."""
    found = []
    for number, word in words.items():
        pair = plan.pairs[number]
        left = plan.first_is_left(pair, name)
        side = word if word in (TIE, BAD) else LEFT if (word == "first") == left else RIGHT
        date = f"2026-01-01T00:00:{second:02}+00:00"
        found.append(Answer(number, name, PERSON, left, side, date=date, begun=date))
    return found
