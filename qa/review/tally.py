"""What the answers of a review say, and how sure that is.

Under the rule ANYTIME the interval of a win rate is that of `qa.stats.anytime`, which holds at
every moment; under FIXED it is that of `qa.stats.preference`, clustered by picture and rater, and
decides only when all registered draws are answered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

from qa.review import answers as answered
from qa.review.answers import BAD, LEFT, RIGHT, TIE
from qa.review.plan import ANYTIME, Pair, ReviewFolder
from qa.review.voices import Voice, heard, side
from qa.stats.agreement import krippendorff
from qa.stats.anytime import anytime_interval
from qa.stats.bradley_terry import Duel, bradley_terry
from qa.stats.decide import Outcome, non_inferiority
from qa.stats.interval import Interval
from qa.stats.preference import EVEN, Comparison, mcnemar, win_rate


def tally(folder: ReviewFolder) -> dict[str, Any]:
    """Everything that a review says so far, as report and gate read it (docs/review.md).

    QaError where plan or answers are damaged.
    """
    plan = folder.plan()
    voices = heard(plan, answered.read(folder, plan))
    return {
        "name": folder.name,
        "plan": plan.digest,
        "question": asdict(plan.question),
        "arms": [asdict(arm) for arm in plan.arms],
        "margin": plan.margin,
        "margin_why": plan.margin_why,
        "confidence": plan.confidence,
        "rule": plan.rule,
        "raters": plan.raters,
        "shares": dict(plan.shares),
        "pictures": plan.pictures,
        "left_out": dict(plan.left_out),
        "pairs": sum(not pair.catch for pair in plan.pairs),
        "alike": sum(pair.alike for pair in plan.pairs),
        "trials": len(plan.catches),
        "draws": len(plan.draws),
        "voices": [_voice(voice) for voice in voices],
        "between": [_between(one, other) for one, other in combinations(voices, 2)],
    }


def rates(voice: Voice, first: str, second: str) -> tuple[Interval | None, Interval | None]:
    """Win rate of an arm over another by the plan's rule, and clustered by picture and rater."""
    drawn = [pair for pair in voice.drawn if (pair.first, pair.second) == (first, second)]
    if not any(pair.number in voice.refused for pair in drawn):
        return _rates(voice, drawn, {})
    worst, best = (_rates(voice, drawn, dict.fromkeys(voice.refused, end)) for end in (0.0, 1.0))
    ours, clustered = (_between_ends(*ends) for ends in zip(worst, best, strict=True))
    return ours, clustered


def _rates(
    voice: Voice, drawn: Sequence[Pair], taken: Mapping[int, float]
) -> tuple[Interval | None, Interval | None]:
    """As `rates`, with the scores that pairs without an answer are `taken` to have."""
    plan = voice.plan
    rows = [row for _, row in _comparisons(voice, drawn, taken)]
    clustered = win_rate(rows, plan.confidence)
    if plan.rule == ANYTIME:
        times = Counter(drawn)
        scores = [taken.get(pair.number, voice.known(pair)) for pair in times]
        weights = [pair.weight for pair in times]
        found = anytime_interval(
            scores, weights, list(times.values()), plan.largest, plan.confidence
        )
        return found, clustered
    return clustered, clustered


def _between_ends(worst: Interval | None, best: Interval | None) -> Interval | None:
    """One interval over all that pairs without an answer may have been."""
    if worst is None or best is None:
        return None
    middle = (worst.mean + best.mean) / 2
    return replace(worst, mean=middle, high=best.high, p_worse=best.p_worse)


def decided(voice: Voice, found: Interval | None) -> Outcome:
    """What a win rate says against the plan's margin, so far."""
    plan, drawn = voice.plan, len(voice.drawn)
    caught = [rater for rater in voice.raters if rater.caught]
    if voice.model and caught:
        return Outcome("INVALID", f"{voice.name} does not see what it is asked: {caught[0].why}")
    aside = " by raters who passed their catch trials" * any(not r.counts for r in voice.raters)
    whole = len(plan.draws)
    if found is None:
        return Outcome("INCONCLUSIVE", f"none of {whole} draws is answered yet{aside}")
    told = f"{drawn if drawn < whole else 'all'} of {whole} draws are answered{aside}"
    if plan.rule != ANYTIME and drawn < whole:
        return Outcome("INCONCLUSIVE", f"{told}, and all of them are to be")
    outcome = non_inferiority(harm(found), 0, plan.margin, plan.confidence)
    if outcome.state == "INCONCLUSIVE":
        return Outcome("INCONCLUSIVE", f"{told}: they cannot tell")
    return outcome


def harm(rate: Interval) -> Interval:
    """A win rate as harm: how far it lies below one half."""
    low, high = (None if end is None else EVEN - end for end in (rate.high, rate.low))
    return replace(rate, mean=EVEN - rate.mean, low=low, high=high)


def _voice(voice: Voice) -> dict[str, Any]:
    plan, pairs = voice.plan, [pair for pair in voice.plan.pairs if not pair.catch]
    letters = [arm.letter for arm in plan.arms]
    used = [pair for pair in pairs if pair.number in voice.counted]
    taken = Counter(name for pair in used for name, _ in voice.counted[pair.number])
    return {
        "name": voice.name,
        "model": voice.model,
        "answered": len(used),
        "drawn": len(voice.drawn),
        "refused": len(voice.refused),
        "why": Counter(voice.refused.values()).most_common(1)[0][0] if voice.refused else "",
        "rates": [_rate(voice, *two) for two in combinations(letters, 2)],
        "strengths": _strengths(voice) if len(letters) > 2 else [],
        "agreement": asdict(krippendorff(_items(voice), plan.confidence)),
        "raters": [asdict(rater) | {"taken": taken[rater.name]} for rater in voice.raters],
        "position": _position(voice) if voice.model else None,
        "tags": _tags(voice),
    }


