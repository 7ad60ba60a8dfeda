"""One battery for every Triton kernel: the naive twin at odd shapes, poison, batches, faults.

A test file lists cases; `results` runs them in a process of their own, where Triton interprets
kernels on the CPU (it decides so once, when it is imported), or compiles them for `--device cuda`:

    python tests/kernel_battery.py tests/decoders/kernels/test_NAME.py [cuda]

Inputs lie between NaNs, and so do results, which are NaN themselves until a kernel writes them:
what is read or written where nothing is, or left out, shows.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

MARGIN = 64
TOLERANCES = {torch.float32: 5e-6, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
"""Largest difference by the result's precision, as a share of the largest value: two units in the
last place of the halves."""
MOST = 0.005
"""Share of a half-precision result that may differ at all: rounding happens at the same places."""

Inputs = dict[str, Any]
Function = Callable[..., Tensor]


class Draw:
    """Random tensors of one case, between NaNs, on its device."""

    def __init__(self, device: str, seed: int = 0) -> None:
        self.device, self.generator = device, torch.Generator().manual_seed(seed)

    def __call__(
        self, *shape: int, dtype: torch.dtype = torch.float32, mean: float = 0, std: float = 1
    ) -> Tensor:
        values = (mean + std * torch.randn(shape, generator=self.generator)).to(dtype)
        return poisoned(shape, dtype=dtype, device=self.device).copy_(values)


@dataclass(frozen=True)
class Case:
    """A kernel, its naive twin, and what both are given."""

    name: str
    naive: Function
    fused: Callable[[], Function]
    """Called where Triton may be imported; gives the launcher."""
    inputs: Callable[[Draw], Inputs]
    samples: tuple[str, ...] = ()
    """Inputs whose first dimension counts samples; a sample alone must have the same bits."""
    faults: dict[str, Callable[[Function, Inputs], Tensor]] = field(default_factory=dict)
    """Wrong ways to call it, each of which must be seen."""
    tolerance: float | None = None

    def __str__(self) -> str:
        return self.name


def changed(**values: Any) -> Callable[[Function, Inputs], Tensor]:
    """A fault: other values for some inputs; a function of the input's value changes it."""

    def call(fused: Function, inputs: Inputs) -> Tensor:
        new = {k: v(inputs[k]) if callable(v) else v for k, v in values.items()}
        return fused(**{**inputs, **new})

    return call


