"""The drawings the small L2P learns from, and those that measure it.

Training sees drawings of `qa.drawings.figures` with seeds below `qa.drawings.EVALUATION_SEEDS`, of
prompts that are not held out; measuring uses the other seeds and, where a tag has some, the others.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from decoders.mini.train_vae import tensor
from qa.drawings import EVALUATION_SEEDS
from qa.drawings.figures import COLOURS, SHAPES, Figures, draw_prompt, is_held_out, prompts

CPU = torch.device("cpu")
MIX = {
    "single_object": 0.1,
    "two_object": 0.1,
    "counting": 0.2,
    "colors": 0.2,
    "position": 0.2,
    "color_attr": 0.2,
}
"""Tag -> its share of the drawings."""
DROPPED = 0.1
"""Share of the drawings of which nothing is said."""
PATCHES = 8
"""Along each side, of 8 pixels."""
KINDS = 1 + len(SHAPES) * len(COLOURS)
INKED = 6
"""Pixels of a figure from which a patch is its."""
Batch = tuple[Tensor, list[str], Tensor]
"""Pictures float32 [B,3,64,64] in [-1,1]; what is said of each; `kinds` of each, int64 [B,64]."""


class Drawn:
    """Training batches; everything follows from (seed, step)."""

    def __init__(self, seed: int, count: int) -> None:
        self.seed, self.count = seed, count
        self.prompts = {tag: [p for p in prompts(tag) if not is_held_out(p)] for tag in MIX}

    def batch(self, step: int) -> Batch:
        """`count` new drawings; of one in ten is said "", of the others their prompt."""
        rng = np.random.default_rng((self.seed, step))
        tags = rng.choice(list(MIX), self.count, p=list(MIX.values()))
        asked = [self.prompts[tag][rng.integers(len(self.prompts[tag]))] for tag in tags]
        seeds = (step * self.count + np.arange(self.count)) % EVALUATION_SEEDS
        drawn = [draw_prompt(p, int(seed)) for p, seed in zip(asked, seeds, strict=True)]
        dropped = rng.random(self.count) < DROPPED
        said = ["" if drop else p for p, drop in zip(asked, dropped, strict=True)]
        return tensors(drawn, said)


def held_out(tag: str, count: int) -> Batch:
    """Drawings that training never sees, of prompts that it never asks for where there are some."""
    options = [p for p in prompts(tag) if is_held_out(p)] or prompts(tag)
    said = [options[k % len(options)] for k in range(count)]
    return tensors([draw_prompt(p, EVALUATION_SEEDS + k) for k, p in enumerate(said)], said)


def tensors(drawn: Sequence[Figures], said: list[str]) -> Batch:
    """Drawings as a batch."""
    x = tensor(np.stack([one.image for one in drawn]), CPU) * 2 - 1
    return x, said, torch.tensor(np.stack([kinds(one) for one in drawn]))


def kinds(drawn: Figures) -> np.ndarray:
    """What has most ink in each patch, row by row: 0 ground, else 1 + a shape in a colour."""
    ink = (drawn.image != drawn.image[0, 0]).any(-1)
    most = np.full((PATCHES, PATCHES), INKED - 1)
    found = np.zeros((PATCHES, PATCHES), np.int64)
    for figure in drawn.figures:
        x0, y0, x1, y1 = figure.box
        own = np.zeros_like(ink)
        own[y0:y1, x0:x1] = ink[y0:y1, x0:x1]
        count = own.reshape(PATCHES, 8, PATCHES, 8).sum((1, 3))
        kind = SHAPES.index(figure.shape) * len(COLOURS) + list(COLOURS).index(figure.colour)
        found[count > most] = 1 + kind
        most = np.maximum(most, count)
    return found.ravel()
