"""From answers to a score: pure, and the same for recorded answers and for a run.

    answers of a panel ─ rule ─► s(q) ─ mean ─► panel ─ mean ─► prompt ─ mean ─► score
          └── as they were given ─► categories, fine (L2) and broad (L1)

Categories come in three variants, because two are published under one name: `last_panel` (the
official script), `all_panels` (what was meant), and `after_rule` (all panels, after the rule).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suites.dpg.questions import Item, Question, Questions
from suites.dpg.rules import FIXED, existing, mean, ruled

Panel = Mapping[int, float | None]
"""Question → 1 yes, 0 no, None no answer."""
Answers = Mapping[str, Sequence[Panel]]
"""Item → its panels, one for each picture."""
Pairs = list[tuple[Question, float]]
VARIANTS = ("last_panel", "all_panels", "after_rule")


class Unscored(ValueError):
    """An item or a picture that has no score; the message says why."""


@dataclass(frozen=True)
class Scored:
    """One item's pictures."""

    score: float
    panels: tuple[float, ...]
    pairs: Mapping[str, Pairs]
    """Variant → a value for each question of each of its panels."""


def panel(item: Item, answers: Panel, rule: str, bugs: Collection[str] = ()) -> dict[int, float]:
    """s(q) of one picture after the rule. Unscored where an answer is missing."""
    absent = [q.id for q in item.questions if answers.get(q.id) is None]
    if absent:
        some = ", ".join(map(str, absent[:5])) + (", …" if len(absent) > 5 else "")
        raise Unscored(f"no answer to {len(absent)} of {len(item.questions)} questions ({some})")
    given = {q.id: float(answers[q.id] or 0) for q in item.questions}
    parents: Mapping[int, Sequence[int]] = {q.id: q.parents for q in item.questions}
    try:
        return ruled(given, parents if "lost_items" in bugs else existing(parents), rule)
    except KeyError as error:
        raise Unscored(f"parent {error} does not exist; the official script drops it") from error


def scored(item: Item, panels: Sequence[Panel], rule: str, bugs: Collection[str] = ()) -> Scored:
    """An item's score and what its categories are made of. Unscored, with the reason."""
    if not panels:
        raise Unscored("no answers")
    values = [panel(item, answers, rule, bugs) for answers in panels]
    as_given = [[(q, float(answers[q.id] or 0)) for q in item.questions] for answers in panels]
    after = [[(q, scores[q.id]) for q in item.questions] for scores in values]
    means = tuple(mean(scores.values()) for scores in values)
    pairs = {
        "last_panel": as_given[-1],
        "all_panels": [pair for each in as_given for pair in each],
        "after_rule": [pair for each in after for pair in each],
    }
    return Scored(mean(means), means, pairs)


def tally(
    questions: Questions,
    answers: Answers,
    rule: str,
    bugs: Collection[str] = (),
    ranks: int = 1,
) -> dict[str, Any]:
    """The result as JSON: score in [0,1] or null, categories, and what was left out and why.

    `answered` is the mean over items that have a score. In `score` the others count as 0, as a
    failed picture does: what is missing must not make it better. The official script leaves them
    out (`lost_items`).

    `ranks` is the number of processes among which the bug `mixed_ranks` divides the items.
    """
    found: dict[str, Scored] = {}
    dropped = {name: "not in the CSV" for name in answers if name not in questions.items}
    for item in questions.items.values():
        try:
            found[item.id] = scored(item, answers.get(item.id, ()), rule, bugs)
        except Unscored as error:
            dropped[item.id] = str(error)
    shares = ranks if "mixed_ranks" in bugs else 1
    variants = {name: _levels(list(found.values()), name, shares) for name in VARIANTS}
    headline = variants["last_panel" if "last_panel" in bugs else "all_panels"]
    return {
        "score": _overall(found.values(), len(questions.items), bugs),
        "answered": mean([each.score for each in found.values()]) if found else None,
        "rule": rule,
        "compat": "+".join(sorted(bugs)) or FIXED,
        "items": len(found),
        "panels": sum(len(each.panels) for each in found.values()),
        "complete": not dropped,
        **headline,
        "categories": variants,
        "dropped": dict(sorted(dropped.items())),
        "questions_sha256": questions.sha256,
    }


def subsets(
    questions: Questions,
    answers: Answers,
    names: Mapping[str, str],
    rule: str,
    bugs: Collection[str] = (),
) -> dict[str, float | None]:
    """Score of each subset, as `tally` reckons it; `names` has the items that belong to one."""
    members: defaultdict[str, list[Scored | None]] = defaultdict(list)
    for name in names:
        if name not in questions.items:
            continue
        try:
            found = scored(questions.items[name], answers.get(name, ()), rule, bugs)
            members[names[name]].append(found)
        except Unscored:
            members[names[name]].append(None)
    return {
        subset: _overall(filter(None, items), len(items), bugs)
        for subset, items in sorted(members.items())
    }


def _overall(found: Iterable[Scored], items: int, bugs: Collection[str]) -> float | None:
    """The mean over all items, or with `lost_items` over those that have a score."""
    scores = [each.score for each in found]
    return sum(scores) / (len(scores) if "lost_items" in bugs else items) if scores else None


def _levels(items: Sequence[Scored], variant: str, ranks: int) -> dict[str, dict[str, float]]:
    """Fine and broad categories → mean."""
    levels = {}
    for level, attribute in (("L1", "broad"), ("L2", "category")):
        parts: list[defaultdict[str, list[float]]] = [defaultdict(list) for _ in range(ranks)]
        for index, item in enumerate(items):
            for question, value in item.pairs[variant]:
                parts[index % ranks][getattr(question, attribute)].append(value)
        levels[level] = {name: mean(values) for name, values in sorted(_gathered(parts))}
    return levels


def _gathered(parts: Sequence[Mapping[str, list[float]]]) -> Iterator[tuple[str, list[float]]]:
    """Values of the processes put together, each category's with those in the same place.

    Every process walks through a set of the names in an order of its own, which changes from run to
    run in the official script. Here a digest stands for it; one process alone mixes nothing up.
    """
    names = {name for part in parts for name in part}
    orders = [
        sorted(names, key=lambda name: hashlib.sha256(f"{rank} {name}".encode()).digest())
        for rank in range(len(parts))
    ]
    for place, name in enumerate(orders[0]):
        values = [
            value
            for part, order in zip(parts, orders, strict=True)
            for value in part.get(order[place], ())
        ]
        if values:
            yield name, values
