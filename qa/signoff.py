"""Signing off: which decisions a person may sign over a verdict.

    verdict, record ──► proposed: SHIP │ SHIP WITH WAIVERS │ HOLD, and why (`qa.proposal`)
                            │
    a person decides ───────┴──► sign: refused, or one more signature (`qa.signature`)
                                   ▲ to ship: the scores judged again (`qa.rejudged`) agree

A person may hold what the gates would ship. To ship what they hold takes a waiver by name and a
new verdict, never a signature alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import date
from typing import Any

from qa import signature
from qa.baseline.approved import utc_today
from qa.baseline.eligibility import row_name
from qa.baseline.people import who
from qa.errors import QaError, UsageError
from qa.outcomes import counts
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
    what removes them, where the verdict does not carry the decision, or, to ship, where the stored
    scores do not give that verdict again; UsageError for a request that cannot be meant. `today`
    (UTC) decides what expired.
    """
    by, why = _asked(decision, by, why)
    today = today or utc_today()
    # Before the verdict is read: should it change now, the signature does not hold.
    stamp, evidence = signature.digests(run)
    verdict, record = _documents(run)
    found = obstacle(verdict, record, run.path)
    if found is not None and found.unfit:
        raise Refused(f"{run.verdict_file} cannot be signed.", found.why, found.fix)
    proposal = proposed(verdict, record)
    if decision != HOLD:
        _refuse(decision, proposal, found or lapsed(verdict, record, run.path, today))
        _still(run, verdict, proposal, today)
    waivers = {row["waiver"]["gate"]: _waiver(row) for row in waived(verdict)}
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
    if by is not None and not by.strip():
        raise UsageError("--by names nobody.", "", "--by NAME, or leave it out for git's user")
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
        what = f"{run.verdict_file} cannot be signed."
        raise Refused(what, error.why, _judge_again(run)) from error


def _judge_again(run: RunFolder) -> str:
    return f"qa judge {shlex.quote(str(run.path))} --save"


def _waiver(row: Mapping[str, Any]) -> dict[str, str]:
    return {key: row["waiver"][key] for key in signature.WAIVER}


def _refuse(decision: str, proposal: Proposal, found: Obstacle | None) -> None:
    """Raise Refused unless this decision is the one that the gates propose."""
    if found is not None:
        raise Refused("\n  ".join([found.why, *found.details]), "", found.fix, found.exit_code)
    if decision != proposal.decision:
        why = "Nothing is waived." if proposal.decision == SHIP else proposal.why
        word = proposal.decision.lower().replace(" ", "-")
        raise Refused(f"{decision} cannot be signed.", why, f"--decision {word}")


def _still(run: RunFolder, verdict: Mapping[str, Any], proposal: Proposal, today: date) -> None:
    """Refused unless the stored scores give this verdict today; they have to be there for that."""
    from qa.rejudged import rejudged

    fix = _judge_again(run)
    try:
        again = rejudged(run, verdict["policy"], today)
    except QaError as error:
        what = "What the verdict rests on cannot be judged again."
        raise Refused(what, f"{error.what} {error.why}".strip(), error.fix) from error
    if again["state"] != verdict["state"]:
        what = f"The scores give {again['state']} today, verdict.json says {verdict['state']}."
        raise Refused(what, "", f"judge again with `{fix}`")
    contents = [(one["baseline"] or {}).get("content") for one in (verdict, again)]
    if contents[0] != contents[1]:
        what = "The suite's promoted run is not the one that the verdict compared with."
        raise Refused(what, "", f"judge again with `{fix}`")
    now_proposed = proposed(again, run.record()).decision
    if now_proposed != proposal.decision:
        what = f"The scores propose {now_proposed} today, verdict.json {proposal.decision}."
        raise Refused(what, "", f"judge again with `{fix}`")
    written, found = (
        {row_name(row): row["state"] for row in one["gates"] if counts(row)}
        for one in (verdict, again)
    )
    changed = next((name for name, state in found.items() if written.get(name) != state), None)
    if changed is not None:  # answers of people may have come since
        before = written.get(changed, "nothing of it")
        what = f"{changed} is {found[changed]} today, verdict.json says {before}."
        raise Refused(what, "", f"judge again with `{fix}`")
