"""When a kernel is used, and that it never is on a CPU."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from decoders import kernels
from qa.numerics import Numerics, applied

TRITON = Numerics(kernels="triton")


def tensor(**changes):
    """What the switch looks at, of a tensor that would need a GPU."""
    facts = {"is_cuda": True, "dtype": torch.bfloat16, "requires_grad": False, "count": 1}
    facts |= changes
    return SimpleNamespace(numel=lambda: facts["count"], **facts)


def test_a_kernel_is_used_where_it_is_asked_for():
    assert not kernels._fused(tensor())
    with applied(TRITON):
        assert kernels._fused(tensor(), None, tensor(dtype=torch.float32))


@pytest.mark.parametrize(
    "changes",
    [{"is_cuda": False}, {"dtype": torch.float64}, {"requires_grad": True}, {"count": 2**31}],
)
def test_and_not_for_what_it_does_not_take(changes):
    with applied(TRITON):
        assert not kernels._fused(tensor(), tensor(**changes))
        with torch.no_grad():
            assert kernels._fused(tensor(**changes)) == ("requires_grad" in changes)


def test_wide_convolutions_and_other_layouts_are_left_to_the_library():
    x, weight = torch.empty(1, 32, 8, 8), torch.empty(32, 32, 3, 3)
    assert kernels._narrow([x], weight)
    assert kernels._narrow([x, x], torch.empty(16, 64, 3, 3))
    assert not kernels._narrow([x, x], torch.empty(32, 64, 3, 3))
    assert not kernels._narrow([x, x, x], torch.empty(3, 96, 3, 3))
    assert not kernels._narrow([x.to(memory_format=torch.channels_last)], weight)
    assert not kernels._narrow([x.half()], weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert not kernels._narrow([x], weight)


def test_a_cpu_always_runs_pytorch():
    """Equal bits, and Triton is not even imported."""
    code = (
        "import sys, torch\n"
        "from decoders import kernels\n"
        "from qa.numerics import Numerics, applied\n"
        "torch.manual_seed(0)\n"
        "x, w, b = torch.randn(2, 3, 8), torch.randn(8), torch.randn(2, 1, 8)\n"
        "def run():\n"
        "    return [kernels.norm_modulate(x, w, 1e-6, b, b), kernels.gated_add(x, b, x),\n"
        "            kernels.conv_silu([x[None]], torch.ones(1, 2, 3, 3), w[:1])]\n"
        "plain = run()\n"
        "with applied(Numerics(kernels='triton')):\n"
        "    assert all(map(torch.equal, plain, run()))\n"
        "print([name for name in sys.modules if name.startswith('decoders.kernels')\n"
        "       and name.endswith('triton')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
