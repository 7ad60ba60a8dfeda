"""One metric of two arms, with its margin: what regression and equivalence judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qa import groups
from qa.gates import pairs, sets
from qa.gates.case import Case
from qa.gates.margins import Margin
from qa.gates.rows import PASSING, Row, numbers, row
from qa.stats import Interval
from qa.stats.decide import Outcome

Rule = Callable[[Interval | None, int, float, float], Outcome]
"""(harm, pictures without a pair, margin, confidence) → outcome: `qa.stats.decide`."""
UNDERPOWERED = (
    "the margin was written as underpowered: the pictures at hand cannot resolve it, "
    "so it may fail but not pass"
)


@dataclass(frozen=True)
class Compared:
    """Harm of one metric over all pictures of both arms to which it applies."""

    harm: Interval | None
    missing: int
    candidate: float | None
    baseline: float | None
    why: str = ""
    """Why there is no harm or no interval, or which value is missing first."""
    worst: list[dict[str, Any]] = field(default_factory=list)


def compare(metric: str, case: Case) -> Compared:
    """The two arms on one metric, whichever kind it is; pictures are counted by unit."""
    arms, better = (case.candidate, case.baseline), case.better[metric]
    if sets.is_set(metric, *arms):
        found = sets.difference(metric, *arms, better, case.confidence, case.partial)
        return Compared(found.harm, found.missing, found.candidate, found.baseline, found.why)
    candidate, baseline = arms
    interval, harm = pairs.harm_interval(candidate, baseline, metric, better, case.confidence)
    unit = pairs.units(candidate, baseline)
    missing = int(groups.means(harm, unit).isna().sum())
    return Compared(
        interval,
        missing,
        pairs.mean(candidate, metric),
        pairs.mean(baseline, metric),
        pairs.first_gap(metric, harm, candidate, baseline) if missing else "",
        pairs.worst(harm, unit),
    )


def judged(
    gate: str,
    metric: str,
    case: Case,
    rule: Rule,
    factor: float = 1.0,
    found: Compared | None = None,
) -> Row:
    """The metric's row: its harm judged by `rule` with `factor` times its margin.

    `found` is that harm where it is known already.
    """
    found, margin = found or compare(metric, case), case.use.margins[metric]
    size = margin.at(found.baseline)
    size = None if size is None else factor * size
    return row(
        gate,
        metric,
        _outcome(metric, found, margin, size, rule, case),
        **numbers(found.harm),
        role="primary" if metric in case.use.primary else "secondary",
        counts=metric in case.use.primary,
        missing=found.missing,
        margin=size,
        margin_relative=margin.value * factor if margin.relative else None,
        margin_why=margin.why if factor == 1 else f"{factor:g} x: {margin.why}",
        unit=case.unit(metric),
        better=case.better[metric],
        candidate=found.candidate,
        baseline=found.baseline,
        worst=found.worst,
    )


def _outcome(
    metric: str, found: Compared, margin: Margin, size: float | None, rule: Rule, case: Case
) -> Outcome:
    if metric in case.mismatch:
        return Outcome("INVALID", case.mismatch[metric], None)
    if size is None and found.baseline is not None:
        share = f"{100 * margin.value:g} % of {found.baseline:g}"
        return Outcome("INVALID", f"the margin, {share}, is no positive number", None)
    if found.missing or found.harm is None or size is None:
        said = rule(found.harm, found.missing, size or margin.value, case.confidence)
        set_metric = sets.is_set(metric, case.candidate, case.baseline)
        why = found.why if set_metric else "; ".join(filter(None, (said.why, found.why)))
        return Outcome("INVALID", why, None)
    if found.harm.low is None and found.why:
        return Outcome("INCONCLUSIVE", f"no interval: {found.why}", None)
    outcome = rule(found.harm, 0, size, case.confidence)
    p_value = found.harm.p_worse
    if outcome.state == "FAIL" and found.harm.mean > 0 and (p_value or 0) > case.alpha:
        why = f"exchanging the arms' pictures gives as much in {p_value:.2g} of all cases"
        return Outcome("INCONCLUSIVE", why, outcome.needs)
    if outcome.state in PASSING and margin.underpowered:
        return Outcome("INCONCLUSIVE", f"{outcome.why}; but {UNDERPOWERED}", None)
    return outcome
