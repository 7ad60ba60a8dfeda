"""Geometry of the dial's front: what each setting loses in fidelity and gains in plausibility.

    gain │       ◆        ┊▒▒▒▒ ✕ ▒▒        up: more plausible than the reference
         │   ●            ┊▒▒▒▒▒▒▒▒▒        right: less faithful
       0 ┼───○────────────┊─────────
             0         margin = 1           harm ÷ margin

Both axes are paired differences to the reference, which stands at (0, 0). The axis of harm is bent,

    x = asinh(harm / margin)

so that settings within a margin and settings fifty margins away can both be told apart. Positions
are percentages of the plot, from the left and from the top.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from reports.forest import Tick
from reports.wording import number

STEPS = (0, 1, 0.5, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)
"""Ticks of harm, in margins, to either side."""
APART = 5.0
"""Per cent of the width between two ticks at least."""
ROOM = 6.0
"""Per cent kept free at all sides, so that marks and labels are not cut."""
LARGE, SMALL = (960, 320), (420, 220)
"""Pixels of a plot for which labels are placed; on other screens they may touch."""
PLACES = (
    (9, -6, "start"), (-9, -6, "end"), (9, 15, "start"), (-9, 15, "end"),
    (0, -12, "middle"), (0, 21, "middle"), (20, 4, "start"), (-20, 4, "end"),
)  # fmt: skip
"""Where a label may stand beside its mark: pixels right and down, and which end it starts from."""

LEFT, RIGHT = -0.5, math.asinh(1.6)
"""What the bent axis shows at least: the reference, the margin, and something of both sides."""
DRAWN = ("broken", "kept", "reference", "picked")
"""Kinds of settings in the order in which they are drawn: what matters most lies on top."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Label:
    """The number of a setting, beside its mark."""

    dx: float
    dy: float
    anchor: str


@dataclass(frozen=True)
class Point:
    """One setting of the plot."""

    setting: Mapping[str, Any]
    place: int
    """Its number in the table, from 1."""
    kind: str
    """`reference`, `picked`, `kept` (all limits) or `broken` (one at least)."""
    x: float
    y: float
    across: Ends | None
    """Interval of the harm; None where it is not known, as for the reference."""
    along: Ends | None
    """Interval of the gain."""
    label: Label | None = None


@dataclass(frozen=True)
class Front:
    """The settings over one limit."""

    metric: str
    points: tuple[Point, ...]
    """Those to be drawn first come first."""
    absent: tuple[str, ...]
    """Settings without a place: they have no harm, or no gain."""
    line: tuple[tuple[Point, Point], ...]
    """Neighbours of the front, from the most faithful one on."""
    zero: tuple[float, float]
    edge: float | None
    """Where the margin ends and the forbidden region begins."""
    across: tuple[Tick, ...]
    along: tuple[Tick, ...]


@dataclass(frozen=True)
class Value:
    """A paired difference to the reference, with its interval as far as it is known."""

    mean: float
    low: float | None
    high: float | None

    def known(self) -> list[float]:
        return [value for value in (self.mean, self.low, self.high) if value is not None]

    def through(self, function: Callable[[float], float]) -> Value:
        """The same on another scale, which grows with this one."""
        low, high = (None if end is None else function(end) for end in (self.low, self.high))
        return Value(function(self.mean), low, high)

    def ends(self) -> Ends | None:
        """None without an interval, or where it has no width."""
        if self.low is None or self.high is None or self.low == self.high:
            return None
        return self.low, self.high


@dataclass(frozen=True)
class Axis:
    """The shown range; positions grow with the value."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Per cent from the low end."""
        share = (value - self.low) / (self.high - self.low)
        return round(ROOM + share * (100 - 2 * ROOM), 2)

    def down(self, value: float) -> float:
        """Per cent from the high end, as screens count."""
        return round(100 - self.at(value), 2)


