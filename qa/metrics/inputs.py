"""What every metric does with its input: check it, score picture by picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

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


def score_each(score: Callable[[Tensor], Tensor], pictures: Tensor) -> list[float]:
    """Apply `score` (uint8 [1,3,H,W] → one value) to each of S pictures → S finite floats.

    One at a time, because libraries may couple the pictures of a batch and convolutions round
    differently for different batch sizes. Raises ValueError for NaN or infinity.
    """
    import torch

    with torch.inference_mode():
        values = [float(score(picture[None])) for picture in pictures]
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"the value of picture {index} is {value}")
    return values


def _size(picture: Tensor) -> str:
    height, width = picture.shape[-2:]
    return f"{picture.dtype} {width}x{height}".removeprefix("torch.")
