"""The photographs inside scikit-image's wheel: most train the mini decoders, three never do."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

HELD_OUT = ("chelsea.png", "coffee.png", "rocket.jpg")
"""Measured on, never trained on. Their origin and licences: skimage/data/README.txt."""
SIDE = 256


def photograph(name: str) -> np.ndarray:
    """One of the wheel's photographs by file name, uint8 [H,W,3]."""
    from PIL import Image

    with (files("skimage") / "data" / name).open("rb") as file:
        return np.asarray(Image.open(file).convert("RGB"))


def held_out_crops() -> dict[str, np.ndarray]:
    """Two crops of each held-out photograph at native resolution: name → uint8 [256,256,3].

    `<photograph>_a` is centred a third of the way from the upper left corner (moved inside where
    it would leave the picture), `<photograph>_b` in the middle.
    """
    crops = {}
    for name in HELD_OUT:
        full = photograph(name)
        for place, part in (("a", 3), ("b", 2)):
            top, left = (max(0, length // part - SIDE // 2) for length in full.shape[:2])
            stem = name.partition(".")[0]
            crops[f"{stem}_{place}"] = full[top : top + SIDE, left : left + SIDE]
    return crops
