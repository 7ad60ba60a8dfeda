"""Reproducibility: was it shown that the same inputs give the same pictures?

Reads what `qa repro` wrote (repro.json, docs/reproducibility.md) for the very inputs of the
candidate (`qa.shown`) in its environment class; the newest document counts. The level that is
asked for must PASS and no lower one may FAIL. INVALID where nobody tried: a level that is not shown
does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qa import shown
from qa.errors import UsageError
from qa.gates.case import Case
from qa.gates.rows import Row, row
from qa.stats.decide import Outcome

LEVELS = tuple(f"R{number}" for number in range(8))


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
        record = case.candidate.record
        files = [Path(self.file)] if self.file else shown.files(self.runs)
        found = shown.fitting(files, record)
        if found is None:
            outcome = Outcome("INVALID", shown.absent(files, record))
        else:
            outcome = _judged(found[1], self.level)
        return [row(self.name, "level", outcome, margin_why=f"{self.level} is asked for")]


def _judged(found: Mapping[str, Any], level: str) -> Outcome:
    levels = found["levels"]
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
