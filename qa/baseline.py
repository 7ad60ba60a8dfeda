"""Which run is the measure for a suite. Made to be kept in the user's git.

    baselines/photos.json                  names the baseline by digest: one small reviewable change
    baselines/photos-1a2b3c4d5e6f/         the run's record, samples and scores, a few kilobytes;
                                           features too where a set metric was measured

The copy makes a baseline independent of the run folder it came from: that may be deleted, moved or
measured again with other metrics, and a colleague's clone needs nothing else. Pictures stay where
they were; a report shows them where they still are.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from qa.errors import QaError, UsageError
from qa.files import digest, read_json, sha256, write_bytes, write_json
from qa.record import now
from qa.results import Results, load
from qa.store import RunFolder, file_name

SCHEMA = "decoder-qa/baseline/1"


def pointer(suite: str, folder: str | Path = "baselines") -> Path:
    """The file that names a suite's baseline."""
    return Path(folder) / f"{file_name(suite)}.json"


def promote(run: RunFolder, folder: str | Path = "baselines", reason: str = "") -> Path:
    """Make a run the baseline of its suite; UsageError if it is not eligible."""
    why_not = ineligible(run)
    if why_not:
        raise UsageError(
            f"{run.path} cannot become a baseline.", why_not, "run the whole suite, then promote it"
        )
    record = run.record()
    content = _digest(run)
    file = pointer(record["suite"], folder)
    copy = RunFolder(file.with_name(f"{file.stem}-{content[:12]}"))
    for source in _kept(run):
        write_bytes(copy.path / source.relative_to(run.path), source.read_bytes())
    path = os.path.relpath(run.path, Path.cwd())
    entry = {
        "schema": SCHEMA,
        "content": content,
        "plan": record["plan"],
        "decoder": record["decoder"],
        "run": path if not path.startswith("..") else str(run.path.resolve()),
        "promoted": now(),
        "reason": reason,
    }
    write_json(file, entry)
    return file


def ineligible(run: RunFolder) -> str:
    """Why a run may not be a baseline; empty if it may."""
    record = run.record()
    if record.get("limited"):
        return "It is a limited run (limit=)."
    if not run.verdict_file.is_file() or not all(file.is_file() for file in _kept(run)):
        return "It is not finished."
    if record["unavailable"]:
        return f"It lacks a metric: {', '.join(sorted(record['unavailable']))}."
    found = load(run.path)
    empty = [name for name in found.metrics if not _measured(found, name)]
    if empty:
        return f"Its {', '.join(empty)} has no value."
    failures = found.failures
    return f"{len(failures)} of its pictures are missing." if failures else ""


def _measured(found: Results, metric: str) -> bool:
    if metric in found.sets:
        return found.sets[metric].get("value") is not None
    return bool(found.by_picture(metric).notna().any())


def find(suite: str, folder: str | Path = "baselines") -> Results | None:
    """The baseline of a suite, or None if there is none; UsageError if it is not intact."""
    file = pointer(suite, folder)
    if not file.is_file():
        return None
    entry = read_json(file)
    try:
        content, run = str(entry["content"]), RunFolder(Path(entry["run"]))
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{file} does not name a baseline.", "", "qa baseline promote RUN"
        ) from error
    copy = RunFolder(file.with_name(f"{file.stem}-{content[:12]}"))
    if _digest(copy) != content:
        raise UsageError(
            f"The baseline {copy.path} is not what was promoted.",
            f"Its content has another digest than the one in {file}, or is not there.",
            f"restore it from git; or: qa baseline promote RUN; or remove {file}",
        )
    found = load(copy.path)
    return replace(found, folder=run if _same_run(run, entry) else None)


def show(folder: str | Path = "baselines") -> list[dict[str, Any]]:
    """All promoted baselines, by suite."""
    return [{"suite": file.stem, **read_json(file)} for file in sorted(Path(folder).glob("*.json"))]


def why(suite: str, folder: str | Path = "baselines") -> str:
    """In words: which run is the baseline of a suite, and why."""
    file = pointer(suite, folder)
    if find(suite, folder) is None:
        return f"{suite} has no baseline: {file} does not exist. Make one: qa baseline promote RUN"
    entry = read_json(file)
    reason = f" ({entry['reason']})" if entry["reason"] else ""
    return (
        f"{entry['run']} is the baseline of {suite}: {file} names it, "
        f"promoted {entry['promoted']}{reason}; its content is intact ({entry['content'][:12]})."
    )


def _kept(run: RunFolder) -> list[Path]:
    """The files that judging reads; features lie in a folder for each kind, or in one file."""
    tables = [run.record_file, run.samples_file, run.decoded_file, run.scores_file]
    tables += [run.sets_file] if run.sets_file.is_file() else []  # older runs have none
    facts = run.record()["facts"].values() if run.record_file.is_file() else ()
    marks = {entry["protocol"].get("features") for entry in facts if entry.get("of") == "set"}
    features = run.path.glob("features/**/*.safetensors")
    wanted = [f for f in features if f.parent.name in marks or f.parent == run.path / "features"]
    return [*tables, *sorted(wanted)]


def _digest(run: RunFolder) -> str:
    """Digest of the files that judging reads; "" if one is not there."""
    try:
        return digest([[f.relative_to(run.path).as_posix(), sha256(f)] for f in _kept(run)])
    except OSError:
        return ""


def _same_run(run: RunFolder, entry: dict[str, Any]) -> bool:
    try:
        return bool(run.record()["plan"] == entry["plan"])
    except (QaError, KeyError):
        return False
