"""Slices: each primary metric by kind of picture, and the mean over the kinds.

A slice holds the samples with one first tag. Its harm is judged against the metric's margin as
`regression` judges all pictures together; so is the mean over K slices, which counts every slice
alike however many pictures it has (GenEval's overall score does):

    D = Σ D_k / K      low = D − √Σ (D_k − low_k)² / K      high = D + √Σ (high_k − D_k)² / K

Slices share no picture, so their errors are independent. Where the intervals are symmetric these
ends are D ± the root of the summed squares of the standard errors; taken end by end they also hold
for the others (Zou and Donner, Statistics in Medicine 27, 2008).

The rows have no vote: of six unharmed slices one would fail in every fourth run. Their q is a false
discovery rate over all of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from qa.gates import families, pairs, sets
from qa.gates.case import Case
from qa.gates.comparable import restricted
from qa.gates.compared import Compared, compare, judged
from qa.gates.rows import Row
from qa.stats import Interval, z_quantile
from qa.stats.decide import non_inferiority
from qa.stats.interval import z_above

MEAN = "mean of slices"


class Slices:
    """Rows `metric[tag]` and `metric[mean of slices]` for every primary metric of pictures."""

    name = "slices"
    compares = True

    def __call__(self, case: Case) -> list[Row]:
        """No row where fewer than two tags have a picture; samples without a tag are in none."""
        rows: list[Row] = []
        for metric in sorted(case.use.primary):
            if not sets.is_set(metric, case.candidate, case.baseline):
                rows += self._rows(metric, case)
        return families.corrected(rows, case)

    def _rows(self, metric: str, case: Case) -> list[Row]:
        parts = _parts(metric, case)
        if len(parts) < 2:
            return []
        found = {tag: compare(metric, part) for tag, part in parts.items()}
        rows = [self._row(metric, tag, parts[tag], found[tag]) for tag in parts]
        together = combined(list(found.values()), case.alpha)
        short = [tag for tag, one in found.items() if one.harm and one.harm.low is None]
        if short and not together.why:
            told = f"too few pictures of {', '.join(short)}, a slice needs two"
            together = replace(together, why=told)
        return [*rows, self._row(metric, MEAN, case, together)]

    def _row(self, metric: str, tag: str, case: Case, found: Compared) -> Row:
        entry = judged(self.name, metric, case, non_inferiority, found=found)
        worst = [{**row, "metric": metric} for row in entry["worst"]]
        return {**entry, "metric": f"{metric}[{tag}]", "role": "secondary", "counts": False,
                "worst": worst}  # fmt: skip


def _parts(metric: str, case: Case) -> dict[str, Case]:
    """Tag → the case cut down to its samples, for tags to whose samples the metric applies."""
    tags = {**case.baseline.slices, **case.candidate.slices}
    applies = set(pairs.population(case.candidate, case.baseline, metric))
    found = {}
    for tag in sorted(set(tags.values())):
        samples = {name for name, own in tags.items() if own == tag} & applies
        if samples:
            found[tag] = _cut(case, samples)
    return found


def _cut(case: Case, samples: Collection[str]) -> Case:
    assert case.against is not None
    against = replace(case.against, results=restricted(case.baseline, samples))
    return replace(case, candidate=restricted(case.candidate, samples), against=against)


def combined(slices: Sequence[Compared], alpha: float) -> Compared:
    """The unweighted mean of independent comparisons; `alpha` is the error of each end."""
    return Compared(
        _mean([found.harm for found in slices], alpha),
        sum(found.missing for found in slices),
        _average([found.candidate for found in slices]),
        _average([found.baseline for found in slices]),
        next((found.why for found in slices if found.why), ""),
    )


def _mean(harms: Sequence[Interval | None], alpha: float) -> Interval | None:
    """None where a slice has no harm, without ends where one has no interval."""
    known = [harm for harm in harms if harm is not None]
    if len(known) < len(harms):
        return None
    mean, count = _average([harm.mean for harm in known]), sum(harm.count for harm in known)
    assert mean is not None
    below = [harm.mean - harm.low for harm in known if harm.low is not None]
    above = [harm.high - harm.mean for harm in known if harm.high is not None]
    if len(below) < len(known) or len(above) < len(known):
        return Interval(mean, None, None, None, count)
    down, up = (math.hypot(*ends) / len(known) for ends in (below, above))
    error = down / z_quantile(1 - alpha)
    p_worse = float(z_above(mean / error)) if error else float(mean <= 0)
    return Interval(
        mean, mean - down, mean + up, error * math.sqrt(count), count, "slices", p_worse
    )


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
