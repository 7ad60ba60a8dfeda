"""A decoder whose trade between fidelity and plausibility is known, and pictures for it.

A picture is smooth, and has texture: a chequerboard of single pixels, `TEXTURE` levels high, whose
sign is drawn for each block of 8 by 8 pixels. The encoder keeps the means of the blocks: the smooth
part is there, the texture is not. The decoder gives the blocks back and makes texture of its own,
`strength · sigma` levels high, with signs from its noise. With B the squared error of the blocks,

    squared error          B + TEXTURE² + (strength · sigma)²     on average over the signs
    at low resolution      B' whatever sigma is: a chequerboard leaves no trace there
    fine detail            (strength · sigma / TEXTURE)² of the reference's, and what blocks have

The noise that `sigma` puts on the latent is taken out again, for the decoder knows how it is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from toyruns import toy_overrides
from toys import POOLED

from qa import seeds
from qa.dial.find import Dialled, dial
from qa.store import RunFolder
from qa.types import DecodeRequest

BLOCK, SIZE = 8, 96
TEXTURE = 12.0
METRICS = "[psnr,lowres_psnr,hf_energy,colour_drift]"


def chequers(signs: np.ndarray) -> np.ndarray:
    """Signs [h,w] of blocks → [8h,8w] of -1 and 1."""
    y, x = np.mgrid[0 : BLOCK * signs.shape[0], 0 : BLOCK * signs.shape[1]]
    return np.kron(signs, np.ones((BLOCK, BLOCK))) * (1 - 2 * ((x + y) % 2))


def textured(folder: Path, count: int) -> Path:
    """`count` pictures p00.png, p01.png, … of 96 by 96 pixels."""
    folder.mkdir(parents=True)
    cells = SIZE // BLOCK
    for index in range(count):
        rng = np.random.default_rng(index)
        y, x = np.mgrid[0:SIZE, 0:SIZE]
        smooth = 128 + 60 * np.sin((x + 0.5 * y) / 16 + index)
        levels = smooth + TEXTURE * chequers(rng.choice([-1.0, 1.0], (cells, cells)))
        grey = np.rint(levels).astype(np.uint8)
        Image.fromarray(np.stack([grey] * 3, 2)).save(folder / f"p{index:02d}.png")
    return folder


class Inventive:
    """The decoder; `steps` is read and changes nothing."""

    licence = "test"
    space = POOLED
    knobs = frozenset({"steps"})
    made = 0
    """Pictures that all of them made."""

    def __init__(
        self,
        strength: float = 20.0,
        wild: Sequence[str] = (),
        wildness: float = 10.0,
        breaks: str = "",
    ) -> None:
        """On the samples of `wild` it is `wildness` times as strong; at `breaks` it raises."""
        self.strength, self.wild, self.wildness, self.breaks = strength, wild, wildness, breaks
        self.digest = f"inventive-{strength}-{wildness}-{breaks}-{'-'.join(wild)}"

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        Inventive.made += len(requests)
        return [self._one(request) for request in requests]

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        assert request.latent is not None
        if request.sample == self.breaks:
            raise RuntimeError("the sampler diverged")
        wildness = self.wildness if request.sample in self.wild else 1.0
        height = wildness * self.strength * request.sigma
        blocks = F.interpolate(_clean(request)[None], scale_factor=BLOCK, mode="nearest")[0]
        drawn = seeds.noise(
            seeds.INITIAL_NOISE, request.content, request.seed, request.latent.shape[1:]
        )
        made = chequers(np.where(drawn.numpy() < 0, -1.0, 1.0))
        return blocks + height / 255 * torch.from_numpy(made).float()


def _clean(request: DecodeRequest) -> torch.Tensor:
    """The latent without the noise that `sigma` put on it."""
    latent, sigma = request.latent, request.sigma
    assert latent is not None
    seed = seeds.generator_seed(seeds.LATENT_NOISE, request.content, request.seed)
    generator = torch.Generator("cpu").manual_seed(seed)
    return (latent - sigma * torch.randn(latent.shape, generator=generator)) / (1 - sigma)


class Place:
    """A folder of pictures, and the words of commands over it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.pictures = textured(folder / "pictures", count)

    def words(self, *more: str) -> list[str]:
        """Of a run; `more` come last and win."""
        own = {"decoder._target_": "dial_toys.Inventive", "metric": METRICS}
        plain = dict(word.split("=", 1) for word in toy_overrides(self.pictures))
        places = {key: str(self.folder / key) for key in ("runs", "dials", "baselines")}
        given = dict(word.split("=", 1) for word in more)
        return [f"{key}={value}" for key, value in (plain | own | places | given).items()]

    def asked(self, *more: str) -> list[str]:
        """Of a dial that leaves steps alone."""
        own = ("tracking", "report")
        words = self.words("settings.steps=[null]", *more)
        return [word for word in words if word.split("=")[0] not in own]

    def dial(self, *more: str) -> Dialled:
        return dial(*self.asked(*more))

    def run(self, name: str) -> RunFolder:
        return RunFolder.open(self.folder / "runs" / name)
