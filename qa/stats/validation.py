"""The experiments behind docs/validation.md: how often the rules err where the truth is known.

Every experiment draws from a generator seeded by its own name and settings, so its figures depend
neither on the others nor on their order. `suites` is the number of simulated comparisons; with
20 000 the standard error of a rate of 5 % is 0.15 points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np

from qa.stats.families import holm
from qa.stats.interval import Array
from qa.stats.planning import Components, mde
from qa.stats.simulation import (
    PValues,
    harms,
    p_values,
    passes,
    rate_p_values,
    share_p_values,
    some_seeds,
    sparse,
    student_p_values,
)

ALPHA = 0.05
NUMBERS = 4_000_000
"""Values that are drawn at once: 32 MB for each table that is kept."""
How = Literal["gate", "per row", "Student", "unbalanced", "mean"]


class Errors(NamedTuple):
    """Rates of the two errors."""

    false_fail: float
    """At no harm, for the smallest margin; larger ones err less."""
    false_pass: float
    """At a harm of exactly the margin."""


SHARES_BAR = {"even": 0.055, "clustered": 0.07}
"""The same for shares of few words at any number of pictures; clustered errors are skewed ones."""


def bar(shape: str, pictures: int) -> float | None:
    """Largest rate of either error that is accepted; None where a miss is a documented limit."""
    if shape in {"normal", "t3"} and pictures >= 50:
        return 0.055
    return 0.07 if shape == "lognormal" and pictures >= 100 else None


def grid(
    shape: str, pictures: int, seeds: int, icc: float, suites: int, how: How = "gate"
) -> Errors:
    """Errors of a mean over pictures.

    `how`: by the gate's rule; "per row", which takes every seed for a picture of its own;
    "Student", whatever the shape; "unbalanced", the gate's rule where each picture has kept 1 to S
    seeds.
    """
    name = ("grid", shape, pictures, seeds, icc)
    found = [
        _tested(harms(shape, rng, count, pictures, seeds, icc), how, rng)
        for rng, count in _portions(name, suites, pictures * seeds)
    ]
    return _errors(found)


def _tested(harm: Array, how: How, rng: np.random.Generator) -> PValues:
    if how == "per row":
        return student_p_values(harm.reshape(len(harm), -1))
    if how == "unbalanced":
        return p_values(some_seeds(harm, rng), alpha=ALPHA)
    means: Array = harm.mean(axis=2)
    return student_p_values(means) if how == "Student" else p_values(means, alpha=ALPHA)


def rates(
    rate: float, margin: float, pictures: int, seeds: int, suites: int, how: How = "gate"
) -> Errors:
    """Errors of a share of passes with a baseline at `rate`; "Student" is a mean like any other."""
    found = []
    for harm in (0.0, margin):
        name = ("rates", rate, harm, pictures, seeds)
        tested = []
        for rng, count in _portions(name, suites, pictures * seeds * 2):
            arms = passes(rng, count, pictures, seeds, rate, harm)
            if how == "Student":
                tested.append(student_p_values(arms[0].mean(2) - arms[1].mean(2), harm))
            else:
                tested.append(rate_p_values(*arms, harm, ALPHA))
        found.append(_errors(tested))
    return Errors(found[0].false_fail, found[1].false_pass)


def shares(
    rate: float, margin: float, clustered: bool, pictures: int, suites: int, how: How = "gate"
) -> Errors:
    """Errors of a share of wrong words (`sparse`); "mean" is a mean like any other."""
    found = []
    for harm in (0.0, margin):
        tested = []
        name = ("shares", rate, harm, clustered, pictures)
        for rng, count in _portions(name, suites, pictures * 6):
            values, words = sparse(rng, count, pictures, rate, harm, clustered)
            if how == "mean":
                tested.append(p_values(values, harm, ALPHA))
            else:
                tested.append(share_p_values(values, words, harm, ALPHA))
        found.append(_errors(tested))
    return Errors(found[0].false_fail, found[1].false_pass)


class Power(NamedTuple):
    """How often the gate decides as it should, beside what the formula promises."""

    formula: float
    fails: float
    """At a harm of the minimum detectable effect."""
    passes: float
    """Without harm, with a margin of the minimum detectable effect."""


def power(
    shape: str, pictures: int, seeds: int, icc: float, suites: int, promised: float = 0.8
) -> Power:
    """Decisions at the effect that `mde` says is found with the `promised` probability."""
    effect = mde(Components(icc, 1 - icc, pictures, seeds), pictures, seeds, ALPHA, promised)
    fails = passed = 0
    for rng, count in _portions(("power", shape, pictures, seeds, icc), suites, pictures * seeds):
        means = harms(shape, rng, count, pictures, seeds, icc).mean(axis=2)
        fails += int((p_values(means, -effect, ALPHA).worse < ALPHA).sum())
        passed += int((p_values(means, effect, ALPHA).better < ALPHA).sum())
    return Power(promised, fails / suites, passed / suites)


class Family(NamedTuple):
    """Shares of comparisons of several metrics."""

    any_alarm: float
    """At least one metric would FAIL if each were tested alone, and none is harmed."""
    any_fail: float
    """At least one FAILs after Holm, and none is harmed."""
    other_fail: float
    """A metric that is not harmed FAILs after Holm, and the first is harmed by two margins."""
    found: float
    """The first FAILs, harmed by two margins."""
    all_pass: float
    """All pass, and none is harmed."""
    passed: float
    """All pass, and the first is harmed by the margin: a false PASS."""


def family(
    metrics: int, correlation: float, suites: int, pictures: int = 150, margin: float = 0.2
) -> Family:
    """Correlated normal metrics, 4 seeds a picture, ICC 0.64, margins in units of one value's sd.

    FAIL needs p <= α after Holm, PASS the upper end of every metric below its margin.
    """
    counts, size = np.zeros(6), (4, 0.64)
    for rng, count in _portions(("family", metrics, correlation), suites, pictures * metrics * 5):
        unharmed = _unharmed(rng, count, pictures, metrics, correlation, size)
        worse = np.array([p_values(values, alpha=ALPHA).worse for values in unharmed])
        within = np.array([p_values(values, margin, ALPHA).better < ALPHA for values in unharmed])
        one = worse.copy()
        one[0] = p_values(unharmed[0], -2 * margin, ALPHA).worse
        edge = p_values(unharmed[0], alpha=ALPHA).better < ALPHA
        adjusted, harmed = _holm(worse), _holm(one)
        counts += [
            (worse < ALPHA).any(axis=0).sum(),
            (adjusted <= ALPHA).any(axis=0).sum(),
            (harmed[1:] <= ALPHA).any(axis=0).sum(),
            (harmed[0] <= ALPHA).sum(),
            within.all(axis=0).sum(),
            (edge & within[1:].all(axis=0)).sum(),
        ]
    return Family(*(counts / suites).tolist())


class Drift(NamedTuple):
    """Shares of releases with a metric beyond its drift budget, and none of them is harmed."""

    any_alarm: float
    """At least one loss beyond the budget, if each metric were alone."""
    any_fail: float
    """At least one FAIL after Holm."""


def drift(
    metrics: int, correlation: float, suites: int, pictures: int = 60, spent: float = 0.975
) -> Drift:
    """A budget of one margin (2 sd) of which so much is `spent`; one value a picture."""
    margin, counts = 2.0, np.zeros(2)
    name = ("drift", metrics, correlation)
    for rng, count in _portions(name, suites, pictures * metrics * 2):
        unharmed = _unharmed(rng, count, pictures, metrics, correlation, (1, 0.0))
        worse = np.array([p_values(values, alpha=ALPHA).worse for values in unharmed])
        beyond = np.array([values.mean(axis=1) > (1 - spent) * margin for values in unharmed])
        alarms = beyond & (worse < ALPHA)
        fails = alarms & (_holm(worse) <= ALPHA)
        counts += [alarms.any(axis=0).sum(), fails.any(axis=0).sum()]
    return Drift(*(counts / suites).tolist())


def _unharmed(
    rng: np.random.Generator,
    suites: int,
    pictures: int,
    metrics: int,
    correlation: float,
    size: tuple[int, float],
) -> list[Array]:
    """Means over seeds [R,P] of each metric; `size` is seeds and intraclass correlation."""
    shared = harms("normal", rng, suites, pictures, *size).mean(axis=2)
    found = []
    for _ in range(metrics):
        own = harms("normal", rng, suites, pictures, *size).mean(axis=2)
        found.append(math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)
    return found


def _holm(p: Array) -> Array:
    """`holm` of every column of [metrics,R]."""
    names = [str(place) for place in range(len(p))]
    columns = (holm(dict(zip(names, column, strict=True))) for column in p.T.tolist())
    return np.array([list(column.values()) for column in columns]).T


class Extension(NamedTuple):
    """Errors of looking several times, and what it costs."""

    false_fail: float
    false_pass: float
    pictures: float
    """Mean number until the decision, without harm; those undecided count with the last look."""


def extension(
    looks: Sequence[int], levels: Sequence[float], shape: str, suites: int, margin: float = 0.2
) -> Extension:
    """Looks with their one-sided levels; the first that decides ends it. One value a picture."""
    steps = np.diff([0, *looks])
    fails = passed = used = 0
    for rng, count in _portions(("looks", *looks, shape), suites, looks[-1]):
        values = harms(shape, rng, count, looks[-1], 1, 0.0).mean(axis=2)
        fail, better, decided = np.zeros((3, count), dtype=bool)
        for number, step, level in zip(looks, steps, levels, strict=True):
            used += int(step * (~decided).sum())
            found = p_values(values[:, :number], alpha=level)
            fail |= found.worse < level
            better |= found.better < level
            decided |= found.worse < level
            decided |= p_values(values[:, :number], margin, level).better < level
        fails, passed = fails + int(fail.sum()), passed + int(better.sum())
    return Extension(fails / suites, passed / suites, used / suites)


def _errors(found: Sequence[PValues]) -> Errors:
    worse, better = (np.concatenate(side) for side in zip(*found, strict=True))
    return Errors(float((worse < ALPHA).mean()), float((better < ALPHA).mean()))


def _portions(
    name: tuple[object, ...], suites: int, numbers: int
) -> Iterator[tuple[np.random.Generator, int]]:
    """The experiment's generator, and how many suites of `numbers` values to draw at once."""
    seed = blake2b(repr(name).encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    most = max(1, NUMBERS // numbers)
    for start in range(0, suites, most):
        yield rng, min(most, suites - start)
