"""A sampler's step, run as `numerics.steps` says: eager, as a CUDA graph, or compiled.

The steps of a picture have one shape: the network runs again and again on another state x and
another time t, under a condition that stays.

    eager     the network is called; Python launches every kernel
    graph     the kernels of one call are recorded once, and replayed on inputs that are copied
              into the places they were recorded with: the same kernels, hence eager's bits
    compile   PyTorch compiles the call into kernels of its own (Inductor)

What is made is kept for inputs of the same form under the same settings, for the `MOST` forms used
last. A graph keeps its inputs and its share of a pool of memory that all graphs of a network use
in turn. On a CPU `graph` is eager. A network that is watched (it has forward hooks) runs eagerly:
a hook looks at values, and a replay computes none in Python.

The Triton kernels of `decoders.kernels` stay kernels in a compiled step: Dynamo traces what
launches them, and Inductor fuses around them.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass, replace
from functools import cache
from itertools import chain
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from qa import numerics
from qa.errors import SettingFailed

MOST = 8
"""Forms that are kept. Another one takes the place of the one that was used longest ago."""
WARM_UPS = 3
"""Calls before a recording, as torch.cuda.make_graphed_callables: what is chosen or compiled at
first use is not recorded."""

Step = Callable[[Tensor, Tensor, Any], Tensor]
"""(state x, time t, condition) → v. A condition is a frozen dataclass whose tensors nobody changes,
holding tensors, plain values, and dataclasses and tuples of them."""


class Steps:
    """A `Step` of a network, run as `numerics.steps` says.

    `step` is one call of the network, without transfers between CPU and GPU.

    Raises SettingFailed where there is no compiler for `compile`, and for a step that cannot
    be recorded or compiled; it is never run otherwise than asked.
    """

    def __init__(self, network: nn.Module, step: Step) -> None:
        self.network, self._step = network, step
        if numerics.steps() == "compile":  # said before anything is decoded
            _check_compiler(next(network.parameters()).device)
        self._made: OrderedDict[Hashable, Step] = OrderedDict()

    def __call__(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        """v, in memory of its own."""
        way = way_on(x.device)
        if way == "eager" or _watched(self.network):
            return self._step(x, t, condition)
        numerics.TALLY["steps"] += 1
        key = (way, _form((x, t, condition)), _weights(self.network), _settings(x.device))
        made = self._made.pop(key, None)
        if made is None:
            numerics.TALLY["steps made"] += 1
            if len(self._made) == MOST:
                self._made.popitem(last=False)  # its memory is free before the next is made
            made = self._new(way, x, t, condition)
        self._made[key] = made
        return made(x, t, condition)

    def _new(self, way: str, x: Tensor, t: Tensor, condition: Any) -> Step:
        if way == "compile":
            return compiled(self._step, x.device)
        pools = (made.pool() for made in self._made.values() if isinstance(made, Graph))
        return Graph(self._step, x, t, condition, next(pools, None))


class Graph:
    """A recorded step: a Step for inputs of the form that it was recorded with."""

    def __init__(self, step: Step, x: Tensor, t: Tensor, condition: Any, pool: Any) -> None:
        self._x, self._t = x.clone(), t.clone()
        held = _mapped(condition, Tensor.clone)
        self._held = list(_tensors(held))
        self._seen = [weakref.ref(tensor) for tensor in _tensors(condition)]
        # Not a method: a cycle would free the graph at a time of the collector's choosing.
        state, time = self._x, self._t
        self._graph, self._v = capture(lambda: step(state, time, held), x.device, pool)

    def __call__(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        """Conditions may alternate: only tensors other than those of the last call are copied."""
        self._x.copy_(x)
        self._t.copy_(t)
        for place, tensor in enumerate(_tensors(condition)):
            if self._seen[place]() is not tensor:
                self._held[place].copy_(tensor)
                self._seen[place] = weakref.ref(tensor)
        self._graph.replay()
        return self._v.clone()

    def pool(self) -> Any:
        """The pool that another graph of the network may use: one at a time is replayed."""
        return self._graph.pool()


def way_on(device: torch.device) -> str:
    """eager, graph or compile: what `numerics.steps` means on a device."""
    way = numerics.steps()
    return "eager" if way == "graph" and device.type != "cuda" else way


def capture(
    call: Callable[[], Tensor], device: torch.device, pool: Any
) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Record a call as a CUDA graph, in memory of its own if `pool` is None.

    Raises SettingFailed for what cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), _uncached(device):
        side = _side(device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                call()
        torch.cuda.current_stream().wait_stream(side)
        try:
            # thread_local: other threads transfer and score pictures meanwhile.
            with torch.cuda.graph(graph, pool, side, capture_error_mode="thread_local"):
                v = call()
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except RuntimeError as error:
            raise SettingFailed(
                "A step of the sampler cannot be recorded as a CUDA graph.",
                _reason(error),
                "numerics.steps=eager",
            ) from error
    return graph, v


def compiled(step: Step, device: torch.device) -> Step:
    """The step as PyTorch compiles it, for the first inputs that it gets.

    With numerics.deterministic (the default) no kernel is chosen by timing. Raises SettingFailed
    where a CPU has no C++ compiler, and the result for a step that cannot be compiled.
    """
    _check_compiler(device)

    def run(x: Tensor, t: Tensor, condition: Any) -> Tensor:
        return step(x, t, condition)

    # A copy of the code, because compilations of one code are counted, and 8 are allowed.
    own = FunctionType(run.__code__.replace(), run.__globals__, closure=run.__closure__)
    options = {"deterministic": torch.are_deterministic_algorithms_enabled()}
    fast = torch.compile(own, fullgraph=True, dynamic=False, options=options)

    def checked(x: Tensor, t: Tensor, condition: Any) -> Tensor:
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

        try:
            return fast(x, t, condition)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            raise SettingFailed(
                "A step of the sampler cannot be compiled.",
                _reason(error),
                "numerics.steps=eager",
            ) from error

    return checked


def _check_compiler(device: torch.device) -> None:
    if device.type != "cpu":
        return
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise SettingFailed(
            "numerics.steps=compile cannot work here.",
            "There is no C++ compiler, or CXX names none.",
            "install g++, or numerics.steps=eager",
        ) from error


def _reason(error: Exception) -> str:
    """The first line of many, of the error inside where a compiler's is wrapped."""
    error = getattr(error, "inner_exception", error)
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0].rstrip('.')}."


