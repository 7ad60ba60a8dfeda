"""Answers are kept: a stopped run asks nothing twice.

    FOLDER/<judge's digest>/settings.json                 what the digest stands for
    FOLDER/<judge's digest>/<ab>/<picture's digest>.json  question → said, yes

The key of an answer is so the picture's values, the question, and everything in the settings: the
model, its revision, the template, the size that it sees. What was no answer is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from qa.errors import QaError
from qa.files import digest, read_json, write_json
from suites.dpg.judges import Answer


class Cache:
    """One judge's answers on disk. May be used from several threads and processes.

    Two processes that answer on one picture at the same moment may lose one answer; it is asked for
    again at its next use.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder / digest(settings)[:16]
        self._settings = dict(settings)
        self._lock = Lock()

    @property
    def empty(self) -> bool:
        """Whether no answer of this judge is kept."""
        return not self._folder.is_dir()

    def read(self, picture: str) -> dict[str, Answer]:
        """Question → answer of the picture with this digest; a damaged file holds none."""
        try:
            kept = read_json(self._file(picture))
            return {
                question: Answer(str(row["said"]), float(row["yes"]))
                for question, row in kept.items()
            }
        except (QaError, AttributeError, KeyError, TypeError, ValueError):
            return {}

    def add(self, picture: str, question: str, answer: Answer) -> None:
        """Keeps one answer, at once and whole."""
        with self._lock:
            known = {**self.read(picture), question: answer}
            rows = {text: {"said": each.said, "yes": each.yes} for text, each in known.items()}
            write_json(self._file(picture), rows)
            settings = self._folder / "settings.json"
            if not settings.is_file():
                write_json(settings, self._settings)

    def _file(self, picture: str) -> Path:
        return self._folder / picture[:2] / f"{picture}.json"
