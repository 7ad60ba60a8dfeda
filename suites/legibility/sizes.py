"""How large letters are: the height of a capital, known or told from a word's box.

In most Latin faces letters reach about so far, in heights of a capital (measured on DejaVu):

    above the line   capitals, digits, b d f h k l i j t: 1       other small letters: 0.75
    below it         g j p q y and brackets: 0.3                  comma, semicolon, Q: 0.2

so a box of height h around the ink of a word has capitals of h / (above + below). A font's size
(em) is larger: a cap height of 8 is a DejaVu size of 11.
"""

from __future__ import annotations

from bisect import bisect_right

EDGES = (4, 6, 8, 10, 12, 16, 24)
"""Buckets of cap heights, in pixels: below 4, [4, 6), … [16, 24), 24 and more."""
SMALL = 0.75
DEEP, SHALLOW = 0.3, 0.2
_TALL = frozenset("bdfhklijt")
_FLAT = frozenset("-–—.,:;_=+~*")
_DEEP = frozenset("gjpqy()[]{}|/@$")
_SHALLOW = frozenset(",;Q")


def cap_height(text: str, height: float) -> float:
    """Height of a capital in a text whose ink is `height` pixels high."""
    letters = [c for c in text if not c.isspace() and c not in _FLAT]
    small = bool(letters) and all(c.islower() and c not in _TALL for c in letters)
    below = DEEP if _DEEP & set(text) else SHALLOW if _SHALLOW & set(text) else 0.0
    return height / ((SMALL if small else 1.0) + below)


def bucket(cap: float) -> str:
    """The bucket of a cap height in pixels, e.g. `08-10`: names sort as sizes do."""
    place = bisect_right(EDGES, cap)
    if place == 0:
        return f"below {EDGES[0]:02d}"
    if place == len(EDGES):
        return f"{EDGES[-1]:02d} and more"
    return f"{EDGES[place - 1]:02d}-{EDGES[place]:02d}"
