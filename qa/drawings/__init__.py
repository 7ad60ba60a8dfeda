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

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qa.drawings.canvas import Canvas
from qa.drawings.pages import page
from qa.drawings.scenes import chart, shapes, sign, texture
from qa.types import TextRegion

EVALUATION_SEEDS = 1_000_000
STREAM = "qa.drawings/1"  # change it whenever a drawing of some seed changes
KINDS: dict[str, Callable[[Canvas], None]] = {
    "page": page,
    "sign": sign,
    "shapes": shapes,
    "chart": chart,
    "texture": texture,
}


@dataclass(frozen=True)
class Drawing:
    """A picture and what is written in it; `image` is uint8 [H,W,3], RGB."""

    image: np.ndarray
    kind: str
    texts: tuple[TextRegion, ...]


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
