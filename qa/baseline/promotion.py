"""Deciding: a run becomes the baseline, a gate is waived, a tolerance is stored.

Drift is what keeps many small steps from becoming a large one. Each PASS-DRIFT that is promoted,
and each harm that was waived, is added up by metric, from the anchor on:

    anchor ── +0.03 dB ──► ── +0.05 dB ──► present baseline: drift 0.08 dB

The first baseline of an environment class is its anchor; `anchor=True` freezes a new one, from
which drift counts anew.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from qa.baseline import history, objects
from qa.baseline.approved import SHORT, Waiver, last_day, utc_today
from qa.baseline.cited import cited
from qa.baseline.eligibility import Refusal, Standing, charges, rejected, unfit, used
from qa.baseline.people import who
from qa.baseline.pointers import Line, Pointer, changing
from qa.errors import UsageError
from qa.record import now
from qa.store import RunFolder

RECORDS = ("record.json", "config.yaml")
"""Files that say when and how a run was started: they differ between two equal runs."""
BY_METRIC = ("anchor", "equivalence", "regression", "threshold")
"""Gates with a row for each metric."""
ROWS = (
    ("tail", "catastrophe"), ("cost", "latency_median"), ("cost", "latency_p95"),
    ("cost", "memory"), ("reproducibility", "level"),
)  # fmt: skip
"""Gate and metric of the rows of all others."""
BY_QUESTION = "preference"
"""Gate with a row for each question of a review and each voice."""
ANCHOR: dict[str, Any] = {"drift": {}, "anchor": None}
"""Of an object that is its own anchor."""


@dataclass(frozen=True)
class Present:
    """The baseline that stands where a run wants to stand."""

    line: Line
    folder: RunFolder
    entry: Mapping[str, Any]
    """Its object.json."""


def promote(
    run: RunFolder,
    folder: str | Path = "baselines",
    *,
    by: str | None = None,
    reason: str = "",
    until: str | None = None,
    anchor: bool = False,
    store: str = objects.FOLDER,
    today: date | None = None,
) -> Path:
    """Make a run the baseline of its suite and environment class; returns the pointer.

    `by` is the approver (default: git's user), `until` the last day on which the baseline holds,
    `store` one of `folder`, `mlflow`, `mlflow:URI`. Promoting the same again changes nothing.
    UsageError if the run is not eligible, or nobody approves it.
    """
    today = today or utc_today()
    _refuse(run, unfit(run))
    with changing(run.record()["suite"], folder) as known:
        present = _present(known, run.record()["environment"]["class"], store)
        if anchor and present and not reason:
            raise UsageError(
                f"Why is {run.path} to be a new anchor?",
                "It takes back the drift that was charged to the present one.",
                "add --reason WHY",
            )
        entry = {
            **objects.described(run),
            "by": who(by),
            "why": reason,
            "until": None if until is None else last_day(until, today),
            "promoted": now(),
            "metrics": history.measured(run.verdict()),
        }
        renewed = present if present and objects.same_pictures(run, present.folder) else None
        if renewed is None:
            entry |= _next(run, known, present, anchor, today)
        else:
            entry |= _again(renewed, anchor)
            stays = (renewed.line.where is None) == (store == objects.FOLDER)
            if stays and _unchanged(entry, renewed.entry):
                return known.file
        line = objects.store(run, entry, known.file, store)
        known.with_baseline(line, renewed=renewed is not None).write()
        return known.file


def approve(
    suite: str,
    folder: str | Path = "baselines",
    *,
    gate: str,
    reason: str,
    until: str,
    by: str | None = None,
    review: str = "",
    today: date | None = None,
) -> Path:
    """Waive one gate of a suite until a day; returns the pointer.

    The waiver holds against the baselines of now: the next one already contains the change. A
    second waiver of the same gate takes the first one's place. `review`, `RUN` or `RUN:NAME`, is
    the evidence that it cites; UsageError for one that says nothing (`qa.baseline.cited`).
    """
    today = today or utc_today()
    gate, reason = gate.strip(), reason.strip()
    if not gate or not reason:
        raise UsageError(
            "A waiver needs a gate and a reason.",
            "Who meets it later has to know what was accepted, and why.",
            "--gate regression/psnr --reason WHY",
        )
    with changing(suite, folder) as known:
        if not known.baselines:
            raise UsageError(
                f"{suite} has no baseline in {folder}.",
                "A waiver excuses a difference from one.",
                "qa baseline promote RUN",
            )
        contents = tuple(sorted(line.content[:SHORT] for line in known.baselines))
        found = [objects.opened(known.file, x.content, x.where)[1] for x in known.baselines]
        seen = cited(review, {str(entry["plan"]) for entry in found}) if review else None
        day = last_day(until, today)
        waiver = Waiver(gate, who(by), reason, day, today.isoformat(), contents, seen)
        _spelled(waiver, known.suite, found)
        known.with_waiver(waiver).write()
        return known.file


def _spelled(waiver: Waiver, suite: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Warn of a waiver that covers no row that a verdict against these objects can have."""
    metrics = sorted({name for entry in found for name in entry["fingerprints"]})
    question = waiver.gate.removeprefix(f"{BY_QUESTION}/")  # anybody may ask any
    rows = [*ROWS, *((gate, metric) for gate in BY_METRIC for metric in metrics)]
    rows.append((BY_QUESTION, question))
    if any(waiver.covers(gate, metric) for gate, metric in rows):
        return
    warnings.warn(
        f"{waiver.gate} names no row of a verdict on {suite}: the waiver may cover nothing. "
        f"Metrics, for their regression: {', '.join(metrics)}; other gates: "
        f"{', '.join(sorted({gate for gate, _ in rows} - {'regression'}))}; or GATE/METRIC.",
        RuntimeWarning,
        stacklevel=3,
    )


def add_tolerance(
    suite: str,
    folder: str | Path = "baselines",
    *,
    environments: tuple[str, str],
    limits: Mapping[str, float],
    decoder: str = "",
    today: date | None = None,
    **facts: str,
) -> Path:
    """Store how far two environment classes were measured to differ; returns the pointer.

    `limits` name the largest differences that count as the same (`max_abs`: 0.004, …); `facts` are
    texts for the reader, e.g. the hardware. One tolerance is kept for two classes and a decoder.
    """
    one, other = environments
    endless = [name for name, value in limits.items() if not math.isfinite(value)]
    if endless:
        raise UsageError(
            f"The tolerance {endless[0]} is {limits[endless[0]]}.", "It bounds nothing."
        )
    if one == other:
        raise UsageError(
            f"Both environments are {one}.",
            "A tolerance lies between two classes.",
            "measure on another machine or with other numerics",
        )
    tolerance: dict[str, Any] = {
        "environments": sorted(environments),
        "decoder": decoder,
        "limits": {name: float(limits[name]) for name in sorted(limits)},
        "measured": (today or utc_today()).isoformat(),
        **facts,
    }
    with changing(suite, folder) as known:
        known.with_tolerance(tolerance).write()
        return known.file


def _present(known: Pointer, environment: str, store: str) -> Present | None:
    line = known.of(environment)
    if line is None:
        return None
    stores = [uri for uri in (store.partition(":")[2],) if uri]
    return Present(line, *objects.opened(known.file, line.content, line.where, stores))


def _next(
    run: RunFolder, known: Pointer, present: Present | None, anchor: bool, today: date
) -> dict[str, Any]:
    """Verdict, drift and anchor of a run that follows the present baseline, if there is one."""
    verdict = run.verdict()
    replaces = None if present is None else present.line.content
    against = str((verdict["baseline"] or {}).get("content") or "")
    waivers = [waiver for waiver in known.waivers if against[:SHORT] in waiver.against]
    others = {line.content for line in known.baselines} - {replaces}
    standing = Standing(run, known.suite, replaces, others, waivers)
    _refuse(run, rejected(verdict, standing, today, anew=anchor))
    carried = ANCHOR
    if present is not None and not anchor:
        carried = _carried(present, charges(verdict, waivers, today))
    return {
        **carried,
        "replaces": replaces,
        "before": [] if present is None else history.up_to(present.line.content, present.entry),
        "verdict": _told(verdict, against),
        "waivers": [waiver.stored() for waiver in used(verdict, waivers, today)],
    }


def _carried(present: Present, new: Mapping[str, float]) -> dict[str, Any]:
    """The present baseline's drift with what is added to it, and its anchor."""
    before = present.entry["drift"]
    drift = {m: before.get(m, 0.0) + new.get(m, 0.0) for m in sorted({*before, *new})}
    itself = {"content": present.line.content, "where": present.line.where}
    return {"drift": drift, "anchor": present.entry["anchor"] or itself}


def _again(present: Present, anchor: bool) -> dict[str, Any]:
    """What stays when the present baseline is promoted again."""
    names = ("drift", "anchor", "replaces", "verdict", "waivers")
    kept = {name: present.entry[name] for name in names}
    return kept | {"before": _before(present.entry)} | (ANCHOR if anchor else {})


def _unchanged(entry: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether two objects differ at most in when they were made.

    Their means are those of the files; an interval may be wider because it was judged again.
    """

    def lasting(one: Mapping[str, Any]) -> dict[str, Any]:
        files = {name: mark for name, mark in one["files"].items() if name not in RECORDS}
        beside = {"promoted": None, "metrics": None, "before": _before(one)}
        return {**one, "files": files, **beside}

    return lasting(entry) == lasting(present)


def _before(entry: Mapping[str, Any]) -> list[Any]:
    """What an object knows of its predecessors; those of earlier versions know nothing."""
    return list(entry.get("before", ()))


def _told(verdict: Mapping[str, Any], against: str) -> dict[str, Any]:
    """What of a verdict the object keeps."""
    keys = ("gate", "metric", "role", "state", "estimate", "low", "high", "margin")
    return {
        "state": verdict["state"],
        "policy": verdict.get("policy"),
        "use_case": verdict["use_case"],
        "against": against,
        "problems": list(verdict["problems"]),
        "gates": [{key: row.get(key) for key in keys} for row in verdict["gates"]],
    }


def _refuse(run: RunFolder, refusal: Refusal | None) -> None:
    if refusal is not None:
        raise UsageError(f"{run.path} cannot become a baseline.", refusal.why, refusal.fix)
