"""From what a model says to yes, no, or neither.

Two ways. From the probabilities of the first word,

    p = sum of P(spellings of yes) / sum of P(spellings of yes and of no)

which is an answer only if yes and no have at least a tenth of the probability between them: a model
that was about to say something else has not answered. Or from the text itself, where yes or no
stands at the beginning, or after "answer:". Everything else is no answer; it is never a no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from suites.dpg.judges import Answer

LEAST = 0.1
"""Of the first word's probability, what yes and no must have together."""
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_FIRST = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_AFTER = re.compile(r"\banswer(?: is)?\W+(yes|no)\b", re.IGNORECASE)


def spoken(text: str) -> Answer:
    """The answer that a text gives."""
    plain = _THOUGHTS.sub("", text)
    found = _FIRST.match(plain) or _AFTER.search(plain)
    if found is None:
        return Answer(text, None, f"neither yes nor no: {text.strip()[:80]!r}")
    return Answer(text, float(found[1].lower() == "yes"))


def weighed(said: str, probabilities: Iterable[tuple[str, float]]) -> Answer:
    """The answer that (token, probability) pairs of the first word give."""
    mass = {"yes": 0.0, "no": 0.0}
    for token, probability in probabilities:
        if word(token) in mass:
            mass[word(token)] += probability
    both = mass["yes"] + mass["no"]
    if both < LEAST:
        return Answer(said, None, f"yes and no have {both:.3f} of the first word's probability")
    return Answer(said, mass["yes"] / both)


def word(token: str) -> str:
    """A token without what surrounds it: " Yes" and "yes" are one word."""
    return token.strip(" \t\n.,!\"'▁Ġ").lower()
