"""Who answered, who of them counts, and what their answers make of each pair.

    answers ──► raters that pass their catch trials ──► a score for each pair ──► draws that count

A *voice* is all people together, or one model; each is a measurement of its own. A draw counts as
soon as enough people answered its pair, in the order of the plan and without gaps: so the draws
that count are a random sample whenever one stops. A pair that a model was asked and did not answer
lies anywhere between lost and won: each end of an interval takes it as what is worse for that end.

Whoever has not met enough catch trials to be caught by them is not known, and does not count yet:
else a review could be decided before anybody was measured.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from qa.review import answers
from qa.review.answers import BAD, LEFT, MODEL, RIGHT, TIE, Answer
from qa.review.plan import DEFECT, IDENTICAL, Pair, Plan
from qa.stats.preference import EVEN
from qa.stats.rates import clopper_pearson

PEOPLE = answers.PEOPLE
STRICT = 0.01
"""A rater whose misses an attentive one would have as rarely as this does not count."""
KINDS = 2
"""Of catch trials."""


@dataclass(frozen=True)
class Rater:
    """What is known of one rater."""

    name: str
    answers: int
    """Real pairs answered."""
    left: int
    decided: int
    """How many of them for the left side, or for the first order, and for either side."""
    left_low: float | None
    left_high: float | None
    """Interval of the share for the left side."""
    trials: int
    missed: int
    """Catch trials met, and those answered wrong or, by a model that was asked, not at all."""
    counts: bool
    caught: bool
    """Whether so many were missed; who neither counts nor was caught has met too few."""
    why: str = ""
    """Why a rater does not count, or ""."""


@dataclass(frozen=True)
class Voice:
    """Answers that are one measurement: all people, or one model."""

    name: str
    plan: Plan
    given: Mapping[str, Mapping[int, Sequence[Answer]]]
    """Rater → pair → answers: one, or of a model one in each order."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Pair that a model was asked → why there is no answer."""

    @property
    def model(self) -> bool:
        return self.name != PEOPLE

    @cached_property
    def raters(self) -> tuple[Rater, ...]:
        found = sorted(self.given.items())
        return tuple(_rater(self.plan, name, known, self.refused) for name, known in found)

    @property
    def hopeless(self) -> bool:
        """Whether a model is caught, however it answers the catch trials that are still to come."""
        known = self.given[self.name]
        planned = Counter(pair.catch for pair in self.plan.catches)
        return _chance(_wrong(self.plan, known, self.refused), planned, self.plan.lapses) < STRICT

    @cached_property
    def counted(self) -> dict[int, list[tuple[str, float]]]:
        """Pair → (rater, score) of those that count, who came first; no more than are needed."""
        trusted = {rater.name for rater in self.raters if rater.counts}
        found: dict[int, list[tuple[str, str, float]]] = {}
        for name in trusted:
            for pair, given in self.given[name].items():
                score = _score(given)
                if score is not None:
                    found.setdefault(pair, []).append((given[0].begun, name, score))
        need = 1 if self.model else self.plan.raters
        return {
            pair: [(name, score) for _, name, score in sorted(rows)[:need]]
            for pair, rows in found.items()
            if len(rows) >= need
        }

    def score(self, pair: Pair) -> float | None:
        """Mean score of the raters that count; None for a pair that nobody was asked yet."""
        if pair.alike:
            return EVEN
        if pair.number in self.counted:
            rows = self.counted[pair.number]
            return sum(score for _, score in rows) / len(rows)
        return EVEN if pair.number in self.refused else None

    def known(self, pair: Pair) -> float:
        """The score of a pair that has one."""
        score = self.score(pair)
        assert score is not None
        return score

    @cached_property
    def drawn(self) -> tuple[Pair, ...]:
        """The draws that count: those before the first pair that is not answered yet."""
        found = []
        for number in self.plan.draws:
            pair = self.plan.pairs[number]
            if self.score(pair) is None:
                break
            found.append(pair)
        return tuple(found)


