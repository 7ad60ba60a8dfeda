"""Pictures the project draws itself: invoices, signs, shapes, charts and textures with known text.

A drawing is a function of (kind, seed, size) alone, so a suite can name its pictures instead of
shipping them, and every word in a picture is known without reading it back. Evaluation uses seeds
from `EVALUATION_SEEDS` upwards; training recipes stay below.

A canvas is used in two phases. Graphics come first, three times larger than the result, and are
averaged down for smooth edges; text comes last, at its final size and only where it fits entirely:

    rect, line, polygon, ellipse ──► art [3S,3S] ──► averaged 3x3 ──► image [S,S] ◄── write
                                                                                      │
                                                             Text(text, box of its ink)

The fonts are the DejaVu faces inside matplotlib's wheel (free Bitstream Vera licence), laid out by
Pillow's basic engine, which does not depend on libraries of the system.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

T = TypeVar("T")
Color = tuple[int, int, int]
Box = tuple[float, float, float, float]

EVALUATION_SEEDS = 1_000_000
SUPERSAMPLING = 3
CAP_HEIGHT = 0.729  # of the em, in every DejaVu face
SMALLEST_FONT = 8  # pixels of the em: capitals of 6 pixels, the least that can be read
STREAM = "qa.drawings/1"  # change it whenever a drawing of some seed changes

SANS, SERIF, MONO = "DejaVuSans", "DejaVuSerif", "DejaVuSansMono"
WHITE: Color = (255, 255, 255)
INKS: tuple[Color, ...] = ((20, 20, 24), (35, 35, 40), (18, 28, 60), (40, 26, 22), (10, 44, 40))
PAPERS: tuple[Color, ...] = (WHITE, WHITE, (252, 250, 243), (246, 247, 250), (250, 244, 236))
ACCENTS: tuple[Color, ...] = (
    (176, 38, 52), (24, 84, 156), (18, 112, 84), (104, 54, 140), (188, 92, 18), (30, 96, 116),
    (140, 30, 92), (70, 78, 92),
)  # fmt: skip
VIVID: tuple[Color, ...] = (
    (228, 62, 60), (246, 152, 36), (250, 206, 62), (72, 168, 82), (38, 146, 178), (52, 88, 190),
    (128, 72, 172), (232, 108, 152), (120, 84, 60), (40, 48, 64), (240, 236, 224), (150, 200, 196),
)  # fmt: skip
SIGNS: tuple[tuple[Color, Color], ...] = (
    ((0, 92, 58), WHITE), ((20, 74, 150), WHITE), ((250, 204, 40), (24, 24, 24)),
    ((178, 28, 40), WHITE), ((248, 246, 238), (30, 30, 34)), ((34, 36, 44), (250, 214, 120)),
    ((96, 44, 28), (252, 240, 214)), ((236, 118, 38), (24, 20, 18)),
    ((92, 52, 122), (250, 238, 90)),
)  # fmt: skip

FIRST = "Anna Jonas Maria Peter Lucia Karim Elena David Sofia Henry Grace Oscar Nadia Felix".split()
LAST = "Miller Novak Fischer Rossi Larsen Okafor Silva Tanaka Dubois Keller Moreno Walsh".split()
FIRMS = (
    "Northwind Bluestone Harbor Meridian Juniper Oakfield Atlas Lantern Riverside Copper".split()
)
TRADES = "Paper Tools Coffee Books Garden Optics Textiles Bakery Bicycles Instruments".split()
STREETS = "Mill Lane,Station Road,Park Avenue,Harbor Street,King Street,Elm Drive".split(",")
CITIES = "Bristol Lisbon Vienna Oslo Geneva Dublin Prague Boston Kyoto Porto Leeds Turin".split()
MONTHS = (
    "January February March April May June July August September October November December".split()
)
GOODS = (
    "Desk lamp,Oak shelf,Notebook A5,Paint brush,Copper wire,Wall clock,Garden hose,Coffee beans,"
    "Tea kettle,Wool blanket,Steel bolts,Printer ink,Bread flour,Bicycle pump,Safety gloves,"
    "Reading glasses,Olive oil,Cotton shirt,Mixing bowl,Folding chair,Travel map,Apple juice"
).split(",")
TOPICS = (
    "Revenue Exports Visitors Rainfall Energy Harvest Passengers Orders Members Traffic".split()
)
SENTENCES = (
    "Thank you for your order of {date}.",
    "The goods left our warehouse in {city} on {date}.",
    "Please transfer {amount} within {n} days.",
    "Your reference number is {ref}.",
    "We counted {count} visitors between {year} and {year2}.",
    "The meeting begins at {time} in room {n}.",
    "{name} will call you before noon.",
    "Prices rose by {n} percent after {year}.",
    "The bridge in {city} was opened again in {year}.",
    "Heavy rain is expected along the coast until Friday.",
    "All tickets remain valid for the next journey.",
    "Only {count} copies of this map were printed.",
    "A quick reply would help us to keep the date.",
    "The old harbor was rebuilt after the storm of {year}.",
    "Nobody expected such a large crowd at the museum.",
)
HEADLINES = (
    "Record harvest in {year}", "New bridge for {city}", "Trains late again", "Museum opens Friday",
    "Storm closes harbor", "{city} wins the cup", "Quiet week for trade", "Water prices rise",
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """One line or word of known text and the pixels it covers.

    `box` is (x0, y0, x1, y1) in pixels, the end exclusive: the smallest rectangle with all ink.
    """

    text: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Drawing:
    """A picture and what is written in it; `image` is uint8 [H,W,3], RGB."""

    image: np.ndarray
    kind: str
    texts: tuple[Text, ...]


def draw(kind: str, seed: int, size: int = 256) -> Drawing:
    """Draw picture number `seed` of a kind (see `KINDS`), `size` pixels on each side."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of drawing {kind!r}; choose one of {', '.join(KINDS)}")
    if size < 32:
        raise ValueError(f"a drawing needs at least 32 pixels on each side, not {size}")
    digest = hashlib.blake2b(f"{STREAM}|{kind}|{seed}|{size}".encode(), digest_size=16).digest()
    canvas = Canvas(np.random.default_rng(int.from_bytes(digest, "big")), size)
    KINDS[kind](canvas)
    return Drawing(np.array(canvas.image), kind, tuple(canvas.texts))


