"""A Triton kernel with faults to choose from, for the test of the battery."""

import torch
import triton
import triton.language as tl


def launch(x, fault):
    samples, length = x.shape
    out = torch.empty(x.shape, dtype=torch.float32 if fault == "wrong type" else x.dtype,
                      device=x.device)  # fmt: skip
    rows = samples - 1 if fault == "leaves out" else samples
    _kernel[(rows,)](x, out, length, samples, fault, BLOCK=64)
    return out


@triton.jit
def _kernel(x_ptr, out_ptr, length, samples, FAULT: tl.constexpr, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.arange(0, BLOCK)
    place, inside = row * length + column, column < length
    if FAULT == "reads beyond":
        x = tl.load(x_ptr + place).to(tl.float32)
    else:
        x = tl.load(x_ptr + place, inside, 0.0).to(tl.float32)
    total = tl.sum(x, 0)
    if FAULT == "mixes samples":
        total += samples
    if FAULT != "does not round":
        total = total.to(tl.bfloat16).to(tl.float32)
    if FAULT == "changes its input":
        tl.store(x_ptr + place, (x * 2).to(x_ptr.dtype.element_ty), inside)
    y = (total * x).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + place, y, inside | (FAULT == "writes beyond"))
