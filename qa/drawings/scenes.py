"""Everything that is no page: signs, shapes, charts, textures."""

from __future__ import annotations

import numpy as np
from PIL import Image

from qa.drawings.canvas import ACCENTS, PAPERS, SANS, SERIF, SIGNS, VIVID, WHITE, Canvas, Color, Pen
from qa.drawings.words import CITIES, FIRMS, STREETS, TOPICS, TRADES, name, pens


def sign(c: Canvas) -> None:
    """Big text on colour."""
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
        ("No entry", f"Area {number}"), (f"Room {c.whole(100, 499)}", name(c)),
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


def shapes(c: Canvas) -> None:
    """Overlapping shapes."""
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


def chart(c: Canvas) -> None:
    """A bar, line or pie chart with labels."""
    u, (body, head) = c.unit, pens(c, 6, 7.5)
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


def texture(c: Canvas) -> None:
    """Noise, gradients, line patterns."""
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
