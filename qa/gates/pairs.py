"""Harm of a picture: what the candidate lost against the baseline on the same picture and noise.

    harm = sign · (baseline − candidate)        positive = worse

Seeds are averaged within a picture before anything is counted: the picture is what was sampled. So
are pictures within a group (`qa.groups`), where there are groups. Pictures to which neither arm can
apply a metric are no part of its population.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qa import groups
from qa.metrics.facts import direction, share_of
from qa.results import Results
from qa.stats import Interval, mean_interval, rate_interval, share_interval

if TYPE_CHECKING:
    import pandas as pd

WORST = 5


def sign(better: str) -> float:
    """What makes a loss positive, of a metric that is better when `higher` or `lower`."""
    return 1.0 if better == "higher" else -1.0


def units(candidate: Results, baseline: Results) -> dict[str, str]:
    """Sample of either arm → its unit; where the arms group differently, as the candidate does."""
    known = {**baseline.groups, **candidate.groups}
    return groups.units({*candidate.samples, *baseline.samples}, known)


def population(candidate: Results, baseline: Results, metric: str) -> list[str]:
    """Samples of either arm, sorted, but for those to which the metric applies in neither arm."""
    aside = candidate.inapplicable(metric) & baseline.inapplicable(metric)
    return sorted({*candidate.samples, *baseline.samples} - aside)


def per_picture(candidate: Results, baseline: Results, metric: str, better: str) -> pd.Series:
    """Harm by sample (positive = worse), seeds averaged; NaN where either arm lacks a value."""
    harm = sign(better) * (baseline.by_picture(metric) - candidate.by_picture(metric))
    return harm.reindex(population(candidate, baseline, metric))


def worst_seed(candidate: Results, baseline: Results, metric: str, better: str) -> pd.Series:
    """Harm by sample of the seed that lost most; NaN where a seed of either arm has no value."""
    ours, theirs = table(candidate, metric), table(baseline, metric)
    harm = sign(better) * (theirs - ours)
    return harm.max(axis=1, skipna=False).reindex(population(candidate, baseline, metric))


def table(results: Results, metric: str) -> pd.DataFrame:
    """Values by sample (rows) and seed (columns), for all samples and seeds; NaN for none."""
    return results.by_seed(metric)


def harm_interval(
    candidate: Results, baseline: Results, metric: str, better: str, confidence: float
) -> tuple[Interval | None, pd.Series]:
    """The mean harm over units with its interval, and the harm of every picture, by sample."""
    harm, unit = per_picture(candidate, baseline, metric, better), units(candidate, baseline)
    paired = candidate.seeds == baseline.seeds and not harm.isna().any()
    if paired and is_rate(metric, candidate, baseline):
        theirs, ours = (groups.rows(table(arm, metric), unit) for arm in (baseline, candidate))
        first, second = (theirs, ours) if better == "higher" else (ours, theirs)
        return rate_interval(first, second, confidence), harm
    values = groups.means(harm, unit).dropna().sort_index()
    return picture_interval(values, share_unit(metric, candidate, baseline), confidence), harm


def picture_interval(values: pd.Series, unit: float | None, confidence: float) -> Interval | None:
    """Interval of a mean over pictures; `unit` as from `share_unit`."""
    if unit is None:
        return mean_interval(values.to_numpy(), confidence)
    return share_interval(values.to_numpy(), unit, confidence)


def share_unit(metric: str, *arms: Results) -> float | None:
    """What one thing weighs in a picture's share of them; None for values that are no such shares.

    1 over how many a picture has on average. A metric says so (`values: share` in its protocol,
    `of` names the metric that counts them), for a bare table the packaged panels do. Without the
    counts it is the smallest value above 0 that either arm has, or 1.
    """
    known = [arm.record.get("facts", {}).get(metric) for arm in arms]
    told = [facts.get("protocol", {}) for facts in known if facts]
    of = share_of(metric) if not told else told[0].get("of")
    if of is None or (told and told[0].get("values") != "share"):
        return None
    for arm in arms:
        counts = arm.by_picture(str(of)).dropna()
        if (counts > 0).any():
            return 1 / float(counts.mean())
    found = [arm.rows(metric)["value"] for arm in arms]
    return min((float(part[part > 0].min()) for part in found if (part > 0).any()), default=1.0)


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
        found |= set(arm.rows(metric)["value"].dropna().unique())
    known = bool(facts) or direction(metric) is not None
    return found == {0.0, 1.0} or (not known and bool(found) and found <= {0.0, 1.0})


def worst(harm: pd.Series, unit: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The pictures with the largest harm, worst first, of each group (`unit`) the worst one."""
    known = harm.dropna()
    owner = unit or {}
    together = groups.means(known, owner) if unit else known
    alone = together is known
    if alone and len(known) > WORST:  # of a million pictures few can be among the worst
        known = known[known >= known.nlargest(WORST).iloc[-1]]
    means = {} if alone else together.to_dict()
    ranked = sorted(
        (-value, -value if alone else -means[owner[str(name)]], str(name))
        for name, value in zip(known.index, known.tolist(), strict=True)
    )
    first: dict[str, dict[str, Any]] = {}
    for value, _, name in ranked:
        first.setdefault(owner.get(name, name), {"sample": name, "harm": -value})
    return list(first.values())[:WORST]


def mean(results: Results, metric: str) -> float | None:
    """Mean over units of one arm, or None if it has no value."""
    known = results.by_picture(metric).dropna().sort_index()
    found = groups.means(known, groups.units(results.samples, results.groups))
    return float(found.mean()) if len(found) else None


def first_gap(metric: str, harm: pd.Series, candidate: Results, baseline: Results) -> str:
    """Which picture has no pair of values, and why."""
    sample = harm[harm.isna()].index[0]
    for arm, results in (("candidate", candidate), ("baseline", baseline)):
        rows = results.rows(metric)
        rows = rows[rows["sample"] == sample]
        if not len(rows):
            return f"{sample!r} has no {metric} in the {arm}"
        gap = rows[rows["value"].isna()]
        if len(gap):
            return f"{sample!r} in the {arm}: {gap.iloc[0]['why'] or 'no value'}"
    return f"{sample!r} lacks a seed"
