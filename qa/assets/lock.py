"""Hashes and commits that were learned on first use: a JSON file that a user may keep in git."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qa.errors import QaError
from qa.files import write_json

VERSION = 1


@dataclass(frozen=True)
class Lock:
    """`{"version": 1, "sha256": {file: hash}, "commits": {asset: commit}}`.

    Read afresh at each question and replaced as a whole, so that a reader never sees half a file.
    Two processes that add at the same moment may lose one addition; it is learned again at its
    next use.
    """

    path: Path

    def hash_of(self, key: str) -> str | None:
        return self._read()["sha256"].get(key)

    def commit_of(self, asset: str) -> str | None:
        return self._read()["commits"].get(asset)

    def add(self, hashes: Mapping[str, str], commits: Mapping[str, str]) -> None:
        """Adds what is not there yet; an entry never changes."""
        known = self._read()
        merged = {
            "sha256": {**hashes, **known["sha256"]},
            "commits": {**commits, **known["commits"]},
        }
        if merged == known:
            return
        try:
            write_json(self.path, {"version": VERSION, **merged})
        except QaError as error:
            raise QaError(error.what, error.why, "set QA_ASSETS_LOCK or QA_CACHE") from error

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {"sha256": {}, "commits": {}}
        try:
            content = json.loads(text)
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']} instead of {VERSION}")
            return {"sha256": dict(content["sha256"]), "commits": dict(content["commits"])}
        except (ValueError, KeyError, TypeError) as error:
            raise QaError(
                f"{self.path} is no lock of hashes.",
                f"{type(error).__name__}: {error}.",
                "restore it from git, or delete it to learn the hashes again",
            ) from error