# ------------------------------------------------------------------------------------ the canvas


@lru_cache
def _font_folder() -> Path:
    # Found without importing matplotlib, which takes a second.
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("drawings use the fonts in matplotlib: pip install matplotlib")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@lru_cache(maxsize=512)
def _font(face: str, pixels: int) -> ImageFont.FreeTypeFont:
    path = _font_folder() / f"{face}.ttf"
    return ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.BASIC)


@dataclass(frozen=True)
class Pen:
    """How text is written: DejaVu face, height of a capital letter in pixels, colour."""

    face: str
    cap: float
    color: Color

    def __post_init__(self) -> None:
        # Layouts space their lines by `cap`, so it must be the height that is really drawn.
        object.__setattr__(self, "cap", max(self.cap, SMALLEST_FONT * CAP_HEIGHT))

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        return _font(self.face, round(self.cap / CAP_HEIGHT))

    def width(self, text: str) -> float:
        """Advance width of a line in pixels."""
        return self.font.getlength(text)

    def fit(self, text: str, width: float) -> "Pen":
        """The same pen, smaller if needed so that the text is at most `width` pixels wide."""
        return Pen(self.face, min(self.cap, self.cap * width / self.width(text)), self.color)

    def bold(self) -> "Pen":
        return Pen(f"{self.face}-Bold", self.cap, self.color)


