"""The pictures of a run as the viewer lists them, and every value of each.

    samples, scores, verdict, runs to compare with  ──►  Listing

The order is that of the report's table (`harm.table`): anything missing first, then by harm in
margins. A run that nobody judged is ordered by its first metric. Harm is against the first run
that it is compared with; without one, as far as the verdict names it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qa.errors import UsageError
from qa.store import RunFolder
from reports import choosing, harm, picking, wording
from reports.gallery import Charge
from reports.slices import split

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
MISSING, BEYOND, WITHIN, NONE, UNKNOWN = "missing", "beyond", "within", "none", "unknown"
SAID = {
    MISSING: "missing",
    BEYOND: "the margin or more",
    WITHIN: "less than the margin",
    NONE: "none",
    UNKNOWN: "not known",
}
"""How large the harm of a picture is."""


@dataclass(frozen=True)
class Entry:
    """One picture of the list."""

    place: int
    """In the samples that are listed, from 0."""
    sample: Row
    seed: int
    """The worst one, in the metric that ranks the picture."""
    state: str
    charge: Charge | None
    """The metric of the largest harm in margins, else the first one."""


@dataclass(frozen=True)
class Base:
    """A run that is compared with."""

    run: RunFolder
    shared: frozenset[str]
    """The samples that mean the same picture there."""
    metrics: frozenset[str]
    """Those that were measured by the same protocol there."""

    def cells(self, columns: Sequence[harm.Column], samples: Collection[str]) -> harm.Cells:
        """Its values of those of these samples that are shared, in these of its metrics."""
        known = [column for column in columns if column.metric in self.metrics]
        return picking.values(self.run, known, self.shared & set(samples))


@dataclass(frozen=True)
class Beside:
    """A metric's mean of the same picture in a run that is compared with."""

    value: float | None
    harm: float | None
    beyond: bool
    """Whether the harm is the margin or more."""


@dataclass(frozen=True)
class Line:
    """One metric of one picture."""

    column: harm.Column
    digits: int
    margin: float | None
    value: float | None
    """Of one seed."""
    why: str
    """It has none."""
    cell: harm.Cell
    """Mean over seeds."""
    beside: tuple[Beside, ...]


@dataclass(frozen=True)
class Listing:
    """A run's pictures, worst first, and what was measured of them."""

    verdict: Row
    """The run's own, or as much of one as a run has that nobody judged: its state is empty."""
    samples: tuple[Row, ...]
    """Those that are listed, as samples.jsonl has them."""
    entries: tuple[Entry, ...]
    columns: Sequence[harm.Column]
    cells: harm.Cells
    bases: tuple[Base, ...]
    theirs: tuple[harm.Cells, ...]
    """Each base's cells."""
    seeds: Mapping[tuple[str, int, str], tuple[float | None, str]]
    """(sample, seed, metric) → value, or why there is none."""
    said: str = ""
    """Which pictures are listed where there are too many for all."""

    @property
    def tags(self) -> list[tuple[str, int]]:
        """Tag → how many pictures have it, by name."""
        return sorted(Counter(tag for row in self.samples for tag in set(row["tags"])).items())

    @property
    def states(self) -> list[tuple[str, str, int]]:
        """(state, how it is said, how many pictures have it)"""
        counts = Counter(entry.state for entry in self.entries)
        return [(state, said, counts[state]) for state, said in SAID.items() if counts[state]]

    @property
    def digits(self) -> dict[str, int]:
        """Digits after the point for each metric's values, as in the report."""
        return harm.digits(self.verdict)

    @property
    def heads(self) -> list[str]:
        """What the values in `Line.beside` are of."""
        names = [baseline(number, len(self.bases)) for number in range(1, len(self.bases) + 1)]
        return names or (["Baseline"] if self.verdict["gates"] else [])

    def lines(self, sample: str, seed: int) -> list[Line]:
        """Every metric of a picture at a seed, those that decide first."""
        keys = [(sample, column.metric) for column in self.columns]
        own = {key: self.cells[key] for key in keys if key in self.cells}
        better = _better(self.columns)
        against = [(theirs, harm.with_harm(own, theirs, better)) for theirs in self.theirs]
        if self.heads and not against:
            against = [({}, own)]  # its run folder is not at hand; the verdict names some harms
        digits, margins = self.digits, _margins(self.verdict)
        lines = []
        for column in self.columns:
            key, margin = (sample, column.metric), margins.get(column.metric)
            if key in own:
                value, why = self.seeds.get((sample, seed, column.metric), (None, "no row"))
                beside = [_beside(theirs.get(key), ours[key], margin) for theirs, ours in against]
                places = digits.get(column.metric, 3)
                lines.append(Line(column, places, margin, value, why, own[key], tuple(beside)))
        return lines


def baseline(number: int, count: int) -> str:
    """What the viewer calls a run that is compared with, from 1."""
    return "Baseline" if count == 1 else f"Baseline {number}"


