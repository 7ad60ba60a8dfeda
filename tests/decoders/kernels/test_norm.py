"""RMSNorm, modulation and gated residual against their naive twins."""

import pytest
import torch
from kernel_battery import Case, changed, check, without_tail

from decoders.kernels.norm import naive

HALF = torch.bfloat16


def norm():
    from decoders.kernels.norm import triton

    return triton.norm_modulate


def add():
    from decoders.kernels.norm import triton

    return triton.gated_add


def pid(rows, channels, kind=torch.float32, held=torch.float32, **more):
    """A modulation cut from six chunks, one row of it for all patches."""

    def inputs(draw):
        shift, scale = draw(2, 1, 6 * channels, dtype=held).chunk(6, -1)[:2]
        x = draw(2, rows, channels, dtype=kind, mean=0.5)
        return {"x": x, "weight": draw(channels, mean=1), "eps": 1e-6,
                "times": 1 + scale, "plus": shift, **more}  # fmt: skip

    return inputs


def l2p(rows, channels, dtype, once):
    """A gated residual behind the norm: one factor for all rows, another addend for each."""

    def inputs(draw):
        x, residual = (draw(rows, channels, dtype=dtype, std=3) for _ in range(2))
        return {"x": x, "weight": draw(channels, dtype=dtype), "eps": 1e-5, "once": once,
                "times": draw(1, channels, dtype=dtype), "plus": residual}  # fmt: skip

    return inputs


def gated(rows, channels, dtype, held):
    def inputs(draw):
        x, y = draw(2, rows, channels, dtype=dtype), draw(2, rows, channels, dtype=held)
        return {"x": x, "gate": draw(2, 1, 6 * channels, dtype=held).chunk(6, -1)[2], "y": y}

    return inputs


def plain(draw):
    return {"x": draw(3, 5, 7, 16, dtype=HALF), "weight": draw(16), "eps": 1e-6}


BATCH = ("x", "times", "plus")
FAULTS = {
    "eps": changed(eps=0.1),
    "scale and shift swapped": lambda f, a: f(**{**a, "times": a["plus"], "plus": a["times"]}),
    "no shift": changed(plus=None),
    "tail": without_tail,
}
CASES = [
    Case("float32", naive.norm_modulate, norm, pid(37, 96), BATCH, FAULTS),
    Case("one row of one channel", naive.norm_modulate, norm, pid(1, 1), BATCH),
    Case("as wide as PiD", naive.norm_modulate, norm, pid(5, 1536), BATCH, FAULTS),
    Case("under autocast", naive.norm_modulate, norm, pid(35, 100, torch.float32, HALF), BATCH),
    Case("for a layer", naive.norm_modulate, norm, pid(35, 100, HALF, HALF, dtype=HALF), BATCH),
    Case("float16", naive.norm_modulate, norm, pid(3, 129, torch.float16, torch.float16), BATCH),
    Case("official", naive.norm_modulate, norm, l2p(9, 3840, HALF, True), (),
         {"rounded before the weight too": changed(once=False)}),
    Case("diffusers", naive.norm_modulate, norm, l2p(9, 200, HALF, False), (),
         {"rounded once": changed(once=True), "eps": changed(eps=0.1)}),
    Case("wider than a tile", naive.norm_modulate, norm, l2p(3, 5000, torch.float32, True)),
    Case("without modulation", naive.norm_modulate, norm, plain, ("x",)),
    Case("gate", naive.gated_add, add, gated(41, 96, torch.float32, HALF), ("x", "gate", "y"),
         {"x and y swapped": lambda f, a: f(a["y"].float(), a["gate"], a["x"]),
          "tail": without_tail}),
    Case("gate in bfloat16", naive.gated_add, add, gated(7, 33, HALF, HALF), ("x", "gate", "y")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_its_naive_twin(case, found, device):
    check(found[case.name], device)