class Canvas:
    """A square picture in the making; positions and lengths are in final pixels, y downwards.

    `unit` is one 256th of the side: layouts are written for 256 pixels and multiply by it.
    """

    def __init__(self, rng: Generator, size: int) -> None:
        self.rng = rng
        self.size = size
        self.unit = size / 256
        self.texts: list[Text] = []
        self._art = Image.new("RGB", (size * SUPERSAMPLING,) * 2, WHITE)
        self._pen = ImageDraw.Draw(self._art)
        self._image: Image.Image | None = None

    @property
    def image(self) -> Image.Image:
        """The picture at its final size; after the first use of it graphics are finished."""
        if self._image is None:
            self._image = self._art.reduce(SUPERSAMPLING)
        return self._image

    def paste(self, pixels: np.ndarray) -> None:
        """Take a finished picture, uint8 [S,S,3], in place of graphics."""
        self._image = Image.fromarray(pixels)

    def rect(self, box: Box, fill: Color, radius: float = 0) -> None:
        x0, y0, x1, y1 = (round(v * SUPERSAMPLING) for v in box)
        if x1 <= x0 or y1 <= y0:
            return  # a table without room for a row, on a very small picture
        self._pen.rounded_rectangle((x0, y0, x1 - 1, y1 - 1), radius * SUPERSAMPLING, fill)

    def ellipse(self, box: Box, fill: Color) -> None:
        self._pen.ellipse([v * SUPERSAMPLING for v in box], fill)

    def wedge(self, box: Box, degrees: tuple[float, float], fill: Color) -> None:
        self._pen.pieslice([v * SUPERSAMPLING for v in box], *degrees, fill)

    def line(self, points: np.ndarray, fill: Color, width: float) -> None:
        """A polyline through points, float [K,2]."""
        path = [tuple(p) for p in points * SUPERSAMPLING]
        self._pen.line(path, fill, max(1, round(width * SUPERSAMPLING)), joint="curve")

    def polygon(self, points: np.ndarray, fill: Color) -> None:
        """A filled polygon with corners float [K,2]."""
        self._pen.polygon([tuple(p) for p in points * SUPERSAMPLING], fill)

    def write(self, text: str, x: float, y: float, pen: Pen, align: str = "l") -> bool:
        """Write a line with its baseline at y, its left, middle or right (l, m, r) at x.

        Text that would leave the picture or touch other text is left out: False.
        """
        anchor, at_x, at_y = f"{align}s", round(x), round(y)
        left, top, right, bottom = (round(v) for v in pen.font.getbbox(text, anchor=anchor))
        mask = Image.new("L", (right - left + 8, bottom - top + 8))
        ImageDraw.Draw(mask).text((4 - left, 4 - top), text, 255, pen.font, anchor)
        ink = mask.getbbox()
        if ink is None:
            return False
        dx, dy = at_x + left - 4, at_y + top - 4
        box = (ink[0] + dx, ink[1] + dy, ink[2] + dx, ink[3] + dy)
        if min(box) < 0 or max(box) > self.size or any(_touch(box, t.box) for t in self.texts):
            return False
        self._ink(mask.crop(ink), box, pen.color)
        self.texts.append(Text(text, box))
        return True

    def _ink(self, mask: Image.Image, box: tuple[int, int, int, int], color: Color) -> None:
        self.image.paste(color, box, mask)

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def real(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


def _touch(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    # One free pixel between two texts, so that neither box holds ink of the other.
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


# ------------------------------------------------------------------------------------ the words


def _name(c: Canvas) -> str:
    return f"{c.pick(FIRST)} {c.pick(LAST)}"


def _amount(c: Canvas, top: int = 2000) -> float:
    return c.whole(100, top * 100) / 100


def _date(c: Canvas) -> str:
    return f"{c.whole(1, 28)} {c.pick(MONTHS)} {c.whole(1950, 2029)}"


def _sentence(c: Canvas, patterns: Sequence[str] = SENTENCES) -> str:
    year = c.whole(1900, 2010)
    return c.pick(patterns).format(
        date=_date(c), city=c.pick(CITIES), amount=f"{_amount(c):,.2f} EUR", n=c.whole(3, 40),
        ref=f"{c.pick('ABCDEFGHK')}{c.whole(1000, 9999)}", count=f"{c.whole(100, 9999):,}",
        year=year, year2=year + c.whole(2, 19), name=_name(c),
        time=f"{c.whole(7, 19)}:{c.whole(10, 59)}",
    )  # fmt: skip


def _wrap(text: str, pen: Pen, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and pen.width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _paragraphs(c: Canvas, left: float, top: float, width: float, bottom: float, pen: Pen) -> float:
    """Fill a column with paragraphs of sentences; the y below the last line."""
    y, step = top, pen.cap * c.real(1.75, 2.2)
    while y < bottom:
        text = " ".join(_sentence(c) for _ in range(c.whole(1, 3)))
        for line in _wrap(text, pen, width):
            if y > bottom or pen.width(line) > width:
                return y
            c.write(line, left, y, pen)
            y += step
        y += step * 0.5
    return y


# ------------------------------------------------------------------------------------ pages


def _page(c: Canvas) -> None:
    c.pick((_invoice, _invoice, _receipt, _letter, _table, _article, _price_list))(c)


def _pens(c: Canvas, low: float = 6, high: float = 8) -> tuple[Pen, Pen]:
    """A pen for body text and one for headings of a page, of the same family."""
    u = c.unit
    face = c.pick((SANS, SANS, SERIF))
    body = Pen(face, c.real(low, high) * u, c.pick(INKS))
    return body, Pen(f"{face}-Bold", c.real(10, 16) * u, c.pick((body.color, *ACCENTS)))


def _invoice(c: Canvas) -> None:
    u, (body, head) = c.unit, _pens(c, 6, 7.5)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    left, right, top = 12 * u, c.size - 12 * u, 106 * u
    accent, step = c.pick(ACCENTS), body.cap * 2.2
    rows = int((c.size - 48 * u - top) / step)
    if c.whole(0, 1):
        c.rect((0, 0, c.size, 5 * u), accent)
    c.rect((left, top - step * 0.9, right, top), accent)
    for row in range(1, rows, 2):
        c.rect((left, top + row * step, right, top + (row + 1) * step), (238, 240, 243))
    end = top + rows * step
    c.rect((left, end, right, end + max(1, u)), body.color)
    firm = f"{c.pick(FIRMS)} {c.pick(TRADES)}"
    c.write(firm, left, 28 * u, head.fit(firm, c.size * 0.6))
    c.write("INVOICE", right, 28 * u, Pen(head.face, 9 * u, accent).fit("INVOICE", 60 * u), "r")
    address = f"{c.whole(1, 199)} {c.pick(STREETS)}", f"{c.pick(CITIES)} {c.whole(1000, 99999)}"
    facts = (
        f"No. {c.whole(1950, 2029)}-{c.whole(100, 9999)}",
        _date(c),
        f"Due in {c.whole(7, 60)} days",
    )
    for i, (line, fact) in enumerate(zip((_name(c), *address), facts, strict=True)):
        c.write(line, left, (48 + 14 * i) * u, body)
        c.write(fact, right, (48 + 14 * i) * u, body, "r")
    columns = ((left + 4 * u, "l"), (c.size * 0.66, "r"), (right - 4 * u, "r"))
    white = Pen(f"{body.face}-Bold", body.cap, WHITE)
    for (x, align), label in zip(columns, ("Item", "Qty", "Amount"), strict=True):
        c.write(label, x, top - step * 0.25, white, align)
    total = 0.0
    for row in range(rows):
        amount = _amount(c)
        total += amount
        cells = c.pick(GOODS), str(c.whole(1, 48)), f"{amount:,.2f}"
        for (x, align), cell in zip(columns, cells, strict=True):
            c.write(cell, x, top + (row + 0.75) * step, body, align)
    y, sum_pen = end + 18 * u, Pen(head.face, 9 * u, body.color)
    c.write("Total", c.size * 0.5, y, sum_pen)
    c.write(f"{total:,.2f}", right - 4 * u, y, sum_pen, "r")
    c.write(_sentence(c, ("Please quote {ref}.", "Thank you, {name}.")), left, c.size - 8 * u, body)


def _receipt(c: Canvas) -> None:
    u = c.unit
    pen = Pen(MONO, c.real(6, 7.5) * u, c.pick(INKS))
    width = c.real(165, 200) * u
    left, right = (c.size - width) / 2, (c.size + width) / 2
    c.rect((0, 0, c.size, c.size), c.pick(((206, 210, 214), (190, 180, 166), (84, 92, 104))))
    c.rect((left, 6 * u, right, c.size - 6 * u), WHITE)
    middle, left, right, step = c.size / 2, left + 9 * u, right - 9 * u, pen.cap * 2
    x = left
    while x < right - 4 * u:
        bar = c.pick((1, 1, 2, 3)) * u
        c.rect((x, c.size - 30 * u, x + bar, c.size - 14 * u), pen.color)
        x += bar + c.pick((1, 2, 3)) * u
    shop = f"{c.pick(FIRMS)} {c.pick(TRADES)}"
    c.write(
        shop, middle, 26 * u, Pen(f"{MONO}-Bold", 10 * u, pen.color).fit(shop, width * 0.86), "m"
    )
    c.write(f"{c.whole(1, 99)} {c.pick(STREETS)}", middle, 40 * u, pen, "m")
    day = f"{c.whole(1, 28):02}.{c.whole(1, 12):02}.{c.whole(1980, 2029)}"
    stamp = f"{day} {c.whole(8, 19)}:{c.whole(10, 59)}"
    c.write(stamp, middle, 40 * u + step, pen, "m")
    y, total = 40 * u + 2.6 * step, 0.0
    while y < c.size - 66 * u:
        amount = _amount(c, 60)
        total += amount
        c.write(c.pick(GOODS), left, y, pen)
        c.write(f"{amount:.2f}", right, y, pen, "r")
        y += step
    y += 8 * u
    big = Pen(f"{MONO}-Bold", c.real(9, 12) * u, pen.color)
    c.write("TOTAL", left, y, big)
    c.write(f"{total:.2f}", right, y, big, "r")


def _letter(c: Canvas) -> None:
    u, (body, head) = c.unit, _pens(c, 6, 9)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    left, width = 16 * u, c.size - 32 * u
    c.rect((left, 34 * u, c.size - 16 * u, 35 * u), head.color)
    firm = f"{c.pick(FIRMS)} & {c.pick(LAST)}"
    c.write(firm, left, 26 * u, head.fit(firm, width))
    c.write(f"{c.pick(CITIES)}, {_date(c)}", c.size - 16 * u, 50 * u, body, "r")
    c.write(f"Dear {_name(c)},", left, 72 * u, body)
    y = _paragraphs(c, left, 78 * u + 2 * body.cap, width, c.size - 52 * u, body)
    c.write("Yours sincerely,", left, y + 2 * u, body)
    italic = Pen("DejaVuSerif-Italic", c.real(9, 12) * u, (24, 40, 110))
    c.write(_name(c), left, y + 8 * u + 2 * italic.cap, italic)


def _table(c: Canvas) -> None:
    u, (body, head) = c.unit, _pens(c, 6, 7)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    left, right, top, step = 10 * u, c.size - 10 * u, 52 * u, body.cap * c.real(2.1, 2.8)
    rows, accent = int((c.size - 12 * u - top) / step), c.pick(ACCENTS)
    tint: Color = tuple(225 + v // 9 for v in accent)  # type: ignore[assignment]
    for row in range(rows):
        y = top + row * step
        c.rect((left, y, right, y + step), accent if row == 0 else (WHITE, tint)[row % 2])
    for x in (left, right - 1):
        c.rect((x, top, x + 1, top + rows * step), accent)
    groups = ((CITIES, "city"), (GOODS, "product"), (MONTHS, "month"), (TRADES, "trade"))
    labels, by = c.pick(groups)
    title = f"{c.pick(TOPICS)} by {by}"
    c.write(title, left, 30 * u, head.fit(title, right - left))
    c.write(f"in thousands, {c.pick(CITIES)} office", left, 44 * u, body)
    year = c.whole(1900, 2020)
    xs = [c.size * f for f in (0.56, 0.76, 0.95)]
    for row in range(rows):
        y, pen = top + (row + 0.5) * step + body.cap / 2, body
        cells = [f"{c.whole(10, 9999) / 10:,.1f}" for _ in xs]
        if row == 0:
            pen, cells = (
                Pen(f"{body.face}-Bold", body.cap, WHITE),
                [str(year + i) for i in range(3)],
            )
        c.write("Name" if row == 0 else c.pick(labels), left + 4 * u, y, pen)
        for x, cell in zip(xs, cells, strict=True):
            c.write(cell, x, y, pen, "r")


def _article(c: Canvas) -> None:
    u, (body, head) = c.unit, _pens(c, 6, 7)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    left, width = 12 * u, c.size - 24 * u
    c.rect((left, 22 * u, left + width, 23.5 * u), body.color)
    c.write(
        f"The {c.pick(CITIES)} {c.pick(('Post', 'Times', 'Courier'))}", left, 17 * u, body.bold()
    )
    c.write(f"{c.pick(MONTHS)} {c.whole(1900, 2029)}", left + width, 17 * u, body, "r")
    head = Pen(head.face, c.real(15, 24) * u, head.color)
    y = 24 * u
    for line in _wrap(_sentence(c, HEADLINES), head, width):
        y += head.cap * 1.6
        c.write(line, left, y, head.fit(line, width))
    c.write(f"By {_name(c)}", left, y + 8 * u + body.cap, Pen(body.face, body.cap, c.pick(ACCENTS)))
    y += 16 * u + 2.4 * body.cap
    if c.whole(0, 1):
        _paragraphs(c, left, y, width, c.size - 8 * u, body)
    else:
        _paragraphs(c, left, y, width / 2 - 6 * u, c.size - 8 * u, body)
        _paragraphs(c, c.size / 2 + 6 * u, y, width / 2 - 6 * u, c.size - 8 * u, body)


def _price_list(c: Canvas) -> None:
    """Lines from 24 pixels of cap height down to 6: shows from which size on a decoder fails."""
    u, (body, _) = c.unit, _pens(c)
    dark = c.whole(0, 2) == 0
    c.rect((0, 0, c.size, c.size), c.pick(ACCENTS) if dark else c.pick(PAPERS))
    y, cap = 4 * u, c.real(18, 24)
    while cap >= 6:
        pen = Pen(f"{body.face}{c.pick(('', '-Bold'))}", cap * u, WHITE if dark else c.pick(INKS))
        y += cap * u * 1.28 + 7 * u
        goods, price = c.pick(GOODS), f"{_amount(c, 90):.2f}"
        right = c.write(price, c.size - 10 * u, y, pen, "r")
        room = c.size - 20 * u - (pen.width(price) + 8 * u) * right
        if cap > 14:
            goods = goods.split()[-1].capitalize()
        if pen.width(goods) <= room:
            c.write(goods, 10 * u, y, pen)
        cap *= 0.85


# ------------------------------------------------------------------------------------ other kinds


def _sign(c: Canvas) -> None:
    u, (ground, ink) = c.unit, c.pick(SIGNS)
    around = c.pick(VIVID)
    c.rect((0, 0, c.size, c.size), around if around != ground else WHITE)
    edge, radius = c.real(6, 22) * u, c.real(0, 24) * u
    for inset, color in ((0, ground), (4 * u, ink), (7 * u, ground)):
        side = edge + inset
        c.rect((side, side, c.size - side, c.size - side), color, max(0, radius - inset))
    arrow = c.whole(0, 2) == 0
    if arrow:
        tip = np.array([[0, -14], [26, -14], [26, -28], [56, 0], [26, 28], [26, 14], [0, 14]]) * u
        turned = tip * (c.pick((1, -1)), 1)
        c.polygon(turned - turned.mean(0) + (c.size / 2, c.size * 0.77), ink)
    number, city = c.whole(1, 99), c.pick(CITIES)
    lines = c.pick((
        (city, f"{number} km", c.pick(STREETS)),
        (c.pick(FIRMS), c.pick(TRADES), f"since {c.whole(1850, 2010)}"),
        (f"Platform {number % 20 + 1}", city, f"{c.whole(6, 22)}:{c.whole(10, 59)}"),
        ("SALE", f"-{number} %"), (f"Exit {number}", city),
        ("OPEN", f"{c.whole(6, 10)} - {c.whole(16, 23)} h"), (c.pick(STREETS),),
        ("No entry", f"Area {number}"), (f"Room {c.whole(100, 499)}", _name(c)),
    ))  # fmt: skip
    lines = lines[:2] if arrow else lines
    pen = Pen(f"{c.pick((SANS, SANS, SERIF))}-Bold", c.real(16, 46) * u, ink)
    fitted = [pen.fit(line, c.size - 2 * edge - 28 * u) for line in lines]
    height = sum(p.cap for p in fitted) + 18 * u * (len(lines) - 1)
    y = c.size * (0.38 if arrow else 0.5) - height / 2
    for line, one in zip(lines, fitted, strict=True):
        c.write(line, c.size / 2, y + one.cap, one, "m")
        y += one.cap + 18 * u


def _circle(corners: int, inner: float, turn: float) -> np.ndarray:
    """Corners of a polygon (inner = 1) or a star (inner < 1) on the unit circle, float [K,2]."""
    angle = np.arange(corners) * 2 * np.pi / corners + turn
    radius = np.where(np.arange(corners) % 2 == 0, 1.0, inner)
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], 1)


def _shapes(c: Canvas) -> None:
    c.rect((0, 0, c.size, c.size), c.pick((*PAPERS, *VIVID)))
    for _ in range(c.whole(6, 16)):
        x, y = c.real(0, c.size), c.real(0, c.size)
        r, turn, color = c.real(8, 60) * c.unit, c.real(0, 6.3), c.pick(VIVID)
        corners, inner = c.pick(((3, 1.0), (4, 1.0), (5, 1.0), (6, 1.0), (10, 0.45), (14, 0.6)))
        form = c.whole(0, 4)
        if form == 0:
            for k, tint in enumerate((color, c.pick(VIVID), color)[: c.whole(1, 3)]):
                s = r * (1 - 0.3 * k)
                c.ellipse((x - s, y - s, x + s, y + s), tint)
        elif form == 1:
            c.rect((x - r, y - r * 0.6, x + r, y + r * 0.6), color, c.pick((0, r * 0.2)))
        elif form == 2:
            way = np.linspace(0, 1, 24)[:, None]
            wave = np.sin(way * c.real(6, 20)) * r * 0.3
            c.line(np.hstack([x + (way - 0.5) * 3 * r, y + wave]), color, c.real(1.5, 7) * c.unit)
        else:
            points = _circle(corners, inner, turn) * r + (x, y)
            c.polygon(points, color)
            if form == 3:
                c.line(np.vstack([points, points[:2]]), c.pick(VIVID), 2 * c.unit)


def _chart(c: Canvas) -> None:
    u, (body, head) = c.unit, _pens(c, 6, 7.5)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    colors = [VIVID[i] for i in c.rng.permutation(9)]
    title = f"{c.pick(TOPICS)}, {c.whole(1950, 2029)}"
    if c.whole(0, 2) == 0:
        _pie(c, colors, body)
    else:
        _plot(c, colors, body)
    c.write(title, c.size / 2, 26 * u, head.fit(title, c.size * 0.9), "m")


def _pie(c: Canvas, colors: list[Color], pen: Pen) -> None:
    u, count = c.unit, c.whole(3, 6)
    shares = c.rng.dirichlet(np.full(count, 3.0)) * 100
    x, y, r, angle = c.size * 0.34, c.size * 0.56, 70 * u, c.real(0, 360)
    for color, share in zip(colors, shares, strict=False):
        c.wedge((x - r, y - r, x + r, y + r), (angle, angle + share * 3.6), color)
        angle += share * 3.6
    if c.whole(0, 1):
        c.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), WHITE)
    rows = [70 * u + i * 26 * u for i in range(count)]
    for row, color in zip(rows, colors, strict=False):
        c.rect((c.size * 0.67, row - 8 * u, c.size * 0.67 + 9 * u, row + u), color)
    for row, share, place in zip(rows, shares, c.rng.permutation(CITIES), strict=False):
        c.write(str(place), c.size * 0.72, row, pen)
        c.write(f"{share:.0f} %", c.size * 0.72, row + 11 * u, pen)


