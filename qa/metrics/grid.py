"""Patch grid: are differences across the borders of a decoder's patches larger than elsewhere?

A decoder that draws P x P patches can leave seams between them. Take the absolute difference of
each pixel and its left neighbour (for horizontal borders: its upper one), in levels, averaged over
R, G and B and over the P pixels of one patch side: c_t at column t. A border lies at
t = offset + nP. Compare it with what lies up to half a patch to its left and right:

    g = mean over patch sides and k = 1..P/2 of  [ f(c_t, c_{t-k}) + f(c_t, c_{t+k}) ] / 2
    f(a, b) = (a - b) / (a + b + 1)

g is near 1 if all differences lie on borders, near 1/3 if those on borders are twice as large as
the others, near -1 if none are on borders (a decoder that smooths its seams is below 0). The 1 in f
is one level: seams of that size in a flat area give 1/2, and fainter ones soon nothing.

Without a grid a border is a place like any other, so f(c_t, c_{t+k}) has the average of
f(c_{t-k}, c_t), which is -f(c_t, c_{t-k}): the two cancel, and g is 0 on average whatever the
picture shows. Of flat pictures it is exactly 0. f is bounded: a hard edge that happens to lie on a
border is one patch side among thousands, and seams in a quiet sky count although another part of
the picture is full of texture. Brightness does not enter.

A period that divides P shows as well: interpolation by 4 is steepest at every fourth column, and
JPEG has blocks of 8 and 16. A single picture's g also scatters around 0 with its content (drawn
frames and tables may sit on multiples of P). That is the same for every decoder and leaves the
comparison of two of them, so no reference is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qa.errors import UsageError
from qa.metrics.inputs import check_pictures, score_each
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

LEVEL = 1.0
"""Differences of this size count half against none."""


class PatchGrid:
    """Pictures uint8 [S,3,H,W] → g in [-1, 1], lower is better; 0 is a picture without a grid."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, patch: int = 16, offset: int = 0, device: str = "cpu") -> None:
        """`patch` is P. `offset` is where the first patch begins, in pixels, on both axes."""
        if patch < 2:
            raise UsageError(f"patch={patch} has no inside.", "It is 2 or more.", "patch=16")
        if not 0 <= offset < patch:
            raise UsageError(f"offset={offset} is not in 0..{patch - 1}.", fix="offset=0")
        self._patch, self._offset = patch, offset
        self._least = 2 * patch + offset
        self._device = pick_device(device)
        self.facts = MetricFacts(
            name="patch_grid",
            better=self.better,
            unit=self.unit,
            source="own definition: the module's docstring",
            licence="Apache-2.0 (own code)",
            protocol={
                "version": 1,
                "patch": patch,
                "offset": offset,
                "colour": "differences averaged over R, G and B",
                "levels": "uint8 0..255",
                "window": "half a patch on either side of a border",
                "least_level": LEVEL,
                "resize": "none",
                "dtype": "float64",
            },
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError below two patches (and the offset)."""
        check_pictures(pictures, self._least)
        return score_each(lambda p: self._score(p[0].to(self._device)), pictures)

    def _score(self, picture: Tensor) -> Tensor:
        import torch

        sides = [
            _sides(along, self._patch, self._offset) for along in (picture, picture.transpose(1, 2))
        ]
        return torch.cat(sides).mean()


def _sides(picture: Tensor, patch: int, offset: int) -> Tensor:
    """uint8 [3,H,W] → float64 [N], for each patch side on a vertical border its mean of f."""
    import torch

    strength = _strength(picture, patch, offset)
    half = patch // 2
    # Index t - 1 holds the difference of columns t and t - 1. The last border must have half a
    # patch to its right.
    borders = slice(offset + patch - 1, strength.shape[1] - half, patch)
    at = strength[:, borders]
    total = torch.zeros_like(at)
    for k in range(1, half + 1):
        for shift in (-k, k):
            other = strength[:, borders.start + shift : borders.stop + shift : patch]
            total += (at - other) / (at + other + LEVEL)
    return (total / (2 * half)).flatten()


def _strength(picture: Tensor, patch: int, offset: int) -> Tensor:
    """uint8 [3,H,W] → float64 [rows of patches, W-1], mean absolute horizontal differences."""
    import torch

    rows = (picture.shape[1] - offset) // patch
    total = torch.zeros((rows, picture.shape[2] - 1), dtype=torch.int64, device=picture.device)
    for plane in picture[:, offset : offset + rows * patch].to(torch.int16):
        steps = plane.diff(dim=1).abs()
        total += steps.reshape(rows, patch, -1).sum(dim=1)
    return total.to(torch.float64) / (3 * patch)
