"""What is measured, as far as the measuring knows it: how to build it, call it and count its work.

A call is a whole decode: what the steps share and every step of the sampler, from noise, latent and
text that are given. A sample has inputs of its own, wherever it stands in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from decoders.bench.ways import PLAIN, Way

Given = dict[str, Tensor]
"""The inputs of one call, by name; the first dimension of each counts samples."""
Step = Callable[..., Tensor]
"""A network's forward pass; a way of running steps may wrap it."""
SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """What all of them have; a subclass is one family of networks."""

    name: str
    about: str
    small: int
    """The side at which ways are compared."""
    usual: Mapping[str, tuple[int, ...]]
    """Kind of device → sides that are measured where none are asked for."""
    weights: Path | None = None
    """Trained weights; None: drawn ones."""
    axes: frozenset[str] = frozenset()
    """Which of a way's choices change anything here, beside the precision."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16", "float16")
    autocast: bool = False
    """A half precision is float32 weights under autocast, not weights of that precision."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Named parts, each by how the names of its modules begin."""
    sampler_steps: int = 0
    """Steps of a whole decode; 0 where there is no sampler."""

    def possible(self, way: Way, device: str) -> bool:
        """Whether it can be run this way, and is not the same as in a plainer one."""
        off_gpu = device != "cuda" and (way.kernels == "triton" or way.steps == "graph")
        same = all(
            getattr(way, axis) == getattr(PLAIN, axis)
            for axis in ("kernels", "steps", "memory")
            if axis not in self.axes
        )
        return same and not off_gpu and way.dtype in self.dtypes

    def build(self, device: torch.device) -> nn.Module:
        """The network in float32."""
        torch.manual_seed(SEED)
        with device:
            return self._build(device).eval().requires_grad_(False)

    def given(self, side: int, samples: Sequence[int], steps: int) -> Given:
        """Inputs of the samples of those numbers, float32 on the CPU."""
        one = [self._sample(side, steps, torch.Generator().manual_seed(n)) for n in samples]
        return {name: torch.stack([each[name] for each in one]) for name in one[0]}

    def problem(self, side: int) -> str:
        """Why it cannot make pictures of that side, or ""."""
        return "" if side > 0 and side % self.cell == 0 else f"sides are multiples of {self.cell}"

    @property
    def cell(self) -> int:
        """What a side is a multiple of."""
        raise NotImplementedError

    def step(self, model: Any) -> Step:
        """What is called once a step, with tensors alone or a fixed structure of them."""
        return model

    def call(self, model: Any, step: Step, given: Given, way: Way) -> Tensor:
        """Pictures [B,3,side,side]."""
        raise NotImplementedError

    def flops(self, side: int) -> int:
        """Floating-point operations of one picture's products, the plain way (nothing is run)."""
        raise NotImplementedError

    def _build(self, device: torch.device) -> nn.Module:
        raise NotImplementedError

    def _sample(self, side: int, steps: int, generator: torch.Generator) -> Given:
        raise NotImplementedError


def counted(work: Callable[[], Any]) -> int:
    """Floating-point operations of products, convolutions and attention in a call."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def inner(model: nn.Module) -> torch.dtype:
    """The precision of a network's weights."""
    return next(model.parameters()).dtype


def inputs_bytes(given: Given) -> int:
    """Bytes of a call's inputs."""
    return sum(tensor.nbytes for tensor in given.values())


def weights_bytes(model: nn.Module) -> int:
    """Bytes of a network's weights."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
