"""Parts that take no time: average pooling as a latent space, decoders for it, and a metric."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from qa import images, seeds
from qa.errors import UsageError
from qa.types import (
    NOT_APPLICABLE,
    DecodeRequest,
    Estimate,
    FeatureSet,
    Found,
    Latent,
    LatentSpace,
    MetricFacts,
    Sample,
)
from suites.folder import Folder

POOLED = LatentSpace("pooled", 3, 8, "8x8 means")


class Pool:
    """Encoder: means of 8x8 blocks of a picture padded to a multiple of 8."""

    digest = "pool-1"

    def __init__(self, space: str = "pooled") -> None:
        self.space = LatentSpace(space, 3, 8, "8x8 means")

    def latent(self, sample: Sample, picture: torch.Tensor | None) -> Latent:
        assert picture is not None
        pixels = images.to_unit(picture)[None]
        _, _, h, w = pixels.shape
        padded = F.pad(pixels, (0, -w % 8, 0, -h % 8), mode="replicate")
        return Latent(F.avg_pool2d(padded, 8)[0])


class Encoder(Pool):
    """The same, and says that it encodes pictures as they are."""

    scale = 1


class Kept:
    """Latents that no encoder made: uniform numbers that belong to a sample's name."""

    digest = "kept-1"
    space = POOLED

    def latent(self, sample: Sample, picture: torch.Tensor | None) -> Latent:
        assert picture is not None
        _, h, w = picture.shape
        generator = torch.Generator().manual_seed(sum(sample.id.encode()))
        return Latent(torch.rand(3, -(-h // 8), -(-w // 8), generator=generator))


class Sampler:
    """A 'generative' decoder: nearest-neighbour pixels plus each request's own initial noise."""

    licence = "test"
    space: LatentSpace | None = POOLED
    knobs: frozenset[str] = frozenset()

    def __init__(self, noise: float = 0.05, delay: float = 0.0, name: str = "sampler") -> None:
        self.noise, self.delay = noise, delay
        self.digest = f"{name}-{noise}"
        self.calls: list[int] = []

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        self.calls.append(len(requests))
        return [self._one(request) for request in requests]

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        time.sleep(self.delay)
        assert request.latent is not None
        pixels = F.interpolate(request.latent[None], scale_factor=8.0, mode="nearest")[0]
        pixels = pixels[:, : request.height, : request.width]
        shape = (3, request.height, request.width)
        noise = seeds.noise(seeds.INITIAL_NOISE, request.content, request.seed, shape)
        return pixels + self.noise * noise


class Coupled(Sampler):
    """Wrong on purpose: noise drawn once for the whole call, so a picture depends on its batch."""

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        clean = Sampler(0.0).decode(requests)
        return [x + self.noise * torch.randn(x.shape, generator=generator) for x in clean]


class Breaks(Sampler):
    """Wrong on purpose for one sample: raises, gives an infinity, or a picture of another size."""

    def __init__(self, sample: str, how: str) -> None:
        super().__init__()
        self.sample, self.how = sample, how
        self.digest = f"breaks-{sample}-{how}"

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        pixels = super()._one(request)
        if request.sample != self.sample:
            return pixels
        if self.how == "raise":
            raise RuntimeError("the sampler diverged")
        if self.how == "infinite":
            pixels[0, 0, 0] = float("inf")
            return pixels
        return pixels[:, 1:]


class Brightness:
    """A metric without a reference: mean level of a picture."""

    better = "higher"
    unit = ""

    def __init__(self) -> None:
        self.facts = MetricFacts(
            "brightness", "higher", "", "test", "test", {"version": 1}, paired=False
        )

    def __call__(self, pictures: torch.Tensor, reference: torch.Tensor | None) -> list[float]:
        return [picture.float().mean().item() for picture in pictures]


class Colours:
    """Features: the mean of each channel in each quarter of a picture, [4,3]."""

    id = "c0105c0105c01050"
    width = 3
    source = licence = "test"
    protocol: ClassVar = {"version": 1}

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, picture: torch.Tensor, key: str) -> torch.Tensor:
        self.calls += 1
        if min(picture.shape[1:]) < 2:
            raise ValueError("a picture of one pixel has no quarters")
        return F.adaptive_avg_pool2d(picture.float(), 2).flatten(1).T.contiguous()


class ColourGap:
    """Set metric: distance of the mean features of two sets."""

    better = "lower"
    unit = ""

    def __init__(self, reference: str = "suite", level: float = 0.0) -> None:
        self.features = Colours()
        self._own = None
        if reference == "grey":
            rows = np.full((2, 3), level, np.float32)
            self._own = FeatureSet(rows, np.arange(2))
        protocol = {"version": 1, "features": self.features.id, "reference": reference}
        self.facts = MetricFacts("colour_gap", "lower", "", "test", "test", protocol, of="set",
                                 paired=reference == "suite")  # fmt: skip

    def reference(self) -> FeatureSet | None:
        return self._own

    def __call__(self, candidate: FeatureSet, reference: FeatureSet) -> Estimate:
        gap = candidate.values.mean(0) - reference.values.mean(0)
        count, seeds = len(np.unique(candidate.pictures)), len(np.unique(candidate.seeds))
        rows = len(candidate.values) // seeds
        return Estimate(float(np.linalg.norm(gap)), None, None, rows, count)


class Asking(Folder):
    """A suite that asks: every picture of a folder is to be taken `takes` times and to be light.

    Takes of a picture are one group; pictures are tagged `even` and `odd` in turn, and every third
    asks for no shade.
    """

    def __init__(
        self, path: str, name: str | None = None, takes: int = 2, least: float = 128.0
    ) -> None:
        super().__init__(path, name)
        self.takes, self.least = takes, least

    def samples(self) -> list[Sample]:
        found = []
        for place, sample in enumerate(super().samples()):
            asks = {"least": self.least} | ({"shade": False} if place % 3 == 2 else {})
            tags = (("even", "odd")[place % 2],)
            for take in range(self.takes):
                found.append(replace(sample, id=f"{sample.id}/{take}", asks=asks, tags=tags,
                                     group=sample.id, take=take))  # fmt: skip
        return found


class Shades:
    """A panel: whether a picture is as light as its sample asks for, and how light it is."""

    better: ClassVar = {"light": "higher", "shade": "higher"}

    def __init__(self, version: int = 1, breaks: str = "") -> None:
        """`breaks` names a sample at which the panel raises."""
        self.breaks = breaks
        self.calls: list[int] = []
        protocol: dict[str, str | int | float] = {"version": version}
        self.facts = {
            "light": MetricFacts("light", "higher", "", "test", "test",
                                 protocol | {"values": "rate"}, paired=False, of="sample"),
            "shade": MetricFacts("shade", "higher", "", "test", "test", protocol, paired=False,
                                 of="sample"),
        }  # fmt: skip

    def check(self, samples: Sequence[Sample]) -> None:
        silent = [sample.id for sample in samples if "least" not in sample.asks]
        if silent:
            raise UsageError(
                "shades cannot score this suite.",
                f"{silent[0]!r} asks for no light.",
                "suite=asking",
            )

    def __call__(
        self, sample: Sample, pictures: torch.Tensor, reference: torch.Tensor | None
    ) -> Found:
        self.calls.append(len(pictures))
        if sample.id == self.breaks:
            raise RuntimeError("the panel broke")
        levels = [picture.double().mean().item() for picture in pictures]
        shade: list[float | str] = list(levels)
        if sample.asks.get("shade") is False:
            shade = [f"{NOT_APPLICABLE}it asks for no shade"] * len(levels)
        light = [float(level >= sample.asks["least"]) for level in levels]
        notes = [{"level": level, "least": sample.asks["least"]} for level in levels]
        return Found({"light": light, "shade": shade}, notes)

    def summary(
        self, notes: Sequence[Mapping[str, Any]], planned: Sequence[tuple[str, int]]
    ) -> dict[str, Any]:
        levels = {(note["sample"], note["seed"]): note["level"] for note in notes}
        darkest = min(levels.values(), default=None) if list(levels) == list(planned) else None
        return {"pictures": len(levels), "darkest": darkest}


class Quarters(torch.nn.Module):
    """What `Colours` computes, as a module: pictures [N,3,H,W] → [N,12]."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(pictures.float(), 2).flatten(1)


def save_network(file: Path) -> str:
    """Write `Quarters` as TorchScript; returns the path as text."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is deprecated", category=FutureWarning)
        torch.jit.script(Quarters()).save(file)
    return str(file)
