"""The canvas that drawings are made on, and the pens that write on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from qa.types import TextRegion

T = TypeVar("T")
Color = tuple[int, int, int]
Box = tuple[float, float, float, float]

SUPERSAMPLING = 3
CAP_HEIGHT = 0.729  # of the em, in every DejaVu face
SMALLEST_FONT = 8  # pixels of the em: capitals of 6 pixels, the least that can be read

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

    def fit(self, text: str, width: float) -> Pen:
        """The same pen, smaller if needed so that the text is at most `width` pixels wide."""
        return Pen(self.face, min(self.cap, self.cap * width / self.width(text)), self.color)

    def bold(self) -> Pen:
        return Pen(f"{self.face}-Bold", self.cap, self.color)


class Canvas:
    """A square picture in the making; positions and lengths are in final pixels, y downwards.

    `unit` is one 256th of the side: layouts are written for 256 pixels and multiply by it.
    """

    def __init__(self, rng: Generator, size: int) -> None:
        self.rng = rng
        self.size = size
        self.unit = size / 256
        self.texts: list[TextRegion] = []
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
        self.texts.append(TextRegion(text, box))
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
