"""What panels noted on one picture, as the viewer shows it: the words read, or a list of facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qa import panels
from qa.store import RunFolder
from reports.panels import BESIDE, READS_WORDS, Pairs, flat
from reports.words import SAID


@dataclass(frozen=True)
class Word:
    """A word as it should be and as it was read."""

    expected: str
    read: str
    said: str
    wrong: bool


@dataclass(frozen=True)
class Note:
    """What one panel noted."""

    panel: str
    words: tuple[Word, ...]
    """What was read wrong comes first."""
    facts: Pairs


def notes(run: RunFolder, sample: str, seed: int) -> list[Note]:
    """The notes of every panel on a picture; those that have none are left out."""
    found = []
    for panel in sorted(run.panels()):
        for note in panels.read_notes(run, panel, sample):
            if note["seed"] != seed:
                continue
            read = note.get("words") if panel == READS_WORDS else None
            shown = sorted((_word(one) for one in read or ()), key=lambda word: not word.wrong)
            left = {key: value for key, value in note.items() if key not in (*BESIDE, "words")}
            found.append(Note(panel, tuple(shown), tuple(flat(left)) if left else ()))
    return found


def _word(found: Mapping[str, Any]) -> Word:
    state = str(found["state"])
    return Word(found["expected"], found["read"], SAID.get(state, state), state in SAID)