def _plot(c: Canvas, colors: list[Color], pen: Pen) -> None:
    """Bars or lines over years, with a grid and numbers on both axes."""
    u, bars, count = c.unit, bool(c.whole(0, 1)), c.whole(4, 6)
    left, right, top, bottom = 40 * u, c.size - 14 * u, 42 * u, c.size - 28 * u
    most = c.pick((10, 20, 50, 80, 100, 200, 400, 1000))
    levels = [bottom - (bottom - top) * i / 4 for i in range(5)]
    for y in levels:
        c.rect((left, y, right, y + max(1.0, u * 0.7)), (206, 210, 214))
    xs = left + (np.arange(count) + 0.5) * (right - left) / count
    series = c.whole(1, 3)
    for k in range(series):
        ys = bottom - (bottom - top) * c.rng.uniform(0.08, 0.98, count)
        if bars:
            wide = (right - left) / count * 0.22
            for x, y in zip(xs + (k - (series - 1) / 2) * wide, ys, strict=True):
                c.rect((x - wide / 2, y, x + wide / 2, bottom), colors[k])
        else:
            c.line(np.stack([xs, ys], 1), colors[k], c.real(1.2, 3) * u)
            for x, y in zip(xs, ys, strict=True):
                c.ellipse((x - 3 * u, y - 3 * u, x + 3 * u, y + 3 * u), colors[k])
    c.rect((left, top, left + u, bottom + u), pen.color)
    c.rect((left, bottom, right, bottom + u), pen.color)
    first, gap = c.whole(1900, 1990), c.whole(1, 9)
    for i, y in enumerate(levels):
        c.write(f"{most * i / 4:g}", left - 5 * u, y + pen.cap / 2, pen, "r")
    for i, x in enumerate(xs):
        c.write(str(first + i * gap), x, bottom + 8 * u + pen.cap, pen, "m")


