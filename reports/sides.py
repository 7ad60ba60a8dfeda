"""One pair as a rater sees it: panes named after their sides, and the place to look at, enlarged.

Nothing here knows which picture is whose.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from qa.errors import QaError
from qa.review.answers import Answer
from qa.review.pictures import LARGEST
from reports import stage
from reports.pictures import UNREADABLE, Array, Inlined, Inliner, error, worst_window
from reports.stage import Figure, Tile, Window

LEFT, RIGHT, REFERENCE = "Left", "Right", "Reference"


@dataclass(frozen=True)
class Look:
    """What `_pair.html.j2` shows of a pair."""

    number: int
    place: int
    """Which of the pairs that are asked it is, from 1."""
    of: int
    """How many are asked."""
    figures: tuple[Figure, ...]
    window: Window | None
    prompt: str
    words: tuple[str, ...]
    back: int | None
    """Number of the pair before it."""
    ahead: int | None
    """Number of the pair that comes next, if this one is answered."""
    known: Answer | None
    """What the rater answered before."""


def seen(pngs: Mapping[str, tuple[str, bytes]]) -> tuple[tuple[Figure, ...], Window | None]:
    """Side → (address, PNG) → the panes, and the window. QaError for a damaged picture."""
    pictures = {side: _pixels(data) for side, (_, data) in pngs.items()}
    figures = (
        Figure(side.lower(), side, Inlined(pngs[side][0], *picture.shape[1::-1]), _alt(side))
        for side, picture in pictures.items()
    )
    return tuple(figures), _window(pictures)


def _window(pictures: Mapping[str, Array]) -> Window | None:
    """Where left and right differ most, of each picture of that size; None if their sizes differ.

    Where they are equal it is the place with the most detail: two equal pictures must not show as
    such by what stands around them.
    """
    left = pictures[LEFT]
    levels = error(left, pictures[RIGHT])
    if levels is None:
        return None
    box = worst_window(levels if levels.any() else _detail(left))
    inliner = Inliner(len(pictures))
    tiles = tuple(
        Tile("", side, inliner.put(box.cut(picture), exact=True), f"{_alt(side)}, enlarged")
        for side, picture in pictures.items()
        if picture.shape == left.shape
    )
    return Window(box, stage.frame(box, levels), tiles, 0)


def _detail(picture: Array) -> Array:
    """How much each pixel of uint8 [H,W,3] differs from the one on its left, uint8 [H,W]."""
    shifted = picture[:, np.maximum(np.arange(picture.shape[1]) - 1, 0)]
    levels = error(picture, shifted)
    assert levels is not None
    return levels


def _pixels(data: bytes) -> Array:
    """PNG → uint8 [H,W,3]"""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > LARGEST:
                raise ValueError(f"it claims {image.width} x {image.height} pixels")
            return np.asarray(image.convert("RGB"))
    except UNREADABLE as broken:
        raise QaError("A picture of a pair cannot be shown.", f"{broken}.") from broken


def _alt(side: str) -> str:
    return side if side == REFERENCE else f"{side} picture"
