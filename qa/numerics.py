"""Numerical settings, set explicitly in one place and put back afterwards.

What a decoder computes depends on more than its weights: PyTorch's defaults run "float32"
convolutions in TF32 on recent GPUs, reduce bfloat16 sums in bfloat16, pick cuDNN algorithms by
timing, and split sums by thread count. A run states all of it, and its units carry it in their id.
Tensors are contiguous everywhere; only `qa repro vary=[channels_last]` lays weights out otherwise.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from threading import Barrier
from typing import Any

from qa.errors import UsageError

_SDPA = {
    "math": "MATH",
    "flash": "FLASH_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
    "cudnn": "CUDNN_ATTENTION",
}

_KERNELS = ("torch", "triton")

CUDA_ONLY = frozenset({"tf32", "reduced_reductions", "cudnn_benchmark", "kernels"})
"""Settings that mean nothing on the CPU."""

TALLY = Counter({"kernels": 0, "steps": 0, "steps made": 0})
"""How often, since this process began, a kernel ran (`kernels`), a step ran otherwise than eagerly
(`steps`), and such a step was made first (`steps made`): whether a setting changes anything here,
and whether a decode was a first one, is known only afterwards."""

_kernels = "torch"

_STEPS = ("eager", "graph", "compile")
_steps = "eager"


@dataclass(frozen=True)
class Numerics:
    """One set of settings. The defaults are the careful ones."""

    threads: int | None = None
    """CPU threads of a decoder's operations; None takes what PyTorch would, and the record says how
    many. Scoring takes one for each of several pictures (`one_core_each`)."""
    tf32: bool = False
    """Allow TF32 in float32 matrix products and convolutions on CUDA."""
    reduced_reductions: bool = False
    """Allow float16 and bfloat16 matrix products to accumulate in their own type."""
    cudnn_benchmark: bool = False
    """Let cuDNN choose algorithms by timing (results then differ between processes)."""
    deterministic: bool = True
    """Ask PyTorch for deterministic algorithms; operations that have none warn."""
    sdpa: str = "auto"
    """Scaled dot-product attention: auto (PyTorch chooses), math, flash, efficient or cudnn."""
    kernels: str = "torch"
    """Whose operations networks run on CUDA: torch, or triton where `decoders.kernels` has one."""
    steps: str = "eager"
    """How a sampler's steps run in `decoders.steps`: eager, graph (CUDA graphs) or compile."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"numerics.threads={self.threads} cannot work.", "It is 1 or more.")
        if self.sdpa != "auto" and self.sdpa not in _SDPA:
            raise UsageError(
                f"numerics.sdpa={self.sdpa} is unknown.", "", f"choose auto, {', '.join(_SDPA)}"
            )
        if self.kernels not in _KERNELS:
            raise UsageError(
                f"numerics.kernels={self.kernels} is unknown.", "", f"choose {', '.join(_KERNELS)}"
            )
        if self.steps not in _STEPS:
            raise UsageError(
                f"numerics.steps={self.steps} is unknown.", "", f"choose {', '.join(_STEPS)}"
            )


def describe(numerics: Numerics, device: str) -> dict[str, Any]:
    """The settings with every default resolved, and what else decides bits on this machine."""
    import torch

    resolved = asdict(numerics) | {"threads": numerics.threads or torch.get_num_threads()}
    if not device.startswith("cuda"):
        resolved["kernels"] = "torch"
        if numerics.steps == "graph":
            resolved["steps"] = "eager"
    return resolved | _machine(device)


def _machine(device: str) -> dict[str, Any]:
    import torch

    hardware = (
        torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else torch.backends.cpu.get_cpu_capability()
    )
    return {"torch": torch.__version__, "device": device, "hardware": hardware}


def current(device: str) -> dict[str, Any]:
    """What is in force now, whoever set it, and what else decides bits on this machine."""
    return _read() | _attention() | _machine(device)


def kernels() -> str:
    """Whose operations are in force on CUDA, in every thread: torch or triton."""
    return _kernels


def steps() -> str:
    """How a sampler's steps run, in every thread: eager, graph (on CUDA) or compile."""
    return _steps