def _rate(voice: Voice, first: str, second: str) -> dict[str, Any]:
    """One arm over another: rate, interval, how the pairs ended, and what that decides."""
    found, clustered = rates(voice, first, second)
    outcome = decided(voice, found)
    pairs = [p for p in voice.plan.pairs if not p.catch and (p.first, p.second) == (first, second)]
    said = Counter(side for pair in pairs for side in _sides(voice, pair))
    heard_of = {name for pair in pairs for name, _ in voice.counted.get(pair.number, ())}
    return {
        "first": first,
        "second": second,
        "rate": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "method": found.method if found else "",
        "p": found and found.p_worse,
        "clustered": [clustered and clustered.low, clustered and clustered.high],
        "count": found.count if found else 0,
        "raters": len(heard_of),
        "said": {name: said[name] for name in ("first", "second", TIE, BAD)},
        "state": outcome.state,
        "why": outcome.why,
    }


def _comparisons(
    voice: Voice, drawn: Sequence[Pair], taken: Mapping[int, float]
) -> list[tuple[Pair, Comparison]]:
    """The answers to draws; those to one pair share its weight.

    What nobody has said, of pairs that are alike or stayed without an answer, is laid upon the
    raters in the shares of what they said: it tells nothing about how they differ.
    """
    found, silent = [], []
    by_rater: dict[str, float] = {}
    for pair in drawn:
        rows = () if pair.alike else voice.counted.get(pair.number, ())
        if not rows:
            silent.append(pair)
        for name, score in rows:
            weight = pair.weight / len(rows)
            by_rater[name] = by_rater.get(name, 0.0) + weight
            found.append((pair, Comparison(pair.unit, name, score, weight)))
    shares = by_rater or {voice.name: 1.0}
    whole = math.fsum(shares.values())
    for pair in silent:
        score = taken.get(pair.number, voice.known(pair))
        for name, share in shares.items():
            weight = pair.weight * share / whole
            found.append((pair, Comparison(pair.unit, name, score, weight)))
    return found


def _sides(voice: Voice, pair: Pair) -> list[str]:
    names = [name for name, _ in voice.counted.get(pair.number, ())]
    return [side(voice.given[name][pair.number]) for name in names]


def _items(voice: Voice) -> list[dict[str, str]]:
    """What every rater that counts said of each real pair: rater → category."""
    trusted = [rater.name for rater in voice.raters if rater.counts]
    return [
        {
            name: side(voice.given[name][pair.number])
            for name in trusted
            if pair.number in voice.given[name]
        }
        for pair in voice.plan.pairs
        if not pair.catch and not pair.alike
    ]


def _position(voice: Voice) -> dict[str, Any]:
    """How often the picture that came first won, over both orders: one half without a bias."""
    rows, contrary, pairs = [], 0, 0
    for pair, given in voice.given[voice.name].items():
        sides = [row.said for row in given]
        pairs += 1
        contrary += sides in ([LEFT, LEFT], [RIGHT, RIGHT])
        share = sum(1.0 if side == LEFT else 0.0 if side == RIGHT else EVEN for side in sides)
        rows.append(Comparison(voice.plan.pairs[pair].unit, voice.name, share / len(sides)))
    found = win_rate(rows, voice.plan.confidence)
    return {
        "first": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "contrary": contrary,
        "pairs": pairs,
    }


def _tags(voice: Voice) -> dict[str, dict[str, int]]:
    """Tag → letter of the arm whose picture was the worse one → how often."""
    found: dict[str, Counter[str]] = {}
    for rater in voice.raters:
        for number, given in voice.given[rater.name].items() if rater.counts else ():
            pair = voice.plan.pairs[number]
            worse = {"first": [pair.second], "second": [pair.first]}
            for row in given if not pair.catch else ():
                for tag in row.tags:
                    either = [pair.first, pair.second]
                    found.setdefault(tag, Counter()).update(worse.get(side([row]), either))
    return {tag: dict(sorted(counts.items())) for tag, counts in sorted(found.items())}


def _strengths(voice: Voice) -> list[dict[str, Any]]:
    """Bradley–Terry strengths of all arms, the strongest first; [] where they have no value."""
    duels = [
        Duel(row.picture, pair.first, pair.second, row.score, row.weight)
        for pair, row in _comparisons(voice, voice.drawn, {})
    ]
    try:
        found = bradley_terry(duels, voice.plan.confidence)
    except ValueError:  # nobody lost to, or won against, somebody yet
        return []
    return [asdict(one) for one in found] if len(found) == len(voice.plan.arms) else []


def _between(one: Voice, other: Voice) -> dict[str, Any]:
    """Whether two voices agree, and whether one of them prefers the run more often."""
    plan = one.plan
    both = [p for p in plan.pairs if p.number in one.counted and p.number in other.counted]
    both = [pair for pair in both if not pair.catch]
    scores = [(one.known(pair), other.known(pair)) for pair in both]
    items = [{"one": _said(a), "other": _said(b)} for a, b in scores]
    own = [two for two, pair in zip(scores, both, strict=True) if pair.first == plan.arms[0].letter]
    return {
        "one": one.name,
        "other": other.name,
        "agreement": asdict(krippendorff(items, plan.confidence)),
        "p": mcnemar([a > EVEN for a, _ in own], [b > EVEN for _, b in own]),
    }


def _said(score: float) -> str:
    return "tie" if score == EVEN else "first" if score > EVEN else "second"
