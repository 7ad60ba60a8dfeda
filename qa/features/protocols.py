"""What the Inception network is shown: the five preparations that go by the name of FID.

    protocol      to 299x299                                            levels
    clean         Pillow's bicubic, antialiased, mode F, clipped        (x - 128) / 128
    ttur          bilinear from corner to corner as in TensorFlow 1,    (x - 128) / 128
                  no antialiasing
    pytorch-fid   bilinear around cell centres, no antialiasing         2 u - 1, u = levels in 0..1
    tm            bilinear, antialiased (torchmetrics >= 1.8)           (x - 128) / 128
    none          not resized                                           (x - 128) / 128

Values of different protocols are different metrics: at 4K the two without antialiasing mostly
measure which pixels were skipped.

Sources: Parmar, Zhang and Zhu, CVPR 2022 (clean); Heusel et al., NeurIPS 2017, and TensorFlow's
ResizeBilinear (ttur); pytorch-fid 0.3.0; torchmetrics 1.9.0. `none` is for patches of
299, which all but pytorch-fid leave as they are, or for the network on pictures of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qa.features.resize import resize
from qa.images import to_unit

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 299
LEAST = 75
"""Smaller pictures, not resized, leave the network's last blocks without a position."""
CENTRED = "(x - 128) / 128"


@dataclass(frozen=True)
class Preparation:
    """One protocol."""

    resize: str
    levels: str
    owner: str
    """Who defines it."""
    prepare: Callable[[Tensor], Tensor]
    """uint8 [1,3,H,W] → float32 [1,3,299,299], about [-1,1]; [1,3,H,W] for `none`, which raises
    ValueError below 75 pixels."""


def tf1_bilinear(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 or float32 [N,3,H,W] → float32 [N,3,h,w]: TensorFlow 1's ResizeBilinear.

    Output cell i looks at i H/h, without half-pixel centres, and mixes the two cells around it;
    scale and mixing in float32 as there.
    """
    import torch

    def around(source: int, target: int) -> tuple[Tensor, Tensor, Tensor]:
        scale = torch.tensor(source / target, dtype=torch.float32, device=pictures.device)
        at = torch.arange(target, dtype=torch.float32, device=pictures.device) * scale
        low = at.long()
        return low, (low + 1).clamp_(max=source - 1), at - low

    x = pictures.to(torch.float32)
    top, bottom, dy = around(x.shape[2], size[0])
    left, right, dx = around(x.shape[3], size[1])
    rows = []
    for row in (top, bottom):
        line = x.index_select(2, row)
        start, end = line.index_select(3, left), line.index_select(3, right)
        rows.append(start + (end - start) * dx)
    return rows[0] + (rows[1] - rows[0]) * dy[:, None]


def centred(x: Tensor) -> Tensor:
    """Levels 0..255 → about [-1,1], as the network was trained: 128 becomes 0."""
    return (x - 128) / 128


def _clean(picture: Tensor) -> Tensor:
    return centred(resize(picture, (SIDE, SIDE)).clamp_(0, 255))


def _ttur(picture: Tensor) -> Tensor:
    return centred(tf1_bilinear(picture, (SIDE, SIDE)))


def _pytorch_fid(picture: Tensor) -> Tensor:
    return 2 * _interpolate(to_unit(picture), antialias=False) - 1


def _tm(picture: Tensor) -> Tensor:
    return centred(_interpolate(picture.float(), antialias=True))


def _none(picture: Tensor) -> Tensor:
    short = min(picture.shape[2:])
    if short < LEAST:
        raise ValueError(
            f"the shorter side is {short} pixels; not resized, the Inception needs {LEAST}"
        )
    return centred(picture.float())


def _interpolate(x: Tensor, antialias: bool) -> Tensor:
    from torch.nn import functional

    return functional.interpolate(
        x, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=antialias
    )


PROTOCOLS = {
    "clean": Preparation(
        "Pillow bicubic, mode F, to 299x299, clipped to 0..255", CENTRED, "clean-fid", _clean
    ),
    "ttur": Preparation("TensorFlow 1 bilinear to 299x299", CENTRED, "TTUR", _ttur),
    "pytorch-fid": Preparation(
        "PyTorch bilinear to 299x299", "2 * (x / 255) - 1", "pytorch-fid", _pytorch_fid
    ),
    "tm": Preparation(
        "PyTorch bilinear, antialiased, to 299x299", CENTRED, "torchmetrics >= 1.8", _tm
    ),
    "none": Preparation("none", CENTRED, "pictures as they are", _none),
}
