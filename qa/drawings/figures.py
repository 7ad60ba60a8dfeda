"""Figures on a pale ground, and the closed language that asks for them.

    single_object  a circle                counting    three circles
    two_object     a circle and a square   position    a circle left of a square
    colors         a red circle            color_attr  a red circle and a blue square

Tags are those of GenEval, and each drawing comes with the row that GenEval's rules judge it by.
What a prompt leaves open (colours, sizes, places) is drawn at random; several figures of a count
share a colour. Every figure fills a square box. Figures keep a distance from each other and from
the border, and where a prompt names a relation it holds with room to spare: with d the offset of
A's centre from B's, `A left of B` means d_x <= -(side_A + side_B)/2 and |d_y| <= |d_x| / 2.

A drawing is a function of (prompt, seed, size) alone. Some prompts of `position` and `color_attr`
are held out (`is_held_out`): a recipe that learns from these drawings never asks for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np

from qa.drawings.canvas import SUPERSAMPLING, Canvas, Color

STREAM = "qa.drawings.figures/1"  # change it whenever a drawing of some seed changes
COLOURS: dict[str, Color] = {
    "red": (222, 40, 40),
    "yellow": (246, 206, 36),
    "green": (36, 164, 72),
    "blue": (38, 92, 222),
    "purple": (146, 56, 180),
    "black": (24, 24, 28),
}
GROUNDS: tuple[Color, ...] = ((255, 255, 255), (240, 240, 240), (250, 244, 234), (234, 240, 246))
SHAPES = ("circle", "square", "triangle", "star")
COUNTS = ("two", "three", "four")
"""In words; the number is the place here plus 2."""
RELATIONS = ("left of", "right of", "above", "below")
WORDS: tuple[str, ...] = (
    "a", "and", "of", "left", "right", "above", "below", *COUNTS, *COLOURS, *SHAPES,
    *(f"{shape}s" for shape in SHAPES),
)  # fmt: skip
"""The closed vocabulary, in order."""
FINEST = 64
"""Pixels of a side that lengths below are given for."""
GAP = 3
"""Ground between figures, and between a figure and the border, at least."""
SIDES = {1: (18, 34), 2: (14, 24), 3: (13, 19), 4: (12, 17)}
"""Number of figures → the least and the greatest side of their boxes."""
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Figure:
    """One figure of a drawing."""

    shape: str
    colour: str
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 of its pixels, end exclusive."""


@dataclass(frozen=True)
class Figures:
    """A drawing; `image` is uint8 [S,S,3], RGB."""

    image: np.ndarray
    prompt: str
    tag: str
    figures: tuple[Figure, ...]
    asks: dict[str, Any]
    """The row of GenEval: tag, include, exclude, prompt."""


@dataclass(frozen=True)
class _Scene:
    """What a prompt says: figures in its order, with a colour where it names one."""

    tag: str
    shapes: tuple[str, ...]
    colours: tuple[str | None, ...]
    relation: str | None = None


def draw_figures(seed: int, tag: str | None = None, size: int = FINEST) -> Figures:
    """Drawing number `seed` of a tag, of any tag if None: first the prompt, then its drawing.

    Raises ValueError for an unknown tag and for a size below 64 pixels a side.
    """
    rng = _rng("prompt", str(tag), seed, size)
    chosen = TAGS[int(rng.integers(len(TAGS)))] if tag is None else tag
    options = prompts(chosen)
    return draw_prompt(options[int(rng.integers(len(options)))], seed, size)


def draw_prompt(asked: str | Mapping[str, Any], seed: int, size: int = FINEST) -> Figures:
    """A true drawing for a prompt of the language, or for a row that holds one.

    Raises ValueError for another prompt and for a size below 64 pixels a side.
    """
    prompt = asked if isinstance(asked, str) else asked["prompt"]
    scene = _scenes().get(prompt)
    if scene is None:
        raise ValueError(f"{prompt!r} is no prompt of the closed language, as 'a red circle' is")
    if size < FINEST:
        raise ValueError(f"figures need at least {FINEST} pixels on each side, not {size}")
    canvas = Canvas(_rng("drawing", prompt, seed, size), size)
    canvas.rect((0, 0, size, size), canvas.pick(GROUNDS))
    figures = tuple(
        Figure(shape, colour, box)
        for shape, colour, box in zip(
            scene.shapes, _colours(canvas, scene), _boxes(canvas, scene), strict=True
        )
    )
    for figure in figures:
        _fill(canvas, figure)
    return Figures(np.array(canvas.image), prompt, scene.tag, figures, asks_of(prompt))


def prompts(tag: str) -> tuple[str, ...]:
    """Every prompt of a tag, in a fixed order; ValueError for an unknown tag."""
    if tag not in TAGS:
        raise ValueError(f"unknown tag {tag!r}; choose one of {', '.join(TAGS)}")
    return tuple(prompt for prompt, scene in _scenes().items() if scene.tag == tag)


