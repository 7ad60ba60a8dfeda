"""Numbers over all words of a run, in groups: by size in output and in input pixels, and by kind.

A row is about the words that count (read right on the clean reference), each as often as there are
seeds. Shares are of these words, but S, D and I of their characters:

    correct + unreadable + wrong + uncertain = 1      correct: exact, case included
    wrong = homoglyph + real              by what was read instead
    plausible <= wrong                    those that nobody would doubt
    invented <= wrong + uncertain         those that both witnesses read as the same other text

`left_out` counts the words that do not count, so that nobody mistakes a hard page for a good one.
Groups: `by_output_cap` and `by_input_cap` (cap heights in pixels of the picture, and of what the
encoder saw), `by_kind` (word, random, number; mixed where a text holds letters and digits, sign
where it holds neither).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from suites.legibility.sizes import bucket
from suites.legibility.words import STATES, bare, edits, ned, wer

Word = Mapping[str, Any]
"""A word of a note, as the panel writes it."""


def summary(notes: Sequence[Mapping[str, Any]], scale: float) -> dict[str, Any]:
    """All notes of a run → rows; `scale` is output pixels per pixel that the encoder saw."""
    words = [word for note in notes for word in note["words"]]
    return {
        "all": row(words),
        "by_output_cap": _groups(words, lambda word: bucket(word["cap"])),
        "by_input_cap": _groups(words, lambda word: bucket(word["cap"] / scale)),
        "by_kind": _groups(words, lambda word: word["kind"]),
    }


def row(words: Sequence[Word]) -> dict[str, float]:
    """The numbers of one group; no shares and rates where no word counts."""
    counted = [word for word in words if word["state"] in STATES]
    counts: dict[str, float] = {"words": len(counted), "left_out": len(words) - len(counted)}
    if not counted:
        return counts
    pairs = [(bare(word["expected"]), bare(word["read"])) for word in counted]
    steps = [edits(expected, read) for expected, read in pairs]
    letters = sum(len(expected) for expected, _ in pairs)
    wrong = [word for word in counted if word["state"] == "wrong"]
    alike = [word for word in wrong if word["alike"]]

    def share(some: Sequence[Any]) -> float:
        return len(some) / len(counted)

    rates = {
        state: share([word for word in counted if word["state"] == state]) for state in STATES
    } | {
        "homoglyph": share(alike),
        "real": share([word for word in wrong if not word["alike"]]),
        "plausible": share([word for word in wrong if word["plausible"]]),
        "exact_any_case": share([1 for e, r in pairs if e.casefold() == r.casefold()]),
        "cer": sum(step.distance for step in steps) / letters,
        "substituted": sum(step.substituted for step in steps) / letters,
        "deleted": sum(step.deleted for step in steps) / letters,
        "inserted": sum(step.inserted for step in steps) / letters,
        "wer": wer([word["expected"] for word in counted], [word["read"] for word in counted]),
        "ned": sum(ned(expected, read) for expected, read in pairs) / len(pairs),
    }
    if any("invented" in word for word in counted):
        rates["invented"] = share([word for word in counted if word.get("invented")])
    return counts | rates


def _groups(words: Sequence[Word], name: Callable[[Word], str]) -> dict[str, Any]:
    names = sorted({name(word) for word in words})
    return {key: row([word for word in words if name(word) == key]) for key in names}
