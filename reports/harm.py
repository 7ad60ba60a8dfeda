"""Which pictures are worst, from the score tables alone.

    harm(picture) = baseline mean - candidate mean   where higher is better
                    candidate mean - baseline mean   where lower is better

Means are over a picture's seeds. A picture with any seed missing has no mean and ranks first:
what could not be measured is never shown as harmless.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from qa.outcomes import KINDS
from qa.types import NOT_APPLICABLE
from reports.wording import by_severity, gate_digits, metric_digits, scale

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cell:
    """One metric on one picture."""

    value: float | None
    """Mean over seeds, or None if any seed has no value."""
    why: str = ""
    seed: int | None = None
    """The seed with the worst value."""
    harm: float | None = None
    """Positive = worse than the baseline; None where the baseline's value is not known."""
    aside: bool = False
    """Whether the metric does not apply to the picture: it has no value, and none is missing."""


@dataclass(frozen=True)
class Column:
    """A metric of the per-picture table."""

    metric: str
    better: str
    unit: str
    scale: float
    """Harm is divided by this before metrics are compared with each other."""
    gated: bool = True
    """Whether the scale is a gate's; a harm that nothing is known to compare with ranks nothing."""


@dataclass(frozen=True)
class Row:
    """One picture of the table; `cells` follow the columns."""

    sample: str
    cells: tuple[Cell, ...]
    harm: float | None
    """Largest known harm of a gated metric in units of its margin."""

    @property
    def missing(self) -> bool:
        return any(cell.value is None and not cell.aside for cell in self.cells)


@dataclass(frozen=True)
class Pick:
    """A picture worth showing, and for which metric."""

    sample: str
    metric: str
    harm: float | None = None


PAIRED = ("regression", "equivalence")
"""Gates that compare a metric with the baseline: not an anchor, a limit, a cost or a rate."""

Cells = dict[tuple[str, str], Cell]
"""(sample, metric) → cell."""


def paired(gate: Mapping[str, Any]) -> bool:
    """Whether a gate's harm is against the baseline, in the metric of the per-picture table."""
    return gate.get("gate", "regression") in PAIRED


def deciding(
    gates: Iterable[Mapping[str, Any]], columns: Sequence[Column]
) -> Mapping[str, Any] | None:
    """The first gate by severity that has a margin and a value for each picture."""
    shown = {column.metric for column in columns}
    ranked = (gate for gate in by_severity(gates) if paired(gate) and gate["metric"] in shown)
    return next((gate for gate in ranked if gate.get("margin")), None)


def digits(verdict: Mapping[str, Any]) -> dict[str, int]:
    """Digits after the point for each metric's values: its gate's, else those of its mean."""
    found = {row["metric"]: metric_digits(row) for row in verdict["metrics"]}
    return found | {gate["metric"]: gate_digits(gate) for gate in verdict["gates"] if paired(gate)}


def columns(verdict: Mapping[str, Any], limit: int | None) -> list[Column]:
    """The metrics to tabulate: gated ones first, worst gate first, then others with a value.

    At most `limit` of them, or all.
    """
    sets = {row["metric"] for row in verdict["metrics"] if row.get("of") == "set"}
    gates = [gate for gate in by_severity(verdict["gates"]) if paired(gate)]
    rows = [(gate, scale(gate), True) for gate in gates if gate["metric"] not in sets]
    others = [row for row in verdict["metrics"] if row["count"] and row["metric"] not in sets]
    rows += [(row, 1.0, False) for row in others]
    found: dict[str, Column] = {}
    for row, unit, gated in rows:
        column = Column(row["metric"], row.get("better") or "", row.get("unit") or "", unit, gated)
        found.setdefault(column.metric, column)
    return list(found.values())[:limit]


def per_picture(scores: pd.DataFrame, better: Mapping[str, str]) -> Cells:
    """Mean over seeds and worst seed of every (sample, metric). A seed without a row is missing."""
    seeds = scores["seed"].nunique()
    groups: dict[tuple[str, str], list[tuple[int, float | None, str]]] = {}
    for sample, seed, metric, value, why in zip(
        *(scores[name].tolist() for name in ("sample", "seed", "metric", "value", "why")),
        strict=True,
    ):
        known = value is not None and math.isfinite(value)
        groups.setdefault((sample, metric), []).append((seed, value if known else None, why or ""))
    return {key: _cell(rows, better.get(key[1], ""), seeds) for key, rows in groups.items()}


