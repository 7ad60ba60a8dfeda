"""Geometry of the forest plot: each gate's harm with its interval, in units of its own margin.

        better                 0     margin = 1          worse
    ──────┼────────────────────┼─────────┼─────────────────┼──────
                            ├──●──┤      │▒▒▒▒▒▒ beyond ▒▒▒▒▒

Positions are percentages of the plot's width, so that the picture fits any screen undistorted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.wording import scale

REACH = 5.0
"""Margins shown to either side at most; what lies further out is drawn as an arrow at the edge."""
PADDING = 3.0
"""Per cent of the width kept free at both ends, so that marks and labels are not cut."""


@dataclass(frozen=True)
class Tick:
    """A label of the axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """One gate's row; positions in per cent, None where the gate has no number."""

    gate: Mapping[str, Any]
    estimate: float | None
    low: float | None
    high: float | None
    edge: float | None
    """Where the margin ends and the forbidden region begins."""
    beyond_low: bool
    beyond_high: bool
    """Whether the interval leaves the plot on this side."""
    outside: str = ""
    """`left` or `right` where even the estimate lies outside the plot."""


@dataclass(frozen=True)
class Forest:
    """All rows over one axis."""

    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    zero: float


@dataclass(frozen=True)
class Axis:
    """The shown range, in margins."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Position of a value in per cent, held inside the plot."""
        inside = min(self.high, max(self.low, value))
        share = (inside - self.low) / (self.high - self.low)
        return round(PADDING + share * (100 - 2 * PADDING), 2)

    def outside(self, value: float | None) -> str:
        """On which side of the plot a value lies: `left`, `right`, or empty for inside."""
        if value is None or self.low <= value <= self.high:
            return ""
        return "left" if value < self.low else "right"


def forest(gates: Sequence[Mapping[str, Any]]) -> Forest:
    """Lay out one row for each gate."""
    axis = _axis(gates)
    ticks = range(math.ceil(axis.low), math.floor(axis.high) + 1)
    return Forest(
        tuple(_mark(gate, axis) for gate in gates),
        tuple(Tick(axis.at(tick), f"{tick}".replace("-", "−")) for tick in ticks),
        axis.at(0),
    )


def _axis(gates: Iterable[Mapping[str, Any]]) -> Axis:
    ends = [
        gate[key] / scale(gate)
        for gate in gates
        for key in ("low", "high", "estimate")
        if gate.get(key) is not None
    ]
    low, high = math.floor(min(ends, default=0)), math.ceil(max(ends, default=0))
    return Axis(max(-REACH, min(-1, low)), min(REACH, max(2, high)))


def _mark(gate: Mapping[str, Any], axis: Axis) -> Mark:
    unit = scale(gate)
    low, high, estimate = (
        None if gate.get(key) is None else gate[key] / unit for key in ("low", "high", "estimate")
    )
    margin = gate.get("margin")

    def at(value: float | None) -> float | None:
        return None if value is None else axis.at(value)

    return Mark(
        gate,
        at(estimate),
        at(low),
        at(high),
        edge=None if margin is None else axis.at(margin / unit),
        beyond_low=low is not None and low < axis.low,
        beyond_high=high is not None and high > axis.high,
        outside=axis.outside(estimate),
    )
