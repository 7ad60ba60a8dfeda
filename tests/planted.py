"""Decoders that are irreproducible in one way each: what `qa repro` has to find."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import nn
from toys import Sampler

from qa.types import DecodeRequest


class Restless(Sampler):
    """Another picture each time: every other four calls one value is a last bit apart."""

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        pixels = super()._one(request)
        if (len(self.calls) - 1) // 4 % 2:
            pixels[1, 2, 3] = torch.nextafter(pixels[1, 2, 3], torch.tensor(9.0))
        return pixels


class OfProcess(Sampler):
    """The same within a process, another in the next."""

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        return super()._one(request) + (os.getpid() % 10007) / 10007


class Named(Sampler):
    """Says that it is another decoder in every process."""

    def __init__(self) -> None:
        super().__init__()
        self.digest = f"named-{os.getpid()}"


class Counting(Sampler):
    """A picture depends on how many were made before it."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def _one(self, request: DecodeRequest) -> torch.Tensor:
        self.made += 1
        return super()._one(request) + 0.001 * (self.made % 50)


class Network(nn.Module):
    """Two layers; the second adds `rounding` to all but the first picture of a batch."""

    def __init__(self, rounding: float) -> None:
        super().__init__()
        self.first, self.second = nn.AvgPool2d(1), Second(rounding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


class Second(nn.Module):
    def __init__(self, rounding: float) -> None:
        super().__init__()
        self.rounding = rounding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        later = torch.arange(len(x))[:, None, None, None] > 0
        return x + self.rounding * later


class Batching(Sampler):
    """Stacks requests of one size; the network rounds otherwise in a batch, by `rounding`."""

    def __init__(self, rounding: float = 1e-6, most: int = 99) -> None:
        super().__init__()
        self.network, self.most = Network(rounding), most

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        self.calls.append(len(requests))
        if len(requests) > self.most:
            raise MemoryError("no memory for so large a batch")
        singles = [self._one(request) for request in requests]
        if len({single.shape for single in singles}) > 1:
            return [self.network(single[None])[0] for single in singles]
        return list(self.network(torch.stack(singles)))


class Cropping(Sampler):
    """Gives a batch pictures of another size."""

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        found = super().decode(requests)
        return [pixels[:, 1:] for pixels in found] if len(requests) > 1 else found


class Overflowing(Sampler):
    """Has no finite numbers for a batch."""

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        found = super().decode(requests)
        return [pixels / 0 for pixels in found] if len(requests) > 1 else found
