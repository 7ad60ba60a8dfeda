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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.axes import Axis, covering
from reports.forest import Tick
from reports.harm import Cell, Cells, Column, paired, worse
from reports.wording import gate_digits, mean, number

MOST = 4
"""Metrics that are drawn at most, primary ones first."""
POINTS = 2000
"""Pictures in one plot at most: the worst half of them, and others at random."""
KINDS = ("within", "better", "beyond")
"""Within the margin, better or worse by more than it, in the order in which they are drawn."""

Place = tuple[float, float]


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
) -> tuple[Scatter, ...]:
    """A plot for each gated metric that both arms have per picture; primary ones first.

    `candidate` and `baseline` are `harm.per_picture` of each arm's scores.
    """
    gates: dict[str, Mapping[str, Any]] = {}
    for gate in verdict["gates"]:
        if paired(gate):
            gates.setdefault(gate["metric"], gate)
    gated = [column for column in columns if column.metric in gates and column.better]
    gated.sort(key=lambda column: gates[column.metric].get("role", "primary") != "primary")
    seed = str(verdict["candidate"].get("plan") or "")
    found = (
        _scatter(column, gates[column.metric], candidate, baseline, seed) for column in gated[:MOST]
    )
    return tuple(plot for plot in found if plot.points)


def drawn_by_lot(samples: Iterable[str], seed: str) -> list[str]:
    """Samples in an order that is random, and the same for equal ids and an equal seed."""

    def lot(sample: str) -> bytes:
        text = f"{seed}\0{sample}".encode(errors="surrogatepass")
        return hashlib.blake2b(text, digest_size=16).digest()

    return sorted(samples, key=lambda sample: (lot(sample), sample))


def _scatter(
    column: Column, gate: Mapping[str, Any], candidate: Cells, baseline: Cells, seed: str
) -> Scatter:
    none = Cell(None)
    arms = {
        sample: (baseline.get((sample, metric), none).value, cell.value)
        for (sample, metric), cell in candidate.items()
        if metric == column.metric and not cell.aside
    }
    pairs = {s: (x, y) for s, (x, y) in arms.items() if x is not None and y is not None}
    harms = {s: worse(y, column.better) - worse(x, column.better) for s, (x, y) in pairs.items()}
    margin = gate.get("margin")
    kinds = {sample: _kind(harm, margin) for sample, harm in harms.items()}
    axis = covering(v for pair in pairs.values() for v in pair) if pairs else Axis(0, 1)
    digits, unit = gate_digits(gate), f" {column.unit}" if column.unit else ""

    def point(sample: str) -> Point:
        (x, y), harm = pairs[sample], harms[sample]
        values = f"{mean(x, digits)} → {mean(y, digits)}{unit}, harm {number(harm, digits)}"
        return Point(sample, kinds[sample], axis.at(x), axis.down(y), f"{sample}\n{values}")

    shown = sorted(_chosen(harms, seed), key=lambda s: (KINDS.index(kinds[s]), harms[s], s))
    return Scatter(
        column.metric,
        column.unit,
        column.better,
        "" if margin is None else f"{number(margin, digits)}{unit}",
        tuple(map(point, shown)),
        {kind: sum(found == kind for found in kinds.values()) for kind in KINDS},
        len(arms) - len(pairs),
        axis.ticks(),
        tuple(_edges(axis, margin)) if margin else (),
    )


def _kind(harm: float, margin: float | None) -> str:
    if margin is None or abs(harm) <= margin:
        return "within"
    return "beyond" if harm > 0 else "better"


def _chosen(harms: Mapping[str, float], seed: str) -> list[str]:
    """All pictures, or the worst half of `POINTS` and as many of the others by lot."""
    worst = sorted(harms, key=lambda sample: (-harms[sample], sample))
    if len(worst) <= POINTS:
        return worst
    half = POINTS // 2
    return worst[:half] + drawn_by_lot(worst[half:], seed)[: POINTS - half]


def _edges(axis: Axis, margin: float) -> Iterator[tuple[Place, Place]]:
    """The lines candidate = baseline ± margin, cut off where the plot ends."""
    for shift in (-margin, margin):
        left, right = max(axis.low, axis.low - shift), min(axis.high, axis.high - shift)
        if left < right:
            ends = ((axis.at(x), axis.down(x + shift)) for x in (left, right))
            yield next(ends), next(ends)
