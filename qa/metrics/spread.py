"""Spread over seeds: how much of a picture the decoder draws anew with each seed.

All seeds of a sample decode the same latent, so what differs between them was not in the latent:
it was invented. With knobs.sigma above 0 each seed also has noise of its own on the latent, and the
spread is that of both.

    seed spread      d_k = mean over j != k of LPIPS(x_k, x_j)
    seed deviation   s = mean over pixels of  sqrt(mean over R, G, B of v)
                     v = sum over k of (x_k - mean)^2 / (S - 1), in levels 0..255

for the pictures x_1..x_S of S >= 2 seeds. The mean of d_k over the seeds is the mean LPIPS of all
pairs; s is one number, given to each seed. Neither depends on S in expectation (v for its divisor,
S - 1), but both scatter less with more seeds. Both are symmetric in the seeds, to the last bit.

0 is a decoder that uses no seed. For a reconstruction less is better: two seeds that write two
different words cannot both be right. A small spread says nothing about truth, for a decoder can
invent the same thing every time. And of pictures drawn from a prompt alone, variety is wanted:
there it is a description, no defect.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from qa.metrics.inputs import check_pictures
from qa.metrics.lpips import LPIPS
from qa.numerics import pick_device
from qa.types import MetricFacts

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 2


class SeedSpread:
    """Pictures uint8 [S,3,H,W], all seeds of a sample → each one's mean LPIPS to the others."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = ""

    def __init__(self, net: str = "alex", device: str = "cpu") -> None:
        self._lpips = LPIPS(net, device=device)
        facts = self._lpips.facts
        self.facts = replace(
            facts,
            name="seed_spread",
            source=f"own definition on {facts.source}",
            protocol={**facts.protocol, "seeds": "mean over the other seeds"},
            paired=False,
        )

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S values. ValueError for one seed, or below the network's size."""
        seeds = _check_seeds(pictures)
        distance: list[list[float]] = [[] for _ in range(seeds)]
        for k in range(seeds - 1):
            for j, value in enumerate(self._lpips(pictures[k + 1 :], pictures[k]), start=k + 1):
                distance[k].append(value)
                distance[j].append(value)
        # fsum rounds once, so the order of the seeds cannot matter.
        return [math.fsum(others) / (seeds - 1) for others in distance]


class SeedDeviation:
    """Pictures uint8 [S,3,H,W], all seeds of a sample → the mean of `deviation_map`, S times."""

    better: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "levels"
    facts = MetricFacts(
        name="seed_deviation",
        better=better,
        unit=unit,
        source="own definition: sample standard deviation over seeds",
        licence="Apache-2.0 (own code)",
        protocol={
            "version": 1,
            "colour": "root mean square over R, G and B",
            "levels": "uint8 0..255",
            "divisor": "S - 1",
            "resize": "none",
            "dtype": "float64",
        },
        paired=False,
    )

    def __init__(self, device: str = "cpu") -> None:
        self._device = pick_device(device)

    def __call__(self, pictures: Tensor, reference: Tensor | None) -> list[float]:
        """S equal values. ValueError for one seed."""
        value = float(deviation_map(pictures.to(self._device)).mean())
        return [value] * len(pictures)


def deviation_map(pictures: Tensor) -> Tensor:
    """Pictures uint8 [S,3,H,W] → float64 [H,W] in levels: where seeds differ, and how much.

    Two seeds that are c levels apart have c / sqrt(2). ValueError for one seed.
    """
    import torch

    seeds = _check_seeds(pictures)
    spread = torch.zeros(pictures.shape[2:], dtype=torch.float64, device=pictures.device)
    total, square = torch.empty_like(spread), torch.empty_like(spread)
    for channel in range(3):
        total.zero_()
        square.zero_()
        for picture in pictures:
            plane = picture[channel].to(torch.float64)
            total.add_(plane)
            square.addcmul_(plane, plane)
        # S sum x^2 - (sum x)^2: integers throughout, so nothing cancels and no order matters.
        spread.add_(square, alpha=seeds).addcmul_(total, total, value=-1)
    return spread.div_(3 * seeds * (seeds - 1)).sqrt_()


def _check_seeds(pictures: Tensor) -> int:
    """S, or ValueError for fewer than two pictures, or something else than pictures."""
    check_pictures(pictures, least=1)
    if len(pictures) < FEWEST:
        raise ValueError(
            f"a spread over seeds needs at least {FEWEST} pictures of a sample, "
            f"and there is {len(pictures)}: seeds={FEWEST} or more"
        )
    return len(pictures)
