"""What people signed about a run: signoff.json, and whether each signature still holds.

    verdict.json                        SHA-256 each
    record.json, scores/…, reviews/… ──────────────►  a signature, added at the end of signoff.json
                                                          │ one of them changed, went or came?
                                                          └──► it stays as history and holds no more

Nothing is ever removed. Which decisions may be signed at all is `qa.signoff`'s business. A digest
shows that a file changed; it does not prove who signed (docs/signoff.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date as day
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from qa.errors import QaError
from qa.files import digest, read_json, write_json
from qa.review.plan import ReviewFolder
from qa.store import RunFolder

SCHEMA = "decoder-qa/signoff/1"
SHIP, WITH_WAIVERS, HOLD = "SHIP", "SHIP WITH WAIVERS", "HOLD"
DECISIONS = (SHIP, WITH_WAIVERS, HOLD)
LONGEST = {"by": 200, "why": 10_000}
"""Letters of a name and of a reason: both stand in reports and in MLflow."""
WAIVER = ("by", "gate", "until", "why")
SHA256 = re.compile("[0-9a-f]{64}")
OF_EACH_CALL = ("started", "finished", "command")
"""Keys of record.json that the same command writes anew although it measures nothing."""


@dataclass(frozen=True)
class Signature:
    """One decision of one person about one verdict."""

    decision: str
    """SHIP, SHIP WITH WAIVERS or HOLD."""
    by: str
    why: str
    """"" where no reason was given; HOLD has one."""
    date: str
    """ISO 8601, UTC."""
    proposed: str
    """What the gates proposed: one of the same three."""
    state: str
    """Of the verdict."""
    verdict: str
    """SHA-256 of verdict.json."""
    evidence: Mapping[str, str]
    """Path of a file that the verdict rests on → its SHA-256 (`digests`)."""
    waivers: tuple[Mapping[str, str], ...]
    """gate, by, why, until of those that SHIP WITH WAIVERS relies on."""
    broken: str = ""
    """What changed since, e.g. `verdict.json changed`; "" while it holds. Not part of the file."""

    @property
    def holds(self) -> bool:
        """Whether the run is still what was signed."""
        return not self.broken

    def stored(self) -> dict[str, Any]:
        """As signoff.json has it."""
        kept = {key: value for key, value in asdict(self).items() if key != "broken"}
        return {**kept, "waivers": list(kept["waivers"])}

    def document(self) -> dict[str, Any]:
        """The same and whether it holds."""
        return {**self.stored(), "holds": self.holds, "broken": self.broken}


def signed(run: RunFolder) -> Signature | None:
    """The newest signature, whether or not it holds; None where nobody signed.

    QaError if signoff.json is damaged or says what `qa signoff` never writes.
    """
    found = history(run)
    return found[-1] if found else None


def history(run: RunFolder) -> tuple[Signature, ...]:
    """All signatures, newest last; each says whether it holds. QaError as for `signed`."""
    found = _read(run.signoff_file)
    if not found:
        return ()
    verdict, evidence = digests(run)
    return tuple(replace(one, broken=_broken(one, verdict, evidence)) for one in found)


def add(run: RunFolder, signature: Signature) -> None:
    """Write a signature behind those that are there."""
    with run.held():
        entries = [one.stored() for one in (*_read(run.signoff_file), signature)]
        write_json(run.signoff_file, {"schema": SCHEMA, "entries": entries})


def digests(run: RunFolder) -> tuple[str, dict[str, str]]:
    """SHA-256 of verdict.json ("" without one), and by path of the files that it rests on.

    Of record.json it is that of its canonical JSON without `OF_EACH_CALL`. The pictures are
    covered by decoded.parquet, which holds a digest of each; reviews by their plans and answers.
    """
    files = (
        run.config_file, run.samples_file, run.decoded_file, *run.scores_folder.files(),
        run.sets_file, run.panels_file,
        *(file for one in sorted(run.path.glob("reviews/*")) for file in ReviewFolder(one).files()),
    )  # fmt: skip
    verdict = _sha256(run.verdict_file) if run.verdict_file.is_file() else ""
    record = {run.record_file.name: _record(run.record_file)} if run.record_file.is_file() else {}
    there = [file for file in files if file.is_file()]
    found = {file.relative_to(run.path).as_posix(): _sha256(file) for file in there}
    return verdict, {**record, **found}


def _record(file: Path) -> str:
    """SHA-256 of what a record says; of its bytes, where it is damaged."""
    try:
        content = dict(read_json(file))
        return digest({key: content[key] for key in content if key not in OF_EACH_CALL})
    except (QaError, TypeError, ValueError):
        return _sha256(file)


def _sha256(file: Path) -> str:
    """Read anew each time: `qa.files.sha256` trusts a file's size and time, which can be forged."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _broken(signature: Signature, verdict: str, evidence: Mapping[str, str]) -> str:
    told = {"verdict.json": signature.verdict, **signature.evidence}
    now = {**({"verdict.json": verdict} if verdict else {}), **evidence}
    for name in dict.fromkeys((*told, *now)):
        if told.get(name) != now.get(name):
            how = "is new" if name not in told else "changed" if name in now else "is gone"
            return f"{name} {how}"
    return ""


