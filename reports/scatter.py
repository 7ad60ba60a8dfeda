"""Geometry of the scatter: each picture's value in the baseline and in the candidate.

    candidate │          ╱        on the line: as in the baseline
              │   ◆    ╱ ╱        dashed: the margin away from it
              │      ╱●╱  ▒▒      shaded: the side on which the candidate is worse
              │    ╱ ╱ ■ ▒▒▒
              └──────────────
                 baseline         (here higher is better)

Both axes have one scale. Positions are percentages of the plot, from the left and from the top.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from reports.axes import Axis, covering
from reports.forest import Tick
from reports.harm import Cell, Cells, Column, paired
from reports.wording import gate_digits, mean, number

MOST = 4
"""Metrics that are drawn at most, primary ones first."""
POINTS = 2000
"""Pictures in one plot at most: the worst half of them, and others by lot."""
KINDS = ("within", "better", "beyond")
"""Within the margin, better or worse by more than it, in the order in which they are drawn."""

Place = tuple[float, float]
Array = np.ndarray


@dataclass(frozen=True)
class Point:
    """One picture."""

    sample: str
    kind: str
    """One of `KINDS`."""
    x: float
    y: float
    said: str
    """The picture and its numbers, a line each."""


@dataclass(frozen=True)
class Pairs:
    """One metric of all pictures to which it applies, in both arms."""

    samples: Sequence[str]
    baseline: Array
    """float64 [N]; NaN for none."""
    candidate: Array


@dataclass(frozen=True)
class Scatter:
    """One metric's plot."""

    metric: str
    unit: str
    better: str
    margin: str
    """As text, with its unit; empty where there is none."""
    points: tuple[Point, ...]
    """Those to be drawn first come first."""
    counts: Mapping[str, int]
    """Kind → how many pictures are of it, drawn or not."""
    missing: int
    """Pictures without a value in one of the arms."""
    ticks: tuple[Tick, ...]
    """Of both axes; from the left, so from the bottom of the upright one."""
    edges: tuple[tuple[Place, Place], ...]
    """Both ends of the lines on which the arms differ by the margin, as far as the plot goes."""

    @property
    def compared(self) -> int:
        return sum(self.counts.values())

    @property
    def worse_below(self) -> bool:
        """Whether the candidate is worse below the line of equal values."""
        return self.better == "higher"


def scatters(
    verdict: Mapping[str, Any],
    columns: Sequence[Column],
    candidate: Cells,
    baseline: Cells,
    whole: Callable[[str], Pairs] | None = None,
) -> tuple[Scatter, ...]:
    """A plot for each gated metric that both arms have per picture; primary ones first.

    `candidate` and `baseline` are `harm.per_picture` of each arm's scores. Where these are not of
    all pictures, `whole` gives the values of all of them by metric.
    """
    gates: dict[str, Mapping[str, Any]] = {}
    for gate in verdict["gates"]:
        if paired(gate):
            gates.setdefault(gate["metric"], gate)
    gated = [column for column in columns if column.metric in gates and column.better]
    gated.sort(key=lambda column: gates[column.metric].get("role", "primary") != "primary")
    seed = str(verdict["candidate"].get("plan") or "")
    known = whole or partial(_pairs, candidate, baseline)
    found = (
        _scatter(column, gates[column.metric], known(column.metric), seed)
        for column in gated[:MOST]
    )
    return tuple(plot for plot in found if plot.points)


def drawn_by_lot(samples: Iterable[str], seed: str, most: int | None = None) -> list[str]:
    """Samples in an order that is random, and the same for equal ids and an equal seed.

    The first `most` of them, or all.
    """
    lot = partial(_lot, seed)
    return sorted(samples, key=lot) if most is None else heapq.nsmallest(most, samples, key=lot)


def _lot(seed: str, sample: str) -> tuple[bytes, str]:
    text = f"{seed}\0{sample}".encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest(), sample


def _pairs(candidate: Cells, baseline: Cells, metric: str) -> Pairs:
    none = Cell(None)
    arms = {
        sample: (baseline.get((sample, metric), none).value, cell.value)
        for (sample, own), cell in candidate.items()
        if own == metric and not cell.aside
    }
    x, y = (np.array([pair[k] for pair in arms.values()], np.float64) for k in (0, 1))
    return Pairs(list(arms), x, y)


def _scatter(column: Column, gate: Mapping[str, Any], pairs: Pairs, seed: str) -> Scatter:
    x, y = pairs.baseline, pairs.candidate
    places = np.flatnonzero(~np.isnan(x) & ~np.isnan(y))
    harms = (x - y if column.better == "higher" else y - x)[places]
    margin = gate.get("margin")
    kinds = np.zeros(len(places), int)  # of KINDS
    if margin is not None:
        kinds = np.where(np.abs(harms) <= margin, 0, np.where(harms > 0, 2, 1))
    ends = [v for arm in (x, y) if len(places) for v in (arm[places].min(), arm[places].max())]
    axis = covering(map(float, ends)) if ends else Axis(0, 1)
    digits, unit = gate_digits(gate), f" {column.unit}" if column.unit else ""

    def point(place: int) -> Point:
        before, now = (float(arm[places[place]]) for arm in (x, y))
        values = f"{mean(before, digits)} → {mean(now, digits)}{unit}"
        said = f"{names[place]}\n{values}, harm {number(float(harms[place]), digits)}"
        return Point(names[place], KINDS[kinds[place]], axis.at(before), axis.down(now), said)

    names = [pairs.samples[place] for place in places]
    shown = sorted(_chosen(harms, names, seed), key=lambda n: (kinds[n], harms[n], names[n]))
    return Scatter(
        column.metric,
        column.unit,
        column.better,
        "" if margin is None else f"{number(margin, digits)}{unit}",
        tuple(map(point, shown)),
        {kind: int((kinds == place).sum()) for place, kind in enumerate(KINDS)},
        len(pairs.samples) - len(places),
        axis.ticks(),
        tuple(_edges(axis, margin)) if margin else (),
    )


def _chosen(harms: Array, names: Sequence[str], seed: str) -> list[int]:
    """Numbers of all pictures, or of the worst half of `POINTS` and as many others by lot."""
    if len(names) <= POINTS:
        return list(range(len(names)))
    half = POINTS // 2
    bound = np.partition(harms, -half)[-half]
    worst = np.flatnonzero(harms >= bound).tolist()
    worst = sorted(worst, key=lambda place: (-harms[place], names[place]))[:half]
    known = set(worst)
    others = (place for place in range(len(names)) if place not in known)
    drawn = heapq.nsmallest(POINTS - half, others, key=lambda place: _lot(seed, names[place]))
    return worst + drawn


def _edges(axis: Axis, margin: float) -> Iterator[tuple[Place, Place]]:
    """The lines candidate = baseline ± margin, cut off where the plot ends."""
    for shift in (-margin, margin):
        left, right = max(axis.low, axis.low - shift), min(axis.high, axis.high - shift)
        if left < right:
            ends = ((axis.at(x), axis.down(x + shift)) for x in (left, right))
            yield next(ends), next(ends)
