"""Resizing exactly as Pillow does, on any device.

Pillow resizes along one side and then along the other; a side that keeps its length is skipped.
Output cell i of n, made from m cells, is a weighted mean around c = (i + 1/2) m/n:

    y_i = sum over j of  w_ij x_j,    w_ij = f((j + 1/2 - c) / s) / sum over j of the same

with s = max(1, m/n), so that shrinking averages over all that falls into a cell (antialiasing), and
j from int(c - r s + 1/2) to int(c + r s + 1/2) exclusive, cut off at the border; r is the radius of
the filter f. Pillow's mode F adds the w_ij x_j in order, in float64, and rounds to float32 after
each of the two passes. So does `resize`: one tap after the other for all cells at once. No matrix
product is involved, therefore no TF32, no library's own order of summation, and no more memory than
one tap needs. Rows come first, unless the height H becomes h < H with H - h > 2 (W - w): Pillow's
order since version 13, which decides the last bit.

Pillow's resizing of 8-bit pictures is something else (fixed-point weights, rounded to whole levels
after each pass); where a protocol wants it, `pillow` calls Pillow itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Weights = tuple[NDArray[np.int64], NDArray[np.float64]]


def resize(
    pictures: Tensor, size: tuple[int, int], filter: str = "bicubic", exact: bool = True
) -> Tensor:
    """[N,3,H,W] uint8 or float32 in 0..255 → float32 [N,3,h,w], size = (h, w), same device.

    Equal to Pillow's mode F channel by channel, bit for bit; bicubic and lanczos overshoot 0..255
    and are not clipped. With `exact` False weights and products are float32 and only the sums
    float64: within 1e-4 of a level. `filter` is box, bilinear, bicubic (a = -1/2) or lanczos
    (3 lobes). Raises ValueError for another filter, type or shape.
    """
    import torch

    if filter not in FILTERS:
        raise ValueError(f"there is no filter {filter!r}; there are {', '.join(FILTERS)}")
    if pictures.ndim != 4 or pictures.dtype not in (torch.uint8, torch.float32):
        shape = list(pictures.shape)
        raise ValueError(
            f"pictures must be uint8 or float32 [N,3,H,W], got {pictures.dtype} {shape}"
        )
    if min(*size, *pictures.shape) < 1:
        raise ValueError(f"pictures {list(pictures.shape)} cannot become {size[0]}x{size[1]}")
    (h, w), (height, width) = size, pictures.shape[2:]
    x = pictures
    for side in (2, 3) if h < height and height - h > 2 * (width - w) else (3, 2):
        x = _pass(x, side, size[side - 2], filter, exact)
    return x.to(torch.float32)


def pillow(picture: Tensor, size: tuple[int, int], filter: str = "bicubic") -> Tensor:
    """uint8 [3,H,W] → uint8 [3,h,w], size = (h, w), by Pillow's own 8-bit resizing, on the CPU."""
    import torch
    from PIL import Image

    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())
    small = image.resize((size[1], size[0]), Image.Resampling[filter.upper()])
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous()


def _pass(x: Tensor, side: int, target: int, filter: str, exact: bool) -> Tensor:
    """Resize one side of [N,C,H,W] to `target` cells → float32, or x itself if it fits."""
    import torch

    if x.shape[side] == target:
        return x
    first, weights = taps(filter, x.shape[side], target)
    places = torch.tensor(first, device=x.device)
    factors = torch.tensor(weights, dtype=torch.float64 if exact else torch.float32)
    factors = factors.to(x.device)[:, :, None]
    # The resized side leads: a tap of all output cells is then a copy of whole rows.
    ahead = x.movedim(side, 0)
    rows = ahead.reshape(x.shape[side], -1).contiguous()
    made = torch.empty((target, rows.shape[1]), dtype=torch.float32, device=x.device)
    # Sums that fit into a CPU's cache are taken five times faster; a GPU wants long rows.
    columns = max(1, (1 << 18 if x.device.type == "cpu" else 1 << 25) // target)
    for start in range(0, rows.shape[1], columns):
        part = rows[:, start : start + columns]
        total = torch.zeros((target, part.shape[1]), dtype=torch.float64, device=x.device)
        for tap in range(weights.shape[1]):
            # Beyond a window weights are 0: any cell will do.
            cells = part.index_select(0, (places + tap).clamp_(max=x.shape[side] - 1))
            # Not addcmul: a fused multiply-add rounds once where Pillow rounds twice.
            total += cells * factors[:, tap]
        made[:, start : start + columns] = total
    return made.reshape(target, *ahead.shape[1:]).movedim(0, side).contiguous()


@lru_cache(maxsize=64)
def taps(filter: str, source: int, target: int) -> Weights:
    """First cell [target] and weights [target,K] of every output cell; they sum to 1, 0 beyond.

    The order of operations is Pillow's, so that the weights are its own to the last bit.
    """
    f, radius = FILTERS[filter]
    scale = source / target
    stretch = max(scale, 1.0)
    support = radius * stretch
    centre = (np.arange(target) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + support + 0.5).astype(np.int64), source)
    j = np.arange(int((end - first).max()))
    weights = f((j + first[:, None] - centre[:, None] + 0.5) * (1.0 / stretch))
    weights[j >= (end - first)[:, None]] = 0.0
    # cumsum adds in order; sum would not.
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    for array in (first, weights):
        array.setflags(write=False)
    return first, weights


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _bilinear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a, x = -0.5, np.abs(x)
    inner = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    outer = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = (x >= -3) & (x < 3)
    return np.where(inside, _sinc(x) * _sinc(x / 3), 0.0)


def _sinc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    # math.sin is the C library's, as in Pillow; NumPy has a vectorised one of its own.
    values = [1.0 if v == 0 else math.sin(v * math.pi) / (v * math.pi) for v in x.ravel().tolist()]
    return np.array(values).reshape(x.shape)


FILTERS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "box": (_box, 0.5),
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""f and its radius r, in cells of the coarser grid."""