def _uncached(device: torch.device) -> AbstractContextManager[Any]:
    """Autocast as it is, without its cache of weights, which would not outlive a picture."""
    kind = device.type
    precision, enabled = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
    return torch.autocast(kind, precision, enabled, cache_enabled=False)


@cache
def _side(device: torch.device) -> torch.cuda.Stream:
    """The stream of all recordings: libraries keep work space for every stream."""
    return torch.cuda.Stream(device)


def _settings(device: torch.device) -> Hashable:
    """What decides beside inputs and weights which kernels run."""
    kind = device.type
    return (
        numerics.kernels(),
        tuple(numerics.current(str(device)).items()),
        torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
    )


def _weights(network: nn.Module) -> Hashable:
    """Where the weights lie and how: a graph reads them there, with whatever values they have."""
    return tuple((w.data_ptr(), w.stride()) for w in chain(network.parameters(), network.buffers()))


def _watched(network: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def _form(value: Any) -> Hashable:
    """All about a value but what is in its tensors."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, tuple):
        return tuple(_form(part) for part in value)
    if is_dataclass(value):
        return type(value), *(_form(getattr(value, field.name)) for field in fields(value))
    return value


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with every tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(part, change) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: _mapped(part, change) for name, part in parts.items()})
    return value


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor in a value, in a fixed order."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    _mapped(value, note)
    return found
