"""Several arms side by side: one run judged against each of the others, and all of them together.

    A ──┬── against B ──► verdict        each just as `qa judge A --baseline B` gives it
        └── against C ──► verdict
    A, B, C ──► every metric, cost, fronts ──► one document (docs/compare.md)

A front is drawn of two things that cannot both be had: fidelity against plausibility, and fidelity
against seconds. An arm lies on it unless another one is at least as good in both and better in one.
Places are means; their intervals are those of the paired difference to A, on the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from typing import Any

from qa import cost, summary
from qa.gates import comparable
from qa.gates.cost import unlike
from qa.gates.pairs import sign
from qa.gates.use_case import UseCase
from qa.judge import EXIT_CODES, judge
from qa.results import Results

SCHEMA = "decoder-qa/compare/1"
LETTERS = ascii_uppercase
"""What arms are called: A is the run, B, C, … are what it is compared with."""
SECONDS = "seconds"
"""The metric of a front that stands for the time of a picture."""

ALIKE: Mapping[str, Any] = {"incomparable": [], "mismatched": {}, "elsewhere": ""}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where an arm lies on one axis, or why it lies nowhere."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""


def document(arms: Sequence[Results], verdicts: Sequence[Row], use: UseCase) -> dict[str, Any]:
    """The whole comparison; `verdicts[i]` is that of `arms[0]` against `arms[i + 1]`.

    `use` says which metrics are fidelity and which plausibility. Its state is the worst one.
    """
    confidence = float(verdicts[0]["confidence"])
    first, *others = (_part(arm, arms[0]) for arm in arms)
    own = {"metrics": verdicts[0]["metrics"]}
    shown = [{**_arm("A", first, confidence), **own, **ALIKE}]
    for letter, arm in zip(LETTERS[1:], others, strict=False):
        theirs = {"metrics": _metrics(arm, confidence)}
        shown.append({**_arm(letter, arm, confidence), **theirs, **_apart(first, arm)})
    states = {verdict["state"] for verdict in verdicts}
    state = next(state for state in summary.ORDER if state in states)
    return {
        "schema": SCHEMA,
        "state": state,
        "exit_code": EXIT_CODES[state],
        "candidate": verdicts[0]["candidate"],
        "use_case": verdicts[0]["use_case"],
        "confidence": confidence,
        "arms": shown,
        "verdicts": list(verdicts),
        "pareto": _pareto(shown, verdicts, use),
    }


def undominated(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of points of which both numbers shall be large: whether no other one beats it.

    Another one beats it that is nowhere smaller and somewhere larger; equal ones beat no one.
    """

    def beaten(point: tuple[float, float]) -> bool:
        return any(o != point and o[0] >= point[0] and o[1] >= point[1] for o in points)

    return [not beaten(point) for point in points]


def _part(arm: Results, candidate: Results) -> Results:
    """An arm at the pictures of the candidate's look: what its verdict is about."""
    look = comparable.look_of(candidate)
    return arm if look is None else comparable.restricted(arm, candidate.samples)


def _arm(letter: str, arm: Results, confidence: float) -> dict[str, Any]:
    environment = comparable.environment_of(arm)
    own = {"letter": letter, **arm.describe(), "environment": environment}
    return {**own, **_cost(arm, confidence)}


def _apart(first: Results, arm: Results) -> dict[str, Any]:
    """Why an arm's values, or some of them, or its times, may not be compared with the first's."""
    return {
        "incomparable": comparable.incomparable(first, arm, ()),
        "mismatched": comparable.mismatched(first, arm),
        "elsewhere": unlike(first, arm),
    }


def _metrics(arm: Results, confidence: float) -> list[Any]:
    """Every metric's mean and interval, as a verdict lists those of its candidate."""
    alone = replace(arm, record={key: arm.record[key] for key in arm.record if key != "look"})
    found: list[Any] = judge(alone, None, {}, gates=[], confidence=confidence)["metrics"]
    return found


def _cost(arm: Results, confidence: float) -> dict[str, Any]:
    """What the decodes of the arm's pictures cost; nothing of a bare table."""
    if arm.folder is None or not arm.folder.decoded_file.is_file():
        return {"cost": [], "seconds": None}
    table = arm.folder.decoded(("sample", *cost.COLUMNS))
    decoded = table[table["sample"].isin(arm.samples)]
    return {"cost": cost.rows(decoded), "seconds": _seconds(decoded, confidence)}


def _seconds(decoded: Any, confidence: float) -> dict[str, Any] | None:
    """Median over pictures of each one's median decode, warm ones where there are any."""
    made = decoded[decoded["file"].notna()]
    warm = made[made["warm"].astype(bool)]
    chosen = warm if len(warm) else made
    each = sorted(chosen.groupby("sample")["seconds"].median())
    if not each:
        return None
    middle = len(each) // 2
    low, high = median_ends(each, confidence)
    value = (each[middle] + each[-1 - middle]) / 2
    return {"value": value, "low": low, "high": high, "count": len(each), "warm": len(warm) > 0}


