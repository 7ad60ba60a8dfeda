"""GroupNorm and SiLU against their naive twin."""

import pytest
import torch
from kernel_battery import Case, changed, check, without_tail

from decoders.kernels.group_norm import naive

HALF = torch.bfloat16


def norm():
    from decoders.kernels.group_norm import triton

    return triton.group_norm_silu


def in_float32(**inputs):
    """What CUDA's autocast makes of the naive twin."""
    return naive.group_norm_silu(**{**inputs, "x": inputs["x"].float()})


def under_autocast():
    def call(**inputs):
        with torch.autocast(inputs["x"].device.type, HALF):
            return norm()(**inputs)

    return call


def inputs(
    channels, groups, rows, columns, kind=torch.float32, weights=torch.float32, mean=0.0, **more
):
    def draw_them(draw):
        x = draw(2, channels, rows, columns, dtype=kind, mean=mean)
        return {"x": x, "groups": groups, "weight": draw(channels, mean=1, dtype=weights),
                "bias": draw(channels, dtype=weights), "eps": 1e-5, **more}  # fmt: skip

    return draw_them


FAULTS = {
    "eps": changed(eps=0.1),
    "other groups": changed(groups=2),
    "no bias": changed(bias=torch.zeros_like),
    "channels reversed": changed(weight=lambda weight: weight.flip(0)),
    "tail": without_tail,
}
CASES = [
    Case("float32", naive.group_norm_silu, norm, inputs(12, 4, 37, 41), ("x",), FAULTS),
    Case("four values in a group", naive.group_norm_silu, norm, inputs(4, 2, 1, 2), ("x",)),
    Case("several pieces", naive.group_norm_silu, norm, inputs(6, 2, 111, 131), ("x",), FAULTS
         | {"other groups": changed(groups=3)}),
    Case("far from zero", naive.group_norm_silu, norm, inputs(6, 2, 80, 99, mean=300.0), ("x",),
         {"eps": changed(eps=0.1)}, tolerance=1e-4),
    Case("bfloat16", naive.group_norm_silu, norm, inputs(12, 4, 39, 47, HALF, HALF), ("x",),
         FAULTS),
    Case("for a layer", naive.group_norm_silu, norm, inputs(8, 4, 33, 35, dtype=HALF), ("x",)),
    Case("under autocast", in_float32, under_autocast, inputs(8, 4, 33, 35, HALF), ("x",)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_its_naive_twin(case, found, device):
    check(found[case.name], device)
