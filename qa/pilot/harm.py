"""What a pilot's two arms share: harm by sample and seed, and its spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qa import groups
from qa.errors import UsageError
from qa.gates.pairs import population, sign, table
from qa.metrics.facts import direction
from qa.results import Results
from qa.stats import Components
from qa.stats import components as of_table

if TYPE_CHECKING:
    import pandas as pd


def harm(
    metric: str, known: Mapping[str, Any], candidate: Results, baseline: Results | None
) -> pd.DataFrame | None:
    """Harm by sample and seed where both arms were to have one; the values without a baseline.

    `known` are the metric's facts. None where an arm does not have the metric.
    """
    ours = table(candidate, metric)
    if baseline is None:
        return ours if len(ours.columns) and ours.notna().any(axis=None) else None
    better = known.get("better") or direction(metric)
    if better is None or metric not in candidate.metrics or metric not in baseline.metrics:
        return None
    applies, (samples, seeds) = population(candidate, baseline, metric), shared(candidate, baseline)
    kept = sorted(set(samples) & set(applies))
    theirs = table(baseline, metric).reindex(index=kept, columns=seeds)
    return sign(better) * (theirs - ours.reindex(index=kept, columns=seeds))


def components(found: pd.DataFrame, candidate: Results) -> Components | None:
    """Between units (`qa.groups`) and within them, for seeds; None below two units.

    Every seed of a group has all of its takes: their spread within the group counts as that of
    one seed, divided by their number.
    """
    rows = groups.rows(found, groups.units(map(str, found.index), candidate.groups))
    parts = of_table(rows)
    takes = rows.shape[1] // max(1, len(found.columns))
    if parts is None or takes < 2:
        return parts
    return replace(parts, within=parts.within / takes, seeds=max(1, parts.seeds // takes))


def shared(candidate: Results, baseline: Results | None) -> tuple[list[str], list[int]]:
    """Samples that mean the same picture in both arms, and seeds of both; UsageError for none."""
    if baseline is None:
        return candidate.samples, candidate.seeds
    ours, theirs = candidate.digests, baseline.digests
    samples = [
        name
        for name in sorted(set(candidate.samples) & set(baseline.samples))
        if name not in ours or name not in theirs or ours[name] == theirs[name]
    ]
    seeds = sorted(set(candidate.seeds) & set(baseline.seeds))
    if not samples or not seeds:
        raise UsageError(
            f"{candidate.name} and {baseline.name} share no picture.",
            "A pilot needs pictures and seeds that both have.",
            "qa plan RUN --baseline BASE, with a run over the same suite",
        )
    return samples, seeds


def facts(metric: str, *arms: Results | None) -> Mapping[str, Any]:
    """What is known about a metric, from the first arm that knows it; {} if none does."""
    known = (arm.record.get("facts", {}).get(metric) for arm in arms if arm is not None)
    return next(filter(None, known), {})


def mismatch(metric: str, candidate: Results, baseline: Results | None) -> str:
    """That the arms measured a metric in two ways, or ""."""
    if baseline is None:
        return ""
    ours, theirs = (facts(metric, arm).get("fingerprint") for arm in (candidate, baseline))
    if ours is None or theirs is None or ours == theirs:
        return ""
    return f"measured in two ways: fingerprint {ours[:12]} against {theirs[:12]}"
