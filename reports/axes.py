"""An axis of a plot: which values it covers, where they stand, and round numbers to label it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from reports.forest import Tick
from reports.wording import number

ROOM = 0.05
"""Share of the covered range that is kept free at both ends, so that no mark is cut."""


@dataclass(frozen=True)
class Axis:
    """The shown range; positions grow with the value."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Per cent from the low end."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def down(self, value: float) -> float:
        """Per cent from the high end, as screens count."""
        return round(100 - self.at(value), 2)

    def ticks(self, most: int = 6) -> tuple[Tick, ...]:
        """Round numbers, two to `most` (6 or more) of them; positions as `at` has them."""
        rough = (self.high - self.low) / (most - 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough * 0.999999)
        digits = max(0, -math.floor(math.log10(step * 1.000001)))
        counts = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return tuple(Tick(self.at(count * step), _said(count * step, digits)) for count in counts)


def covering(values: Iterable[float]) -> Axis:
    """An axis of all these values, at least one, with some room at both ends."""
    known = list(values)
    low, high = min(known), max(known)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value, but for rounding
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    room = ROOM * (high - low)
    return Axis(low - room, high + room)


def _said(value: float, digits: int) -> str:
    return number(value, digits).replace("-", "−")
