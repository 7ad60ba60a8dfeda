"""What may not become a baseline, and why not.

Two questions. Is the run whole: every picture there, every judged metric measured, nothing left
out? And was it accepted: does its verdict against the present baseline hold no FAIL and no INVALID
that nobody waived? An INCONCLUSIVE run may be promoted: a person decides that, by name.

A run with the same pictures as the present baseline is that baseline again (with another metric,
another last day), so nothing has to be judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from qa.baseline.approved import SHORT, Waiver, expired
from qa.baseline.objects import kept
from qa.looks import failures
from qa.results import Results, load
from qa.store import RunFolder

BY_HAND = "given on the command line"
"""The reason of a margin that `qa judge --margin` was given."""
CHARGED = ("regression", "equivalence")
"""Gates whose rows are the harm against the baseline (the anchor's say it a second time)."""


@dataclass(frozen=True)
class Refusal:
    """Why a run may not be a baseline, and what to do about it."""

    why: str
    fix: str


@dataclass(frozen=True)
class Standing:
    """What a run that wants to be the baseline stands against."""

    run: RunFolder
    suite: str
    present: str | None
    """Content of the baseline of the run's environment class."""
    others: Collection[str] = ()
    """Contents of the baselines of other classes."""
    waivers: Sequence[Waiver] = ()


def ineligible(run: RunFolder) -> str:
    """Why a run is not whole and so may not be a baseline; empty if it is."""
    found = unfit(run)
    return found.why if found else ""


def unfit(run: RunFolder) -> Refusal | None:
    """Why a run is not whole: limited, partial, unfinished, or without values."""
    record = run.record()
    if record.get("limited"):
        return Refusal("It is a limited run (limit=).", "run it without limit=")
    look = record.get("look") or {}
    if look and look["pictures"] < look["planned"]:
        return Refusal(
            f"It stopped at look {look['number']} of {look['of']}, with {look['pictures']} of "
            f"{look['planned']} pictures.",
            f"run the same command with extend={look['planned']}",
        )
    finished = run.verdict_file.is_file() and record.get("finished")
    if not finished or not all(file.is_file() for file in kept(run)):
        return Refusal("It is not finished.", "run the same command again: it continues")
    also = (record.get("environment") or {}).get("also")
    if also:
        return Refusal(
            f"It was made in several environment classes: also in {', '.join(also)}.",
            "run it anew on one machine, with out=DIR",
        )
    if record["unavailable"]:
        names = sorted(record["unavailable"])
        return Refusal(
            f"It lacks a metric: {', '.join(names)}.",
            f"{record['unavailable'][names[0]]}; or leave it out of metric=[…]",
        )
    return _gaps(run)


def _gaps(run: RunFolder) -> Refusal | None:
    """What has no value; a metric that is judged needs one for every picture, others any."""
    results = load(run.path)
    if results.failures:
        first = results.failures[0]
        return Refusal(
            f"{len(results.failures)} of its pictures are missing.",
            f"mend {first['sample']!r} seed {first['seed']} ({first['why']}), then run it again",
        )
    empty = [name for name in results.metrics if not _measured(results, name)]
    if empty:
        return Refusal(
            f"Its {', '.join(empty)} has no value.",
            "leave the metric out of metric=[…], or mend it",
        )
    use = run.config()["use_case"]
    judged = {*use["margins"], *use.get("breakage", ()), *_judged(run.verdict())}
    for name in sorted(judged & set(results.metrics) - set(results.sets)):
        values = results.by_picture(name)
        if values.isna().any():
            lost = values[values.isna()].index
            return Refusal(
                f"{len(lost)} of {len(values)} pictures have no {name}, e.g. {lost[0]!r}.",
                f"take them out of the suite, or {name} out of metric=[…] and the margins",
            )
    return None


def _judged(verdict: Mapping[str, Any]) -> set[str]:
    return {str(row["metric"]) for row in verdict["gates"]}


def _measured(found: Results, metric: str) -> bool:
    if metric in found.sets:
        return found.sets[metric].get("value") is not None
    return bool(found.by_picture(metric).notna().any())


def rejected(
    verdict: Mapping[str, Any], standing: Standing, today: date, anew: bool = False
) -> Refusal | None:
    """Why a whole run's verdict does not let it replace the present baseline.

    Where its environment class has no baseline yet there is nothing it must be compared with; a
    FAIL against another class's baseline stands in its way all the same. `anew` lets pass what
    cannot be compared.
    """
    content = (verdict["baseline"] or {}).get("content") or ""
    if standing.present is None and content not in standing.others:
        return None
    if standing.present not in (None, content):
        how = f"judged against {content[:SHORT]}, not" if content else "not judged"
        return Refusal(
            f"It was {how} against the present baseline {standing.present[:SHORT]}.",
            f"qa judge {standing.run.path} --save, then promote it",
        )
    failed = _open(verdict, "FAIL", standing.waivers, today)
    if failed:
        names = ", ".join(map(row_name, failed))
        return Refusal(
            f"It FAILED: {names}.",
            f"mend the decoder; or accept it by name: qa baseline approve {standing.suite} "
            f"--gate {row_name(failed[0])} --reason WHY --until YYYY-MM-DD",
        )
    invalid = None if anew or standing.present is None else _invalid(verdict, standing, today)
    return invalid or _lax(verdict, standing.run, anew) or _failed_before(verdict, standing, today)


def _lax(verdict: Mapping[str, Any], run: RunFolder, anew: bool) -> Refusal | None:
    """Why a verdict asked less than the run was to be asked: margins, gates or policy."""
    record, asked = run.record(), verdict.get("terms") or {}
    named, own = verdict.get("use_case"), record.get("use_case")
    terms = record.get("terms")
    if not terms:
        return Refusal(
            "Its record does not say what it was to be judged by: an earlier version wrote it.",
            "run the same command again: nothing is decoded twice",
        )
    by_hand = [row_name(row) for row in verdict["gates"] if row.get("margin_why") == BY_HAND]
    again = f"qa judge {run.path} --save, then promote it"
    if named != own or by_hand or asked.get("use_case") != terms["use_case"]:
        same = f"other numbers under the name {named}" if named == own else f"use case {named}"
        what = f"margins given by hand ({', '.join(by_hand)})" if by_hand else same
        return Refusal(f"It was judged by {what}, not by its own use case {own}.", again)
    if record.get("policy") == "release" and verdict.get("policy") != "release":
        return Refusal("It is a release run and was judged by policy=pr.", again)
    lacking = sorted(set(terms["gates"]) - set(asked["gates"]))
    if lacking:
        return Refusal(f"Its verdict lacks a gate it was to be asked: {', '.join(lacking)}.", again)
    if not anew and not any(row["gate"] in CHARGED for row in verdict["gates"]):
        return Refusal(
            "Its verdict compares no metric with the present baseline.",
            f"run it with gate=[regression,…]; or {again}",
        )
    return None


def _failed_before(verdict: Mapping[str, Any], standing: Standing, today: date) -> Refusal | None:
    """Which look FAILED against the same baseline, for a reason that nobody waived."""
    for entry in failures(standing.run.record(), (verdict["baseline"] or {}).get("plan")):
        bad = [row for row in entry["failed"] if _waiver(row, standing.waivers, today) is None]
        if bad:
            return Refusal(
                f"It FAILED at look {entry['number']}, with {entry['pictures']} pictures.",
                "a later look does not undo that: mend the decoder; or accept it by name: "
                f"qa baseline approve {standing.suite} --gate {row_name(bad[0])} --reason WHY "
                "--until YYYY-MM-DD",
            )
    return None


def _invalid(verdict: Mapping[str, Any], standing: Standing, today: date) -> Refusal | None:
    rows = _open(verdict, "INVALID", standing.waivers, today)
    waived = any(row["state"] == "INVALID" for row in verdict["gates"]) and not rows
    if not rows and (waived or not verdict["problems"]):
        return None
    said = verdict["problems"] or [f"{row_name(row)}: {row['why']}" for row in rows]
    return Refusal(
        f"It cannot be compared with the present baseline: {said[0]}.",
        "measure it as the baseline was; or, if the change is meant, begin anew with "
        "--anchor --reason WHY",
    )


def charges(verdict: Mapping[str, Any], waivers: Sequence[Waiver], today: date) -> dict[str, float]:
    """Harm that promoting the run accepts, by metric: losses that nobody had to waive, and waived.

    A loss counts whatever let it through: a margin, equivalence (which has no PASS-DRIFT), or a
    correction for many metrics that left it INCONCLUSIVE. The same once only.
    """
    found: dict[str, float] = {}
    for row in verdict["gates"]:
        let_through = row["state"] in {"PASS", "INCONCLUSIVE"} and _worse(row)
        taken = (
            row["state"] == "PASS-DRIFT"
            or let_through
            or (
                row["state"] in {"FAIL", "INCONCLUSIVE"}
                and _waiver(row, waivers, today) is not None
            )
        )
        harm = float(row["estimate"] or 0.0)
        if row["gate"] in CHARGED and taken and harm > 0:
            found[row["metric"]] = max(harm, found.get(row["metric"], 0.0))
    return found


def _worse(row: Mapping[str, Any]) -> bool:
    return row.get("low") is not None and row["low"] > 0


def used(verdict: Mapping[str, Any], waivers: Sequence[Waiver], today: date) -> list[Waiver]:
    """The waivers without which the verdict would stand in the way or not count as it does."""
    open_rows = [row for row in verdict["gates"] if row["state"] not in _GOOD]
    found = [_waiver(row, waivers, today) for row in open_rows]
    return sorted({waiver for waiver in found if waiver}, key=lambda waiver: waiver.gate)


_GOOD = {"IMPROVED", "PASS", "PASS-DRIFT"}


def row_name(row: Mapping[str, Any]) -> str:
    """A row of a verdict as a waiver names it."""
    return f"{row['gate']}/{row['metric']}" if row.get("metric") else str(row["gate"])


def _open(
    verdict: Mapping[str, Any], state: str, waivers: Iterable[Waiver], today: date
) -> list[Mapping[str, Any]]:
    """Rows of this state that count and that no waiver of today covers.

    A row that only a waiver kept from counting counts here: that waiver may be over.
    """
    rows = [row for row in verdict["gates"] if row["state"] == state]
    counted = [row for row in rows if row.get("waiver") or row.get("counts", True)]
    return [row for row in counted if _waiver(row, waivers, today) is None]


def _waiver(row: Mapping[str, Any], waivers: Iterable[Waiver], today: date) -> Waiver | None:
    valid = (waiver for waiver in waivers if not expired(waiver.until, today))
    metric = str(row.get("metric") or "")
    return next((w for w in valid if w.covers(str(row["gate"]), metric)), None)
