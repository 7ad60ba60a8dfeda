"""Cases of colour metrics, and the formulas of CIE, Sharma et al. and Andersson et al. for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from battery import Case
from scipy import ndimage
from torch import Tensor

TO_XYZ = np.array([
    [0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227],
])  # fmt: skip
WHITE = np.array([0.95047, 1, 1.08883])


def ciede2000() -> Case:
    from qa.metrics.colour import CIEDE2000

    def oracle(picture: Tensor, reference: Tensor) -> float:
        return float(delta_e(*(lab(p.double().numpy() / 255) for p in (picture, reference))).mean())

    # scikit-image rounds the constants of L*a*b* to 0.008856 and 7.787.
    return Case(CIEDE2000(), oracle, "own formula on NumPy", tolerance=1e-6, least=1, best=0)


def colour_drift() -> Case:
    from qa.metrics.colour import ColourDrift

    def oracle(picture: Tensor, reference: Tensor) -> float:
        return float(delta_e(*(lab(blocks(p)) for p in (picture, reference))).mean())

    return Case(ColourDrift(), oracle, "own formula on NumPy", tolerance=1e-6, least=1, best=0)


def colour_cast() -> Case:
    from qa.metrics.colour import ColourCast

    def oracle(picture: Tensor, reference: Tensor) -> float:
        one, two = (lab(p.double().numpy() / 255)[1:].mean((1, 2)) for p in (picture, reference))
        return math.dist(one, two)

    return Case(
        ColourCast(), oracle, "own formula on NumPy", tolerance=1e-6, least=1, best=0, worse=tinted
    )


def flip() -> Case:
    pytest.importorskip("flip_evaluator", reason="a package that is not everywhere")
    from qa.metrics.flip import FLIP

    return Case(
        FLIP(), lambda x, y: float(flip_formula(x, y, 67.02064514160156).mean()),
        "own formula on SciPy", tolerance=1e-6, least=1, best=0,
    )  # fmt: skip


def tinted(picture: Tensor, levels: float) -> Tensor:
    """Redder and less blue: a cast, which noise is not."""
    shift = torch.tensor([levels, 0, -levels]).view(3, 1, 1)
    return (picture + shift).round().clamp(0, 255).to(torch.uint8)


def blocks(picture: Tensor) -> np.ndarray:
    """Means of 16x16 blocks, the last ones of what they hold, [3,h,w] in 0..1."""
    values = picture.double().numpy() / 255
    for axis in (1, 2):
        starts = np.arange(0, values.shape[axis], 16)
        counts = np.diff([*starts, values.shape[axis]])
        values = np.add.reduceat(values, starts, axis)
        values = values / np.expand_dims(counts, 1) if axis == 1 else values / counts
    return values


def linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)


def lab(srgb: np.ndarray) -> np.ndarray:
    """[3,H,W] in 0..1 → L*a*b* [3,H,W]."""
    return from_xyz(np.tensordot(TO_XYZ, linear(srgb), axes=1), WHITE)


def from_xyz(xyz: np.ndarray, white: np.ndarray) -> np.ndarray:
    t = xyz / white.reshape(3, 1, 1)
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 16 / 116)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def delta_e(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """CIEDE2000 of L*a*b* [3,...], in degrees as Sharma, Wu and Dalal write it."""
    (l1, a1, b1), (l2, a2, b2) = one, two
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7))) / 2
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, (1 + g) * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    grey, gap = c1 * c2 == 0, h2 - h1
    turn = np.where(grey, 0, gap - 360 * (gap > 180) + 360 * (gap < -180))
    far = np.abs(gap) > 180
    hue = np.where(far, h1 + h2 + np.where(h1 + h2 < 360, 360, -360), h1 + h2) / 2
    hue = np.where(grey, h1 + h2, hue)
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * cosd(hue - 30) + 0.24 * cosd(2 * hue) + 0.32 * cosd(3 * hue + 6)
    t = t - 0.20 * cosd(4 * hue - 63)
    sl = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    dl, dc = (l2 - l1) / sl, (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * t)
    rotation = 2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rotation = -rotation * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0))


def cosd(degrees: np.ndarray) -> np.ndarray:
    return np.cos(np.radians(degrees))


FLIP_XYZ = np.array([
    [10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794],
    [2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897],
    [1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382],
])  # fmt: skip
FLIP_WHITE = FLIP_XYZ.sum(1)
SENSITIVITY = (  # amplitudes and widths in degrees^2: achromatic, red-green, blue-yellow
    ((1.0, 0.0047),), ((1.0, 0.0053),), ((34.1, 0.04), (13.5, 0.025)),
)  # fmt: skip


def flip_formula(picture: Tensor, reference: Tensor, ppd: float) -> np.ndarray:
    """LDR-FLIP of two pictures, [H,W] (Andersson et al. 2020, section 4)."""
    opponents = [
        opponent(np.tensordot(FLIP_XYZ, linear(p.double().numpy() / 255), axes=1))
        for p in (picture, reference)
    ]
    one, two = (hunt_lab(filtered(o, ppd)) for o in opponents)
    primaries = [hunt_lab(np.reshape(rgb, (3, 1, 1))) for rgb in ((0, 1, 0), (0, 0, 1))]
    largest = hyab(*primaries)[0, 0] ** 0.7
    colour = hyab(one, two) ** 0.7
    knee = 0.4 * largest
    colour = np.where(
        colour < knee, colour * 0.95 / knee, 0.95 + (colour - knee) / (largest - knee) * 0.05
    )
    (edge, point), (edge2, point2) = (features((o[0] + 16) / 116, ppd) for o in opponents)
    feature = np.maximum(np.abs(edge - edge2), np.abs(point - point2)) / math.sqrt(2)
    return colour ** (1 - np.sqrt(feature))


def opponent(xyz: np.ndarray) -> np.ndarray:
    """YCxCz, the linear relative of L*a*b*."""
    x, y, z = xyz / FLIP_WHITE.reshape(3, 1, 1)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def filtered(ycc: np.ndarray, ppd: float) -> np.ndarray:
    """What the eye resolves, as linear RGB in 0..1."""
    radius = math.ceil(3 * math.sqrt(0.04 / (2 * math.pi**2)) * ppd)
    squares = (np.arange(-radius, radius + 1) / ppd) ** 2
    seen = []
    for plane, parts in zip(ycc, SENSITIVITY, strict=True):
        kernel = sum(
            a * math.sqrt(math.pi / b) * np.exp(-(math.pi**2) * (squares + squares[:, None]) / b)
            for a, b in parts
        )
        seen.append(ndimage.convolve(plane, kernel / kernel.sum(), mode="nearest"))
    y, x, z = seen
    level = (y + 16) / 116
    xyz = np.stack([level + x / 500, level, level - z / 200]) * FLIP_WHITE.reshape(3, 1, 1)
    return np.tensordot(np.linalg.inv(FLIP_XYZ), xyz, axes=1).clip(0, 1)


def hunt_lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB → L*a*b* with less chroma in the dark."""
    l, a, b = from_xyz(np.tensordot(FLIP_XYZ, rgb, axes=1), FLIP_WHITE)  # noqa: E741
    return np.stack([l, 0.01 * l * a, 0.01 * l * b])


def hyab(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.abs(one[0] - two[0]) + np.hypot(one[1] - two[1], one[2] - two[2])


def features(y: np.ndarray, ppd: float) -> list[np.ndarray]:
    """Magnitudes of edges and points of luminance in 0..1."""
    deviation = 0.5 * 0.082 * ppd
    x = np.arange(-math.ceil(3 * deviation), math.ceil(3 * deviation) + 1)
    gauss = np.exp(-(x**2) / (2 * deviation**2))
    found = []
    for kernel in (-x * gauss, (x**2 / deviation**2 - 1) * gauss):
        up, down = kernel[kernel > 0].sum(), -kernel[kernel < 0].sum()
        kernel = np.where(kernel > 0, kernel / up, kernel / down)
        sides = [
            ndimage.correlate1d(
                ndimage.correlate1d(y, kernel, axis, mode="nearest"),
                gauss / gauss.sum(), 1 - axis, mode="nearest",
            )
            for axis in (0, 1)
        ]  # fmt: skip
        found.append(np.hypot(*sides))
    return found


BUILDERS = {build.__name__: build for build in (ciede2000, colour_drift, colour_cast, flip)}