def without_tail(fused: Function, inputs: Inputs) -> Tensor:
    """A fault: a launcher that forgets the last, partly filled tile."""
    with mock.patch("triton.cdiv", lambda a, b: max(1, a // b)):
        return fused(**inputs)


def results(file: str, device: str) -> dict[str, dict[str, Any]]:
    """What running every case of a test file found, by the case's name."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env["TRITON_INTERPRET"] = "1" if device == "cpu" else "0"
    done = subprocess.run(
        [sys.executable, __file__, file, device], env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(found: dict[str, Any], device: str) -> None:
    """Assert what a case must show."""
    most = found["most"] if device == "cpu" else 1.0
    assert not found["problem"]
    assert found["difference"] <= found["tolerance"]
    assert found["unequal"] <= most
    assert found["alone"], "a sample's bits depend on its batch"
    for name, (difference, unequal) in found["faults"].items():
        near = difference <= 3 * found["tolerance"] and unequal <= 3 * most
        assert not near, f"not seen: {name}"


def poisoned(*size: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
    """`torch.empty`, of NaNs and between NaNs."""
    shape = torch.Size(size[0] if len(size) == 1 and not isinstance(size[0], int) else size)
    whole = torch.full((shape.numel() + 2 * MARGIN,), float("nan"), dtype=dtype, device=device)
    allocated.append(whole)
    return whole[MARGIN : MARGIN + shape.numel()].view(shape)


allocated: list[Tensor] = []


def margins_are_whole() -> bool:
    ends = (end for whole in allocated for end in (whole[:MARGIN], whole[-MARGIN:]))
    return all(bool(end.isnan().all()) for end in ends)


def run(case: Case, device: str) -> dict[str, Any]:
    """Differences relative to the largest value of the naive twin's result."""
    allocated.clear()
    inputs, fused = case.inputs(Draw(device)), case.fused()
    before = {name: value.clone() for name, value in inputs.items() if torch.is_tensor(value)}
    wanted = case.naive(**inputs)
    tolerance = case.tolerance or TOLERANCES[wanted.dtype]
    with torch.no_grad(), mock.patch("torch.empty", poisoned):
        found = fused(**inputs)
        faults = {name: apart(fault(fused, inputs), wanted) for name, fault in case.faults.items()}
        alone = all(
            torch.equal(fused(**only(case, inputs, i))[0], found[i])
            for i in range(len(found) if case.samples else 0)
        )
    problem = "" if found.dtype == wanted.dtype else f"{found.dtype}, not {wanted.dtype}"
    if not all(torch.equal(value, inputs[name]) for name, value in before.items()):
        problem = "an input was changed"
    return {
        "problem": problem if margins_are_whole() else "written outside of the result",
        **dict(zip(("difference", "unequal"), apart(found, wanted), strict=True)),
        "most": 1.0 if wanted.dtype == torch.float32 else MOST,
        "tolerance": tolerance, "alone": alone, "faults": faults,
    }  # fmt: skip


def apart(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """The largest difference over the largest value, and the share of values that differ."""
    found, wanted = found.double(), wanted.double()
    difference = (found - wanted).abs().max() / wanted.abs().max()
    return difference.item(), (found != wanted).double().mean().item()


def only(case: Case, inputs: Inputs, i: int) -> Inputs:
    """The same inputs with one sample; a list of tensors is cut tensor by tensor."""
    cut = {}
    for name in case.samples:
        value = inputs[name]
        cut[name] = [v[i : i + 1] for v in value] if isinstance(value, list) else value[i : i + 1]
    return {**inputs, **cut}


@contextmanager
def kernels_in_force(device: str) -> Iterator[None]:
    """Networks use their kernels inside, in the interpreter too."""
    from decoders import kernels
    from qa.numerics import Numerics, applied

    with ExitStack() as stack:
        stack.enter_context(applied(Numerics(kernels="triton")))
        if device == "cpu":
            stack.enter_context(mock.patch.object(kernels, "_fused", return_value=True))
            here = mock.patch.object(kernels, "_on", lambda _, launch, *a, **k: launch(*a, **k))
            stack.enter_context(here)
        yield


def mend_interpreter() -> None:
    """The interpreter cuts bfloat16 off where a GPU rounds, and multiplies its bits as integers.

    That of Triton 3.6 moreover cannot take a loop's bound from an array of NumPy 2.4.
    """
    import triton.language as tl
    from triton.runtime import interpreter
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    cast, dot = InterpreterBuilder.cast_impl, InterpreterBuilder.create_dot
    patch = interpreter._patch_lang_tensor

    def with_index(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    def rounding_cast(self, source, kind):
        if (source.dtype.scalar, kind.scalar) != (tl.float32, tl.bfloat16):
            return cast(self, source, kind)
        values = torch.from_numpy(np.ascontiguousarray(source.data)).bfloat16()
        return TensorHandle(values.view(torch.int16).numpy().view(np.uint16), tl.bfloat16)

    def wide_dot(self, a, b, *rest):
        a, b = (rounding_cast(self, t, tl.float32) if t.dtype.scalar == tl.bfloat16 else t
                for t in (a, b))  # fmt: skip
        return dot(self, a, b, *rest)

    InterpreterBuilder.cast_impl, InterpreterBuilder.create_dot = rounding_cast, wide_dot
    interpreter._patch_lang_tensor = with_index


def main(file: str, device: str = "cpu") -> None:
    if device == "cpu":
        mend_interpreter()
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from qa.numerics import Numerics, applied

    with applied(Numerics(threads=1)):  # no TF32 for the twins
        print(json.dumps({case.name: run(case, device) for case in module.CASES}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(*sys.argv[1:])
