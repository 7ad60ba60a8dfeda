"""What a judge gets to see: a picture, made smaller where it is too large for the judge."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING

from qa import images
from qa.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def shrunk(picture: Tensor, max_pixels: int) -> Tensor:
    """uint8 [3,H,W] → uint8 [3,h,w] of at most `max_pixels`, aspect kept within a pixel.

    Pillow's bicubic resize, which averages when it reduces; a picture that fits stays as it is.
    """
    import numpy as np
    import torch
    from PIL import Image

    _, height, width = picture.shape
    if height * width <= max_pixels:
        return picture
    by = math.sqrt(max_pixels / (height * width))
    size = max(1, int(width * by)), max(1, int(height * by))
    whole = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    small = np.asarray(whole.resize(size, Image.Resampling.BICUBIC))
    return torch.from_numpy(small.transpose(2, 0, 1).copy())


def data_url(picture: Tensor) -> str:
    """uint8 [3,H,W] → a PNG as text, as chat servers take pictures."""
    return "data:image/png;base64," + base64.b64encode(images.encode_png(picture)).decode()


def check_pixels(max_pixels: int) -> int:
    """The limit; UsageError if nothing can be seen within it."""
    if max_pixels < 1:
        raise UsageError(f"max_pixels={max_pixels} leaves nothing to see.")
    return max_pixels


def check_template(template: str) -> str:
    """The template; UsageError if the question has no place in it."""
    if "{question}" not in template:
        raise UsageError(
            f"The template {template!r} has no place for the question.",
            "",
            "write {question} in it",
        )
    return template
