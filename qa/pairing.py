"""Which pairs a review shows: drawn by harm, near the margin and at random, with known chances.

    pictures that all arms have ──► harm of each, in margins ──► draws ──► pairs, catch trials
                                                                           between them

The worst tenth of the pictures tells soonest whether something broke, the tenth nearest the margin
decides, and the random ones bound every weight (`qa.review.plan`). Harm is that of the primary
metric that lost most, against the first of the other arms.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, cycle, pairwise
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa.errors import UsageError
from qa.gates import comparable, pairs, sets
from qa.gates.directions import directions
from qa.gates.use_case import UseCase
from qa.groups import units
from qa.results import Results
from qa.review.plan import ANYTIME, DEFECT, FIXED, IDENTICAL, Arm, Pair, Plan, Question
from qa.review.voices import KINDS, needed

TENTH = 10
"""One in so many pictures is among the worst, and as many are among those near the margin."""
SOON = 5
"""One in so many of the first pairs is a catch trial, until there were enough to know a rater."""
ARMS = len(ascii_uppercase)

Digests = Mapping[tuple[str, int], str]
"""(sample, seed) → digest of the stored picture."""


@dataclass(frozen=True)
class Terms:
    """What somebody asks of a review."""

    question: Question
    margin: float
    margin_why: str
    draws: int
    shares: Mapping[str, float]
    rule: str = ANYTIME
    confidence: float = 0.90
    raters: int = 1
    catch: float = 0.1
    """Share of catch trials among the pairs."""
    lapses: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """UsageError for what cannot be registered."""
        names = {"harm", "margin", "random"}
        whole = math.isclose(math.fsum(self.shares.values()), 1, abs_tol=1e-9)
        told = {
            "pairs": ("a whole number above 0", self.draws > 0),
            "shares": (
                "harm, margin and random, which sum to 1, and random is above 0",
                set(self.shares) == names and min(self.shares.values()) >= 0 and whole
                and self.shares["random"] > 0,
            ),
            "margin": ("between 0 and 0.5", 0 < self.margin < 0.5),
            "rule": (f"{ANYTIME} or {FIXED}", self.rule in (ANYTIME, FIXED)),
            "confidence": ("between 0 and 1", 0 < self.confidence < 1),
            "raters": ("a whole number above 0", 0 < self.raters <= 1000),
            "catch": ("at least 0 and below 1", 0 <= self.catch < 1),
            "lapses": ("above 0 and at most 0.5", 0 < self.lapses <= 0.5),
            "seed": ("0 or more, and below 2^63", 0 <= self.seed < 2**63),
        }  # fmt: skip
        for name, (what, right) in told.items():
            if not right:
                why = f"It has to be {what}."
                raise UsageError(f"{name} cannot be that.", why, f"change {name}=")


@dataclass(frozen=True)
class Stock:
    """What may be drawn."""

    samples: tuple[str, ...]
    """Sorted."""
    seeds: tuple[int, ...]
    digests: Sequence[Digests]
    """Of each arm."""
    unit: Mapping[str, str]
    left_out: Mapping[str, int]


def plan(arms: Sequence[Results], terms: Terms, use: UseCase) -> Plan:
    """The plan of a review of `arms[0]` beside the others; all of them are run folders.

    UsageError where no picture can be compared, or none differs.
    """
    stock = _stock(arms, terms.question)
    harm = harms(arms[0], arms[1], use, stock.samples)
    letters = ascii_uppercase[: len(arms)]
    known = (
        Arm(letter, arm.name, str(arm.record.get("plan")))
        for letter, arm in zip(letters, arms, strict=True)
    )
    found = registered(tuple(known), stock, harm, terms)
    if not any(found.asked):
        raise UsageError(
            "There is nothing to compare.",
            f"The {len(found.draws)} pairs that were drawn are of equal pictures, value for value.",
            "ties need nobody: name another BASE",
        )
    return found


def registered(
    arms: tuple[Arm, ...], stock: Stock, harm: NDArray[np.float64], terms: Terms
) -> Plan:
    """The plan over pictures of which nothing but harm [N] is known, in margins or NaN."""
    shares, chances = _chances(harm, terms.shares)
    lots = np.random.default_rng(terms.seed)
    real, draws = _drawn(stock, shares, chances, len(arms), terms.draws, lots)
    shown, places = _interleaved(real, stock, len(arms), terms.catch, terms.lapses, lots)
    return Plan(
        terms.question, arms, terms.margin, terms.margin_why, terms.confidence, terms.rule,
        terms.raters, terms.lapses, shares, terms.seed, len(stock.samples), stock.left_out, shown,
        tuple(places[number] for number in draws),
    )  # fmt: skip


def harms(
    candidate: Results, baseline: Results, use: UseCase, samples: Sequence[str]
) -> NDArray[np.float64]:
    """Largest harm of each picture over the primary metrics, in margins; NaN where none is known.

    float64 [N]
    """
    found = np.full(len(samples), np.nan)
    shared = set(candidate.metrics) & set(baseline.metrics)
    apart = comparable.mismatched(candidate, baseline)
    metrics = [m for m in use.primary if m in shared and m not in apart]
    metrics = [m for m in metrics if not sets.is_set(m, candidate, baseline)]
    better = directions([candidate, baseline], {}, metrics)
    for metric in metrics:
        margin = use.margins[metric].at(pairs.mean(baseline, metric))
        if margin is None:
            continue
        own = pairs.per_picture(candidate, baseline, metric, better[metric])
        found = np.fmax(found, own.reindex(list(samples)).to_numpy(np.float64) / margin)
    return found


def _stock(arms: Sequence[Results], question: Question) -> Stock:
    """The pictures that every arm has, of the same reference and prompt, at the same seeds."""
    folders = [arm.folder for arm in arms]
    if None in folders:
        bare = next(arm.name for arm in arms if arm.folder is None)
        raise UsageError(f"{bare} has no pictures.", "It is no run folder.", "name run folders")
    means = [{row["id"]: row for row in folder.each_sample()} for folder in folders if folder]
    digests = [_digests(arm) for arm in arms]
    seeds = sorted(set.intersection(*(set(arm.seeds) for arm in arms)))
    known, left = [], Counter[str]()
    for name in sorted(set().union(*means)):
        why = _unfit(name, means, digests, seeds, question, arms[0])
        left.update([why] if why else [])
        known += [] if why else [name]
    if not known or not seeds:
        told = "; ".join(f"{count}: {why}" for why, count in left.most_common())
        raise UsageError(
            "There is nothing to compare.",
            f"{told or 'No seed is in every run'}.",
            "name runs over the same suite, with their pictures",
        )
    groups = {name: group for arm in arms for name, group in arm.groups.items()}
    return Stock(tuple(known), tuple(seeds), digests, units(known, groups), dict(left))


def _unfit(
    name: str,
    means: Sequence[Mapping[str, Mapping[str, Any]]],
    digests: Sequence[Digests],
    seeds: Sequence[int],
    question: Question,
    run: Results,
) -> str:
    """Why a sample cannot be compared; "" if it can."""
    rows = [known.get(name) for known in means]
    if None in rows:
        return "not in every run"
    meanings = {(row.get("sha256"), row.get("prompt")) for row in rows if row is not None}
    if len(meanings) > 1:
        return "another reference or prompt"
    if not all((name, seed) in known for known in digests for seed in seeds):
        return "a picture is missing"
    row = rows[0] or {}
    lacks = {
        "prompt": not row.get("prompt"),
        "words": not row.get("regions"),
        "reference": run.folder is None or not run.folder.reference_file(name).is_file(),
    }
    return next((f"no {what}" for what in question.shows if lacks[what]), "")


def _digests(arm: Results) -> dict[tuple[str, int], str]:
    assert arm.folder is not None
    table = arm.folder.decoded(("sample", "seed", "file", "digest"))
    table = table[table["file"].notna()]
    keys = zip(table["sample"], table["seed"].astype(int), strict=True)
    return dict(zip(keys, table["digest"], strict=True))


def _chances(
    harm: NDArray[np.float64], asked: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    """Share and chances [N] of each way to draw; a share that has no pictures goes to random."""
    count = len(harm)
    most = math.ceil(count / TENTH)
    known = np.flatnonzero(~np.isnan(harm))
    worst = known[np.argsort(-harm[known], kind="stable")][:most]
    near = known[np.argsort(np.abs(harm[known] - 1), kind="stable")][:most]
    chosen = {"harm": worst[harm[worst] > 0], "margin": near, "random": np.arange(count)}
    shares = {way: asked[way] if len(chosen[way]) else 0.0 for way in chosen}
    shares["random"] += 1 - math.fsum(shares.values())
    chances = {}
    for way, places in chosen.items():
        chances[way] = np.zeros(count)
        chances[way][places] = 1 / max(len(places), 1)
    return shares, chances


def _drawn(
    stock: Stock,
    shares: Mapping[str, float],
    chances: Mapping[str, NDArray[np.float64]],
    arms: int,
    draws: int,
    lots: np.random.Generator,
) -> tuple[list[Pair], list[int]]:
    """Different pairs in the order in which they were drawn first, and all draws of them."""
    ways = list(shares)
    total = np.sum([shares[way] * chances[way] for way in ways], axis=0)
    two = list(combinations(range(arms), 2))
    found: dict[tuple[int, int, int], Pair] = {}
    drawn = []
    for _ in range(draws):
        way = ways[int(lots.choice(len(ways), p=[shares[w] for w in ways]))]
        at = int(lots.choice(len(stock.samples), p=chances[way]))
        seed = stock.seeds[int(lots.integers(len(stock.seeds)))]
        first, second = two[int(lots.integers(len(two)))]
        key = (at, seed, two.index((first, second)))
        if key not in found:
            weight = float(1 / (len(stock.samples) * total[at]))
            found[key] = _pair(len(found), stock, at, seed, (first, second), weight, way)
        drawn.append(found[key].number)
    return list(found.values()), drawn


def _pair(
    number: int, stock: Stock, at: int, seed: int, arms: tuple[int, int], weight: float,
    way: str, catch: str = "",
) -> Pair:  # fmt: skip
    name = stock.samples[at]
    marks = (stock.digests[arms[0]][name, seed], stock.digests[arms[1]][name, seed])
    first, second = (ascii_uppercase[arm] for arm in arms)
    return Pair(number, name, seed, first, second, marks, stock.unit[name], weight, way, catch)


def _interleaved(
    real: Sequence[Pair],
    stock: Stock,
    arms: int,
    share: float,
    lapses: float,
    lots: np.random.Generator,
) -> tuple[tuple[Pair, ...], dict[int, int]]:
    """All pairs with catch trials between them, and the new place of each real pair."""
    asked = sum(not pair.alike for pair in real)
    early = KINDS * needed(lapses)
    trials = max(early, math.ceil(share * asked)) if share and asked else 0
    trials += trials % KINDS  # as many of each kind
    spots = _spots(asked + trials, trials, min(early, trials), lots)
    kinds = cycle([DEFECT, IDENTICAL])
    shown: list[Pair] = []
    places: dict[int, int] = {}

    def trial() -> Pair:
        at, seed = int(lots.integers(len(stock.samples))), int(lots.integers(len(stock.seeds)))
        own = (int(lots.integers(arms)),) * 2
        return _pair(len(shown), stock, at, stock.seeds[seed], own, 1.0, "catch", next(kinds))

    turn = 0  # of what is asked
    for pair in real:
        while turn in spots and not pair.alike:
            shown.append(trial())
            turn += 1
        turn += not pair.alike
        places[pair.number] = len(shown)
        shown.append(replace(pair, number=len(shown)))
    while turn in spots:
        shown.append(trial())
        turn += 1
    return tuple(shown), places


def _spots(length: int, trials: int, early: int, lots: np.random.Generator) -> set[int]:
    """Places of catch trials among what is asked: one in every stretch of equal length.

    So nobody can wait for them. The `early` ones, without which no rater counts, come sooner where
    there are more of them.
    """
    more = trials - early
    soon = min(SOON * early, early * length // trials) if more else length
    edges = [*np.linspace(0, soon, early + 1), *np.linspace(soon, length, more + 1)[1:]]
    return {int(lots.integers(low, high)) for low, high in pairwise(map(round, edges))}
