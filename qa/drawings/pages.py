"""Pages of text: invoices, receipts, letters, tables, articles, price lists."""

from __future__ import annotations

from qa.drawings.canvas import ACCENTS, INKS, MONO, PAPERS, WHITE, Canvas, Color, Pen
from qa.drawings.words import (
    CITIES,
    FIRMS,
    GOODS,
    HEADLINES,
    LAST,
    MONTHS,
    STREETS,
    TOPICS,
    TRADES,
    date,
    money,
    name,
    paragraphs,
    pens,
    sentence,
    wrap,
)


def page(c: Canvas) -> None:
    """A page of text of some kind."""
    c.pick((_invoice, _invoice, _receipt, _letter, _table, _article, _price_list))(c)


def _invoice(c: Canvas) -> None:
    u, (body, head) = c.unit, pens(c, 6, 7.5)
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
        date(c),
        f"Due in {c.whole(7, 60)} days",
    )
    for i, (line, fact) in enumerate(zip((name(c), *address), facts, strict=True)):
        c.write(line, left, (48 + 14 * i) * u, body)
        c.write(fact, right, (48 + 14 * i) * u, body, "r")
    columns = ((left + 4 * u, "l"), (c.size * 0.66, "r"), (right - 4 * u, "r"))
    white = Pen(f"{body.face}-Bold", body.cap, WHITE)
    for (x, align), label in zip(columns, ("Item", "Qty", "Amount"), strict=True):
        c.write(label, x, top - step * 0.25, white, align)
    total = 0.0
    for row in range(rows):
        amount = money(c)
        total += amount
        cells = c.pick(GOODS), str(c.whole(1, 48)), f"{amount:,.2f}"
        for (x, align), cell in zip(columns, cells, strict=True):
            c.write(cell, x, top + (row + 0.75) * step, body, align)
    y, sum_pen = end + 18 * u, Pen(head.face, 9 * u, body.color)
    c.write("Total", c.size * 0.5, y, sum_pen)
    c.write(f"{total:,.2f}", right - 4 * u, y, sum_pen, "r")
    c.write(sentence(c, ("Please quote {ref}.", "Thank you, {name}.")), left, c.size - 8 * u, body)


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
        amount = money(c, 60)
        total += amount
        c.write(c.pick(GOODS), left, y, pen)
        c.write(f"{amount:.2f}", right, y, pen, "r")
        y += step
    y += 8 * u
    big = Pen(f"{MONO}-Bold", c.real(9, 12) * u, pen.color)
    c.write("TOTAL", left, y, big)
    c.write(f"{total:.2f}", right, y, big, "r")


def _letter(c: Canvas) -> None:
    u, (body, head) = c.unit, pens(c, 6, 9)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    left, width = 16 * u, c.size - 32 * u
    c.rect((left, 34 * u, c.size - 16 * u, 35 * u), head.color)
    firm = f"{c.pick(FIRMS)} & {c.pick(LAST)}"
    c.write(firm, left, 26 * u, head.fit(firm, width))
    c.write(f"{c.pick(CITIES)}, {date(c)}", c.size - 16 * u, 50 * u, body, "r")
    c.write(f"Dear {name(c)},", left, 72 * u, body)
    y = paragraphs(c, left, 78 * u + 2 * body.cap, width, c.size - 52 * u, body)
    c.write("Yours sincerely,", left, y + 2 * u, body)
    italic = Pen("DejaVuSerif-Italic", c.real(9, 12) * u, (24, 40, 110))
    c.write(name(c), left, y + 8 * u + 2 * italic.cap, italic)


def _table(c: Canvas) -> None:
    u, (body, head) = c.unit, pens(c, 6, 7)
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
    u, (body, head) = c.unit, pens(c, 6, 7)
    c.rect((0, 0, c.size, c.size), c.pick(PAPERS))
    left, width = 12 * u, c.size - 24 * u
    c.rect((left, 22 * u, left + width, 23.5 * u), body.color)
    c.write(
        f"The {c.pick(CITIES)} {c.pick(('Post', 'Times', 'Courier'))}", left, 17 * u, body.bold()
    )
    c.write(f"{c.pick(MONTHS)} {c.whole(1900, 2029)}", left + width, 17 * u, body, "r")
    head = Pen(head.face, c.real(15, 24) * u, head.color)
    y = 24 * u
    for line in wrap(sentence(c, HEADLINES), head, width):
        y += head.cap * 1.6
        c.write(line, left, y, head.fit(line, width))
    c.write(f"By {name(c)}", left, y + 8 * u + body.cap, Pen(body.face, body.cap, c.pick(ACCENTS)))
    y += 16 * u + 2.4 * body.cap
    if c.whole(0, 1):
        paragraphs(c, left, y, width, c.size - 8 * u, body)
    else:
        paragraphs(c, left, y, width / 2 - 6 * u, c.size - 8 * u, body)
        paragraphs(c, c.size / 2 + 6 * u, y, width / 2 - 6 * u, c.size - 8 * u, body)


def _price_list(c: Canvas) -> None:
    """Lines from 24 pixels of cap height down to 6: shows from which size on a decoder fails."""
    u, (body, _) = c.unit, pens(c)
    dark = c.whole(0, 2) == 0
    c.rect((0, 0, c.size, c.size), c.pick(ACCENTS) if dark else c.pick(PAPERS))
    y, cap = 4 * u, c.real(18, 24)
    while cap >= 6:
        pen = Pen(f"{body.face}{c.pick(('', '-Bold'))}", cap * u, WHITE if dark else c.pick(INKS))
        y += cap * u * 1.28 + 7 * u
        goods, price = c.pick(GOODS), f"{money(c, 90):.2f}"
        right = c.write(price, c.size - 10 * u, y, pen, "r")
        room = c.size - 20 * u - (pen.width(price) + 8 * u) * right
        if cap > 14:
            goods = goods.split()[-1].capitalize()
        if pen.width(goods) <= room:
            c.write(goods, 10 * u, y, pen)
        cap *= 0.85
