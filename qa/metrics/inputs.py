"""What every metric does with its input: check it, take its colours, score picture by picture.

`colour` says which values of a picture a metric looks at, all in levels:

    rgb      red, green and blue, 0..255
    yiq      Y = 0.299 R + 0.587 G + 0.114 B alone, 0..255, as papers on perception have it
    ycbcr    the same Y in 16..235, as papers on super-resolution have it, who measure PSNR and SSIM
             on it with a peak of 255 all the same
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from qa.errors import UsageError
from qa.images import luma, video_luma

if TYPE_CHECKING:
    from torch import Tensor

COLOURS = {
    "rgb": "RGB",
    "yiq": "Y of YIQ (0.299 0.587 0.114)",
    "ycbcr": "Y of BT.601 in 16..235, not rounded",
}
"""What `colour` may be, and how a protocol puts it."""


def check_pictures(pictures: Tensor, least: int) -> None:
    """Pictures uint8 [S,3,H,W] whose shorter side is at least `least` pixels, or ValueError."""
    import torch

    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(
            f"pictures must be uint8 [S,3,H,W], got {pictures.dtype} {list(pictures.shape)}"
        )
    short = min(pictures.shape[2:])
    if short < least:
        raise ValueError(f"the shorter side is {short} pixels; this metric needs at least {least}")


def check_pair(pictures: Tensor, reference: Tensor | None, least: int) -> Tensor:
    """As `check_pictures`, with a reference uint8 [3,H,W] of the same size, which it returns."""
    check_pictures(pictures, least)
    if reference is None:
        raise ValueError("this metric compares with a reference picture, and there is none")
    if reference.dtype != pictures.dtype or reference.shape != pictures.shape[1:]:
        raise ValueError(
            f"the picture is {_size(pictures)} and the reference is {_size(reference)}; "
            "a metric never resizes"
        )
    return reference


def check_tile(tile: int) -> int:
    """The side of a tile in pixels, or UsageError."""
    if tile < 1:
        raise UsageError(f"tile={tile} cannot work.", "It is a number of pixels.", "tile=1024")
    return tile


def score_each(score: Callable[[Tensor], Tensor], pictures: Tensor) -> list[float]:
    """Apply `score` (uint8 [1,3,H,W] → one value) to each of S pictures → S finite floats.

    One at a time, because libraries may couple the pictures of a batch and convolutions round
    differently for different batch sizes. Raises ValueError for NaN or infinity.
    """
    import torch

    with torch.inference_mode():
        return finite(float(score(picture[None])) for picture in pictures)


def finite(values: Iterable[float]) -> list[float]:
    """The values, or ValueError where one is NaN or infinite."""
    found = list(values)
    for index, value in enumerate(found):
        if not math.isfinite(value):
            raise ValueError(f"the value of picture {index} is {value}")
    return found


def check_colour(colour: str, known: Sequence[str]) -> str:
    """One of the names in COLOURS that a metric knows, or UsageError."""
    if colour not in known:
        raise UsageError(f"colour={colour} is unknown here.", "", f"colour={' or '.join(known)}")
    return colour


def planes(picture: Tensor, colour: str) -> Tensor:
    """Pictures uint8 [...,3,H,W] → levels float64 [...,C,H,W]; C is 3 for rgb, else 1."""
    if colour == "rgb":
        return picture.double()
    return luma(picture) if colour == "yiq" else video_luma(picture)


def _size(picture: Tensor) -> str:
    height, width = picture.shape[-2:]
    return f"{picture.dtype} {width}x{height}".removeprefix("torch.")
