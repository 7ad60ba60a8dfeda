"""Signing off: which decisions a person may sign over a verdict.

    verdict, record ──► proposed: SHIP │ SHIP WITH WAIVERS │ HOLD, and why (`qa.proposal`)
                            │
    a person decides ───────┴──► sign: refused, or one more signature (`qa.signature`)

A person may hold what the gates would ship. To ship what they hold takes a waiver by name and a
new verdict, never a signature alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import date
from typing import Any

from qa import signature, summary
from qa.baseline.approved import utc_today
from qa.baseline.people import who
from qa.errors import QaError, UsageError
from qa.judge import EXIT_CODES, SCHEMA
from qa.proposal import Obstacle, Proposal, lapsed, obstacle, proposed, waived
from qa.record import now
from qa.signature import DECISIONS, HOLD, LONGEST, SHIP, WITH_WAIVERS, Signature, history, signed
from qa.store import RunFolder

__all__ = [
    "DECISIONS", "HOLD", "SHIP", "WITH_WAIVERS", "Proposal", "Refused", "Signature", "history",
    "proposed", "sign", "signed",
]  # fmt: skip


class Refused(QaError):
    """A decision that the verdict does not carry; nothing was written."""

    def __init__(self, what: str, why: str = "", fix: str = "", exit_code: int = 2) -> None:
        super().__init__(what, why, fix)
        self.exit_code = exit_code


def sign(
    run: RunFolder,
    decision: str,
    *,
    by: str | None = None,
    why: str = "",
    today: date | None = None,
) -> Signature:
    """Add a decision to a run's signoff.json; returns it.

    `by` is the signer (default: git's user); HOLD needs a reason. Refused, with the reasons and
    what removes them, where the verdict does not carry the decision; UsageError for a request that
    cannot be meant. `today` (UTC) decides what expired.
    """
    by, why = _asked(decision, by, why)
    # Before the verdict is read: should it change now, the signature does not hold.
    stamp, evidence = signature.digests(run)
    verdict, record = _documents(run)
    try:
        _check(verdict, record)
        proposal = proposed(verdict, record)
        found = obstacle(verdict, record, run.path)
        found = found or lapsed(verdict, record, run.path, today or utc_today())
        waivers = {row["waiver"]["gate"]: dict(row["waiver"]) for row in waived(verdict)}
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise _unfit(run, f"{type(error).__name__}: {error}.") from error
    if decision != HOLD:
        _refuse(decision, proposal, found)
    relied_on = tuple(waivers.values()) if decision == WITH_WAIVERS else ()
    new = Signature(
        decision, by, why, now(), proposal.decision, verdict["state"], stamp, evidence, relied_on
    )
    signature.add(run, new)
    return new


def _asked(decision: str, by: str | None, why: str) -> tuple[str, str]:
    """Name and reason as they are stored; UsageError if one is missing, too long or no text."""
    if decision not in DECISIONS:
        raise UsageError(f"{decision!r} is no decision.", "", f"choose {', '.join(DECISIONS)}")
    asked = {"by": who(by), "why": why.strip()}
    for key, text in asked.items():
        if len(text) > LONGEST[key]:
            raise UsageError(
                f"--{key} has {len(text)} letters.",
                f"At most {LONGEST[key]} are kept.",
                "say it shorter, and link to the rest",
            )
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UsageError(f"--{key} is no text.", "It is not valid UTF-8.", "type it again")
    if decision == HOLD and not asked["why"]:
        raise UsageError(
            "Why is it held?", "Who meets it later has to know what is awaited.", "add --why TEXT"
        )
    return asked["by"], asked["why"]


def _documents(run: RunFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Verdict and record of a finished run."""
    record = run.record()
    if not record.get("finished") or not run.verdict_file.is_file():
        state = "judged" if record.get("finished") else "finished"
        again = "run the same command again: it continues"
        raise Refused(f"{run.path} is not {state}.", "There is no verdict to sign.", again)
    try:
        return run.verdict(), record
    except QaError as error:
        raise _unfit(run, error.why) from error


def _check(verdict: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """ValueError for a verdict of another run or version, or one that its own rows contradict."""
    if verdict["schema"] != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    if verdict["candidate"]["plan"] != record["plan"]:
        raise ValueError("it is the verdict of another run")
    if not verdict.get("terms") or not record.get("terms"):
        raise ValueError("nobody can tell by what terms it was made: an earlier version wrote it")
    rows, problems, failures = (verdict[key] for key in ("gates", "problems", "failures"))
    state = summary.overall(verdict["baseline"] is not None, rows, problems, failures)
    if verdict["state"] != state or verdict["exit_code"] != EXIT_CODES[state]:
        raise ValueError(f"it says {verdict['state']}, and its gates say {state}")


def _unfit(run: RunFolder, why: str) -> Refused:
    """No verdict that could be signed, neither to ship nor to hold."""
    again = "run the same `qa run` command again: nothing is decoded twice"
    fix = f"qa judge {shlex.quote(str(run.path))} --save; or {again}"
    return Refused(f"{run.verdict_file} cannot be signed.", why, fix)


def _refuse(decision: str, proposal: Proposal, found: Obstacle | None) -> None:
    """Raise Refused unless this decision is the one that the gates propose."""
    if found is not None:
        raise Refused("\n  ".join([found.why, *found.details]), "", found.fix, found.exit_code)
    if decision != proposal.decision:
        why = "Nothing is waived." if proposal.decision == SHIP else proposal.why
        word = proposal.decision.lower().replace(" ", "-")
        raise Refused(f"{decision} cannot be signed.", why, f"--decision {word}")
