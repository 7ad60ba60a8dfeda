"""Reproducibility: was it shown that the same inputs give the same pictures?

Reads what `qa repro` wrote (repro.json, docs/reproducibility.md) for the candidate's decoder in the
candidate's environment class; the newest document counts. The level that is asked for must PASS and
no lower one may FAIL. INVALID where nobody tried: a level that is not shown does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qa.errors import QaError, UsageError
from qa.files import read_json
from qa.gates.case import Case
from qa.gates.comparable import environment_of
from qa.gates.rows import Row, row
from qa.stats.decide import Outcome

LEVELS = tuple(f"R{number}" for number in range(8))
SCHEMA = "decoder-qa/repro/"


class Reproducibility:
    """One row: the level that was reached against the one that is asked for."""

    name = "reproducibility"
    compares = False

    def __init__(self, level: str = "R3", runs: str = "runs", file: str | None = None) -> None:
        """`runs` is searched for the newest document; `file` names one instead."""
        if level not in LEVELS:
            raise UsageError(
                f"gate.reproducibility.level={level} is no level.",
                "",
                f"one of {', '.join(LEVELS)}",
            )
        self.level, self.runs, self.file = level, Path(runs), file

    def __call__(self, case: Case) -> list[Row]:
        """The row; its `why` names the level that was reached."""
        wanted = (
            case.candidate.record.get("decoder_digest"),
            environment_of(case.candidate),
        )
        outcome = _judged(self._newest(wanted), self.level, wanted)
        return [row(self.name, "level", outcome, margin_why=f"{self.level} is asked for")]

    def _newest(self, wanted: tuple[Any, Any]) -> Mapping[str, Any] | None:
        """The newest document of this decoder on this class of machine."""
        files = [Path(self.file)] if self.file else sorted(self.runs.glob("*/repro.json"))
        fitting = [found for found in _documents(files) if _subject(found) == wanted]
        return max(fitting, key=lambda found: str(found.get("date")), default=None)


def _documents(files: list[Path]) -> Iterator[Mapping[str, Any]]:
    for file in files:
        try:
            content = read_json(file)
        except QaError:
            continue  # half of a neighbour's; a level that is not shown does not hold
        if isinstance(content, dict) and str(content.get("schema")).startswith(SCHEMA):
            yield content


def _subject(content: Mapping[str, Any]) -> tuple[Any, Any]:
    environment = content.get("environment")
    known = environment.get("class") if isinstance(environment, Mapping) else environment
    return content.get("decoder_digest"), known


def _judged(found: Mapping[str, Any] | None, level: str, wanted: tuple[Any, Any]) -> Outcome:
    if found is None:
        why = (
            f"no repro.json shows a level of decoder {str(wanted[0])[:12]} in environment class "
            f"{wanted[1]}: run `qa repro` with the same decoder"
        )
        return Outcome("INVALID", why)
    levels = found.get("levels") or {}
    verdicts = {name: str((levels.get(name) or {}).get("verdict")) for name in LEVELS}
    reached = found.get("reached") or "no level"
    failed = [n for n in LEVELS[: LEVELS.index(level) + 1] if verdicts[n] == "FAIL"]
    if failed:
        return Outcome("FAIL", f"{failed[0]} failed; {reached} was reached")
    if verdicts[level] != "PASS":
        tried = levels.get(level) and verdicts[level] != "SKIPPED"
        told = f"is {verdicts[level]}" if tried else "was not tried"
        return Outcome("INVALID", f"{level} {told}; {reached} was reached")
    return Outcome("PASS", f"{reached} was reached")
