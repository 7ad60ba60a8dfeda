"""Verdicts from stored scores alone: no torch, no pictures, no models.

    Results (a run folder, or any table of scores)  ×2
        │ comparable?  samples, seeds, fingerprints, environment ─── no ──► INVALID, field by field
        ▼
    harm per picture = sign · (baseline − candidate), averaged over seeds
        ▼
    interval over pictures ──► gates (qa.gates) ──► waivers ──► one verdict document

The document (docs/formats.md) is the single source of terminal table, report, MLflow tags and
exit code, and holds nothing that differs between two runs of the same plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from qa import looks, summary
from qa.baseline import Approved, Waiver, expired
from qa.baseline.approved import utc_today
from qa.errors import UsageError
from qa.gates import comparable, margins, pairs, sets, use_case
from qa.gates.case import POLICIES, Case
from qa.gates.directions import directions
from qa.gates.regression import Regression, drift
from qa.gates.rows import Row
from qa.gates.use_case import UseCase
from qa.outcomes import citing
from qa.results import Results
from qa.roles import Gate
from qa.stats import CONFIDENCE, Interval

SCHEMA = "decoder-qa/verdict/2"
EXIT_CODES = {
    "IMPROVED": 0, "PASS": 0, "PASS-DRIFT": 0, "MEASURED": 0,
    "FAIL": 3, "INCONCLUSIVE": 4, "INVALID": 5,
}  # fmt: skip
DECIDED = ("FAIL", "PASS", "PASS-DRIFT", "IMPROVED")


@dataclass(frozen=True)
class Standing:
    """What stands before any gate is asked."""

    against: Approved | None
    problems: list[str]
    warnings: list[str]
    partial: bool = False


def judge(
    candidate: Results,
    baseline: Results | Approved | None,
    rules: UseCase | Mapping[str, margins.Margin],
    *,
    gates: Sequence[Gate] | None = None,
    policy: str = "pr",
    better: Mapping[str, str] | None = None,
    confidence: float = CONFIDENCE,
    today: date | None = None,
) -> dict[str, Any]:
    """The verdict document.

    `rules` are a use case, or margins of metrics that are all primary; every metric of them is
    judged, and one that nobody measured is INVALID (`applicable` leaves out what neither arm
    planned). `gates` are regression alone unless others are given. `better` gives the direction
    (`higher`, `lower`) of metrics the harness does not know. A look has a confidence of its own.
    `today` (UTC) decides what expired. UsageError for more than six primary metrics.
    """
    use = rules.checked() if isinstance(rules, UseCase) else use_case.of(rules)
    chosen: Sequence[Gate] = [Regression()] if gates is None else gates
    day = today or utc_today()
    known = _checked(policy)
    look = candidate.record.get("look")
    if look:
        confidence = 1 - 2 * float(look["alpha"])
    given = Approved(baseline) if isinstance(baseline, Results) else baseline
    standing = _standing(candidate, given, use, chosen, known, day)
    arms = [candidate, *([standing.against.results] if standing.against else ())]
    case = Case(
        candidate, standing.against, use, known, confidence,
        directions(arms, better or {}, {*use.margins, *use.breakage}), day, standing.partial,
        comparable.mismatched(candidate, standing.against.results) if standing.against else {},
    )  # fmt: skip
    rows = _rows(case, chosen, bool(standing.problems))
    warnings = [*standing.warnings, *(str(row["warning"]) for row in rows if row["warning"])]
    if standing.against is not None:
        rows, told = _waived(rows, standing.against.waivers, day)
        warnings += told
    asked = {"use_case": use.digest or None, "gates": sorted(gate.name for gate in chosen)}
    return _document(case, rows, standing.problems, warnings) | {"terms": asked}


def applicable(use: UseCase, candidate: Results, baseline: Results | None) -> UseCase:
    """A use case for the metrics that either arm measured or planned.

    A metric that only the baseline has stays in, and so fails closed.
    """
    return use.measured({*candidate.metrics, *(baseline.metrics if baseline else ())})


def _checked(policy: str) -> str:
    if policy not in POLICIES:
        raise UsageError(f"There is no policy {policy!r}.", "", f"choose {' or '.join(POLICIES)}")
    return policy


def _standing(
    candidate: Results,
    against: Approved | None,
    use: UseCase,
    gates: Sequence[Gate],
    policy: str,
    day: date,
) -> Standing:
    """The baseline as it is compared with, and everything that speaks against comparing."""
    release, compares = policy == "release", any(gate.compares for gate in gates)
    if against is None or not compares:
        alone = "baseline: policy=release compares with a baseline, and there is none"
        cut = "limit: the candidate is a limited run (limit=)"
        limited = not compares and candidate.record.get("limited")
        found = [alone] if compares else [cut] if limited else []
        return Standing(None, found if release else [], [])
    problems: list[str] = []
    partial = comparable.look_of(candidate) is not None
    if partial:
        problems = comparable.not_first(candidate, against.results)
        against = _cut(against, candidate)
    deciding = {*use.primary, *(use.breakage if any(g.name == "tail" for g in gates) else ())}
    problems += comparable.incomparable(candidate, against.results, deciding)
    if compares and not use.primary:
        problems.append("nothing was compared: no primary metric with a margin was measured")
    aside = comparable.mismatched(candidate, against.results)
    warnings = [f"{aside[m]} (no vote)." for m in use.secondary if m in aside]
    warnings += _decided_before(candidate, against)
    told, more = comparable.environments(candidate, against, release)
    problems, warnings = problems + told, warnings + more
    copied = comparable.copies(candidate)
    if copied:
        problems += [copied] if release else []
        warnings += [] if release else [f"{copied}."]
    warnings += filter(None, [comparable.other_latents(candidate, against.results)])
    if release and not against.content:
        warnings.append("The baseline was not promoted: it has no anchor, drift or last day.")
    if expired(against.until, day):
        late = f"baseline: it was approved until {against.until}"
        problems += [late] if release else []
        warnings += [] if release else [f"{late}, which is over."]
    return Standing(against, problems, warnings, partial)


def _decided_before(candidate: Results, against: Approved) -> list[str]:
    """A look after one that had decided: said, so that nobody picks the look they like."""
    look = _look(candidate, against) or {}
    return [
        f"Look {entry['number']} at {entry['pictures']} pictures had already decided: "
        f"{entry['state']}. A later look does not undo that."
        for entry in look.get("history", ())
        if entry["state"] in DECIDED
    ]


def _cut(against: Approved, candidate: Results) -> Approved:
    """A baseline and its anchor at the pictures of the candidate's look."""
    anchor = against.anchor
    return replace(
        against,
        results=comparable.restricted(against.results, candidate.samples),
        anchor=None if anchor is None else comparable.restricted(anchor, candidate.samples),
    )


