"""What a verdict proposes about shipping, and what stands in the way of it.

a whole verdict of this run, its state, the whole suite, a promoted baseline, the run's own terms,
every look, every last day
    │ anything against it?
    ├── yes ──► HOLD: an `Obstacle`, with what removes it
    └── no ───► SHIP, or SHIP WITH WAIVERS where somebody conceded a gate
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from qa import summary
from qa.baseline.approved import expired
from qa.baseline.eligibility import row_name
from qa.judge import EXIT_CODES, SCHEMA
from qa.outcomes import counts, label
from qa.signature import HOLD, SHIP, WAIVER, WITH_WAIVERS

UNTIL = "--until YYYY-MM-DD"
Document = Mapping[str, Any]


class Proposal(NamedTuple):
    """What the gates say about shipping."""

    decision: str
    """SHIP, SHIP WITH WAIVERS or HOLD."""
    why: str
    """One sentence."""


@dataclass(frozen=True)
class Obstacle:
    """What keeps a run from being shipped."""

    why: str
    """One sentence."""
    fix: str
    details: tuple[str, ...] = ()
    """A line for each row that stands in the way."""
    exit_code: int = 2
    """With which a refusal ends: the verdict's own, where it has one that is not 0."""
    unfit: bool = False
    """Whether this is no verdict that anybody could sign, not even to hold."""


def proposed(verdict: Document, record: Document) -> Proposal:
    """What the gates of a verdict (docs/formats.md) propose, for a run with this record.

    SHIP where the verdict is IMPROVED, PASS or PASS-DRIFT over the whole suite and by the run's own
    terms, against a promoted run; SHIP WITH WAIVERS where that takes one; HOLD for everything else,
    what cannot be signed at all included. No date decides here: equal runs are proposed the same on
    any day. A record of {} is one that nobody has, as in a comparison of documents alone: what it
    would have said is then not asked. `qa.signoff` never signs without one.
    """
    found = obstacle(verdict, record, Path("RUN"))
    if found is not None:
        return Proposal(HOLD, found.why)
    names = [label(row) for row in waived(verdict)]
    if names:
        return Proposal(WITH_WAIVERS, f"Every gate passed or was waived: {', '.join(names)}.")
    lost = [label(row) for row in _rows(verdict, "PASS-DRIFT")]
    loss = f", with a loss within the margin: {', '.join(lost)}" if lost else ""
    return Proposal(SHIP, f"Every gate that counts passed{loss}.")


def obstacle(verdict: Document, record: Document, run: Path) -> Obstacle | None:
    """The first thing that keeps a run from being shipped on any day; `run` stands in commands."""
    try:
        wrong = _contradiction(verdict, record)
        return (
            (_unfit(wrong, run) if wrong else None)
            or _by_state(verdict, record, run)
            or _partial(verdict, record)
            or _unpromoted(verdict, run)
            or _lax(verdict, record, run)
            or _failed_at_a_look(verdict, record)
        )
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        return _unfit(f"It is damaged: {type(error).__name__}: {error}.", run)


def lapsed(verdict: Document, record: Document, run: Path, today: date) -> Obstacle | None:
    """A waiver or a baseline whose last day is over."""
    rows = [row for row in waived(verdict) if expired(row["waiver"]["until"], today)]
    if rows:
        why = f"The waiver of {label(rows[0])} expired on {rows[0]['waiver']['until']}."
        renew = _waive(verdict, record, rows)
        return Obstacle(why, f"{_judged(run)}; where it is still accepted, first {renew}")
    until = (verdict["baseline"] or {}).get("until")
    if expired(until, today):
        why = f"The baseline was approved until {until}."
        fix = f"qa baseline promote BASE {UNTIL} (the baseline's own run), then {_judged(run)}"
        return Obstacle(why, fix)
    return None


def waived(verdict: Document) -> list[Document]:
    """Rows that do not count because of a waiver."""
    return [row for row in verdict["gates"] if row.get("waiver")]


def _contradiction(verdict: Document, record: Document) -> str:
    """How it shows that this is no verdict of this version over this run; "" for a whole one.

    Some of the errors that `obstacle` catches come from here: a missing key, a day that is none.
    """
    if verdict["schema"] != SCHEMA:
        return f"Its schema is not {SCHEMA}."
    plan = verdict["candidate"]["plan"]
    if record and not record.get("finished"):
        return "Its run is not finished."
    if record and plan != record["plan"]:
        return "It is the verdict of another run."
    if record and not (verdict.get("terms") and record.get("terms")):
        return "Nobody can tell by what terms it was made: an earlier version wrote it."
    rows, problems, failures = (verdict[key] for key in ("gates", "problems", "failures"))
    state = summary.overall(verdict["baseline"] is not None, rows, problems, failures)
    if verdict["state"] != state or verdict["exit_code"] != EXIT_CODES[state]:
        return f"It says {verdict['state']}, and its gates say {state}."
    for row in waived(verdict):
        if any(not isinstance(row["waiver"][key], str) for key in WAIVER):
            return f"The waiver of {label(row)} is none."
    days = [row["waiver"]["until"] for row in waived(verdict)]
    days.append((verdict["baseline"] or {}).get("until"))
    for day in filter(None, days):
        date.fromisoformat(day)
    return ""


def _unfit(why: str, run: Path) -> Obstacle:
    again = "run the same `qa run` command again: nothing is decoded twice"
    return Obstacle(why, f"{_judged(run)}; or {again}", unfit=True)


