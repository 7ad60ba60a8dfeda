"""Seconds, memory and ceilings. A clock is an argument: tests bring their own."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

Call = Callable[[], Any]
LEAST_ROUNDS, MOST_ROUNDS = 3, 20
CEILING_ROUNDS = 5
SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices whose product is the ceiling."""
COPIED = {"cpu": 2**28, "cuda": 2**30}
"""Bytes of the tensor whose copy is the ceiling: far more than any cache."""


class Clock:
    """Seconds on a device: what was asked for before is finished when they are read."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def timed(call: Call, clock: Callable[[], float]) -> float:
    """Seconds of one call."""
    start = clock()
    call()
    return clock() - start


def taking_turns(
    calls: Mapping[Any, Call], rounds: int, clock: Callable[[], float]
) -> dict[Any, list[float]]:
    """Seconds of every call in every round; every other round goes backwards.

    So a machine that slows down slows all of them.
    """
    seconds: dict[Any, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name in list(calls)[:: -1 if turn % 2 else 1]:
            seconds[name].append(timed(calls[name], clock))
    return seconds


def rounds_within(budget: float, once: float) -> int:
    """As many rounds as a budget of seconds holds, within limits; `once` is what one takes."""
    return max(LEAST_ROUNDS, min(MOST_ROUNDS, int(budget / max(once, 1e-9))))


def summary(seconds: Sequence[float], pictures: int = 1) -> dict[str, float]:
    """Median, 20th and 80th percentile for one picture, and the number of rounds."""
    p20, median, p80 = (float(q) / pictures for q in np.percentile(seconds, (20, 50, 80)))
    return {"median": median, "p20": p20, "p80": p80, "rounds": len(seconds)}


def matmul_ceiling(
    device: torch.device, dtype: torch.dtype, clock: Callable[[], float], side: int | None = None
) -> float:
    """FLOP a second of a product of two square matrices, in the best of a few rounds."""
    side = SIDES[device.type] if side is None else side
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best(lambda: a @ b, clock)


def copy_ceiling(
    device: torch.device, clock: Callable[[], float], size: int | None = None
) -> float:
    """Bytes a second, read and written, of copying a large tensor, in the best of a few rounds."""
    size = COPIED[device.type] if size is None else size
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), clock)


def share(work: float, seconds: float, ceiling: float) -> float:
    """Part of a ceiling (work a second) that work in that time reaches."""
    return work / seconds / ceiling


def cuda_bytes(call: Call, device: torch.device) -> int:
    """Bytes that calls need above what is allocated: the first, with all it sets up, and one more.

    The first, because what a CUDA graph needs is taken when it is captured.
    """
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def cpu_bytes(call: Call) -> int | None:
    """Bytes that become resident during a call; None where the system cannot tell (not Linux)."""
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier calls left in hand is not ours
    reset.write_text("5")  # the peak is what is resident now
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def in_fresh_process(asked: Mapping[str, Any]) -> tuple[int | None, bool]:
    """`cpu_bytes` of a call in a process of its own, and whether the system killed it.

    A process that has worked before has memory in hand that nobody counts twice.
    """
    command = [sys.executable, "-m", "decoders.bench", "--only", json.dumps(asked)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == -9:
        return None, True
    if done.returncode:
        return None, False
    return json.loads(done.stdout.splitlines()[-1]), False


def _best(call: Call, clock: Callable[[], float]) -> float:
    call()
    return min(timed(call, clock) for _ in range(CEILING_ROUNDS))


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
