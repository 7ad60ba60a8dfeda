"""`baselines/<suite>.json`: JSON in which every decision is one line, so that git shows it as one.

    {
     "schema": "decoder-qa/baseline/2",
     "suite": "photos",
     "baselines": [
      {"environment": "9f86d081884c", "content": "1a2b…", "run": "photos-flux_vae-5e6f7a8b", …}
     ],
     "waivers": [
     ],
     "tolerances": [
     ]
    }

A new line goes to the head of its list, where it needs no comma on the line before; one that is
replaced keeps its place.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from qa.baseline.approved import SHORT, Waiver
from qa.baseline.cited import KEYS
from qa.errors import QaError, UsageError
from qa.files import digest, read_json, write_bytes
from qa.store import file_name

SCHEMA = "decoder-qa/baseline/2"
LOCK_SECONDS = 60.0
LISTS = ("baselines", "waivers", "tolerances")
RESTORE = "restore it from git"
"""Never to remove it: its waivers, and the drift since the anchor, would be lost."""
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Line:
    """The baseline of one environment class, by digest."""

    environment: str
    content: str
    """Digest of its object.json."""
    run: str
    """Name of the run, for those who read the line."""
    promoted: str
    """ISO time."""
    where: str | None = None
    """The place outside the folder where the object lies (`qa.tracking.baselines`)."""


@dataclass(frozen=True)
class Pointer:
    """What `baselines/<suite>.json` says."""

    file: Path
    suite: str
    baselines: tuple[Line, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    tolerances: tuple[dict[str, Any], ...] = ()

    def of(self, environment: str | None) -> Line | None:
        """The line of exactly this environment class."""
        return next((line for line in self.baselines if line.environment == environment), None)

    def pick(self, environment: str | None) -> Line | None:
        """The line of this class, or else the one promoted last."""
        latest = max(self.baselines, key=lambda line: (line.promoted, line.content), default=None)
        return self.of(environment) or latest

    def with_baseline(self, line: Line, *, renewed: bool = False) -> Pointer:
        """With a new baseline of one class. Waivers stay with one that is only `renewed`."""
        before = self.of(line.environment)
        waivers = self.waivers
        if renewed and before is not None:
            names = {before.content[:SHORT]: line.content[:SHORT]}
            waivers = tuple(
                replace(w, against=tuple(sorted(names.get(x, x) for x in w.against)))
                for w in waivers
            )
        lines = _put(self.baselines, line, lambda x: x.environment)
        return replace(self, baselines=lines, waivers=waivers)

    def with_waiver(self, waiver: Waiver) -> Pointer:
        """With a new waiver, or a renewed one of the same gate."""
        return replace(self, waivers=_put(self.waivers, waiver, lambda x: x.gate))

    def with_tolerance(self, tolerance: dict[str, Any]) -> Pointer:
        """With a tolerance that is new, or measured again for the same classes and decoder."""

        def key(entry: dict[str, Any]) -> list[str]:
            return [*entry["environments"], str(entry.get("decoder"))]

        return replace(self, tolerances=_put(self.tolerances, tolerance, key))

    def write(self) -> None:
        """Write the file."""
        write_bytes(self.file, _text(self).encode())


def pointer(suite: str, folder: str | Path = "baselines") -> Path:
    """The file that names a suite's baselines."""
    return Path(folder) / f"{file_name(suite)}.json"


@contextmanager
def changing(suite: str, folder: str | Path) -> Iterator[Pointer]:
    """A suite's pointer as it is, and until the block ends nobody else's to change.

    Two decisions at once on one machine are both kept. QaError if another one takes too long.
    """
    from filelock import FileLock, Timeout

    file = pointer(suite, folder)
    # Not beside the pointer: that folder is under version control.
    user = getattr(os, "getuid", lambda: 0)()
    name = f"decoder-qa-{user}-{digest(str(file.resolve()))[:16]}.lock"
    try:
        with FileLock(Path(tempfile.gettempdir()) / name, timeout=LOCK_SECONDS):
            yield read(file, suite)
    except Timeout as error:
        raise QaError(
            f"Another command has been changing {file} for {LOCK_SECONDS:g} s.",
            "Decisions are written one after the other.",
            "wait for it, then run this again",
        ) from error


def read(file: Path, suite: str = "") -> Pointer:
    """The file's contents, of nothing if there is none; UsageError if it cannot be understood.

    `suite` is the suite's name where the file does not say it.
    """
    if not file.is_file():
        return Pointer(file, suite)
    try:
        content = read_json(file)
    except QaError as error:
        raise UsageError(f"{file} is not understood.", error.why, RESTORE) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"{file} does not name a baseline.",
            f"Its schema is {schema}, this version's is {SCHEMA}.",
            f"{RESTORE}; if another version of decoder-qa wrote it, judge with that one",
        )
    try:
        return Pointer(
            file,
            str(content["suite"]),
            tuple(_line(entry) for entry in content["baselines"]),
            tuple(_waiver(entry) for entry in content["waivers"]),
            tuple(_tolerance(entry) for entry in content["tolerances"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{file} is not understood.",
            f"{type(error).__name__}: {error}.",
            RESTORE,
        ) from error


def _line(entry: Mapping[str, Any]) -> Line:
    line = Line(**entry)
    _texts(line.environment, line.run, line.promoted, line.where or "")
    if not re.fullmatch("[0-9a-f]{64}", line.content):
        raise ValueError(f"content {line.content!r} is no SHA-256")
    return line


def _waiver(entry: Mapping[str, Any]) -> Waiver:
    waiver = Waiver(**{**entry, "against": tuple(entry["against"])})
    _texts(waiver.gate, waiver.by, waiver.why, *waiver.against)
    if waiver.review is not None:
        if sorted(waiver.review) != list(KEYS):
            raise ValueError(f"a review that is cited has {', '.join(KEYS)}")
        _texts(*waiver.review.values())
    date.fromisoformat(waiver.until)
    date.fromisoformat(waiver.given)
    return waiver


def _tolerance(entry: Mapping[str, Any]) -> dict[str, Any]:
    one, other = entry["environments"]
    _texts(one, other, entry["measured"])
    return {**entry, "limits": {str(k): float(v) for k, v in entry["limits"].items()}}


def _texts(*values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")


def _put(entries: Sequence[Entry], new: Entry, key: Callable[[Entry], Any]) -> tuple[Entry, ...]:
    """`new` in the place of the entry with its key, or at the head."""
    keys = [key(entry) for entry in entries]
    if key(new) not in keys:
        return (new, *entries)
    place = keys.index(key(new))
    return (*entries[:place], new, *entries[place + 1 :])


def _text(pointer: Pointer) -> str:
    lists = {
        "baselines": [_without_none(asdict(line)) for line in pointer.baselines],
        "waivers": [waiver.stored() for waiver in pointer.waivers],
        "tolerances": list(pointer.tolerances),
    }
    head = [f' "schema": {_json(SCHEMA)},', f' "suite": {_json(pointer.suite)},']
    body = []
    for name in LISTS:
        entries = [f"  {_json(entry)}," for entry in lists[name]]
        if entries:
            entries[-1] = entries[-1].removesuffix(",")
        body += [f' "{name}": [', *entries, " ],"]
    body[-1] = " ]"
    return "\n".join(["{", *head, *body, "}"]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _without_none(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value is not None}