def median_ends(
    values: Sequence[float], confidence: float
) -> tuple[float, float] | tuple[None, None]:
    """Interval of the median of sorted values from their ranks, whatever their distribution.

    The k-th smallest and the k-th largest value, for the largest k with P(B < k) <= α, where B
    counts heads of as many fair coins: each end errs in at most α = (1 - confidence) / 2 of all
    cases. None for so few values that no k is left.
    """
    count, below, k = len(values), 0.0, 0
    log = math.lgamma(count + 1) - count * math.log(2)
    while k < count / 2:
        below += math.exp(log - math.lgamma(k + 1) - math.lgamma(count - k + 1))
        if below > (1 - confidence) / 2:
            break
        k += 1
    return (values[k - 1], values[-k]) if k else (None, None)


def _pareto(arms: Sequence[Row], verdicts: Sequence[Row], use: UseCase) -> list[dict[str, Any]]:
    """Fidelity against plausibility, and against seconds; less where there is nothing to place."""
    looks = () if use.dial is None else use.dial.plausibility
    true = [metric for metric in use.primary if metric not in looks]
    true += [] if use.dial is None else use.dial.fidelity
    fidelity, plausibility = (_axis(named, verdicts) for named in (true, looks))
    timed = _timed(arms)
    if fidelity is None:
        return []
    others = [plausibility, timed if any(arm["seconds"] for arm in arms) else None]
    return [_front(fidelity, other, arms) for other in others if other is not None]


@dataclass(frozen=True)
class Axis:
    """One thing that is wanted, and where each arm lies."""

    metric: str
    better: str
    unit: str
    places: Sequence[Place]

    def describe(self) -> dict[str, Any]:
        return {"metric": self.metric, "better": self.better, "unit": self.unit}


def _axis(named: Sequence[str], verdicts: Sequence[Row]) -> Axis | None:
    """The first of the metrics that was compared with some baseline."""
    for metric in named:
        rows = [_compared(verdict, metric) for verdict in verdicts]
        known = next((row for row in rows if row and row["state"] != "INVALID"), None)
        if known is not None:
            own = Place(known["candidate"])
            others = [_paired(row, known["candidate"], metric) for row in rows]
            return Axis(metric, known["better"], known["unit"], [own, *others])
    return None


def _compared(verdict: Row, metric: str) -> Row | None:
    """The row that compares a metric with the baseline."""
    kinds = ("regression", "equivalence")
    rows = (gate for gate in verdict["gates"] if gate["gate"] in kinds)
    return next((gate for gate in rows if gate["metric"] == metric), None)


def _paired(row: Row | None, own: float, metric: str) -> Place:
    """A baseline's mean, and the interval of its distance to the candidate's."""
    if row is None or row["state"] == "INVALID" or row["baseline"] is None:
        return Place(why=f"{metric}: {row['why'] if row else 'not compared'}")
    if row["low"] is None or row["high"] is None:
        return Place(row["baseline"])
    ends = sorted(own + sign(row["better"]) * row[end] for end in ("low", "high"))
    return Place(row["baseline"], *ends)


def _timed(arms: Sequence[Row]) -> Axis:
    return Axis(SECONDS, "lower", "s", [_time(arm) for arm in arms])


def _time(arm: Row) -> Place:
    known = arm["seconds"]
    if known is None:
        return Place(why="its decodes were not timed")
    if arm["elsewhere"]:
        return Place(why=arm["elsewhere"])
    return Place(known["value"], known["low"], known["high"])


def _front(x: Axis, y: Axis, arms: Sequence[Row]) -> dict[str, Any]:
    """All arms that have both values, and which of them no other one beats."""
    placed = list(zip((arm["letter"] for arm in arms), x.places, y.places, strict=True))
    known = [
        (letter, a, b) for letter, a, b in placed if a.value is not None and b.value is not None
    ]
    towards = _oriented(x.better), _oriented(y.better)
    best = undominated([(towards[0](a.value), towards[1](b.value)) for _, a, b in known])
    return {
        "x": x.describe(),
        "y": y.describe(),
        "points": [
            {"arm": letter, "x": _numbers(a), "y": _numbers(b), "front": front}
            for (letter, a, b), front in zip(known, best, strict=True)
        ],
        "absent": [
            {"arm": letter, "why": a.why or b.why}
            for letter, a, b in placed
            if a.value is None or b.value is None
        ],
    }


def _oriented(better: str) -> Callable[[Any], float]:
    return lambda value: sign(better) * float(value)


def _numbers(place: Place) -> dict[str, float | None]:
    return {"value": place.value, "low": place.low, "high": place.high}
