"""Networks in every precision that is asked for, and calls of them in a way."""

from __future__ import annotations

import copy
import gc
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from decoders.bench.system import Given, Step, System
from decoders.bench.ways import Way, in_force
from decoders.steps import Steps
from qa.errors import QaError, said

T = TypeVar("T")
OUT_OF_MEMORY = "out of memory"


@dataclass
class Models:
    """One system's network, built once for each precision of weights."""

    system: System
    device: torch.device
    threads: int | None = None
    built: dict[torch.dtype, nn.Module] = field(default_factory=dict)

    def get(self, way: Way) -> nn.Module:
        """The network with the weights of a way, all of them the same but for rounding."""
        held = torch.float32 if self.system.autocast else way.precision
        plain = self.built.get(torch.float32)
        if plain is None:
            plain = self.built[torch.float32] = self.system.build(self.device)
        if held not in self.built:
            self.built[held] = cast(plain, held)
        return self.built[held]

    def runner(self, way: Way) -> Runner:
        """A call of the system in a way."""
        model = self.get(way)
        return Runner(self, model, way, Steps(model, self.system.step(model)))


@dataclass
class Runner:
    """One system in one way; what its steps have compiled or captured lives as long as it."""

    models: Models
    model: nn.Module
    way: Way
    step: Step

    def __call__(self, given: Given) -> Tensor:
        """Pictures [B,3,side,side] of inputs on the device."""
        models = self.models
        with in_force(self.way, models.device, models.threads, models.system.autocast):
            return models.system.call(self.model, self.step, given, self.way)


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a network with its weights in another precision, each tensor held once."""
    with torch.no_grad():
        memo = {id(p): nn.Parameter(p.to(dtype), requires_grad=False) for p in model.parameters()}
        buffers = {id(b): b.to(dtype) for b in model.buffers() if b.is_floating_point()}
    return copy.deepcopy(model, {**memo, **buffers})


def moved(given: Given, device: torch.device) -> Given:
    """Inputs on a device."""
    return {name: tensor.to(device) for name, tensor in given.items()}


def attempt(work: Callable[[], T]) -> tuple[T | None, str]:
    """What the work gives and "", or None and why it could not be done.

    Too little memory is a result of a measurement, and one way that breaks must not take the
    others' numbers with it; what is no QaError is told on stderr with its traceback.
    """
    try:
        return work(), ""
    except QaError as error:
        why = f"failed: {said(error)}"
    except Exception as error:
        if out_of_memory(error):
            why = OUT_OF_MEMORY
        else:
            traceback.print_exc(file=sys.stderr)
            why = f"failed: {said(error)[:200]}"
    tidy()  # outside of the handler, which holds what the failed call held
    return None, why


def out_of_memory(error: Exception) -> bool:
    """Whether this is how a device or the system refuses memory."""
    refusals = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in refusals)
    )


def tidy() -> None:
    """Give freed memory back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
