"""Harm of a picture: what the candidate lost against the baseline on the same picture and noise.

    harm = sign · (baseline − candidate)        positive = worse

Seeds are averaged within a picture before anything is counted: the picture is what was sampled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qa.metrics.facts import direction
from qa.results import Results
from qa.stats import Interval, mean_interval, rate_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

WORST = 5


def sign(better: str) -> float:
    """What makes a loss positive, of a metric that is better when `higher` or `lower`."""
    return 1.0 if better == "higher" else -1.0


def per_picture(candidate: Results, baseline: Results, metric: str, better: str) -> pd.Series:
    """Harm by sample (positive = worse), seeds averaged; NaN where either arm lacks a value."""
    samples = sorted({*candidate.samples, *baseline.samples})
    harm = sign(better) * (baseline.by_picture(metric) - candidate.by_picture(metric))
    return harm.reindex(samples)


def worst_seed(candidate: Results, baseline: Results, metric: str, better: str) -> pd.Series:
    """Harm by sample of the seed that lost most; NaN where a seed of either arm has no value."""
    ours, theirs = table(candidate, metric), table(baseline, metric)
    harm = sign(better) * (theirs - ours)
    samples = sorted({*candidate.samples, *baseline.samples})
    return harm.max(axis=1, skipna=False).reindex(samples)


def table(results: Results, metric: str) -> pd.DataFrame:
    """Values by sample (rows) and seed (columns), for all samples and seeds; NaN for none."""
    return results.by_seed(metric)


def harm_interval(
    candidate: Results, baseline: Results, metric: str, better: str, confidence: float
) -> tuple[Interval | None, pd.Series]:
    """The mean harm with its interval, and the harm of every picture that has one, by sample."""
    harm = per_picture(candidate, baseline, metric, better)
    paired = candidate.seeds == baseline.seeds and not harm.isna().any()
    if paired and is_rate(metric, candidate, baseline):
        theirs, ours = (table(arm, metric).to_numpy() for arm in (baseline, candidate))
        first, second = (theirs, ours) if better == "higher" else (ours, theirs)
        return rate_interval(first, second, confidence), harm
    return mean_interval(harm.dropna().sort_index().to_numpy(), confidence), harm


def is_rate(metric: str, candidate: Results, baseline: Results) -> bool:
    """Whether the values say passed (1) or not (0), so that few failures need counts.

    A metric says so itself (`values: rate` in its protocol). Otherwise its values do, if all of
    them are 0 or 1. Of a metric that the harness knows both must occur: a perfect SSIM is always 1.
    """
    facts = candidate.record.get("facts", {}).get(metric)
    if facts and facts.get("protocol", {}).get("values") == "rate":
        return True
    found: set[float] = set()
    for arm in (candidate, baseline):
        found |= set(arm.scores.loc[arm.scores["metric"] == metric, "value"].unique())
    known = bool(facts) or direction(metric) is not None
    return found == {0.0, 1.0} or (not known and bool(found) and found <= {0.0, 1.0})


def worst(harm: pd.Series) -> list[dict[str, Any]]:
    """The pictures with the largest harm, worst first."""
    top = harm.dropna().sort_index().sort_values(ascending=False, kind="stable").head(WORST)
    return [{"sample": str(name), "harm": float(value)} for name, value in top.items()]


def mean(results: Results, metric: str) -> float | None:
    """Mean over pictures of one arm, or None if it has no value."""
    values = results.by_picture(metric).dropna().sort_index()
    return float(values.mean()) if len(values) else None


def first_gap(metric: str, harm: pd.Series, candidate: Results, baseline: Results) -> str:
    """Which picture has no pair of values, and why."""
    sample = harm[harm.isna()].index[0]
    for arm, results in (("candidate", candidate), ("baseline", baseline)):
        rows = results.scores
        rows = rows[(rows["sample"] == sample) & (rows["metric"] == metric)]
        if not len(rows):
            return f"{sample!r} has no {metric} in the {arm}"
        gap = rows[rows["value"].isna()]
        if len(gap):
            return f"{sample!r} in the {arm}: {gap.iloc[0]['why'] or 'no value'}"
    return f"{sample!r} lacks a seed"


def values(results: Results, metric: str) -> NDArray[np.float64]:
    """Means over seeds of all pictures that have one, in order of their ids."""
    return results.by_picture(metric).dropna().sort_index().to_numpy()
