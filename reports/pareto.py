"""Geometry of a comparison's fronts: two things that are wanted, and where each arm lies.

    plausibility │ B─────┐            up and right are better, whatever a metric prefers:
                 │    ○  A            where lower is better, the axis runs backwards
                 │    C  │
                 └───────────         filled: on the front; hollow: another arm beats it
                    fidelity

Positions are percentages of the plot, from the left and from the top. Seconds that differ much
stand on a logarithmic axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from reports.axes import Axis, covering
from reports.forest import Tick
from reports.front import LARGE, PLACES, Ends, Label
from reports.wording import number

MUCH = 4.0
"""Ratio of two times from which they stand on a logarithmic axis."""
CLOSE = 15.0
"""Pixels between a label and what else is drawn, at least."""
STEPS = (1, 2, 5)

Place = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One arm."""

    arm: str
    front: bool
    x: float
    y: float
    across: Ends | None
    """Interval along x; None where it is not known, as for the first arm."""
    along: Ends | None
    label: Label
    row: Mapping[str, Any]
    """Its numbers, as the document has them."""


@dataclass(frozen=True)
class Plot:
    """All arms over one pair of metrics."""

    x: Mapping[str, Any]
    y: Mapping[str, Any]
    points: tuple[Point, ...]
    line: tuple[tuple[Place, Place], ...]
    """Between neighbours of the front."""
    across: tuple[Tick, ...]
    along: tuple[Tick, ...]
    absent: tuple[Mapping[str, Any], ...]
    """Arms without a place, and why."""


@dataclass(frozen=True)
class Scale:
    """An axis on which what is better stands right, or up."""

    axis: Axis
    log: bool
    backwards: bool

    def across(self, value: float) -> float:
        """Per cent from the left."""
        at = self.axis.at(self._bent(value))
        return round(100 - at, 2) if self.backwards else at

    def down(self, value: float) -> float:
        """Per cent from the top."""
        return round(100 - self.across(value), 2)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Round values and how they are said."""
        if not self.log:
            for tick in self.axis.ticks():
                # Back from the tick's place: a value is all that both directions share.
                share = tick.at / 100
                yield self.axis.low + share * (self.axis.high - self.axis.low), tick.text
            return
        for power in range(math.floor(self.axis.low), math.ceil(self.axis.high) + 1):
            for step in STEPS:
                value = step * 10.0**power
                if self.axis.low <= math.log10(value) <= self.axis.high:
                    yield value, number(value, max(0, -power))

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.log else value


def plot(document: Mapping[str, Any]) -> Plot:
    """Lay out one entry of `pareto`."""
    rows = document["points"]
    x, y = (_scale(document[way], [row[way] for row in rows]) for way in ("x", "y"))
    spots = {row["arm"]: (x.across(row["x"]["value"]), y.down(row["y"]["value"])) for row in rows}
    labels = _labels(spots)
    points = tuple(
        Point(
            row["arm"], row["front"], *spots[row["arm"]],
            _ends(row["x"], x.across), _ends(row["y"], y.down), labels[row["arm"]], row,
        )
        for row in rows
    )  # fmt: skip
    front = sorted({(one.x, one.y) for one in points if one.front})
    return Plot(
        document["x"],
        document["y"],
        tuple(sorted(points, key=lambda one: one.front)),
        tuple(pairwise(front)),
        tuple(Tick(x.across(value), text) for value, text in x.ticks()),
        tuple(Tick(y.down(value), text) for value, text in y.ticks()),
        tuple(document["absent"]),
    )


def _scale(what: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Scale:
    """An axis of all values and their intervals; `rows` may be empty."""
    known = [row[key] for row in rows for key in ("value", "low", "high") if row[key] is not None]
    times = what["unit"] == "s" and min(known, default=0) > 0
    log = times and max(known) / min(known) >= MUCH
    values = map(math.log10, known) if log else known
    return Scale(covering(values) if known else Axis(0, 1), log, what["better"] == "lower")


def _ends(row: Mapping[str, Any], place: Any) -> Ends | None:
    if row["low"] is None or row["high"] is None or row["low"] == row["high"]:
        return None
    low, high = sorted((place(row["low"]), place(row["high"])))
    return low, high


def _labels(spots: Mapping[str, Place]) -> dict[str, Label]:
    """A place beside its mark for each letter, clear of other marks and letters where it can be."""
    centres = {arm: (x * LARGE[0] / 100, y * LARGE[1] / 100) for arm, (x, y) in spots.items()}
    taken = list(centres.values())
    found = {}
    for arm, (x, y) in centres.items():
        others = [spot for spot in taken if spot != (x, y)]
        best = max(PLACES, key=lambda place: (_clear(_middle(x, y, place), others), 0))
        taken.append(_middle(x, y, best))
        found[arm] = Label(*best)
    return found


def _middle(x: float, y: float, place: tuple[float, float, str]) -> Place:
    """The middle of a letter that stands there."""
    dx, dy, anchor = place
    return x + dx + {"start": 4, "middle": 0, "end": -4}[anchor], y + dy - 4


def _clear(spot: Place, others: Iterable[Place]) -> float:
    """Pixels to the nearest of the others, as far as they matter."""
    return min([math.dist(spot, other) for other in others] + [CLOSE])
