"""What lies beside a run and speaks for it: its level of reproducibility, and its dial.

Both are documents of their own in the folder of runs. One counts only if it was made with the very
weights, settings and environment of the run (`qa.shown`), or with its decoder and knobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa import shown
from qa.errors import QaError
from qa.files import read_json
from qa.store import RunFolder

DIAL = "dial.json"


@dataclass(frozen=True)
class Level:
    """One level of `qa repro`."""

    name: str
    claim: str
    verdict: str
    said: str


@dataclass(frozen=True)
class Reproducibility:
    """How far the same inputs gave the same pictures."""

    reached: str
    levels: tuple[Level, ...]
    divergence: str
    """Where two decodes first parted, in words; empty where none did."""
    file: str
    why: str
    """Why nothing is known; then all else is empty."""


UNKNOWN = Reproducibility("", (), "", "", "there is no run folder")


def reproducibility(run: RunFolder) -> Reproducibility:
    """By the newest repro.json beside the run that speaks for it."""
    files, record = shown.files(run.path.resolve().parent), run.record()
    found = shown.fitting(files, record)
    if found is None:
        return Reproducibility("", (), "", "", shown.absent(files, record))
    place, content = found
    levels = tuple(
        Level(name, str(row.get("claim") or ""), str(row["verdict"]), _said(row))
        for name, row in content["levels"].items()
    )
    divergence = content.get("divergence")
    return Reproducibility(
        str(content.get("reached") or ""),
        levels,
        "" if not divergence else _parted(divergence),
        f"{place.parent.name}/{place.name}",
        "",
    )


def dial(run: RunFolder) -> Mapping[str, Any] | None:
    """The document of the dial that picked the run's setting; None where there is none."""
    record = run.record()
    setting = record.get("dial")
    if not setting:
        return None
    files = sorted(run.path.resolve().parent.glob(f"*/{DIAL}"))
    return next((found for file in files if (found := _dial(file, record, setting))), None)


def _dial(
    file: Path, record: Mapping[str, Any], setting: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """A dial's document if it was made with the run's decoder and picked the run's knobs."""
    try:
        found = read_json(file)
        picked = next(row for row in found["settings"] if row["name"] == found["picked"])
        own = record["knobs"]
        fits = (
            found["decoder"] == record["decoder"]
            and found["use_case"] == setting["use_case"]
            and found["pins"]["decoder_digest"] == record["decoder_digest"]
            and all(own.get(knob) == value for knob, value in picked["knobs"].items())
        )
    except (QaError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    return found if fits else None


def _said(row: Mapping[str, Any]) -> str:
    exact = {True: "equal to the bit", False: "within a tolerance"}.get(row.get("exact"), "")
    parts = (exact if row["verdict"] == "PASS" else "", row.get("compared"), row.get("why"))
    return "; ".join(str(part) for part in parts if part)


def _parted(found: Mapping[str, Any]) -> str:
    """The first divergence in words."""
    index = "" if found.get("index") is None else f" {found['index']}"
    size = found.get("max_ulp")
    place = f"{found.get('stage')}{index}"
    parts = [
        f"{found.get('level')}: {found.get('picture')} first differs at {place}",
        f"{found['differing']} values" if found.get("differing") else "",
        f"at most {size} units in the last place" if size else "",
        f"{found['max_abs']:.3g} at most" if found.get("max_abs") else "",
        str(found.get("why") or ""),
    ]
    return ", ".join(filter(None, parts))
