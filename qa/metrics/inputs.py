"""What every metric does with its input: check it, score picture by picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qa.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


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


def luma(picture: Tensor) -> Tensor:
    """Pictures uint8 [...,3,H,W] → Y = 0.299 R + 0.587 G + 0.114 B, float64 [...,1,H,W], 0..255.

    ITU-R BT.601, full range, not rounded. Thousandths are summed as integers, so a grey pixel keeps
    its level exactly and white is 255, not a rounding error above it.
    """
    import torch

    red, green, blue = picture.to(torch.int32).unbind(-3)
    thousandths = red.mul_(299).add_(green, alpha=587).add_(blue, alpha=114)
    return thousandths.to(torch.float64).div_(1000).unsqueeze(-3)


def video_luma(picture: Tensor) -> Tensor:
    """Pictures uint8 [...,3,H,W] → 16 + 219/255 Y, float64 [...,1,H,W], 16..235.

    BT.601's studio range, not rounded: MATLAB's `rgb2ycbcr` of doubles and scikit-image's. Papers
    on super-resolution measure PSNR and SSIM on this, with a peak of 255 all the same.
    """
    return luma(picture).mul_(219 / 255).add_(16)


def _size(picture: Tensor) -> str:
    height, width = picture.shape[-2:]
    return f"{picture.dtype} {width}x{height}".removeprefix("torch.")
