"""Answers are kept: a stopped run asks nothing twice.

    FOLDER/<settings' digest>/settings.json           what the digest stands for
    FOLDER/<settings' digest>/<ab>/<digest>.json      question → answer

The digest of a file is that of what was looked at. So the key of an answer is what was seen, the
question, and everything in the settings: the model, its revision, the template, the size that it
sees. What was no answer is not to be added.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from qa.errors import QaError
from qa.files import digest, read_json, write_json


class Kept:
    """One model's answers on disk. May be used from several threads and processes.

    Two processes that answer on one thing at the same moment may lose one answer; it is asked for
    again at its next use.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder / digest(settings)[:16]
        self._settings = dict(settings)
        self._lock = Lock()

    @property
    def empty(self) -> bool:
        """Whether no answer of this model is kept."""
        return not self._folder.is_dir()

    def read(self, seen: str) -> dict[str, Any]:
        """Question → answer, as JSON, on what has this digest; a damaged file holds none."""
        try:
            return dict(read_json(self._file(seen)))
        except (QaError, TypeError, ValueError):
            return {}

    def add(self, seen: str, question: str, answer: Any) -> None:
        """Keeps one answer, at once and whole."""
        with self._lock:
            write_json(self._file(seen), {**self.read(seen), question: answer})
            settings = self._folder / "settings.json"
            if not settings.is_file():
                write_json(settings, self._settings)

    def _file(self, seen: str) -> Path:
        return self._folder / seen[:2] / f"{seen}.json"
