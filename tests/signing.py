"""Run folders that can be signed, without a picture in them, and trackers that tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import verdicts

from qa import rejudged
from qa.errors import QaError
from qa.files import write_bytes, write_json
from qa.store import RunFolder

TERMS = {"use_case": "7" * 64, "primary": ["psnr"], "gates": {"regression": "e" * 64}}
"""What every run is to be judged by."""
RECORD = {
    "schema": "decoder-qa/record/1", "name": "mini-shifted-1a2b", "suite": "mini",
    "plan": "ab" * 32, "use_case": "photo", "policy": "pr", "terms": TERMS, "limited": False,
    "half": None, "look": None, "facts": {}, "finished": "2026-11-20T08:05:00+00:00",
}  # fmt: skip
TABLES = (
    "config.yaml", "samples.jsonl", "decoded.parquet", "scores/_parts.json",
    "scores/metric=psnr/part-00000.parquet", "sets.json", "panels.json",
)  # fmt: skip
"""Files that a signature covers beside record.json. Only judging again opens them."""


def judged(state: str = "PASS", *gates: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A verdict by the run's own terms."""
    asked = {"use_case": TERMS["use_case"], "gates": sorted(TERMS["gates"])}
    return verdicts.verdict(state, *gates, **{"terms": asked, **changes})


def measured(**changes: Any) -> dict[str, Any]:
    """A verdict of a run without a baseline."""
    return {**judged("MEASURED", baseline=None), "gates": [], **changes}


def looked(*entries: tuple[int, str, str], number: int = 2) -> dict[str, Any]:
    """The look of a record; an entry is a look's number, its state and its baseline's plan."""
    history = [
        {"number": n, "pictures": 8 * n, "state": state, "against": against,
         "failed": [{"gate": "regression", "metric": "psnr"}] if state == "FAIL" else []}
        for n, state, against in entries
    ]  # fmt: skip
    return {"number": number, "of": 3, "pictures": 8 * number, "planned": 24, "history": history}


def make_run(path: Path, verdict: dict[str, Any] | None = None, **record: Any) -> RunFolder:
    """A finished run with this verdict."""
    run = RunFolder(path)
    write_json(run.record_file, {**RECORD, **record})
    for name in TABLES:
        write_bytes(path / name, f"{name} of {path.name}\n".encode())
    write_json(run.verdict_file, verdict or judged())
    return run


def believe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every verdict be what its run's scores give: those of `make_run` are none."""
    monkeypatch.setattr(rejudged, "rejudged", lambda run, policy, today: run.verdict())


def tree(path: Path) -> dict[str, bytes]:
    """Name → content of every file below a folder."""
    files = (file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


class Tracker:
    """Notes what the files of a run held when it was exported."""

    seen: list[dict[str, bytes]] = []  # noqa: RUF012  tests read it

    def export(self, run: Path) -> str:
        Tracker.seen.append(tree(run))
        return f"shelf {len(Tracker.seen)}"


class Down:
    """A store that does not answer."""

    def export(self, run: Path) -> str:
        raise QaError("The shelf is down.", "", f"qa export {run}")
