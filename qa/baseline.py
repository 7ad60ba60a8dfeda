"""Which run is the measure: `baselines/<suite>.json` in the user's own git names one by digest.

    {"run": "runs/mini-vae_mini-1a2b3c4d", "scores": "<sha256>", "plan": "<sha256>", ...}

An approval is therefore a reviewable change of a small file. A run that was limited, has missing
pictures or was changed after its promotion is refused.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from qa.errors import UsageError
from qa.record import now
from qa.store import RunFolder, read_json, write_json

SCHEMA = "decoder-qa/baseline/1"


def pointer(suite: str, folder: str | Path = "baselines") -> Path:
    """The file that names a suite's baseline."""
    return Path(folder) / f"{suite}.json"


def promote(run: RunFolder, folder: str | Path = "baselines", reason: str = "") -> Path:
    """Make a run the baseline of its suite; UsageError if it is not eligible."""
    record = run.record()
    why_not = ineligible(run, record)
    if why_not:
        raise UsageError(
            f"{run.path} cannot become a baseline.", why_not, "run the whole suite, then promote it"
        )
    file = pointer(record["suite"], folder)
    # A relative path keeps the file meaningful in a clone that has its runs/ in the same place.
    path = os.path.relpath(run.path, Path.cwd())
    entry = {
        "schema": SCHEMA,
        "run": path if not path.startswith("..") else str(run.path.resolve()),
        "scores": _digest(run),
        "plan": record["plan"],
        "decoder": record["decoder"],
        "promoted": now(),
        "reason": reason,
    }
    write_json(file, entry)
    return file


def ineligible(run: RunFolder, record: dict[str, Any]) -> str:
    """Why a run may not be a baseline; empty if it may."""
    if record.get("limited"):
        return "It is a limited run (limit=)."
    if not run.verdict_file.is_file() or not run.scores_file.is_file():
        return "It is not finished."
    failures = run.verdict()["failures"]
    if failures:
        return f"{len(failures)} of its pictures are missing."
    return ""


def find(suite: str, folder: str | Path = "baselines") -> Path | None:
    """The promoted run of a suite, or None if there is none; UsageError if it is not intact."""
    file = pointer(suite, folder)
    if not file.is_file():
        return None
    entry = read_json(file)
    run = RunFolder(Path(entry["run"]))
    fix = f"decode it again, then: qa baseline promote RUN; or remove {file}"
    if not run.record_file.is_file():
        raise UsageError(f"{file} names {run.path}, which is not there.", "", fix)
    if _digest(run) != entry["scores"]:
        raise UsageError(
            f"The baseline {run.path} is not what was promoted.",
            "Its scores have another digest than the one in " + f"{file}.",
            fix,
        )
    return run.path


def show(folder: str | Path = "baselines") -> list[dict[str, Any]]:
    """All promoted baselines, by suite."""
    return [{"suite": file.stem, **read_json(file)} for file in sorted(Path(folder).glob("*.json"))]


def why(suite: str, folder: str | Path = "baselines") -> str:
    """In words: which run is the baseline of a suite, and why."""
    file = pointer(suite, folder)
    if not file.is_file():
        return f"{suite} has no baseline: {file} does not exist. Make one: qa baseline promote RUN"
    entry = read_json(file)
    find(suite, folder)
    reason = f" ({entry['reason']})" if entry["reason"] else ""
    return (
        f"{entry['run']} is the baseline of {suite}: {file} names it, "
        f"promoted {entry['promoted']}{reason}; its scores are intact ({entry['scores'][:12]})."
    )


def _digest(run: RunFolder) -> str:
    try:
        return hashlib.sha256(run.scores_file.read_bytes()).hexdigest()
    except OSError:
        return ""