def is_held_out(prompt: str) -> bool:
    """Whether a prompt is kept from training; ValueError for what is no prompt of the language.

    Prompts that say the same in another order (`a star left of a circle` and `a circle right of a
    star`) are held out together, so that neither tells of the other.
    """
    if prompt not in _scenes():
        raise ValueError(f"{prompt!r} is no prompt of the closed language, as 'a red circle' is")
    scene = _scenes()[prompt]
    if scene.tag not in ("position", "color_attr"):
        return False
    parts = list(zip(scene.shapes, scene.colours, strict=True))
    relation = scene.relation
    if relation in ("right of", "below"):
        parts, relation = parts[::-1], {"right of": "left of", "below": "above"}[relation]
    told = repr((relation, parts if relation else sorted(parts, key=str)))
    digest = hashlib.blake2b(f"{STREAM}|held out|{told}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < HELD_OUT_SHARE * 2**64


def asks_of(prompt: str) -> dict[str, Any]:
    """The row of GenEval for a prompt of the language; a relation's target comes first."""
    scene = _scenes()[prompt]
    row: dict[str, Any] = {"tag": scene.tag, "include": [], "exclude": [], "prompt": prompt}
    if scene.tag == "counting":
        cls, count = scene.shapes[0], len(scene.shapes)
        row["include"] = [{"class": cls, "count": count}]
        row["exclude"] = [{"class": cls, "count": count + 1}]
        return row
    for shape, colour in zip(scene.shapes, scene.colours, strict=True):
        named = {} if colour is None else {"color": colour}
        row["include"].append({"class": shape, "count": 1, **named})
    if scene.relation:
        row["include"].reverse()
        row["include"][1]["position"] = [scene.relation, 0]
    return row


@cache
def _scenes() -> Mapping[str, _Scene]:
    """Every prompt of the language, by tag."""
    pairs, tints = list(permutations(SHAPES, 2)), list(permutations(COLOURS, 2))
    table = {f"a {a}": _Scene("single_object", (a,), (None,)) for a in SHAPES}
    for a, b in pairs:
        table[f"a {a} and a {b}"] = _Scene("two_object", (a, b), (None, None))
    for (place, word), a in product(enumerate(COUNTS), SHAPES):
        count = place + 2
        table[f"{word} {a}s"] = _Scene("counting", (a,) * count, (None,) * count)
    for colour, a in product(COLOURS, SHAPES):
        table[f"a {colour} {a}"] = _Scene("colors", (a,), (colour,))
    for (a, b), relation in product(pairs, RELATIONS):
        table[f"a {a} {relation} a {b}"] = _Scene("position", (a, b), (None, None), relation)
    for (a, b), (c, d) in product(pairs, tints):
        table[f"a {c} {a} and a {d} {b}"] = _Scene("color_attr", (a, b), (c, d))
    return table


TAGS = tuple(dict.fromkeys(scene.tag for scene in _scenes().values()))
"""Tags of the language, in the order of GenEval."""


def _rng(purpose: str, text: str, seed: int, size: int) -> np.random.Generator:
    key = f"{STREAM}|{purpose}|{text}|{seed}|{size}"
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _colours(c: Canvas, scene: _Scene) -> list[str]:
    names = list(COLOURS)
    if scene.tag == "counting":
        return [c.pick(names)] * len(scene.shapes)
    return [c.pick(names) if colour is None else colour for colour in scene.colours]


def _boxes(c: Canvas, scene: _Scene) -> list[tuple[int, int, int, int]]:
    """Boxes of the figures, thrown until they keep their distance and the relation holds."""
    scale = c.size / FINEST
    least, most = (round(side * scale) for side in SIDES[len(scene.shapes)])
    gap = round(GAP * scale)
    while True:
        boxes = []
        for _ in scene.shapes:
            side = c.whole(least, most)
            x, y = (c.whole(gap, c.size - gap - side) for _ in "xy")
            boxes.append((x, y, x + side, y + side))
        apart = all(
            max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3]) >= gap
            for k, a in enumerate(boxes)
            for b in boxes[:k]
        )
        if apart and (scene.relation is None or _clear(scene.relation, *boxes)):
            return boxes


def _clear(relation: str, a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether box `a` is where the relation says, seen from `b`, and leaves no doubt."""
    dx, dy = a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]
    along, across = (dx, dy) if relation in ("left of", "right of") else (dy, dx)
    forward = along if relation in ("right of", "below") else -along
    return forward >= a[2] - a[0] + b[2] - b[0] and 2 * abs(across) <= forward


def _fill(c: Canvas, figure: Figure) -> None:
    x0, y0, x1, _ = figure.box
    ink, side = COLOURS[figure.colour], x1 - x0
    last = side - 1 / SUPERSAMPLING  # Pillow draws the end of an outline too
    if figure.shape == "square":
        c.rect(figure.box, ink)
    elif figure.shape == "circle":
        c.ellipse((x0, y0, x0 + last, y0 + last), ink)
    else:
        c.polygon(OUTLINES[figure.shape] * last + (x0, y0), ink)


def _star() -> np.ndarray:
    """Ten corners that touch all sides of the unit square."""
    turn, radius = np.arange(10) * np.pi / 5, np.resize([1, 0.42], 10)
    corners = np.stack([np.sin(turn) * radius, -np.cos(turn) * radius], 1)
    star: np.ndarray = (corners - corners.min(0)) / np.ptp(corners, axis=0)
    return star


OUTLINES = {"triangle": np.array([[0.5, 0], [1, 1], [0, 1]]), "star": _star()}
"""Corners in the unit square, y downwards."""
