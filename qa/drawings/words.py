"""What drawings say: names, amounts, dates, sentences; and how paragraphs are set."""

from __future__ import annotations

from collections.abc import Sequence

from qa.drawings.canvas import ACCENTS, INKS, SANS, SERIF, Canvas, Pen

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


def name(c: Canvas) -> str:
    """A person."""
    return f"{c.pick(FIRST)} {c.pick(LAST)}"


def money(c: Canvas, top: int = 2000) -> float:
    """Between one and `top`, with cents."""
    return c.whole(100, top * 100) / 100


def date(c: Canvas) -> str:
    """A day of the years 1950 to 2029."""
    return f"{c.whole(1, 28)} {c.pick(MONTHS)} {c.whole(1950, 2029)}"


def sentence(c: Canvas, patterns: Sequence[str] = SENTENCES) -> str:
    """A sentence with facts that can be misread."""
    year = c.whole(1900, 2010)
    return c.pick(patterns).format(
        date=date(c), city=c.pick(CITIES), amount=f"{money(c):,.2f} EUR", n=c.whole(3, 40),
        ref=f"{c.pick('ABCDEFGHK')}{c.whole(1000, 9999)}", count=f"{c.whole(100, 9999):,}",
        year=year, year2=year + c.whole(2, 19), name=name(c),
        time=f"{c.whole(7, 19)}:{c.whole(10, 59)}",
    )  # fmt: skip


def wrap(text: str, pen: Pen, width: float) -> list[str]:
    """Lines of at most `width` pixels."""
    lines: list[str] = []
    for word in text.split():
        if lines and pen.width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def paragraphs(c: Canvas, left: float, top: float, width: float, bottom: float, pen: Pen) -> float:
    """Fill a column with paragraphs of sentences; the y below the last line."""
    y, step = top, pen.cap * c.real(1.75, 2.2)
    while y < bottom:
        text = " ".join(sentence(c) for _ in range(c.whole(1, 3)))
        for line in wrap(text, pen, width):
            if y > bottom or pen.width(line) > width:
                return y
            c.write(line, left, y, pen)
            y += step
        y += step * 0.5
    return y


def pens(c: Canvas, low: float = 6, high: float = 8) -> tuple[Pen, Pen]:
    """A pen for body text and one for headings of a page, of the same family."""
    u = c.unit
    face = c.pick((SANS, SANS, SERIF))
    body = Pen(face, c.real(low, high) * u, c.pick(INKS))
    return body, Pen(f"{face}-Bold", c.real(10, 16) * u, c.pick((body.color, *ACCENTS)))
