"""Ways to run a system, and what puts one in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch

from decoders.frame import DTYPES
from qa import numerics
from qa.errors import UsageError
from qa.numerics import Numerics

AXES: Mapping[str, tuple[str, ...]] = {
    "dtype": ("float32", "bfloat16", "float16"),
    "kernels": ("torch", "triton"),
    "steps": ("eager", "graph", "compile"),
    "memory": ("untiled", "exact"),
}
"""What a way says, and the values that there are; the first is the plain one."""


@dataclass(frozen=True)
class Way:
    """How a system is run."""

    dtype: str = "float32"
    kernels: str = "torch"
    steps: str = "eager"
    memory: str = "untiled"

    def __str__(self) -> str:
        return "/".join(asdict(self).values())

    @property
    def precision(self) -> torch.dtype:
        return DTYPES[self.dtype]


PLAIN = Way()


def ways(asked: Mapping[str, Sequence[str]], possible: Callable[[Way], bool]) -> list[Way]:
    """Every combination of the values asked for that is possible, the plainest first.

    Raises UsageError for a value that no axis has.
    """
    for axis, values in asked.items():
        for value in values:
            if value not in AXES[axis]:
                raise UsageError(
                    f"{axis}={value} is unknown.", "", f"choose {', '.join(AXES[axis])}"
                )
    combined = product(*(sorted(set(asked[axis]), key=AXES[axis].index) for axis in AXES))
    return [way for way in (Way(*values) for values in combined) if possible(way)]


@contextmanager
def in_force(way: Way, device: torch.device, threads: int | None, autocast: bool) -> Iterator[None]:
    """The way's settings within the block, without gradients; all else as `qa run` has it.

    With `autocast` a half precision is that of the layers, with float32 weights.
    """
    half = autocast and way.precision != torch.float32
    with (
        numerics.applied(settings(way, threads)),
        torch.inference_mode(),
        torch.autocast(device.type, way.precision if half else torch.bfloat16, enabled=half),
    ):
        yield


def settings(way: Way, threads: int | None) -> Numerics:
    """The way as settings of the harness."""
    return Numerics(threads=threads, kernels=way.kernels, steps=way.steps)


def fields(way: Way) -> dict[str, Any]:
    """The way as entries of a row."""
    return asdict(way)