def heard(plan: Plan, given: Sequence[Answer]) -> list[Voice]:
    """People, if anybody answered, then each model by name."""
    people: dict[str, dict[int, list[Answer]]] = {}
    models: dict[str, dict[int, list[Answer]]] = {}
    for answer in given:
        side = models if answer.kind == MODEL else people
        side.setdefault(answer.rater, {}).setdefault(answer.pair, []).append(answer)
    found = [Voice(PEOPLE, plan, people)] if people else []
    for name, known in sorted(models.items()):
        whole = {pair: rows for pair, rows in known.items() if _score(rows) is not None}
        lost = {
            pair: next((row.why for row in rows if row.said is None), "asked in one order alone")
            for pair, rows in known.items()
            if pair not in whole
        }
        found.append(Voice(name, plan, {name: whole}, lost))
    return found


def side(given: Sequence[Answer]) -> str:
    """first, second, tie or bad: what one rater says of one pair."""
    if all(row.said == BAD for row in given):
        return BAD
    score = _score(given)
    return TIE if score is None or score == EVEN else "first" if score > EVEN else "second"


def needed(lapses: float) -> int:
    """Catch trials of each kind after which nobody counts who missed them all."""
    return math.floor(math.log(STRICT / KINDS) / math.log(lapses)) + 1


def _rater(
    plan: Plan, name: str, known: Mapping[int, Sequence[Answer]], refused: Collection[int]
) -> Rater:
    real = [row for pair, rows in known.items() if not plan.pairs[pair].catch for row in rows]
    pairs = sum(not plan.pairs[pair].catch for pair in known)
    sides = [row.said for row in real if row.said in (LEFT, RIGHT)]
    left = sides.count(LEFT)
    low, high = clopper_pearson(left, len(sides), plan.confidence) if sides else (None, None)
    wrong = _wrong(plan, known, refused)
    met = {kind: len(of) for kind, of in wrong.items()}
    missed, trials = sum(map(sum, wrong.values())), sum(met.values())
    caught = _chance(wrong, met, plan.lapses) < STRICT
    planned = Counter(pair.catch for pair in plan.catches)
    fewest = {kind: min(count, needed(plan.lapses)) for kind, count in planned.items()}
    known_well = all(met[kind] >= count for kind, count in fewest.items())
    why = "" if known_well else f"{trials} of at least {sum(fewest.values())} catch trials met"
    why = f"{missed} of {trials} catch trials missed" if caught else why
    counts = known_well and not caught
    return Rater(name, pairs, left, len(sides), low, high, trials, missed, counts, caught, why)


def _wrong(
    plan: Plan, known: Mapping[int, Sequence[Answer]], refused: Collection[int]
) -> dict[str, list[bool]]:
    """Kind of catch trial → of each that was met, whether it was missed."""
    found: dict[str, list[bool]] = {IDENTICAL: [], DEFECT: []}
    for pair in plan.catches:
        if pair.number in known:
            found[pair.catch].append(_score(known[pair.number]) != _expected(pair))
        elif pair.number in refused:
            found[pair.catch].append(True)
    return found


def _chance(wrong: Mapping[str, Sequence[bool]], trials: Mapping[str, int], lapses: float) -> float:
    """How rarely an attentive rater misses so many of so many trials; at most 1.

    Each kind by itself, and the rarer one counts: who always takes one order makes a tie of
    everything, and misses one kind alone.
    """
    rare = min(_at_least(sum(of), trials[kind], lapses) for kind, of in wrong.items())
    return min(1.0, KINDS * rare)


def _expected(trial: Pair) -> float:
    return EVEN if trial.catch == IDENTICAL else 1.0


def _at_least(misses: int, trials: int, share: float) -> float:
    """P(X >= misses) where each of the trials is missed with probability `share`."""
    from scipy.special import bdtrc

    return float(bdtrc(misses - 1, trials, share)) if misses else 1.0


def _score(given: Sequence[Answer]) -> float | None:
    """Mean over the orders in which a pair was asked; of a model both have to be there."""
    scores = [row.score for row in given]
    known = [score for score in scores if score is not None]
    needed = 2 if given and given[0].kind == MODEL else 1
    return sum(known) / needed if len(known) == needed else None