def _read(file: Path) -> tuple[Signature, ...]:
    """The signatures of a file, none if there is no file; QaError for what is no such file."""
    if not file.is_file():
        return ()
    try:
        content = read_json(file)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        entries = content["entries"]
        if set(content) != {"schema", "entries"} or not isinstance(entries, list) or not entries:
            raise ValueError("it is no list of entries")
        return tuple(_checked(Signature(**entry)) for entry in entries)
    except (QaError, AttributeError, KeyError, TypeError, ValueError) as error:
        why = error.why if isinstance(error, QaError) else f"{type(error).__name__}: {error}."
        raise QaError(
            f"{file} is not what `qa signoff` writes.",
            why,
            "restore it from a copy (MLflow keeps one with the run); or move it away: nobody has "
            "then signed this run",
        ) from error


def _checked(found: Signature) -> Signature:
    """The same; ValueError for anything that `qa.signoff` would not have written."""
    texts = (found.decision, found.by, found.why, found.date, found.proposed, found.state)
    _texts(*texts, *found.evidence, *found.evidence.values(), found.verdict)
    if found.broken:
        raise ValueError("broken is no key of an entry")
    if found.decision not in DECISIONS or found.proposed not in DECISIONS:
        raise ValueError(f"{found.decision!r} over {found.proposed!r} is no decision")
    if found.decision != HOLD and found.decision != found.proposed:
        raise ValueError(f"{found.decision} cannot be signed where {found.proposed} is proposed")
    if not found.by.strip() or (found.decision == HOLD and not found.why.strip()):
        raise ValueError("a signature has a name, and HOLD a reason")
    for name, limit in LONGEST.items():
        if len(getattr(found, name)) > limit:
            raise ValueError(f"{name} is longer than {limit} letters")
    if datetime.fromisoformat(found.date).utcoffset() != timedelta(0):
        raise ValueError(f"{found.date} is no time in UTC")
    marks = [found.verdict, *found.evidence.values()]
    wrong = next((mark for mark in marks if not SHA256.fullmatch(mark)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no SHA-256")
    waivers = tuple(_waiver(entry) for entry in found.waivers)
    if bool(waivers) != (found.decision == WITH_WAIVERS):
        raise ValueError(f"{found.decision} relies on {len(waivers)} waivers")
    return replace(found, evidence=dict(found.evidence), waivers=waivers)


def _waiver(entry: Mapping[str, Any]) -> dict[str, str]:
    if sorted(entry) != list(WAIVER):
        raise ValueError(f"a waiver has {', '.join(WAIVER)}")
    _texts(*entry.values())
    day.fromisoformat(entry["until"])
    return dict(entry)


def _texts(*values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
