"""The role of a reader, and how a word is cut out of a picture for it.

A reader never looks for text: it is told where the words are, so a word that it cannot read is a
fact about the word, not about a detector. It never sees what is written there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Crop = NDArray[np.uint8]
"""uint8 [h,w,3], RGB: one word or line, and a little of what is around it."""
PADDING = 0.15
"""Of the box's height, on each side: readers were trained on boxes with a margin."""
LEAST = 2
"""Pixels of padding at least."""


@dataclass(frozen=True)
class Reading:
    """What a reader made of one crop."""

    text: str
    confidence: float
    """Mean over characters or words, in [0, 1]; 0 where nothing was read."""


class Reader(Protocol):
    """Reads crops. Called from several threads at once."""

    label: str
    """Engine, model and version, for people."""
    digest: str
    """SHA-256 of the weights and of what else decides a reading."""
    licence: str

    def read(self, crops: Sequence[Crop]) -> list[Reading]:
        """One reading for each crop, in order; none depends on its neighbours in the call."""
        ...


def cut(picture: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Crop:
    """Picture uint8 [H,W,3] and a box (x0, y0, x1, y1), end exclusive → the crop.

    Box and padding end at the picture's edge. ValueError for a box without a pixel in the picture.
    """
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])
    if x0 >= x1 or y0 >= y1:
        raise ValueError(f"the box {list(box)} does not lie in the picture of {width}x{height}")
    pad = max(LEAST, round(PADDING * (y1 - y0)))
    return np.ascontiguousarray(picture[max(0, y0 - pad) : y1 + pad, max(0, x0 - pad) : x1 + pad])


def read_once(reader: Reader, crops: Sequence[Crop]) -> list[Reading]:
    """As `reader.read`, with equal crops read only once: seeds of one picture are often equal."""
    keys = [(crop.shape, crop.tobytes()) for crop in crops]
    different = dict(zip(keys, crops, strict=True))
    found = dict(zip(different, reader.read(list(different.values())), strict=True))
    return [found[key] for key in keys]