def listing(run: RunFolder, bases: Sequence[RunFolder] = ()) -> Listing:
    """What is listed of a run, whether or not it was judged.

    UsageError for a run to compare with that has none of its pictures.
    """
    judged = run.verdict_file.is_file()
    verdict = run.verdict() if judged else _unjudged(run)
    columns = harm.columns(verdict, None)
    better = _better(columns)
    ranking = columns[: picking.MAX_COLUMNS] if judged else columns[:1]
    pictures = {row["id"]: _meaning(row) for row in run.each_sample()}
    against = tuple(_base(run, pictures, base) for base in bases)
    other = choosing.arm(bases[0], against[0].shared) if against else None
    metrics = against[0].metrics if against else None
    large = choosing.whole(verdict, ranking, choosing.arm(run, pictures), other, metrics)
    known = set(pictures if large is None else large.listed)
    samples = tuple(row for row in run.each_sample() if row["id"] in known)
    measured = run.scores_folder.parts() if run.scores_folder.path.is_dir() else ()
    scores = picking.scores_of(run, measured, known)
    theirs = tuple(base.cells(columns, known) for base in against)
    ours = harm.per_picture(scores, better)
    if theirs:
        ours = harm.with_harm(ours, theirs[0], better)
    else:
        ours = harm.with_known_harm(ours, verdict["gates"])
    places = {row["id"]: place for place, row in enumerate(samples)}
    rows = harm.table(sorted(places), ours, ranking)
    margins = _margins(verdict)
    entries = []
    for row in rows:
        place = places[row.sample]
        entries.append(_entry(row, ranking, margins, place, samples[place]))
    said = "" if large is None else large.said
    seeds = _of_seeds(scores)
    return Listing(verdict, samples, tuple(entries), columns, ours, against, theirs, seeds, said)


def _base(run: RunFolder, pictures: Mapping[str, int], base: RunFolder) -> Base:
    """A run to compare with; `pictures` are the meanings of all of the run's own samples."""
    shared = frozenset(
        row["id"] for row in base.each_sample() if pictures.get(row["id"]) == _meaning(row)
    )
    if not shared:
        raise UsageError(
            f"{base.path} has no picture in common with this run.",
            "No sample of it has the same name, reference and prompt.",
            "name a run over the same suite",
        )
    ours, theirs = _protocols(run), _protocols(base)
    same = {name for name, known in theirs.items() if ours.get(name) == known}
    return Base(base, shared, frozenset(same))


def _meaning(sample: Row) -> int:
    """Which picture a sample is: a number, as a million references and prompts take much memory."""
    return hash(repr((sample.get("sha256"), sample.get("prompt"))))


def _protocols(run: RunFolder) -> dict[str, Any]:
    facts = (run.record().get("facts") or {}).items()
    return {metric: known.get("fingerprint") for metric, known in facts}


def _entry(
    row: harm.Row,
    columns: Sequence[harm.Column],
    margins: Mapping[str, float],
    place: int,
    sample: Row,
) -> Entry:
    charges = []
    for column, cell in zip(columns, row.cells, strict=True):
        margin = margins.get(column.metric)
        known = cell.harm is not None and margin is not None
        charges.append(Charge(column, cell, cell.harm / margin if known else None))
    state = _state(row, [one for one in charges if one.column.metric in margins])
    worst = next(iter(charges), None)
    if state not in (MISSING, UNKNOWN):
        worst = max((one for one in charges if one.times is not None), key=lambda one: one.times)
    cells = row.cells if worst is None else (worst.cell, *row.cells)
    seed = next((cell.seed for cell in cells if cell.seed is not None), 0)
    return Entry(place, sample, seed, state, worst)


def _state(row: harm.Row, charges: Sequence[Charge]) -> str:
    """By the metrics that have a margin. One harm of the margin or more is enough to know."""
    times = [one.times for one in charges if one.times is not None]
    if row.missing:
        return MISSING
    if times and max(times) >= 1:
        return BEYOND
    if not times or any(one.times is None and not one.cell.aside for one in charges):
        return UNKNOWN
    return WITHIN if max(times) > 0 else NONE


def _beside(theirs: harm.Cell | None, ours: harm.Cell, margin: float | None) -> Beside:
    beyond = ours.harm is not None and margin is not None and ours.harm >= margin
    return Beside(None if theirs is None else theirs.value, ours.harm, beyond)


def _margins(verdict: Row) -> dict[str, float]:
    """Metric → the margin of its worst gate."""
    gates = reversed(wording.by_severity(split(verdict["gates"])[0]))
    known = (gate for gate in gates if harm.paired(gate) and gate.get("margin"))
    return {gate["metric"]: gate["margin"] for gate in known}


def _better(columns: Sequence[harm.Column]) -> dict[str, str]:
    return {column.metric: column.better for column in columns if column.better}


def _of_seeds(scores: pd.DataFrame) -> dict[tuple[str, int, str], tuple[float | None, str]]:
    found = {}
    columns = [scores[name].tolist() for name in ("sample", "seed", "metric", "value", "why")]
    for sample, seed, metric, value, why in zip(*columns, strict=True):
        known = value is not None and math.isfinite(value)
        found[sample, seed, metric] = (value if known else None, why or "")
    return found


def _unjudged(run: RunFolder) -> Row:
    """As much of a verdict as a run without one has: its metrics."""
    record, there = run.record(), run.scores_folder.path.is_dir()
    rows = []
    for name, known in (record.get("facts") or {}).items():
        count = int(run.scores_folder.of(name)["value"].notna().sum()) if there else 0
        rows.append({"metric": name, "count": count, **known})
    candidate = {"plan": record.get("plan")}
    return {"state": "", "gates": [], "metrics": rows, "candidate": candidate}