def _by_state(verdict: Document, record: Document, run: Path) -> Obstacle | None:
    state = str(verdict["state"])
    if state in summary.PASSED:
        return None
    code = EXIT_CODES.get(state) or EXIT_CODES["INVALID"]
    rows, problems = _rows(verdict, state), verdict["problems"]
    names, details = ", ".join(map(label, rows)), tuple(map(_detail, rows))
    if state == "FAIL":
        counted = sum(counts(row) for row in verdict["gates"])
        why = f"{len(rows)} of {counted} gates that count FAILED: {names}."
        return Obstacle(why, _accept(verdict, record, rows, f"then {_judged(run)}"), details, code)
    if state == "INCONCLUSIVE":
        why = f"These pictures cannot tell: {names}." if rows else str(verdict["summary"])
        return Obstacle(why, _more(verdict, record, rows), details, code)
    if state == "MEASURED":
        fix = f"promote a run of the suite (qa baseline promote BASE), then {_judged(run)}"
        return Obstacle("Nothing was judged: it was only measured.", fix, (), code)
    why = f"Not comparable: {problems[0]}." if problems else str(verdict["summary"])
    fix = f"measure every picture, and as the baseline was; then {_judged(run)}"
    return Obstacle(why, fix, () if problems else details, code)


def _partial(verdict: Document, record: Document) -> Obstacle | None:
    """A run that never saw the whole suite. (A look that decided early has: that is its rule.)"""
    if record.get("limited") or (verdict.get("candidate") or {}).get("limited"):
        return Obstacle("It is a limited run (limit=), not the suite.", "run it without limit=")
    if record.get("half"):
        why = f"It ran over one half of the suite: {record['half']}."
        return Obstacle(why, "run it without half=")
    return None


def _unpromoted(verdict: Document, run: Path) -> Obstacle | None:
    """A run that passed against a folder that somebody named: one to its liking, perhaps."""
    if verdict["baseline"] is None or verdict["baseline"].get("content"):
        return None
    why = "It was judged against a run that nobody promoted."
    return Obstacle(why, f"qa baseline promote BASE, then {_judged(run)}")


def _lax(verdict: Document, record: Document, run: Path) -> Obstacle | None:
    """A verdict that asked less than the run was to be asked, or by other margins."""
    asked, terms = verdict.get("terms"), record.get("terms")
    if not asked or not terms:
        return None  # no record was given
    lacking = sorted({*terms["gates"]} - {*asked["gates"]})
    if asked["use_case"] != terms["use_case"]:
        own = record.get("use_case")
        why = f"It was judged by other margins than those of its own use case {own}."
    elif record.get("policy") == "release" and verdict["policy"] != "release":
        why = "It is a release run and was judged by policy=pr."
    elif lacking:
        why = f"Its verdict lacks a gate that it was to be asked: {', '.join(lacking)}."
    else:
        return None
    return Obstacle(why, f"{_judged(run)}; for other terms, run it with them")


def _failed_at_a_look(verdict: Document, record: Document) -> Obstacle | None:
    """A look at this run that FAILED against the same baseline, before or after this one."""
    plan = (verdict["baseline"] or {}).get("plan")
    entries = (record.get("look") or {}).get("history", ())
    last = {entry["number"]: entry for entry in entries if entry["against"] == plan}
    bad = next((entry for entry in last.values() if entry["state"] == "FAIL"), None)
    if bad is None:
        return None
    why = (
        f"Look {bad['number']}, at {bad['pictures']} pictures, FAILED "
        f"({', '.join(map(label, bad['failed']))}), and no other look undoes that."
    )
    then = f"then the run's command with extend={bad['pictures']}, and again as it is now"
    return Obstacle(why, _accept(verdict, record, bad["failed"], then))


def _detail(row: Document) -> str:
    return f"{label(row)} {row['state']}: {row.get('why') or 'no reason given'}"


def _accept(verdict: Document, record: Document, rows: list[Document], then: str) -> str:
    return f"mend the decoder; or accept it by name: {_waive(verdict, record, rows)}, {then}"


def _waive(verdict: Document, record: Document, rows: list[Document]) -> str:
    """The commands that waive these rows; a waiver excuses a difference from a promoted run."""
    if not (verdict["baseline"] or {}).get("content"):
        return "promote a baseline (qa baseline promote BASE) and waive the gate against it"
    suite = shlex.quote(str(record.get("suite") or "SUITE"))
    return " and ".join(
        f'qa baseline approve {suite} --gate {shlex.quote(row_name(row))} --reason "…" {UNTIL}'
        for row in rows
    )


def _more(verdict: Document, record: Document, rows: list[Document]) -> str:
    """What settles an inconclusive verdict."""
    needs, look = [row["needs"] for row in rows if row.get("needs")], verdict.get("look") or {}
    enough = f"{max(needs)} pictures would settle it: " if needs else ""
    if rows and all(row["gate"] == "preference" for row in rows):
        return (
            "more answers settle it: qa review RUN, then qa judge RUN --save; where all draws are "
            f"answered, accept it by name: {_waive(verdict, record, rows)} (--review RUN cites it)"
        )
    if look.get("next"):
        return f"{enough}the run's command with extend={look['next']} takes the next look"
    return f"{enough}run it over more pictures"


def _rows(verdict: Document, state: str) -> list[Document]:
    return [row for row in verdict["gates"] if counts(row) and row["state"] == state]


def _judged(run: Path) -> str:
    return f"qa judge {shlex.quote(str(run))} --save"