def with_harm(candidate: Cells, baseline: Cells, better: Mapping[str, str]) -> Cells:
    """The candidate's cells, each with its harm against the baseline's cell of the same key."""
    return {
        (sample, metric): replace(
            cell, harm=_harm(cell, baseline.get((sample, metric)), better.get(metric))
        )
        for (sample, metric), cell in candidate.items()
    }


def with_known_harm(candidate: Cells, gates: Iterable[Mapping[str, Any]]) -> Cells:
    """The candidate's cells with the harms that the gates name as their worst."""
    harms = {
        (entry["sample"], gate["metric"]): entry["harm"]
        for gate in gates
        if paired(gate)
        for entry in gate.get("worst") or ()
    }
    return {key: replace(cell, harm=harms.get(key)) for key, cell in candidate.items()}


def table(samples: Sequence[str], cells: Cells, columns: Sequence[Column]) -> list[Row]:
    """One row a sample: missing first, then by known harm, then by the first metric's value."""
    none = Cell(None, "not scored")
    rows = []
    for sample in samples:
        line = tuple(cells.get((sample, column.metric), none) for column in columns)
        harms = [
            cell.harm / column.scale
            for cell, column in zip(line, columns, strict=True)
            if column.gated and cell.harm is not None
        ]
        rows.append(Row(sample, line, max(harms, default=None)))
    return sorted(rows, key=lambda row: _rank(row, columns))


def picks(
    gates: Iterable[Mapping[str, Any]],
    rows: Sequence[Row],
    columns: Sequence[Column],
    limit: int,
) -> list[Pick]:
    """Distinct pictures to show: the worst of gates that did not pass in turn, then of the others.

    Without gates: each metric's worst in turn.
    """
    troubled: list[list[Pick]] = []
    passed: list[list[Pick]] = []
    for gate in by_severity(gates):
        worst = gate.get("worst") or ()
        queue = [
            Pick(entry["sample"], entry.get("metric") or gate["metric"], entry["harm"])
            for entry in worst
        ]
        (troubled if gate["state"] in KINDS else passed).append(queue)
    order = _in_turn(troubled) + _in_turn(passed)
    if not order:
        order = _in_turn([_worst(rows, place, column) for place, column in enumerate(columns)])
    known = {row.sample for row in rows}
    found: dict[str, Pick] = {}
    for pick in order:
        if pick.sample in known:
            found.setdefault(pick.sample, pick)
    return list(found.values())[:limit]


def worse(value: float, better: str) -> float:
    """A number that grows as the value gets worse."""
    return -value if better == "higher" else value


def _cell(rows: Sequence[tuple[int, float | None, str]], better: str, seeds: int) -> Cell:
    known = [(seed, value) for seed, value, _ in rows if value is not None]
    seed = max(known, key=lambda pair: (worse(pair[1], better), -pair[0]))[0] if known else None
    lost = [why or "no value" for _, value, why in rows if value is None]
    if len(lost) == seeds and all(why.startswith(NOT_APPLICABLE) for why in lost):
        return Cell(None, lost[0], aside=True)
    lost += ["no row"] * (seeds - len(rows))
    if lost:
        return Cell(None, f"{len(lost)} of {seeds} seeds: {lost[0]}", seed)
    return Cell(math.fsum(value for _, value in known) / len(known), "", seed)


def _harm(candidate: Cell, baseline: Cell | None, better: str | None) -> float | None:
    if not better or baseline is None or None in (candidate.value, baseline.value):
        return None
    assert candidate.value is not None
    assert baseline.value is not None
    return worse(candidate.value, better) - worse(baseline.value, better)


def _rank(row: Row, columns: Sequence[Column]) -> tuple[int, float, float, str]:
    lead = row.cells[0].value if row.cells else None
    value = 0.0 if lead is None else -worse(lead, columns[0].better)
    kind = 0 if row.missing else 2 if row.harm is None else 1
    return kind, 0.0 if row.harm is None else -row.harm, value, row.sample


def _in_turn(queues: Sequence[Sequence[Pick]]) -> list[Pick]:
    return [pick for turn in zip_longest(*queues) for pick in turn if pick is not None]


def _worst(rows: Sequence[Row], place: int, column: Column) -> list[Pick]:
    known = [(row.sample, row.cells[place].value) for row in rows]
    ranked = sorted(
        (-worse(value, column.better), sample) for sample, value in known if value is not None
    )
    return [Pick(sample, column.metric) for _, sample in ranked]
