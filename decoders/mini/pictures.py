"""The pictures the small models of this folder learn from, and those that measure them.

Training sees drawings with seeds below `qa.drawings.EVALUATION_SEEDS` and the photographs inside
scikit-image's wheel except three; measuring uses the other seeds and the other photographs.
"""

import math

import numpy as np
from PIL import Image

from qa.drawings import EVALUATION_SEEDS, KINDS, draw
from qa.photographs import held_out_crops, photograph

TRAIN_PHOTOS = (
    "astronaut.png", "motorcycle_left.png", "motorcycle_right.png", "color.png", "ihc.png",
    "hubble_deep_field.jpg", "astronaut.png", "motorcycle_left.png", "camera.png", "brick.png",
    "grass.png", "gravel.png", "coins.png", "moon.png", "page.png", "retina.jpg",
)  # fmt: skip
MIX = {"photo": 0.38, "page": 0.28, "chart": 0.12, "sign": 0.07, "shapes": 0.08, "texture": 0.07}
Crops = tuple[tuple[int, int], ...]  # (pictures, side) of a batch, in turn
CROPS: Crops = ((16, 64), (16, 64), (4, 128))


def held_out(count: int = 8) -> dict[str, list[np.ndarray]]:
    """The pictures that measure quality, uint8 [256,256,3]: 6 photographs, `count` of each kind."""
    drawings = {
        kind: [draw(kind, EVALUATION_SEEDS + i).image for i in range(count)] for kind in KINDS
    }
    return {"photo": list(held_out_crops().values()), **drawings}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """10 log10(255^2 / MSE) in dB over two uint8 pictures; infinite where they are equal."""
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


class Pictures:
    """Random training crops; everything follows from (seed, step)."""

    def __init__(self, seed: int, pool: int, crops: Crops = CROPS) -> None:
        self.seed, self.pool, self.crops = seed, pool, crops
        self.drawings: dict[int, np.ndarray] = {}
        self.photos = [_pyramid(photograph(name)) for name in TRAIN_PHOTOS]

    def drawing(self, slot: int, step: int) -> np.ndarray:
        """The drawing in a slot of the pool: each step one slot gets a new one."""
        generation = max(0, (step - 1 - slot) // self.pool + 1)
        seed = (slot + self.pool * generation) % EVALUATION_SEEDS
        if seed not in self.drawings:
            self.drawings.pop(seed - self.pool, None)
            self.drawings[seed] = draw(self.kind(seed), seed).image
        return self.drawings[seed]

    def kind(self, seed: int) -> str:
        """Kind of a training drawing, by the shares of MIX."""
        kinds = [k for k in MIX if k != "photo"]
        shares = np.array([MIX[k] for k in kinds])
        rng = np.random.default_rng((self.seed, seed, 7))
        return kinds[rng.choice(len(kinds), p=shares / shares.sum())]

    def batch(self, step: int, stream: int = 0) -> np.ndarray:
        """uint8 [N,S,S,3]; N and S take turns."""
        rng = np.random.default_rng((self.seed, stream, step))
        count, side = self.crops[step % len(self.crops)]
        return np.stack([self._crop(rng, side, step) for _ in range(count)])

    def _crop(self, rng: np.random.Generator, side: int, step: int) -> np.ndarray:
        is_photo = rng.random() < MIX["photo"]
        if is_photo:
            levels = self.photos[rng.integers(len(self.photos))]
            source = levels[rng.choice(3, p=(0.55, 0.15, 0.3))]
        else:
            source = self.drawing(int(rng.integers(self.pool)), step)
            if rng.random() < 0.15:
                source = np.asarray(Image.fromarray(source).reduce(2))
        top = rng.integers(source.shape[0] - side + 1)
        left = rng.integers(source.shape[1] - side + 1)
        crop = source[top : top + side, left : left + side]
        if is_photo and rng.random() < 0.5:
            crop = crop[:, ::-1]
        return _jitter(rng, crop, 0.25 if is_photo else 0.08)


def _pyramid(full: np.ndarray) -> list[np.ndarray]:
    """The picture at native, two thirds and half size, but never below 128 pixels a side."""
    image, levels = Image.fromarray(full), []
    for scale in (1, 2 / 3, 1 / 2):
        least = 128 / min(image.size)
        size = [round(n * max(scale, least)) for n in image.size]
        levels.append(np.asarray(image.resize(size, Image.Resampling.LANCZOS)))
    return levels


def _jitter(rng: np.random.Generator, crop: np.ndarray, amount: float) -> np.ndarray:
    """Gain and offset per colour, sometimes other colours altogether; uint8 [S,S,3]."""
    if rng.random() < amount:
        crop = crop[..., rng.permutation(3)]
    if rng.random() < 0.4:
        return crop
    gain, shift = rng.uniform(1 - amount, 1 + amount, 3), rng.uniform(-60, 60) * amount
    table = np.clip(np.rint(np.arange(256)[:, None] * gain + shift), 0, 255).astype(np.uint8)
    return np.stack([table[:, i][crop[..., i]] for i in range(3)], -1)
