"""What a reading says about a word: its state, its kind of error, and the numbers over many words.

With e expected, r read, and S + D + I = d Levenshtein's distance from e to r (substituted, deleted,
inserted characters):

    CER    sum d / sum len(e), over all words: micro, may exceed 1
    WER    errors of whole words in the best alignment / words expected (jiwer)
    NED    1 - d / max(len(e), len(r)), the mean over words; 1 is best (TokBench's T-NED)
    exact  share of words with r = e, with case or without

Readers lose spaces on small text, so all of these but WER compare texts without spaces. A word is
in the first of four states that holds:

    correct      r = e
    unreadable   nothing was read, or with a confidence below `low`
    wrong        read as something else with a confidence of at least `high`
    uncertain    the rest

A blurred word becomes unreadable; a word that was invented becomes wrong. A wrong reading is called
homoglyph if it differs only by glyphs that look alike (l and 1, O and 0, rn and m, S and s), else
real; and plausible if it is a word of the lexicon or, where a number was expected, has its form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from suites.legibility.lexicon import WORDS

State = Literal["correct", "unreadable", "wrong", "uncertain"]
STATES: tuple[State, ...] = ("correct", "unreadable", "wrong", "uncertain")
ALIKE = ("Il1|", "O0o", "B8", "G6", "Ss5", "cC", "jJ", "vV", "wW", "xX", "zZ")
"""Glyphs that one reader or another takes for each other; `rn` and `m` beside them."""
_FOLDED = str.maketrans({glyph: group[0] for group in ALIKE for glyph in group})


@dataclass(frozen=True)
class Edits:
    """What turns the expected text into the one that was read, in characters."""

    substituted: int
    deleted: int
    inserted: int

    @property
    def distance(self) -> int:
        """d"""
        return self.substituted + self.deleted + self.inserted


def bare(text: str) -> str:
    """The text without its spaces, composed (NFC): one é, whether it was written as one or two."""
    return "".join(unicodedata.normalize("NFC", text).split())


def edits(expected: str, read: str) -> Edits:
    """S, D and I of the shortest way from one text to the other; of several, rapidfuzz's choice."""
    from rapidfuzz.distance import Levenshtein

    tags = [step.tag for step in Levenshtein.editops(expected, read)]
    return Edits(tags.count("replace"), tags.count("delete"), tags.count("insert"))


def ned(expected: str, read: str) -> float:
    """1 - d / max(len(e), len(r)) in [0, 1]; 1 for two empty texts."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(expected, read))


def wer(expected: Sequence[str], read: Sequence[str]) -> float:
    """Word errors of all texts / words expected in all of them. ValueError without any word."""
    import jiwer

    pairs = [
        (" ".join(e.split()), " ".join(r.split()))
        for e, r in zip(expected, read, strict=True)
        if bare(e)
    ]
    if not pairs:
        raise ValueError("there is no expected word")
    return float(jiwer.wer([e for e, _ in pairs], [r for _, r in pairs]))


def state(expected: str, read: str, confidence: float, low: float, high: float) -> State:
    """The state of a word; `confidence` and both bounds lie in [0, 1]."""
    if bare(read) == bare(expected):
        return "correct"
    if not bare(read) or confidence < low:
        return "unreadable"
    return "wrong" if confidence >= high else "uncertain"


def looks_alike(expected: str, read: str) -> bool:
    """Whether two texts differ, if at all, only by glyphs that look alike."""
    return _folded(expected) == _folded(read)


def plausible(expected: str, read: str) -> bool:
    """Whether nobody would doubt what was read: a word, or a number of the expected form."""
    expected, read = bare(expected), bare(read)
    if any(c.isdigit() for c in expected):
        return _form(expected) == _form(read)
    return re.sub(r"[^\w]", "", read).casefold() in WORDS


def kind(text: str) -> Literal["word", "number", "mixed", "sign"]:
    """What a text looks like: letters, digits, both, or neither."""
    digits = any(c.isdigit() for c in text)
    letters = any(c.isalpha() for c in text)
    if digits:
        return "mixed" if letters else "number"
    return "word" if letters else "sign"


def _folded(text: str) -> str:
    return bare(text).translate(_FOLDED).replace("rn", "m")


def _form(text: str) -> str:
    """Digits as 9, letters as a or A, all else as it is: `12.50 EUR` has the form `99.99AAA`."""
    return "".join(
        "9" if c.isdigit() else ("A" if c.isupper() else "a") if c.isalpha() else c for c in text
    )
