"""Drawn pages of words, random strings and numbers, all of one cap height, every box known.

A page is a function of (cap height, number, size). Tokens stand apart, so that a crop holds one of
them and no ink of its neighbours:

    margin │ word   random   number   word … │ margin      rows 2.2 cap heights apart,
           │ random number   …               │             tokens 1.2 cap heights

Words say what language models would guess; random strings say what they cannot: a reading that
suffers on words and not on random strings was not seen but guessed. Characters that readers take
for each other on clean pages are left out of random strings (`suites.legibility.words.ALIKE`), and
so are mixed cases; words have no `rn`, which looks like m. Numbers have all digits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa.drawings.canvas import (
    ACCENTS,
    INKS,
    MONO,
    PAPERS,
    SANS,
    SERIF,
    SIGNS,
    Canvas,
    Color,
    Pen,
)
from qa.types import TextRegion
from suites.legibility.lexicon import DRAWN
from suites.legibility.words import ALIKE

STREAM = "suites.legibility/1"  # change it whenever a page of some number changes
CAPS = (6, 8, 10, 12, 16, 24)
"""Heights of a capital letter, in pixels."""
KINDS = ("word", "random", "number")
FACES = (SANS, SERIF, MONO, f"{SANS}-Bold", f"{SERIF}-Bold")
BACKGROUNDS = ("paper", "sign", "bands", "gradient")
ROW, GAP = 2.2, 1.2
"""Distance of baselines, and between tokens, in cap heights."""

_LOOK_ALIKE = frozenset("".join(ALIKE))
_DIGITS = "".join(c for c in "23456789" if c not in _LOOK_ALIKE)
_UPPER = "".join(c for c in "ABDEFGHKLMNPQRTUY" if c not in _LOOK_ALIKE) + _DIGITS
_LOWER = "".join(c for c in "abdefghkmnpqrtuy" if c not in _LOOK_ALIKE) + _DIGITS
_VOCABULARY = tuple(sorted(w for w in DRAWN if 4 <= len(w) <= 8 and "rn" not in w))


@dataclass(frozen=True)
class Page:
    """A drawn page; `image` is uint8 [size,size,3], RGB."""

    image: NDArray[np.uint8]
    texts: tuple[TextRegion, ...]
    kinds: tuple[str, ...]
    """Of each text, one of KINDS."""


def draw_page(cap: int, number: int, size: int = 256, most: int = 24) -> Page:
    """Page `number` with capitals `cap` pixels high and at most `most` tokens.

    Pages of successive numbers take faces and backgrounds in turn. ValueError where not even one
    token fits.
    """
    name = f"{STREAM}|{cap}|{number}|{size}"
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    canvas = Canvas(np.random.default_rng(int.from_bytes(digest, "big")), size)
    face = FACES[number % len(FACES)]
    ink = _ground(canvas, BACKGROUNDS[number % len(BACKGROUNDS)], cap)
    kinds = _write(canvas, Pen(face, cap, ink), most)
    if not kinds:
        raise ValueError(f"a page of {size} pixels has no room for capitals of {cap} pixels")
    return Page(np.array(canvas.image), tuple(canvas.texts), kinds)


def _write(c: Canvas, pen: Pen, most: int) -> tuple[str, ...]:
    """Fill the page with tokens of all kinds in turn; the kind of each that was written."""
    margin = max(4.0, pen.cap / 2)
    kinds: list[str] = []
    x, y = margin, margin + pen.cap
    while len(kinds) < most and y + pen.cap / 2 < c.size:
        kind = KINDS[len(kinds) % len(KINDS)]
        text = _token(c, kind)
        if x + pen.width(text) > c.size - margin:
            if x == margin:  # wider than the page: a shorter one may come
                y += pen.cap * ROW
                continue
            x, y = margin, y + pen.cap * ROW
        elif c.write(text, x, y, pen):
            kinds.append(kind)
            x += pen.width(text) + pen.cap * GAP
        else:
            x, y = margin, y + pen.cap * ROW
    return tuple(kinds)


def _token(c: Canvas, kind: str) -> str:
    if kind == "word":
        return c.pick(_VOCABULARY)
    if kind == "number":
        return _number(c)
    alphabet = c.pick((_UPPER, _LOWER))
    return "".join(c.pick(alphabet) for _ in range(c.whole(4, 7))).replace("rn", "ra")


def _number(c: Canvas) -> str:
    form = c.whole(0, 3)
    if form == 0:
        return str(c.whole(100, 999_999))
    if form == 1:
        return f"{c.whole(1, 999)}.{c.whole(0, 99):02}"
    if form == 2:
        return f"{c.whole(1, 28):02}.{c.whole(1, 12):02}.{c.whole(1950, 2029)}"
    return f"{c.whole(7, 23)}:{c.whole(10, 59)}"


def _ground(c: Canvas, background: str, cap: int) -> Color:
    """Paint what the text stands on; the colour of the ink."""
    whole = (0.0, 0.0, float(c.size), float(c.size))
    if background == "sign":
        ground, ink = c.pick(SIGNS)
        c.rect(whole, ground)
        return ink
    paper = c.pick(PAPERS)
    c.rect(whole, paper)
    if background == "bands":
        tint = c.pick(ACCENTS)
        pale: Color = (225 + tint[0] // 9, 225 + tint[1] // 9, 225 + tint[2] // 9)
        step = cap * ROW
        for top in np.arange(0, c.size, 2 * step):
            c.rect((0, float(top), c.size, min(float(top) + step, c.size)), pale)
    if background == "gradient":
        c.paste(_gradient(c, paper))
    return c.pick((*INKS, *ACCENTS))


def _gradient(c: Canvas, paper: Color) -> NDArray[np.uint8]:
    """From the paper to a shade of it, in some direction; uint8 [S,S,3]."""
    angle, depth = c.real(0, 2 * np.pi), c.real(0.1, 0.25)
    y, x = np.mgrid[: c.size, : c.size] / c.size - 0.5
    shade = 1 - depth * (0.5 + (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2))
    levels: NDArray[np.uint8] = np.rint(np.array(paper) * shade[..., None]).astype(np.uint8)
    return levels
