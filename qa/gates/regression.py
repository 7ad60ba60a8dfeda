"""Non-inferiority: is the candidate worse than the baseline by more than a margin allows?

Harm is oriented so that positive is worse. With the interval [low, high] of the mean harm over
pictures and a margin m > 0 (`qa.stats.decide.non_inferiority`):

    IMPROVED       high < 0                       provably better
    PASS           high < m, low <= 0             not worse by the margin
    PASS-DRIFT     high < m, low > 0              provably worse, provably within the margin
    FAIL           low > 0, high >= m             provably worse, and not provably within it
    INCONCLUSIVE   low <= 0, high >= m            the data cannot tell; says how many pictures could
    INVALID        a value is missing, or nothing was compared

So P(FAIL | no harm) and P(PASS | harm >= m) are each at most the one-sided level of the interval;
`qa.gates.families` keeps the first for all primary metrics together.

**Drift.** Many small losses, each within its margin, add up. Each PASS-DRIFT is charged to the
budget between the baseline and its frozen anchor; what exceeds it is a warning, and under
`policy=release` FAIL, or INCONCLUSIVE where the loss does not survive Holm's correction. A release
is compared with the anchor itself, too, at one and a half margins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qa.baseline import Approved
from qa.gates import families
from qa.gates.case import Case
from qa.gates.comparable import incomparable
from qa.gates.compared import judged
from qa.gates.rows import Row, changed
from qa.results import Results
from qa.stats.decide import Outcome, non_inferiority

ANCHOR = 1.5
"""Margins that a candidate may lie from the frozen anchor."""


class Regression:
    """Every metric with a margin, against the baseline and, under `release`, its anchor."""

    name = "regression"
    compares = True

    def __call__(self, case: Case) -> list[Row]:
        """Rows for all margins, by metric; then those of the anchor."""
        assert case.against is not None
        metrics = sorted(case.use.margins)
        rows = [judged("regression", metric, case, non_inferiority) for metric in metrics]
        found = [_drift(entry, case) for entry in families.corrected(rows, case)]
        anchor = case.against.anchor
        if case.release and anchor is not None and not _same(anchor, case.baseline):
            found += _anchor(case, case.against, anchor)
        return found


def _anchor(case: Case, against: Approved, anchor: Results) -> list[Row]:
    """Primary rows against the anchor, a family of their own."""
    there = replace(case, against=replace(against, results=anchor))
    rows = [
        judged("anchor", metric, there, non_inferiority, ANCHOR)
        for metric in sorted(case.use.primary)
    ]
    problems = incomparable(case.candidate, anchor, case.use.primary)
    if problems:
        why = f"the anchor is not comparable: {problems[0]}"
        return [changed(entry, Outcome("INVALID", why, None), p=None) for entry in rows]
    return families.corrected(rows, case)


def _same(anchor: Results, baseline: Results) -> bool:
    """Whether the anchor is the baseline: then its rows would say the same once more."""
    plans = [arm.record.get("plan") for arm in (anchor, baseline)]
    return anchor is baseline or (plans[0] is not None and plans[0] == plans[1])


def _drift(entry: Row, case: Case) -> Row:
    """A small loss charged to the budget."""
    if entry["state"] != "PASS-DRIFT" or entry["role"] != "primary":
        return entry
    charged = drift([entry], case)[entry["metric"]]
    if charged["spent"] <= charged["budget"]:
        return entry
    why = (
        f"with this loss {entry['metric']} has drifted by {charged['spent']:.4g} from the anchor, "
        f"beyond the budget of {charged['budget']:.4g}"
    )
    if not case.release:
        return {**entry, "warning": f"{why}."}
    p_value = entry["p_holm"]
    if p_value is not None and p_value <= case.alpha:
        return changed(entry, Outcome("FAIL", why, None))
    told = "unknown" if p_value is None else f"{p_value:.2g}, above {case.alpha:.2g}"
    lacking = f"{why}; but after Holm's correction p is {told}"
    return changed(entry, Outcome("INCONCLUSIVE", lacking, None))


def drift(rows: Sequence[Row], case: Case) -> dict[str, dict[str, float]]:
    """What the primary regression rows add to the baseline's drift, by metric.

    `spent` = `before` + `now`; `now` is the harm of a loss that was let pass, else 0.
    """
    assert case.against is not None
    found = {}
    for entry in rows:
        if entry["gate"] != "regression" or entry["role"] != "primary" or not entry["margin"]:
            continue
        before = float(case.against.drift.get(entry["metric"], 0.0))
        passed = entry["state"] == "PASS-DRIFT"
        now = float(entry["estimate"]) if passed else 0.0
        found[entry["metric"]] = {
            "before": before,
            "now": now,
            "spent": before + now,
            "budget": case.use.budget * entry["margin"],
        }
    return found
