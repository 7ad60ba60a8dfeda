"""Verdicts from stored scores alone: no torch, no pictures, no models.

    Results (a run folder, or any table of scores)  ×2
        │ comparable?  samples, seeds, metric fingerprints ─── no ──► INVALID, field by field
        ▼
    harm per picture = sign · (baseline − candidate), averaged over seeds
        ▼
    interval over pictures ──► a gate per metric with a margin ──► one verdict document

The document (docs/formats.md) is the single source of terminal table, report, MLflow tags and
exit code, and holds nothing that differs between two runs of the same plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qa import judge_sets, summary
from qa.errors import UsageError
from qa.gates.margins import Margin
from qa.gates.regression import regression
from qa.metrics.facts import direction
from qa.results import Results
from qa.stats import CONFIDENCE, Interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "decoder-qa/verdict/1"
EXIT_CODES = {"PASS": 0, "MEASURED": 0, "FAIL": 3, "INCONCLUSIVE": 4, "INVALID": 5}
WORST = 5


@dataclass(frozen=True)
class Arms:
    """The two sides of a comparison."""

    candidate: Results
    baseline: Results
    confidence: float
    incomparable: bool


def judge(
    candidate: Results,
    baseline: Results | None,
    margins: Mapping[str, Margin],
    *,
    use_case: str | None = None,
    better: Mapping[str, str] | None = None,
    confidence: float = CONFIDENCE,
) -> dict[str, Any]:
    """The verdict document.

    Every metric of `margins` is gated; one that nobody measured is INVALID (`applicable` leaves
    out what neither arm planned). `better` gives the direction (`higher`, `lower`) of metrics the
    harness does not know. Without a baseline the state is MEASURED, or INVALID if pictures are
    missing.
    """
    directions = _directions(candidate, baseline, better or {}, set(margins))
    failures = list(candidate.failures)
    problems, gates = [], []
    if baseline is not None:
        problems = incomparable(candidate, baseline, margins)
        if not margins:
            problems.append("nothing was compared: no measured metric has a margin")
        arms = Arms(candidate, baseline, confidence, bool(problems))
        gates = [_gate(m, arms, margins[m], directions[m]) for m in sorted(margins)]
    measured = [_metric(name, candidate, directions, confidence) for name in candidate.metrics]
    if not any(row["count"] for row in measured):
        problems.append("nothing was measured: no metric has a value")
    state = summary.overall(baseline is not None, gates, problems, failures)
    return {
        "schema": SCHEMA,
        "state": state,
        "exit_code": EXIT_CODES[state],
        "summary": summary.sentence(state, gates, problems, failures, len(candidate.samples)),
        "candidate": candidate.describe(),
        "baseline": None if baseline is None else baseline.describe(),
        "use_case": use_case,
        "confidence": confidence,
        "gates": gates,
        "metrics": measured,
        "failures": failures,
        "problems": problems,
    }


def applicable(
    margins: Mapping[str, Margin], candidate: Results, baseline: Results | None
) -> dict[str, Margin]:
    """A use case's margins for the metrics that either arm measured or planned.

    A metric that only the baseline has stays in, and so fails closed.
    """
    measured = {*candidate.metrics, *(baseline.metrics if baseline else ())}
    return {metric: margin for metric, margin in margins.items() if metric in measured}


def per_picture(candidate: Results, baseline: Results, metric: str, better: str) -> pd.Series:
    """Harm by sample (positive = worse), seeds averaged; NaN where either arm lacks a value."""
    sign = 1.0 if better == "higher" else -1.0
    samples = sorted({*candidate.samples, *baseline.samples})
    harm = sign * (baseline.by_picture(metric) - candidate.by_picture(metric))
    return harm.reindex(samples)


def incomparable(candidate: Results, baseline: Results, gated: Collection[str]) -> list[str]:
    """Why the arms may not be compared on the gated metrics, field by field; empty if they may."""
    problems = []
    only = [sorted(set(a.samples) - set(b.samples)) for a, b in (
        (candidate, baseline), (baseline, candidate))]  # fmt: skip
    for arm, names in zip(("candidate", "baseline"), only, strict=True):
        if names:
            problems.append(f"samples: {len(names)} only in the {arm}, e.g. {names[0]!r}")
    changed = [
        name
        for name in sorted(set(candidate.digests) & set(baseline.digests))
        if candidate.digests[name] != baseline.digests[name]
    ]
    if changed:
        problems.append(f"samples: {len(changed)} have another reference, e.g. {changed[0]!r}")
    if candidate.seeds != baseline.seeds:
        problems.append(
            f"seeds: {candidate.seeds} in the candidate, {baseline.seeds} in the baseline"
        )
    ours, theirs = candidate.record.get("facts", {}), baseline.record.get("facts", {})
    for metric in sorted(set(ours) & set(theirs) & set(gated)):
        prints = [facts[metric].get("fingerprint") for facts in (ours, theirs)]
        if prints[0] != prints[1]:
            problems.append(f"fingerprint of {metric}: {prints[0]} against {prints[1]}")
        marks = [arm.record.get("encoder_digest") for arm in (candidate, baseline)]
        if ours[metric].get("of") == "latent" and marks[0] != marks[1]:
            problems.append(f"encoder of {metric}: {_short(marks[0])} against {_short(marks[1])}")
    if baseline.record.get("limited"):
        problems.append("the baseline is a limited run (limit=)")
    return problems


def _short(digest: object) -> str:
    return str(digest)[:12]


def _gate(metric: str, arms: Arms, margin: Margin, better: str) -> dict[str, Any]:
    if judge_sets.is_set(metric, arms.candidate):
        found = judge_sets.gate(
            metric, arms.candidate, arms.baseline, margin, better, arms.confidence
        )
    else:
        found = _picture_gate(metric, arms, margin, better)
    invalid = {"state": "INVALID", "why": "the runs are not comparable"}
    return {
        "gate": "regression",
        "metric": metric,
        "margin": margin.value,
        "margin_why": margin.why,
        "unit": _unit(metric, arms.candidate, arms.baseline),
        "better": better,
        **found,
        **(invalid if arms.incomparable else {}),
    }


def _picture_gate(metric: str, arms: Arms, margin: Margin, better: str) -> dict[str, Any]:
    harm = per_picture(arms.candidate, arms.baseline, metric, better)
    found = harm.dropna().sort_index()
    interval = mean_interval(found.to_numpy(), arms.confidence)
    missing = int(harm.isna().sum())
    outcome = regression(interval, missing, margin.value, arms.confidence)
    worst = found.sort_values(ascending=False, kind="stable").head(WORST)
    return {
        "state": outcome.state,
        **_numbers(interval, "estimate"),
        "candidate": _mean(arms.candidate, metric),
        "baseline": _mean(arms.baseline, metric),
        "missing": missing,
        "needs": outcome.needs,
        "why": f"{outcome.why}; {_first_gap(metric, harm, arms)}" if missing else outcome.why,
        "worst": [{"sample": str(name), "harm": float(value)} for name, value in worst.items()],
    }


def _first_gap(metric: str, harm: pd.Series, arms: Arms) -> str:
    sample = harm[harm.isna()].index[0]
    for arm, results in (("candidate", arms.candidate), ("baseline", arms.baseline)):
        rows = results.scores
        rows = rows[(rows["sample"] == sample) & (rows["metric"] == metric)]
        if not len(rows):
            return f"{sample!r} has no {metric} in the {arm}"
        gap = rows[rows["value"].isna()]
        if len(gap):
            return f"{sample!r} in the {arm}: {gap.iloc[0]['why'] or 'no value'}"
    return f"{sample!r} lacks a seed"


def _metric(
    name: str, results: Results, directions: Mapping[str, str], confidence: float
) -> dict[str, Any]:
    facts = results.record.get("facts", {}).get(name, {})
    return {
        "metric": name,
        "better": directions.get(name),
        "unit": facts.get("unit", ""),
        "fingerprint": facts.get("fingerprint"),
        "of": facts.get("of", "picture"),
        **(
            judge_sets.row(name, results)
            if judge_sets.is_set(name, results)
            else _mean_row(name, results, confidence)
        ),
    }


def _mean_row(name: str, results: Results, confidence: float) -> dict[str, Any]:
    values = results.by_picture(name).sort_index()
    interval = mean_interval(values.dropna().to_numpy(), confidence)
    rows = results.scores[(results.scores["metric"] == name) & results.scores["value"].isna()]
    why = results.record.get("unavailable", {}).get(name, "")
    if not why and len(rows):
        why = str(rows.iloc[0]["why"])
    return {**_numbers(interval, "mean"), "missing": int(values.isna().sum()), "why": why}


def _numbers(interval: Interval | None, name: str) -> dict[str, Any]:
    if interval is None:
        return {name: None, "low": None, "high": None, "count": 0}
    return {
        name: interval.mean,
        "low": interval.low,
        "high": interval.high,
        "count": interval.count,
    }


def _mean(results: Results, metric: str) -> float | None:
    values = results.by_picture(metric).dropna().sort_index()
    return float(values.mean()) if len(values) else None


def _unit(metric: str, *arms: Results) -> str:
    known = [arm.record.get("facts", {}).get(metric) for arm in arms]
    return next((str(facts.get("unit", "")) for facts in known if facts), "")


def _directions(
    candidate: Results, baseline: Results | None, given: Mapping[str, str], gated: set[str]
) -> dict[str, str]:
    """Which way is better, by metric; only gated metrics must have a direction."""
    arms = [candidate] if baseline is None else [candidate, baseline]
    found: dict[str, str] = {}
    present = {name for arm in arms for name in arm.metrics}
    for metric, way in given.items():
        if way not in {"higher", "lower"}:
            raise UsageError(f"{metric}={way} is no direction.", "It is either higher or lower.")
        if metric not in present:
            raise UsageError(f"No arm has a metric {metric}.", f"There are {_list(present)}.")
    for metric in sorted(gated | present):
        stored = [arm.record.get("facts", {}).get(metric, {}).get("better") for arm in arms]
        known = next(filter(None, stored), None) or direction(metric)
        if known and given.get(metric, known) != known:
            raise UsageError(
                f"{metric} is better when {known}.", "", f"leave --better {metric} out"
            )
        known = known or given.get(metric)
        if known:
            found[metric] = known
        elif metric not in present:
            raise UsageError(f"No arm has a metric {metric}.", f"There are {_list(present)}.")
        elif metric in gated and baseline is not None:
            raise UsageError(
                f"Which way is {metric} better?",
                "The harness does not know this metric, so it cannot tell harm from gain.",
                f"add --better {metric}=higher or --better {metric}=lower",
            )
    return found


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
