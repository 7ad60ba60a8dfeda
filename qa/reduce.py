"""From the results of the units to the tables of their run, in an order that nothing influences."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qa import tables
from qa.errors import QaError
from qa.files import atomic
from qa.scores import ScoreWriter
from qa.store import RunFolder, UnitResult


def reduce(
    run: RunFolder, units: Sequence[str], metrics: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Write decoded.parquet and the scores of `metrics` from the units' results.

    `units` are in order of their samples' ids, as a plan has them; one result is in memory at a
    time. Scores of metrics that an earlier run of the same plan asked for are left out.
    Returns features id → the first sample that has none, and why (qa.features.stored). QaError for
    a unit without a result, or whose seeds are not those of the first.
    """
    gaps: dict[str, tuple[str, str]] = {}
    seeds: tuple[int, ...] = ()
    lost, before = [], ""
    with (
        atomic(run.decoded_file) as file,
        tables.Writer(file, tables.DECODED) as decoded,
        run.scores_folder.anew() as scores,
    ):
        for unit in units:
            result = run.finished(unit)
            if result is None:
                lost.append(unit)
            elif not lost:
                seeds = seeds or result.seeds
                if result.seeds != seeds:
                    raise QaError(
                        f"Units of {run.path} do not have the same seeds.",
                        f"{units[0]} has {list(seeds)}, {unit} has {list(result.seeds)}.",
                        "run the same command again: a unit that lacks a picture is made again",
                    )
                sample = _gather(result, metrics, decoded, scores)
                if sample <= before:
                    raise ValueError(f"{sample!r} comes after {before!r}")
                before = sample
                for mark, why in result.features.items():
                    if why:
                        gaps.setdefault(mark, (sample, why))
        if lost:
            raise QaError(
                f"{len(lost)} of {len(units)} units have no result in {run.path}.",
                f"The first is {lost[0]}.",
                "run the same command again: it continues",
            )
    return gaps


def _gather(
    result: UnitResult, metrics: Collection[str], decoded: tables.Writer, scores: ScoreWriter
) -> str:
    """Add a unit's rows to the tables, seed by seed; returns its sample."""
    for made in sorted(result.decoded, key=lambda row: row.seed):
        decoded.add([getattr(made, column) for column in tables.DECODED])
    for score in sorted(result.scores, key=lambda row: row.seed):
        if score.metric in metrics:
            scores.add(score.metric, (score.sample, score.seed, score.value, score.why))
    return result.decoded[0].sample
