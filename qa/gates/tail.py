"""Catastrophes: how many pictures are visibly broken, whatever the mean says?

A picture is a catastrophe if its worst seed loses more than the breakage level in a listed metric,
or if it could not be decoded; a group of pictures (`qa.groups`) counts once, as its worst one.
Exact binomial bounds (Clopper and Pearson, Biometrika 26, 1934): without a single catastrophe 299
pictures show a rate below 1 %, and 59 one below 5 %.

A breakage level is never below the metric's margin: what is acceptable on average breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qa.gates import pairs, sets
from qa.gates.case import Case
from qa.gates.rows import Row, row
from qa.stats import clopper_pearson, zero_events_needed
from qa.stats.decide import Outcome, tail

if TYPE_CHECKING:
    import pandas as pd

METRIC = "catastrophe"


class Tail:
    """One row: the rate of catastrophes against the rate that the use case lets pass."""

    name = "tail"
    compares = True

    def __call__(self, case: Case) -> list[Row]:
        """No row where the use case lists nothing that was measured; INVALID under `release`."""
        rate, levels = case.use.catastrophe, _levels(case)
        if rate is None or not levels:
            if not case.release:
                return []
            lacking = "a catastrophe rate" if rate is None else "a breakage level that was measured"
            return [row(self.name, METRIC, Outcome("INVALID", f"the use case lacks {lacking}"))]
        lost = {str(failure["sample"]): failure["why"] for failure in case.candidate.failures}
        harms = {
            metric: pairs.worst_seed(case.candidate, case.baseline, metric, case.better[metric])
            for metric in levels
        }
        unit = pairs.units(case.candidate, case.baseline)
        planned, gaps = set(unit.values()), _gaps(harms, lost)
        untold = {unit[sample] for sample in gaps}
        broken = _one_each(_catastrophes(harms, levels, lost), unit)
        found = [entry for name, entry in broken.items() if name not in untold]
        if gaps:
            sample, metric = next(iter(gaps.items()))
            share = f"{len(untold)} of {len(planned)}"
            why = f"{share} pictures cannot be told: {sample!r} has no {metric}"
            outcome = Outcome("INVALID", why)
        else:
            outcome = tail(len(found), len(planned), rate.value, case.confidence)
        count = len(planned) - len(untold)
        return [_row(case, outcome, found, count, len(untold), levels)]


def _row(
    case: Case,
    outcome: Outcome,
    found: list[dict[str, Any]],
    count: int,
    missing: int,
    levels: Mapping[str, float],
) -> Row:
    rate = case.use.catastrophe
    assert rate is not None
    low, high = clopper_pearson(len(found), count, case.confidence) if count else (None, None)
    # Under `pr` too few pictures to show so low a rate are no reason to hold a change back.
    hopeless = count < zero_events_needed(rate.value, case.confidence)
    idle = hopeless and not case.release and outcome.state == "INCONCLUSIVE"
    broken = ", ".join(f"{metric} {level:g}" for metric, level in sorted(levels.items()))
    return row(
        Tail.name,
        METRIC,
        outcome,
        counts=not idle,
        estimate=len(found) / count if count else None,
        low=low,
        high=high,
        margin=rate.value,
        margin_why=f"{rate.why}; broken: harm above {broken}, or no picture".removeprefix("; "),
        method="clopper-pearson",
        count=count,
        missing=missing,
        better="lower",
        candidate=len(found) / count if count else None,
        worst=found[: pairs.WORST],
    )


def _levels(case: Case) -> dict[str, float]:
    """Harm above which a picture is broken, by metric; values of sets break no picture."""
    arms = (case.candidate, case.baseline)
    return {
        metric: max(level.value, _margin(case, metric))
        for metric, level in sorted(case.use.breakage.items())
        if not sets.is_set(metric, *arms) and metric not in case.mismatch
    }


def _margin(case: Case, metric: str) -> float:
    margin = case.use.margins.get(metric)
    found = None if margin is None else margin.at(pairs.mean(case.baseline, metric))
    return found or 0.0


def _catastrophes(
    harms: Mapping[str, pd.Series], levels: Mapping[str, float], lost: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Broken pictures, worst first: those without a picture, then by harm in breakage levels."""
    found: list[tuple[float, dict[str, Any]]] = [
        (float("inf"), {"sample": sample, "harm": None, "metric": METRIC, "why": why})
        for sample, why in lost.items()
    ]
    worst: dict[str, tuple[float, dict[str, Any]]] = {}
    for metric, harm in harms.items():
        for sample, value in harm[harm > levels[metric]].items():
            size = float(value) / levels[metric]
            if sample not in lost and size > worst.get(str(sample), (0.0,))[0]:
                entry = {"sample": str(sample), "harm": float(value), "metric": metric}
                worst[str(sample)] = (size, entry)
    ordered = sorted([*found, *worst.values()], key=lambda pair: (-pair[0], pair[1]["sample"]))
    return [entry for _, entry in ordered]


def _one_each(found: list[dict[str, Any]], unit: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Unit → its worst broken picture, worst first: pictures of a group break together."""
    first: dict[str, dict[str, Any]] = {}
    for entry in found:
        first.setdefault(unit.get(entry["sample"], entry["sample"]), entry)
    return first


def _gaps(harms: Mapping[str, pd.Series], lost: Mapping[str, str]) -> dict[str, str]:
    """Pictures that are there but lack a pair of values, with the first metric that they lack."""
    gaps: dict[str, str] = {}
    for metric, harm in harms.items():
        for sample in harm[harm.isna()].index:
            if sample not in lost:
                gaps.setdefault(str(sample), metric)
    return dict(sorted(gaps.items()))
