"""What people and models prefer: the reviews of the run against the baseline, as rows.

    RUN/reviews/<name>/plan.json, answers/*.jsonl ──► tally ──► a row for each voice

In a row harm is how far the win rate lies below one half, and the margin is the one that the
review's plan registered before its first answer. All people together are one voice, each model is
another; a row has the error rate that its plan registered, and no correction spans them.

A review of other pictures than those that are judged says nothing about them: it is left out if it
compares other runs, and INVALID if its pictures changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qa.baseline.cited import changed
from qa.errors import QaError, UsageError
from qa.gates.case import Case
from qa.gates.rows import Row, row
from qa.gates.use_case import UseCase
from qa.review.plan import Plan, reviews
from qa.review.tally import tally
from qa.stats import CONFIDENCE
from qa.stats.decide import Outcome
from qa.stats.preference import EVEN

ANY, PEOPLE, MODELS = "any", "people", "models"
MARGIN = 0.1
"""Of a use case that has none of its own."""
CLOSE = 1e-9
"""By which a margin may be wider for rounding alone."""


@dataclass(frozen=True)
class Heard:
    """One review of these two arms, or one that cannot be read."""

    name: str
    plan: Plan | None = None
    rates: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]] = ()
    """Each voice with what it says of these arms (`qa.review.tally`)."""
    unfit: str = ""
    """Why it may not judge these pictures, or ""."""
    damaged: str = ""
    """Why plan or answers cannot be read, or ""."""

    @property
    def question(self) -> str:
        """Its name, or that of the review where nobody knows what it asks."""
        return self.name if self.plan is None else self.plan.question.name


class Preference:
    """A row for each voice of each review of these two runs."""

    name = "preference"
    compares = True

    def __init__(self, required: bool = False, by: str = ANY) -> None:
        """`by`: whose rows count, `any`, `people` or `models`; those of others are shown."""
        if by not in (ANY, PEOPLE, MODELS):
            raise UsageError(
                f"Nobody is called {by!r}.", "", f"gate.preference.by={ANY}, {PEOPLE} or {MODELS}"
            )
        self.required, self.by = required, by

    def __call__(self, case: Case) -> list[Row]:
        """Rows by review; none where nobody answered, unless that is `required`."""
        heard = _heard(case)
        several = Counter(one.question for one in heard if one.rates or one.damaged)
        found: list[Row] = []
        told: set[str] = set()
        for one in heard:
            mark = f"/{one.name}" if several[one.question] > 1 else ""
            rows = [self._row(one, voice, rate, mark) for voice, rate in one.rates]
            if one.damaged:
                rows = [row(self.name, one.question + mark, Outcome("INVALID", one.damaged))]
            told |= {one.question for entry in rows if entry["counts"]}
            found += rows
        return found + (self._lacking(case, told) if self.required else [])

    def _row(self, one: Heard, voice: Mapping[str, Any], rate: Mapping[str, Any], mark: str) -> Row:
        assert one.plan is not None
        who = f":{voice['name']}" if voice["model"] else ""
        state, why = ("INVALID", one.unfit) if one.unfit else (rate["state"], rate["why"])
        counts = self.by == ANY or voice["model"] == (self.by == MODELS)
        return row(
            self.name,
            f"{one.question}{who}{mark}",
            Outcome(state, why),
            role="" if counts else "secondary",
            counts=counts,
            estimate=_harm(rate["rate"]),
            low=_harm(rate["high"]),
            high=_harm(rate["low"]),
            margin=one.plan.margin,
            margin_why=one.plan.margin_why,
            method=rate["method"],
            count=rate["count"],
            p=rate["p"],
            better="higher",
            candidate=rate["rate"],
        )

    def _lacking(self, case: Case, told: Collection[str]) -> list[Row]:
        """A row for each question of the use case that nobody whose answers count has answered."""
        asked = case.use.review.questions if case.use.review else () if told else ("",)
        who = f":{MODELS}" if self.by == MODELS else ""
        why = "nobody has compared these pictures: qa review RUN"
        return [
            row(self.name, f"{question}{who}" if question else "", Outcome("INCONCLUSIVE", why))
            for question in asked
            if question not in told
        ]


def _heard(case: Case) -> list[Heard]:
    """Reviews of the candidate against the baseline, by name, and those that cannot be read."""
    folder, ours = case.candidate.folder, case.candidate.record.get("plan")
    theirs = case.baseline.record.get("plan")
    found = []
    for review in [] if folder is None else reviews(folder):
        try:
            plan = review.plan()
        except QaError as error:
            found.append(Heard(review.name, damaged=f"its plan is damaged: {_short(error)}"))
            continue
        other = next((arm.letter for arm in plan.arms[1:] if arm.plan == theirs), "")
        if plan.arms[0].plan != ours or not other:
            continue
        try:
            rates = [(voice, _of(voice, other)) for voice in tally(review)["voices"]]
        except QaError as error:
            told = f"its answers are damaged: {_short(error)}"
            found.append(Heard(review.name, plan, damaged=told))
            continue
        unfit = _unfit(case, plan, other) if rates else ""
        found.append(Heard(review.name, plan, rates, unfit))
    return found


def _of(voice: Mapping[str, Any], other: str) -> Mapping[str, Any]:
    """What a voice says of the run against another arm; the run is the first arm of all."""
    return next(rate for rate in voice["rates"] if rate["second"] == other)


def _unfit(case: Case, plan: Plan, other: str) -> str:
    """Why a review may not judge these pictures, or ""."""
    (widest, _), level = allowed(case.use), min(case.confidence, CONFIDENCE)
    if plan.margin > widest + CLOSE:
        return f"its margin of {plan.margin:g} is wider than {widest:g}, which the use case allows"
    if plan.confidence < level - CLOSE:
        return f"its intervals have {plan.confidence:.0%}, and these are to have {level:.0%}"
    arms = {plan.arms[0].letter: case.candidate.folder, other: case.baseline.stored}
    for letter, run in arms.items():
        gone = "" if run is None else changed(plan, letter, run)
        if gone:
            arm = "baseline" if letter == other else "run"
            return f"the {arm}'s picture of {gone} is not the one that was compared"
    return ""


def allowed(use: UseCase) -> tuple[float, str]:
    """The widest margin of a review that counts, and why it is so."""
    own = use.review
    return (own.margin.value, own.margin.why) if own else (MARGIN, "the default of qa review")


def _short(error: QaError) -> str:
    """Why, without the path: verdicts name none. JSON may spell halves of a surrogate pair."""
    return error.why.encode("utf-8", "replace").decode().removesuffix(".")


def _harm(rate: float | None) -> float | None:
    """How far a win rate lies below one half."""
    return None if rate is None else EVEN - rate