def front(document: Mapping[str, Any], metric: str, first: bool = True) -> Front:
    """Lay out all settings over one metric of `fidelity`.

    The first one is large and has the line of the front, which is a front over this metric alone.
    """
    limit = next(row for row in document["fidelity"] if row["metric"] == metric)
    settings = list(enumerate(document["settings"], 1))
    pairs = {place: _pair(row, metric, document["plausibility"]) for place, row in settings}
    shown = {place: pair for place, pair in pairs.items() if pair is not None}
    unit = limit["margin"] or max((abs(x.mean) for x, _ in shown.values()), default=0.0) or 1.0
    bent = {place: x.through(lambda v: math.asinh(v / unit)) for place, (x, _) in shown.items()}
    across = _axis(bent.values(), LEFT, RIGHT)
    along = _axis((y for _, y in shown.values()), 0.0, 0.0)
    points = [
        _point(place, row, kind(document, row), bent[place].through(across.at),
               shown[place][1].through(along.down))
        for place, row in settings if place in shown
    ]  # fmt: skip
    points.sort(key=lambda point: (DRAWN.index(point.kind), point.place))
    members = sorted((p for p in points if p.setting["front"]), key=lambda p: (p.x, -p.y))
    return Front(
        metric,
        tuple(_labelled(points, LARGE if first else SMALL)),
        tuple(row["name"] for place, row in settings if place not in shown),
        tuple(pairwise(members)) if first else (),
        (across.at(0.0), along.down(0.0)),
        across.at(math.asinh(1)) if limit["margin"] else None,
        tuple(_across(across)),
        tuple(_along(along)),
    )


def kind(document: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    """What a setting is: picked, the reference, or one that keeps or breaks the limits."""
    if setting["name"] == document["picked"]:
        return "picked"
    if setting["name"] == document["reference"]:
        return "reference"
    return "kept" if setting["feasible"] else "broken"


def _pair(setting: Mapping[str, Any], metric: str, looks: str) -> tuple[Value, Value] | None:
    """Harm in a metric and gain in plausibility; None where one of them is not known."""
    harm, loss = _value(setting, metric), _value(setting, looks)
    if harm is None or loss is None:
        return None
    low, high = (None if end is None else -end for end in (loss.high, loss.low))
    return harm, Value(-loss.mean, low, high)


def _value(setting: Mapping[str, Any], metric: str) -> Value | None:
    row = setting["metrics"].get(metric) or {}
    found = (row.get(key) for key in ("harm", "harm_low", "harm_high"))
    harm, low, high = (v if v is not None and math.isfinite(v) else None for v in found)
    return None if harm is None else Value(harm, low, high)


def _axis(values: Iterable[Value], least: float, most: float) -> Axis:
    """A range of all values and intervals, and of the reference's 0."""
    known = [number for value in values for number in value.known()]
    low, high = min([*known, least, 0.0]), max([*known, most, 0.0])
    return Axis(low, high) if high > low else Axis(low - 1, high + 1)


def _point(place: int, setting: Mapping[str, Any], kind: str, x: Value, y: Value) -> Point:
    return Point(setting, place, kind, x.mean, y.mean, x.ends(), y.ends())


def _across(axis: Axis) -> Iterable[Tick]:
    """Ticks of harm in margins: 0 and ±1 first, then whatever leaves them room."""
    taken: list[Tick] = []
    for step in STEPS:
        for value in dict.fromkeys((step, -step)):
            bent = math.asinh(value)
            at = axis.at(bent)
            free = all(abs(at - tick.at) >= APART for tick in taken)
            if axis.low <= bent <= axis.high and free:
                taken.append(Tick(at, f"{value:g}".replace("-", "−")))
    return sorted(taken, key=lambda tick: tick.at)


def _along(axis: Axis) -> Iterable[Tick]:
    """Round numbers of gain, four to nine of them."""
    rough = (axis.high - axis.low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in (1, 2, 5, 10) if power * part >= rough)
    for count in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1):
        said = number(count * step, max(0, -math.floor(math.log10(step))))
        sign = "+" if count > 0 else ""
        yield Tick(axis.down(count * step), sign + said.replace("-", "−"))


def _labelled(points: Sequence[Point], size: tuple[int, int]) -> list[Point]:
    """Give each point's number a place of its own; one that finds none has no label."""
    centres = {one.place: (one.x * size[0] / 100, one.y * size[1] / 100) for one in points}
    taken = [_box(*centre, "middle", 14, 14, 7) for centre in centres.values()]
    found: dict[int, Label] = {}
    for one in sorted(points, key=lambda p: (-DRAWN.index(p.kind), not p.setting["front"])):
        x, y = centres[one.place]
        for dx, dy, anchor in PLACES:
            box = _box(x + dx, y + dy, anchor, 8 * len(str(one.place)), 13, 11)
            if not any(_touch(box, other) for other in taken):
                taken.append(box)
                found[one.place] = Label(dx, dy, anchor)
                break
    return [replace(one, label=found.get(one.place)) for one in points]


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def _box(x: float, y: float, anchor: str, width: float, height: float, above: float) -> Box:
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    return left, y - above, left + width, y - above + height


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
