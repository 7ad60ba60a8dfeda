"""A level's verdict, and the document of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qa.errors import QaError
from qa.files import read_json
from qa.repro.compare import Difference
from qa.repro.divergence import Divergence
from qa.repro.options import LEVELS
from qa.shown import SCHEMA

CLAIMS = {
    "R0": "the same inputs",
    "R1": "the same process, twice",
    "R2": "a fresh process",
    "R3": "order, shards, workers, resume",
    "R4": "batch size and place in the batch",
    "R5": "other kernels and settings",
    "R6": "another environment class",
    "R7": "statistically the same",
}
ASK = {
    "R5": "not asked for: vary=[threads:1]",
    "R6": "not asked for: against=RUN",
    "R7": "not asked for: against=RUN",
}
CODES = {"INVALID": 5, "FAIL": 3}


@dataclass(frozen=True)
class Row:
    """The verdict on one level."""

    level: str
    verdict: str
    """PASS, FAIL, INVALID or SKIPPED."""
    compared: str
    why: str = ""
    exact: bool | None = None
    """Whether everything was equal to the bit; None where that is not the question."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What was compared → differences, as `Difference.document` gives them."""
    divergence: Divergence | None = None
    tolerances: tuple[Mapping[str, Any], ...] = ()

    def document(self, date: str) -> dict[str, Any]:
        """As repro.json has it."""
        return {
            "verdict": self.verdict,
            "exact": self.exact,
            "claim": CLAIMS[self.level],
            "compared": self.compared,
            "why": self.why,
            "date": date,
            "measured": dict(self.measured),
            "divergence": None if self.divergence is None else self.divergence.document(),
        }


def invalid(level: str, compared: str, why: str) -> Row:
    """A level that could not be tried."""
    return Row(level, "INVALID", compared, why)


def from_difference(
    level: str, compared: str, found: Difference, divergence: Divergence | None, why: str = ""
) -> Row:
    """PASS where the difference is rounding (R4t), else FAIL."""
    reason = found.unacceptable
    told = "; ".join(filter(None, (reason, why)))
    verdict = "FAIL" if reason else "PASS"
    return Row(level, verdict, compared, told, False, {"": found.document()}, divergence)


def skipped(level: str) -> dict[str, Any]:
    """The row of a level that nobody asked for."""
    return Row(level, "SKIPPED", "", ASK.get(level, f"not asked for: levels=[{level}]")).document(
        ""
    )


def earlier(file: Path, plan: str, environment: str) -> dict[str, Any]:
    """Levels and tolerances that an earlier check of the same plan and class left there."""
    empty: dict[str, Any] = {"levels": {}, "tolerances": []}
    if not file.is_file():
        return empty
    try:
        found = read_json(file)
        same = (found["schema"], found["plan"], found["environment"]["class"])
        if same != (SCHEMA, plan, environment):
            return empty
        kept = {k: dict(row) for k, row in found["levels"].items() if row["verdict"] != "SKIPPED"}
        return {"levels": kept, "tolerances": list(found["tolerances"])}
    except (QaError, KeyError, TypeError, AttributeError):
        return empty  # damaged, or another version's: it is written anew


def reached(levels: Mapping[str, Mapping[str, Any]]) -> str:
    """The last of an unbroken row of levels that hold, from R0 on; `R4t` for rounding, or ""."""
    last = ""
    for level in LEVELS:
        if levels.get(level, {}).get("verdict") != "PASS":
            break
        last = "R4t" if level == "R4" and not levels[level]["exact"] else level
    return last


def first_divergence(levels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The divergence of the lowest level that has one."""
    for level in LEVELS:
        found = levels.get(level, {}).get("divergence")
        if found:
            return {"level": level, **found}
    return None


def document(
    about: Mapping[str, Any],
    rows: Sequence[Row],
    before: Mapping[str, Any],
    date: str,
) -> dict[str, Any]:
    """The contents of repro.json: `about` the decode, new rows, and what `earlier` found."""
    now = {row.level: row.document(date) for row in rows}
    levels = {level: now.get(level) or before["levels"].get(level) or skipped(level)
              for level in LEVELS}  # fmt: skip
    fresh = [dict(entry) for row in rows for entry in row.tolerances]
    replaced = {(entry["level"], entry["axis"]) for entry in fresh}
    old = [entry for entry in before["tolerances"]
           if (entry["level"], entry["axis"]) not in replaced]  # fmt: skip
    codes = [CODES.get(row.verdict, 0) for row in rows]
    return {
        "schema": SCHEMA,
        **about,
        "date": date,
        "reached": reached(levels),
        "levels": levels,
        "divergence": first_divergence(levels),
        "tolerances": sorted([*old, *fresh], key=lambda entry: (entry["level"], entry["axis"])),
        # A level that FAILs says more than one that could not be tried.
        "exit_code": 3 if 3 in codes else max(codes, default=0),
    }
