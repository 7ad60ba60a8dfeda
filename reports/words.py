"""The words that a reader got wrong, as the report shows them: cut out, with what was read.

Reads the notes of the legibility panel (`suites/legibility/panel.py` says what they hold) and cuts
the words out of the stored pictures; equal readings of seeds are shown once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from qa.store import RunFolder
from reports.pictures import Array, Box, Inlined, Inliner, read

MAX_WORDS = 24
LINE = 44
"""Height at which a word is shown, in pixels, as far as whole factors reach it."""
WIDEST = 340
SAID = {
    "wrong": "confidently wrong",
    "uncertain": "uncertain",
    "unreadable": "unreadable",
}
"""States that are shown, worst first."""


@dataclass(frozen=True)
class Word:
    """One word of one picture."""

    sample: str
    seed: int
    expected: str
    read: str
    said: str
    """Its state, and what more is known about the reading."""
    detail: str
    reference: Inlined
    candidate: Inlined
    scale: int
    """Screen pixels for each pixel of the crops."""


def worst(run: RunFolder, notes: Iterable[Mapping[str, Any]], most: int = MAX_WORDS) -> list[Word]:
    """The worst words of a run's notes: invented, then wrong, then uncertain, then unreadable."""
    inliner = Inliner(2 * most)
    picture = lru_cache(maxsize=8)(partial(read, run.path))
    shown: list[Word] = []
    for sample, seed, word in _ranked(notes):
        if len(shown) == most:
            break
        pair = (
            picture(run.reference_file(sample)),
            picture(run.picture_file(sample, seed)),
        )
        found = _shown(sample, seed, word, pair, inliner)
        if found is not None:
            shown.append(found)
    return shown


def _ranked(notes: Iterable[Mapping[str, Any]]) -> list[tuple[str, int, Mapping[str, Any]]]:
    """(sample, seed, word) of every different reading that is no success, worst first."""
    found: dict[Any, tuple[str, int, Mapping[str, Any]]] = {}
    for note in notes:
        for word in note.get("words", ()):
            if word["state"] in SAID:
                key = (note["sample"], tuple(word["box"]), word["read"])
                found.setdefault(key, (note["sample"], note["seed"], word))
    return sorted(found.values(), key=lambda row: (_badness(row[2]), row[0], row[1]))


def _badness(word: Mapping[str, Any]) -> tuple[Any, ...]:
    """Smaller is worse."""
    return (
        not word.get("invented", False),
        list(SAID).index(word["state"]),
        word["alike"],
        not word["plausible"],
        -word["confidence"],
        word["box"],
    )


def _shown(
    sample: str,
    seed: int,
    word: Mapping[str, Any],
    pair: Sequence[Array | None],
    inliner: Inliner,
) -> Word | None:
    """None where a picture is missing."""
    x0, y0, x1, y1 = word["box"]
    margin = max(2, (y1 - y0) // 4)
    left, top = max(0, x0 - margin), max(0, y0 - margin)
    box = Box(left, top, x1 + margin - left, y1 + margin - top)
    cuts = [None if one is None else box.cut(one) for one in pair]
    if any(one is None or not one.size for one in cuts):
        return None
    reference, candidate = (inliner.put(one, WIDEST, exact=True) for one in cuts)
    if reference is None or candidate is None:
        return None
    scale = max(1, min(round(LINE / box.height), WIDEST // max(1, box.width)))
    return Word(
        sample, seed, word["expected"], word["read"], _said(word), _detail(word), reference,
        candidate, scale,
    )  # fmt: skip


def _said(word: Mapping[str, Any]) -> str:
    marks = [SAID[word["state"]]]
    if word["state"] == "wrong":
        marks.append("look-alike" if word["alike"] else "other letters")
        marks += ["plausible"] if word["plausible"] else []
    marks += ["invented: both readers agree"] if word.get("invented") else []
    return ", ".join(marks)


def _detail(word: Mapping[str, Any]) -> str:
    second = f", second reader: {word['second']}" if word.get("second") is not None else ""
    return f"{word['cap']:.0f} px {word['kind']}, confidence {word['confidence']:.2f}{second}"