@contextmanager
def applied(numerics: Numerics) -> Iterator[None]:
    """Apply the settings within the block and restore what was there before."""
    import torch

    before = _read()
    precision = "tf32" if numerics.tf32 else "ieee"
    wanted = {
        "matmul": precision,
        "conv": precision,
        "rnn": precision,
        "fp16": numerics.reduced_reductions,
        "bf16": numerics.reduced_reductions,
        "benchmark": numerics.cudnn_benchmark,
        "cudnn_deterministic": numerics.deterministic,
        "deterministic": numerics.deterministic,
        "warn_only": True,
        "threads": numerics.threads or before["threads"],
    }
    # Older cuBLAS needs it before CUDA starts; harmless elsewhere.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with ExitStack() as stack:
        stack.callback(_write, before)
        _write(wanted)
        stack.callback(_choose, _kernels, _steps)
        _choose(numerics.kernels, numerics.steps)
        # Deterministic algorithms would also fill every new tensor before it is written: a pass
        # over memory for values that nothing reads (and if something does, `qa repro` shows it).
        memory: Any = torch.utils.deterministic
        fills = memory.fill_uninitialized_memory
        stack.callback(setattr, memory, "fill_uninitialized_memory", fills)
        memory.fill_uninitialized_memory = False
        if numerics.sdpa != "auto":
            attention = torch.nn.attention
            backend = getattr(attention.SDPBackend, _SDPA[numerics.sdpa])
            stack.enter_context(attention.sdpa_kernel(backend))
        yield


def one_core_each(count: int, name: str) -> ThreadPoolExecutor:
    """A pool of threads in which a PyTorch operation runs on one core.

    Side by side on a core each, whole pictures are scored faster than one after the other on all of
    them, and sums are split the same way on every machine.
    """
    import torch

    usual, ready = torch.get_num_threads(), Barrier(count + 1)

    def start() -> None:
        # Asked for before it is set: a thread's first operation would otherwise set it back.
        torch.get_num_threads()
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(count, name, start)
    for _ in range(count):
        pool.submit(lambda: None)
    ready.wait()
    # It holds for the thread that sets it, and for every thread that starts later.
    torch.set_num_threads(usual)
    return pool


def pick_device(name: str) -> str:
    """`auto` (the first GPU, or else the CPU), `cpu`, `cuda` or `cuda:N`, checked to exist."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in {"cpu", "cuda"} or not (index == "" or index.isdigit()):
        raise UsageError(f"{name!r} is no device.", "", "device=auto, cpu, cuda or cuda:N")
    count = torch.cuda.device_count()
    if kind == "cuda" and int(index or 0) >= count:
        raise UsageError(
            f"There is no device {name}: no GPU of that number.",
            f"PyTorch sees {count} CUDA devices.",
            "device=auto or device=cpu",
        )
    return name


def _choose(kernels: str, steps: str) -> None:
    # No part of `_read`: features are kept by what that tells, and neither computes them.
    global _kernels, _steps
    _kernels, _steps = kernels, steps


def _read() -> dict[str, Any]:
    import torch

    cuda: Any = torch.backends.cuda.matmul  # the stubs lag behind fp32_precision
    cudnn: Any = torch.backends.cudnn
    return {
        "matmul": cuda.fp32_precision,
        "conv": cudnn.conv.fp32_precision,
        "rnn": cudnn.rnn.fp32_precision,
        "fp16": cuda.allow_fp16_reduced_precision_reduction,
        "bf16": cuda.allow_bf16_reduced_precision_reduction,
        "benchmark": cudnn.benchmark,
        "cudnn_deterministic": cudnn.deterministic,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "threads": torch.get_num_threads(),
    }


def _attention() -> dict[str, bool]:
    """Which implementations of attention are allowed; `applied` sets them by a context."""
    import torch

    cuda: Any = torch.backends.cuda
    names = ("flash", "mem_efficient", "math", "cudnn")
    return {name: bool(getattr(cuda, f"{name}_sdp_enabled")()) for name in names}


def _write(settings: dict[str, Any]) -> None:
    import torch

    cuda: Any = torch.backends.cuda.matmul  # the stubs lag behind fp32_precision
    cudnn: Any = torch.backends.cudnn
    cuda.fp32_precision = settings["matmul"]
    # Both together: reading the old allow_tf32 flag raises while they differ.
    cudnn.conv.fp32_precision = settings["conv"]
    cudnn.rnn.fp32_precision = settings["rnn"]
    cuda.allow_fp16_reduced_precision_reduction = settings["fp16"]
    cuda.allow_bf16_reduced_precision_reduction = settings["bf16"]
    cudnn.benchmark = settings["benchmark"]
    cudnn.deterministic = settings["cudnn_deterministic"]
    torch.use_deterministic_algorithms(settings["deterministic"], warn_only=settings["warn_only"])
    torch.set_num_threads(settings["threads"])