def _texture(c: Canvas) -> None:
    y, x = np.mgrid[0 : c.size, 0 : c.size] / c.size
    angle, turns = c.real(0, np.pi), c.real(2, 22)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    away = np.hypot(x - c.real(0, 1), y - c.real(0, 1))
    form = c.whole(0, 7)
    if form <= 1:
        field = _fractal(c)
    elif form == 2:
        field = along if c.whole(0, 1) else away
    elif form == 3:
        field = np.sin(2 * np.pi * turns * along)
    elif form == 4:
        field = np.sin(np.pi * turns * along) * np.sin(np.pi * turns * across) * c.real(1, 6)
        field = np.clip(field, -1, 1)
    elif form == 5:
        field = np.sin(2 * np.pi * (turns / 3 * along + c.real(0.5, 2.5) * _fractal(c)))
    elif form == 6:
        field = np.sin(2 * np.pi * (turns * away + 0.8 * _fractal(c)))
    else:
        field = along + 0.35 * _fractal(c) + 0.08 * c.rng.random((c.size, c.size))
    field = (field - field.min()) / (np.ptp(field) + 1e-9)
    order = c.rng.permutation(len(VIVID) + len(ACCENTS))[: c.whole(2, 5)]
    stops = np.array([(*VIVID, *ACCENTS)[i] for i in order])
    at = np.linspace(0, 1, len(stops))
    channels = [np.interp(field, at, stops[:, i]) for i in range(3)]
    c.paste(np.rint(np.stack(channels, -1)).astype(np.uint8))


def _fractal(c: Canvas) -> np.ndarray:
    """Sum of smoothed noise whose amplitude falls with frequency, float [S,S] in about [0,1]."""
    total, decay = np.zeros((c.size, c.size)), c.real(0.35, 0.65)
    for octave in range(7):
        cells = 2 ** (octave + 2)
        noise = Image.fromarray(c.rng.random((cells, cells), dtype=np.float32))
        smooth = noise.resize((c.size, c.size), Image.Resampling.BICUBIC)
        total += decay**octave * np.asarray(smooth)
    return total * (1 - decay) / (1 - decay**7)


KINDS: dict[str, Callable[[Canvas], None]] = {
    "page": _page,
    "sign": _sign,
    "shapes": _shapes,
    "chart": _chart,
    "texture": _texture,
}