def _rows(case: Case, gates: Sequence[Gate], incomparable: bool) -> list[Row]:
    """Every gate's rows; without a baseline only those of gates that compare nothing."""
    invalid = {"state": "INVALID", "why": "the runs are not comparable", "needs": None}
    found: list[Row] = []
    for gate in gates:
        if gate.compares and case.against is None:
            continue
        rows = gate(case)
        found += [{**row, **invalid} for row in rows] if incomparable and gate.compares else rows
    return found


def _waived(
    rows: Sequence[Row], waivers: Sequence[Waiver], day: date
) -> tuple[list[Row], list[str]]:
    """Rows of which people accepted that they do not pass, and sentences that say so."""
    found, told = [], []
    for row in rows:
        open_ = row["counts"] and row["state"] in ("FAIL", "INCONCLUSIVE")
        named = [w for w in waivers if open_ and w.covers(row["gate"], row["metric"])]
        holds = next((w for w in named if not expired(w.until, day)), None)
        if holds is not None:
            entry = {key: getattr(holds, key) for key in ("gate", "by", "why", "until")}
            entry |= {"review": dict(holds.review)} if holds.review else {}
            row = {**row, "counts": False, "waiver": entry}
            told.append(
                f"{summary.name(row)} is {row['state']} and waived by {holds.by} "
                f"until {holds.until}: {holds.why}{citing(holds.review)}."
            )
        elif named:
            row = {**row, "why": f"{row['why']}; its waiver expired on {named[0].until}"}
        found.append(row)
    return found, told


def _document(
    case: Case, rows: list[Row], problems: list[str], warnings: list[str]
) -> dict[str, Any]:
    candidate, against = case.candidate, case.against
    measured = [_metric(name, case) for name in candidate.metrics]
    if not any(row["count"] for row in measured):
        problems = [*problems, "nothing was measured: no metric has a value"]
    failures, look = list(candidate.failures), _look(candidate, against)
    state = summary.overall(against is not None, rows, problems, failures)
    return {
        "schema": SCHEMA,
        "state": state,
        "exit_code": EXIT_CODES[state],
        "summary": summary.sentence(state, rows, problems, failures, len(candidate.samples), look),
        "policy": case.policy,
        "candidate": _arm(candidate),
        "baseline": None if against is None else _arm(against.results) | _approval(against),
        "use_case": case.use.name,
        "confidence": case.confidence,
        "look": look,
        "gates": rows,
        "drift": {} if against is None else drift(rows, case),
        "metrics": measured,
        "failures": failures,
        "problems": problems,
        "warnings": warnings,
    }


def _arm(results: Results) -> dict[str, Any]:
    return results.describe() | {"environment": comparable.environment_of(results)}


def _approval(against: Approved) -> dict[str, Any]:
    return {key: getattr(against, key) for key in ("content", "by", "why", "until")}


def _look(candidate: Results, against: Approved | None) -> dict[str, Any] | None:
    """The run's look with those before it against this baseline, and what comes after it."""
    look = candidate.record.get("look")
    if not look:
        return None
    later = [size for size in look["sizes"] if size > look["pictures"]]
    plan = None if against is None else against.results.record.get("plan")
    history = looks.earlier(look, plan)
    return {**look, "history": history, "next": later[0] if later else None}


def _metric(name: str, case: Case) -> dict[str, Any]:
    results = case.candidate
    facts = results.record.get("facts", {}).get(name, {})
    return {
        "metric": name,
        "better": case.better.get(name),
        "unit": facts.get("unit", ""),
        "fingerprint": facts.get("fingerprint"),
        "of": facts.get("of", "picture"),
        **(
            sets.row(name, results)
            if sets.is_set(name, results)
            else _mean_row(name, results, case.confidence)
        ),
    }


def _mean_row(name: str, results: Results, confidence: float) -> dict[str, Any]:
    values = results.by_group(name).sort_index()
    interval = pairs.picture_interval(values.dropna(), pairs.share_unit(name, results), confidence)
    why = results.record.get("unavailable", {}).get(name, "") or _first_why(name, results)
    return {**_ends(interval), "missing": int(values.isna().sum()), "why": why}


def _first_why(name: str, results: Results) -> str:
    """Why the first sample that lacks a value does; where it applies to none, why not."""
    rows = results.rows(name)
    rows = rows[rows["value"].isna()]
    aside = results.inapplicable(name)
    lacking = rows[~rows["sample"].isin(aside)]
    told = rows if len(aside) == len(results.samples) else lacking
    return str(told.iloc[0]["why"]) if len(told) else ""


def _ends(interval: Interval | None) -> dict[str, Any]:
    if interval is None:
        return {"mean": None, "low": None, "high": None, "count": 0}
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "count": interval.count,
    }
