"""A block of the pixel stage against its naive twin."""

import pytest
import torch
from kernel_battery import Case, changed, check, without_tail
from torch import nn

from decoders.kernels.norm.naive import norm_modulate
from decoders.kernels.pixels import naive

HALF, SINGLE = torch.bfloat16, torch.float32


def block():
    from decoders.kernels.pixels import triton

    return triton.pixel_block


def before():
    from decoders.kernels.pixels import triton

    return triton.modulated


def behind():
    from decoders.kernels.pixels import triton

    return triton.mixed


def chunks(u, s, weight, bias):
    return nn.functional.linear(s, weight, bias).unflatten(-1, (u.shape[2], 6, -1)).unbind(-2)


def modulated(u, s, weight, bias, norm, eps):
    """What `naive.pixel_block` does before attention."""
    shift, scale = chunks(u, s, weight, bias)[:2]
    return norm_modulate(u, norm, eps, 1 + scale, shift, dtype=s.dtype)


def mixed(u, s, weight, bias, norm, eps, expanded, fc1, bias1, fc2, bias2):
    """What it does behind attention."""
    gate1, shift, scale, gate2 = chunks(u, s, weight, bias)[2:]
    v = u + gate1 * expanded.view_as(gate1)
    y = norm_modulate(v, norm, eps, 1 + scale, shift, dtype=s.dtype)
    inner = nn.functional.gelu(nn.functional.linear(y, fc1, bias1))
    return v + gate2 * nn.functional.linear(inner, fc2, bias2)


class Norm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.empty(channels)), 1e-6

    def forward(self, u, shift, scale):
        return norm_modulate(u, self.weight, self.eps, 1 + scale, shift)


class MLP(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, u):
        return self.fc2(nn.functional.gelu(self.fc1(u)))


class Mean(nn.Module):
    """Stands for attention: every patch takes part in every other, and the angles count."""

    def forward(self, rows, angles):
        return rows + rows.mean(1, keepdim=True) * angles.to(rows.dtype)


class Block(nn.Module):
    def __init__(self, draw, hidden, area, channels, width, kind):
        super().__init__()
        self.norm1, self.norm2 = Norm(channels), Norm(channels)
        self.adaLN_modulation = nn.Sequential(nn.Linear(hidden, area * 6 * channels))
        self.compress_to_attn = nn.Linear(area * channels, width)
        self.attn = Mean()
        self.expand_from_attn = nn.Linear(width, area * channels)
        self.mlp = MLP(channels)
        for value in self.parameters():
            std = value[0].numel() ** -0.5 if value.ndim > 1 else 0.5
            value.data = draw(*value.shape, dtype=kind, std=std)
        self.requires_grad_(False)


def inputs(patches, hidden, area, channels, kind=SINGLE, width=5):
    def draw_them(draw):
        return {"layers": Block(draw, hidden, area, channels, width, kind),
                "u": draw(2, patches, area, channels, dtype=kind),
                "s": draw(2, patches, hidden, dtype=kind),
                "angles": draw(patches, width)}  # fmt: skip

    return draw_them


def half(patches, hidden, area, channels, kind, held, behind=False):
    """The inputs of one of the two kernels; the norm's weight is float32, as under autocast."""

    def draw_them(draw):
        rows, inner = area * 6 * channels, 4 * channels
        given = {"u": draw(2, patches, area, channels, dtype=kind),
                 "s": draw(2, patches, hidden, dtype=held),
                 "weight": draw(rows, hidden, dtype=held, std=hidden**-0.5),
                 "bias": draw(rows, dtype=held), "norm": draw(channels), "eps": 1e-6}  # fmt: skip
        mlp = {"expanded": draw(2, patches, area * channels, dtype=held),
               "fc1": draw(inner, channels, dtype=held), "bias1": draw(inner, dtype=held),
               "fc2": draw(channels, inner, dtype=held), "bias2": draw(channels, dtype=held),
        }  # fmt: skip
        return given | mlp if behind else given

    return draw_them


def edited(part, change):
    """A fault: one of the block's layers is another."""

    def call(fused, given):
        layers = given["layers"]
        value = layers.get_parameter(part)
        before, value.data = value.data, change(value.data)
        try:
            return fused(**given)
        finally:
            value.data = before

    return call


def without(weight, chunk, channels=16):
    rows = weight.clone().unflatten(0, (-1, 6, channels))
    rows[:, chunk] = 0
    return rows.flatten(0, 2)


CHUNKS = {
    f"no {name}": edited("adaLN_modulation.0.weight", lambda w, j=j: without(w, j))
    for j, name in enumerate(("shift1", "scale1", "gate1", "shift2", "scale2", "gate2"))
}
FAULTS = {
    "norms swapped": edited("norm2.weight", lambda w: w.flip(0)),
    "no bias in the MLP": edited("mlp.fc1.bias", torch.zeros_like),
    "tail": without_tail,
}
TILES = {"eps": changed(eps=0.1), "tail": without_tail}
ONE, TWO = ("u", "s"), ("u", "s", "expanded")
CASES = [
    Case("as PiD's channels", naive.pixel_block, block, inputs(5, 40, 9, 16), (), FAULTS | CHUNKS),
    Case("several tiles", naive.pixel_block, block, inputs(131, 7, 6, 16), (), FAULTS),
    Case("the small PiD's channels", naive.pixel_block, block, inputs(3, 33, 10, 8)),
    Case("three channels", naive.pixel_block, block, inputs(2, 5, 3, 3)),
    Case("bfloat16", naive.pixel_block, block, inputs(6, 70, 4, 16, HALF)),
    Case("before attention", modulated, before, half(5, 40, 7, 16, SINGLE, HALF), ONE, TILES),
    Case("in the first block", modulated, before, half(129, 9, 5, 16, HALF, HALF), ONE, TILES),
    Case("behind attention", mixed, behind, half(5, 40, 7, 16, SINGLE, HALF, True), TWO, TILES),
    Case("behind, float32", mixed, behind, half(129, 9, 5, 16, SINGLE, SINGLE, True), TWO, TILES),
    Case("behind, autocast", mixed, behind, half(3, 70, 9, 16, HALF, HALF, True), TWO, TILES),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_its_naive_twin(case, found, device):
    check(found[case.name], device)
