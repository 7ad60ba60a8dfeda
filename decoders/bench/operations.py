"""Single operations of decoders.kernels at released shapes, against the copy ceiling.

Bytes are those of the inputs, weights included, and of the result, each once: what must be read and
written whatever computes it. What PyTorch writes in between is not counted, so its share shows it.
A kernel is timed only where it agrees with PyTorch's operations on the same inputs; those are what
an operation means (`decoders.kernels`), and are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from decoders import kernels
from decoders.bench.measure import Clock, rounds_within, share, summary, taking_turns, timed
from decoders.bench.runner import attempt, tidy
from decoders.bench.ways import Way, in_force
from decoders.pid.blocks import PixelBlock
from decoders.pid.layers import image_angles
from decoders.pid.network import PiDConfig
from decoders.steps import capture

PID = PiDConfig(None, None)
SIDES = {"cpu": (512, 1024), "cuda": (2048, 4096)}
"""Sides of the pictures whose shapes PiD's and L2P's operations have here; the latter's are those
of the outermost levels of the 4K head. On a CPU the released sizes would take minutes."""
TOLERANCES = {"float32": 1e-5, "bfloat16": 2.0**-6, "float16": 2.0**-9}
"""Largest difference as a share of the largest value: sums in another order, and in the halves four
units in the last place. Kernels round where their twins do; tests hold each one to half of that."""
SHORTEST = 0.01
"""Seconds of a timing: clocks and launches are far below that."""
MOST_REPEATS = 100
BUDGET = 2.0
"""Seconds for the rounds of one operation."""

Draw = Callable[..., Tensor]
Made = tuple[Callable[[], Tensor], list[Tensor]]


@dataclass(frozen=True)
class Operation:
    """How to make a call and the tensors it reads, for pictures of a side."""

    family: int
    """Which of SIDES: 0 PiD, 1 L2P."""
    make: Callable[[Draw, int], Made]
    halves_only: bool = False
    """In float32 there is no kernel."""


def _patches(side: int) -> int:
    return (side // PID.patch) ** 2


def _norm_modulate(draw: Draw, side: int) -> Made:
    x, weight = draw(1, _patches(side), PID.hidden), draw(PID.hidden)
    times, plus = draw(1, 1, PID.hidden), draw(1, 1, PID.hidden)
    call = kernels.norm_modulate
    return lambda: call(x, weight, 1e-6, times, plus), [x, weight, times, plus]


def _gated_add(draw: Draw, side: int) -> Made:
    x, y = (draw(1, _patches(side), PID.hidden) for _ in range(2))
    gate = draw(1, 1, PID.hidden)
    return lambda: kernels.gated_add(x, gate, y), [x, gate, y]


def _norm_rotate(draw: Draw, side: int) -> Made:
    head = PID.hidden // PID.heads
    x, weight = draw(1, PID.heads, _patches(side), head), draw(head)
    angles = _angles(side, head, x.device)
    return lambda: kernels.norm_rotate(x, weight, 1e-6, angles), [x, weight, angles]


def _sigma_gate(draw: Draw, side: int) -> Made:
    s, content, latent = (draw(1, _patches(side), PID.hidden) for _ in range(3))
    alpha, sigma = draw(1)[0], torch.full((1,), 0.2, device=s.device)
    given = [s, content, latent, alpha, sigma]
    return lambda: kernels.sigma_gate(*given), given


def _group_norm_silu(draw: Draw, side: int) -> Made:
    width, rows = 512, side // PID.patch
    x, weight, bias = draw(1, width, rows, rows), draw(width), draw(width)
    return lambda: kernels.group_norm_silu(x, 4, weight, bias, 1e-5), [x, weight, bias]


def _conv_silu(draw: Draw, side: int) -> Made:
    parts = [draw(1, 16, side, side) for _ in range(2)]
    weight, bias = draw(16, 32, 3, 3) / 17, draw(16)
    return lambda: kernels.conv_silu(parts, weight, bias), [*parts, weight, bias]


def _up_conv(draw: Draw, side: int) -> Made:
    x, weight, bias = draw(1, 16, side // 2, side // 2), draw(16, 16, 3, 3) / 12, draw(16)
    return lambda: kernels.up_conv(x, weight, bias), [x, weight, bias]


def _pixel_block(draw: Draw, side: int) -> Made:
    u = draw(1, _patches(side), PID.patch**2, PID.pixel_hidden)
    s = draw(1, _patches(side), PID.hidden)
    with u.device:
        layers = PixelBlock(PID).to(u.dtype).requires_grad_(False)
    angles = _angles(side, PID.pixel_width // PID.pixel_heads, u.device)
    return lambda: kernels.pixel_block(layers, u, s, angles), [u, s, angles, *layers.parameters()]


def _angles(side: int, head: int, device: torch.device) -> Tensor:
    rows = side // PID.patch
    return image_angles(rows, rows, head, None, device)


OPERATIONS: Mapping[str, Operation] = {
    "norm_modulate": Operation(0, _norm_modulate),
    "gated_add": Operation(0, _gated_add),
    "norm_rotate": Operation(0, _norm_rotate),
    "sigma_gate": Operation(0, _sigma_gate),
    "group_norm_silu": Operation(0, _group_norm_silu),
    "conv_silu": Operation(1, _conv_silu),
    "up_conv": Operation(1, _up_conv),
    "pixel_block": Operation(0, _pixel_block, halves_only=True),
}


def measured(
    name: str, dtype: str, device: torch.device, threads: int | None, copied: float
) -> dict[str, dict[str, Any]]:
    """Rows of one operation by their keys, PyTorch's first; `copied` is the copy ceiling."""
    operation = OPERATIONS[name]
    side = SIDES[device.type][operation.family]
    with_kernel = device.type == "cuda" and not (operation.halves_only and dtype == "float32")
    ways = [Way(dtype, kind) for kind in ("torch", *(["triton"] if with_kernel else []))]
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(ways[0].precision)

    rows: dict[Way, dict[str, Any]] = {}
    ready: dict[Way, Repeated] = {}
    made, why = attempt(lambda: operation.make(draw, side))
    twin = None
    for way in ways:
        rows[way] = row = {"operation": name, "side": side, "dtype": dtype, "kernels": way.kernels}
        row["outcome"] = why
        if made is None:
            continue
        with in_force(way, device, threads, autocast=False):
            found, row["outcome"] = attempt(made[0])
            if found is None:
                continue
            twin = found if twin is None else twin
            row["shape"] = list(made[1][0].shape)
            row["bytes"] = sum(tensor.nbytes for tensor in made[1]) + found.nbytes
            row["outcome"] = disagreement(found, twin, dtype)
            del found
            if not row["outcome"]:
                repeated, row["outcome"] = attempt(partial(Repeated, made[0], device))
                if repeated is not None:
                    ready[way] = repeated
    del twin
    clock = Clock(device)
    with in_force(ways[0], device, threads, autocast=False):
        rounds = rounds_within(BUDGET, sum(timed(call, clock) for call in ready.values()))
        taken = taking_turns(ready, rounds, clock)
    for way, seconds in taken.items():
        row = rows[way]
        row["outcome"], row["seconds"] = "measured", summary(seconds, ready[way].count)
        row["copy_share"] = share(row["bytes"], row["seconds"]["median"], copied)
        row["copy_bytes_per_second"] = copied
    ready.clear()
    tidy()
    return {f"{name}/{side}/{way.dtype}/{way.kernels}": row for way, row in rows.items()}


class Repeated:
    """A call, as often as takes `SHORTEST` seconds; made where its way is in force.

    On a GPU it is a replay of recorded kernels: how fast Python launches them is not asked here.
    """

    def __init__(self, call: Callable[[], Tensor], device: torch.device) -> None:
        once = timed(call, Clock(device))
        self.count = max(1, min(MOST_REPEATS, int(SHORTEST / once)))
        self._run: Callable[[], Any] = self._recorded(call, device)

    def __call__(self) -> None:
        self._run()

    def _recorded(self, call: Callable[[], Tensor], device: torch.device) -> Callable[[], Any]:
        def run() -> Tensor:
            for _ in range(self.count):
                result = call()
            return result

        if device.type != "cuda":
            return run
        graph, self._place = capture(run, device, None)
        return graph.replay


def disagreement(found: Tensor, twin: Tensor, dtype: str) -> str:
    """How a kernel's result differs from its twin's beyond what is allowed, or ""."""
    apart = float((found.float() - twin.float()).abs().max() / twin.float().abs().max())
    if apart <= TOLERANCES[dtype]:
        return ""
    return f"differs by {apart:.2g}, allowed {TOLERANCES[dtype]:.2g}"
