"""The pages that the small PiD learns from: lines of words, numbers and strings of letters.

A page is a function of its number alone. Its capitals are about 6 to 32 pixels high, in five faces
of DejaVu, on paper, stripes, a shaded ground or the colours of a sign. Letters that the edge cuts
off are welcome: crops of training do the same.

Three pages in four are of this kind, the others are drawings of `qa.drawings` (its own pages,
charts, signs and shapes). Pages that measure are drawn by other code (`suites.legibility`).
"""

from collections.abc import Callable

import numpy as np

from qa.drawings import draw, words
from qa.drawings.canvas import ACCENTS, INKS, MONO, PAPERS, SANS, SERIF, SIGNS, Canvas, Color, Pen

SIDE = 256
FACES = (SANS, SERIF, MONO, f"{SANS}-Bold", f"{SERIF}-Bold")
UPPER, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
ALPHABETS = (UPPER, UPPER.lower(), UPPER.lower(), UPPER + DIGITS, UPPER.lower() + DIGITS)
OTHER_KINDS = ("page", "chart", "sign", "shapes")
_LISTS = (
    words.FIRST, words.LAST, words.FIRMS, words.TRADES, words.STREETS, words.CITIES, words.MONTHS,
    words.GOODS, words.TOPICS, words.SENTENCES, words.HEADLINES,
)  # fmt: skip
WORDS = sorted(
    {word.strip("{}.,") for texts in _LISTS for text in texts for word in text.split()} - {""}
)


def picture(number: int) -> np.ndarray:
    """Picture `number`, uint8 [256,256,3]: drawn with that seed, so training stays below
    `qa.drawings.EVALUATION_SEEDS`.
    """
    rng = np.random.default_rng((5, number))
    if rng.random() < 0.75:
        return page(number)
    kind = OTHER_KINDS[rng.integers(len(OTHER_KINDS))]
    return draw(kind, number).image


def page(number: int) -> np.ndarray:
    """Page `number`, uint8 [256,256,3]."""
    c = Canvas(np.random.default_rng((77, number)), SIDE)
    # Small letters are the hard ones: heights are spread evenly over their logarithm.
    cap = 8 * 4 ** c.real(0, 1) if c.whole(0, 9) else c.real(5.9, 8)
    pen = Pen(c.pick(FACES), cap, _ground(c, cap))
    gap, row = c.real(0.5, 1.4) * pen.cap, c.real(1.6, 2.4) * pen.cap
    x, y = c.real(1, cap), pen.cap + c.real(1, cap)
    while y < SIDE:
        text = _token(c)
        room = SIDE - 6
        if pen.width(text) > room:
            text = text[: max(1, int(len(text) * room / pen.width(text)))]
        if x + pen.width(text) > SIDE - 2:
            x, y = c.real(1, cap), y + row
        c.write(text, x, y, pen)
        x += pen.width(text) + gap
    return np.array(c.image)


def _ground(c: Canvas, cap: float) -> Color:
    """Paint what the text stands on; the colour of the ink."""
    whole, form = (0.0, 0.0, float(SIDE), float(SIDE)), c.whole(0, 9)
    if form < 2:
        ground, ink = c.pick(SIGNS)
        c.rect(whole, ground)
        return ink
    paper, ink = c.pick(PAPERS), c.pick((*INKS, *ACCENTS))
    c.rect(whole, paper)
    if form < 5:
        red, green, blue = (225 + value // 9 for value in c.pick(ACCENTS))
        step = cap * c.real(1.8, 2.6)
        for top in np.arange(c.real(-step, 0), SIDE, 2 * step):
            c.rect((0, float(top), SIDE, min(float(top) + step, SIDE)), (red, green, blue))
    elif form < 7:
        c.paste(_shaded(c, paper))
    return ink


def _shaded(c: Canvas, paper: Color) -> np.ndarray:
    """From the paper to a darker tone of it, in some direction; uint8 [256,256,3]."""
    angle, depth = c.real(0, 2 * np.pi), c.real(0.05, 0.3)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    shade = 1 - depth * (0.5 + (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2))
    return np.rint(np.array(paper) * shade[..., None]).astype(np.uint8)


def _token(c: Canvas) -> str:
    kind = c.whole(0, 9)
    if kind < 4:
        word = c.pick(WORDS)
        return c.pick((word, word.lower(), word.upper()))
    if kind < 7:
        letters = c.pick(ALPHABETS)
        return "".join(c.pick(letters) for _ in range(c.whole(2, 8)))
    numbers: tuple[Callable[[], str], ...] = (
        lambda: str(c.whole(1, 999_999)),
        lambda: f"{c.whole(1, 9999)}.{c.whole(0, 99):02}",
        lambda: f"{c.whole(1, 28):02}.{c.whole(1, 12):02}.{c.whole(1950, 2029)}",
        lambda: f"{c.whole(7, 23)}:{c.whole(10, 59)}",
        lambda: f"{c.whole(1, 99)},{c.whole(100, 999)} {c.pick(('EUR', '%', 'kg'))}",
    )
    return c.pick(numbers)()
