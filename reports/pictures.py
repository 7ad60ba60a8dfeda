"""Pictures inside a report: bounded in number and bytes, encoded as WebP data URIs.

The error map shows max over R, G, B of |candidate - reference| in levels of 255, on one fixed
scale (0 to `FULL`) in every report, so that two reports can be compared by eye. Only NumPy and
Pillow are used: a report never imports torch.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from qa.images import inside

WHOLE = 1024
"""Longest side of a picture that can be zoomed, in pixels."""
SIDE = 512
"""Longest side of a map of one, in pixels."""
SHARE = 250_000
"""Bytes of one picture in the page: one that needs more is made smaller."""
ROOM = 12_000_000
"""Bytes of all pictures of an inliner; forty shares and the small ones fit."""
THUMBNAIL = 72
WINDOW = 64
"""Side of the crop around the worst place."""
STRIDE = 4
LARGEST = 8192 * 8192
"""Pixels of a stored picture that is opened (64 megapixels): a small file can claim any number."""
FULL = 64
"""Error, in levels, at the upper end of the colour scale."""
RAMP = ((8, 10, 22), (62, 22, 104), (150, 36, 110), (222, 74, 76), (250, 158, 60), (252, 246, 190))
"""Colours of the error map from 0 to `FULL`; lightness rises throughout, so grey shows it too."""

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises for files that are no proper PNG; a warning where warnings are errors."""

Array = np.ndarray


@dataclass(frozen=True)
class Inlined:
    """A picture as the page holds it."""

    source: str
    """data:image/webp;base64,…"""
    width: int
    height: int


@dataclass(frozen=True)
class Box:
    """A window in a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, picture: Array) -> Array:
        """uint8 [H,W,3] → uint8 [height,width,3]"""
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]


@dataclass
class Inliner:
    """Hands out data URIs until the report has its share of pictures, in number and in bytes."""

    left: int
    room: int = ROOM
    used: int = field(default=0, init=False)

    def put(self, picture: Array | None, side: int = SIDE, exact: bool = False) -> Inlined | None:
        """uint8 [H,W,3] → WebP no longer than `side`; None for no picture or no room.

        An exact picture keeps every pixel, whatever it takes.
        """
        if picture is None or self.used >= self.left:
            return None
        inlined = _encoded(Image.fromarray(picture), side, exact)
        if len(inlined.source) > self.room:
            return None
        self.used += 1
        self.room -= len(inlined.source)
        return inlined


def _encoded(image: Image.Image, side: int, exact: bool) -> Inlined:
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "webp", lossless=exact, quality=82, method=4)
    source = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    if len(source) > SHARE and not exact:  # bytes follow the area, or nearly
        return _encoded(image, int(0.95 * (SHARE / len(source)) ** 0.5 * max(image.size)), exact)
    return Inlined(source, *image.size)


def read(folder: Path, file: Path) -> Array | None:  # uint8 [H,W,3]
    """A PNG of a run folder, or None if it is not there, damaged, or larger than `LARGEST`.

    Nor is it there where a link leads out of the folder, which may be somebody else's: a report is
    passed on, and your pictures are not theirs.
    """
    found = inside(folder, file)
    if found is None:
        return None
    try:
        with Image.open(found, formats=["PNG"]) as image:
            return None if _large(image) else np.asarray(image.convert("RGB"))
    except UNREADABLE:
        return None


def size_of(folder: Path, file: Path) -> tuple[int, int] | None:
    """Width and height of a run's PNG by its header, or None as for `read`."""
    found = inside(folder, file)
    if found is None:
        return None
    try:
        with Image.open(found, formats=["PNG"]) as image:
            return None if _large(image) else image.size
    except UNREADABLE:
        return None


def _large(image: Image.Image) -> bool:
    return image.width * image.height > LARGEST


def error(candidate: Array | None, reference: Array | None) -> Array | None:
    """Two pictures uint8 [H,W,3] → error in levels, uint8 [H,W]; None without two equal sizes."""
    if candidate is None or reference is None or candidate.shape != reference.shape:
        return None
    apart = np.maximum(candidate, reference) - np.minimum(candidate, reference)
    levels: Array = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2])
    return levels


def heat(levels: Array, side: int = SIDE) -> Array:
    """Error uint8 [H,W] → colours uint8 [h,w,3], at most `side` long (`shrunk`)."""
    return painted(levels, RAMP, FULL, side)


def painted(
    levels: Array, ramp: Sequence[tuple[int, int, int]], full: int = 255, side: int = SIDE
) -> Array:
    """Levels uint8 [H,W] → colours uint8 [h,w,3] along a ramp from 0 to `full`.

    At most `side` long; where it shrinks, a dot shows the largest level of its block (`shrunk`).
    """
    at, colours = np.linspace(0, full, len(ramp)), np.array(ramp, dtype=float)
    table = np.stack([np.interp(np.arange(256), at, colours[:, c]) for c in range(3)], axis=1)
    found: Array = np.rint(table).astype(np.uint8)[shrunk(levels, side)]
    return found


def shrunk(levels: Array, side: int) -> Array:
    """uint8 [H,W] → uint8 [h,w], at most `side` long.

    Where it shrinks, a dot shows the largest value of its block: a defect must not fade away.
    """
    block = -(-max(levels.shape) // side)
    if block > 1:
        pad = [(0, -size % block) for size in levels.shape]
        blocks = np.pad(levels, pad)
        height, width = blocks.shape
        blocks = blocks.reshape(height // block, block, width // block, block)
        levels = blocks.max(axis=(1, 3))
    return levels


def worst_window(levels: Array, size: int = WINDOW) -> Box:
    """The window uint8 [H,W] with the largest summed error, on a grid of `STRIDE` pixels."""
    height, width = levels.shape
    high, wide = min(size, height), min(size, width)
    ys, xs = _starts(height, high), _starts(width, wide)
    rows = np.pad(levels.cumsum(0, dtype=np.uint32), ((1, 0), (0, 0)))
    bands = np.pad((rows[ys + high] - rows[ys]).cumsum(1, dtype=np.uint32), ((0, 0), (1, 0)))
    sums = bands[:, xs + wide] - bands[:, xs]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return Box(int(xs[x]), int(ys[y]), wide, high)


def _starts(length: int, size: int) -> Array:
    return np.unique(np.append(np.arange(0, length - size + 1, STRIDE), length - size))
