"""Small 3x3 convolutions against their naive twins."""

import pytest
import torch
from kernel_battery import Case, changed, check, without_tail

from decoders.kernels.conv import naive

HALF = torch.bfloat16


def silu():
    from decoders.kernels.conv import triton

    return triton.conv_silu


def up():
    from decoders.kernels.conv import triton

    return triton.up_conv


def parts(channels, outputs, rows, columns, kind=torch.float32):
    def inputs(draw):
        scale = (9 * sum(channels)) ** -0.5
        return {"parts": [draw(2, c, rows, columns, dtype=kind) for c in channels],
                "weight": draw(outputs, sum(channels), 3, 3, dtype=kind, std=scale),
                "bias": draw(outputs, dtype=kind)}  # fmt: skip

    return inputs


def whole(channels, outputs, rows, columns, kind=torch.float32):
    def inputs(draw):
        given = parts([channels], outputs, rows, columns, kind)(draw)
        return {"x": given.pop("parts")[0], **given}

    return inputs


FAULTS = {
    "taps mirrored": changed(weight=lambda w: w.flip(-1)),
    "rows for columns": changed(weight=lambda w: w.transpose(-1, -2).contiguous()),
    "no bias": changed(bias=torch.zeros_like),
    "tail": without_tail,
}
PARTS = FAULTS | {"parts swapped": changed(parts=lambda parts: parts[::-1])}
CASES = [
    Case("3 to 16", naive.conv_silu, silu, parts([3], 16, 5, 131), ("parts",), FAULTS),
    Case("16 and 16 to 16", naive.conv_silu, silu, parts([16, 16], 16, 3, 140), ("parts",), PARTS),
    Case("16 and 3 to 16", naive.conv_silu, silu, parts([16, 3], 16, 4, 7, HALF), ("parts",)),
    Case("odd widths", naive.conv_silu, silu, parts([5, 7], 3, 6, 129), ("parts",), PARTS),
    Case("a single pixel", naive.conv_silu, silu, parts([1], 1, 1, 1), ("parts",)),
    Case("64 outputs", naive.conv_silu, silu, parts([3], 64, 2, 9, HALF), ("parts",)),
    Case("doubled", naive.up_conv, up, whole(16, 16, 3, 67), ("x",), FAULTS),
    Case("doubled in bfloat16", naive.up_conv, up, whole(32, 32, 2, 5, HALF), ("x",)),
    Case("a pixel doubled", naive.up_conv, up, whole(1, 2, 1, 1), ("x",)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_its_naive_twin(case, found, device):
    check(found[case.name], device)
