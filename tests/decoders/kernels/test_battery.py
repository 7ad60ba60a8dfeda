"""The battery sees what it is there for: a small kernel, right, and with each planted fault."""

import pytest
import torch
from kernel_battery import Case, check

FAULTS = ("reads beyond", "writes beyond", "leaves out", "changes its input", "mixes samples",
          "does not round", "wrong type")  # fmt: skip


def twin(x):
    """x [B,N] bfloat16 → every sample's values times the sample's sum."""
    return (x.float().sum(1, keepdim=True).bfloat16() * x).contiguous()


def planted(fault=""):
    """The launcher of the same as a kernel; Triton is imported only where it may be."""
    import kernel_of_battery

    return lambda x: kernel_of_battery.launch(x, fault)


def inputs(draw):
    return {"x": draw(3, 40, dtype=torch.bfloat16)}


CASES = [
    Case("right", twin, planted, inputs, ("x",)),
    *(Case(fault, twin, lambda fault=fault: planted(fault), inputs, ("x",)) for fault in FAULTS),
    Case("a fault that is none", twin, planted, inputs, ("x",), {"nothing": lambda f, a: f(**a)}),
]


def test_the_right_kernel_passes(found, device):
    check(found["right"], device)


@pytest.mark.parametrize("fault", [*FAULTS, "a fault that is none"])
def test_a_planted_fault_is_seen(fault, found, device):
    with pytest.raises(AssertionError):
        check(found[fault], device)
