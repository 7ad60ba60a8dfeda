"""RMSNorm of heads and rotary positions against their naive twins."""

import pytest
import torch
from kernel_battery import Case, changed, check, without_tail

from decoders.kernels.rotary import naive

HALF = torch.bfloat16


def rotate():
    from decoders.kernels.rotary import triton

    return triton.norm_rotate


def turn():
    from decoders.kernels.rotary import triton

    return triton.norm_turn


def pid(heads, length, head, kind=torch.float32, **more):
    """Keys out of the layer that makes q, k and v, as a view; text angles are large."""

    def inputs(draw):
        qkv = draw(2, length, 3 * heads * head, dtype=kind).unflatten(-1, (3, heads, -1))
        angles = draw(length, head // 2, std=100)
        return {"x": qkv.permute(2, 0, 3, 1, 4)[1], "weight": draw(head, mean=1), "eps": 1e-6,
                "angles": angles, **more}  # fmt: skip

    return inputs


def l2p(heads, length, head, kind, once):
    def inputs(draw):
        turns = torch.polar(torch.ones(length, head // 2), draw(length, head // 2).cpu())
        return {"x": draw(length, heads, head, dtype=kind), "weight": draw(head, dtype=kind),
                "eps": 1e-5, "turns": turns.to(draw.device), "once": once}  # fmt: skip

    return inputs


FAULTS = {
    "eps": changed(eps=0.1),
    "backwards": changed(angles=lambda angles: -angles),
    "another's angles": changed(angles=lambda angles: angles.roll(1, 0)),
    "tail": without_tail,
}
TURNED = {"backwards": changed(turns=lambda turns: turns.conj().resolve_conj())}
CASES = [
    Case("float32", naive.norm_rotate, rotate, pid(3, 130, 64), ("x",), FAULTS),
    Case("pixel heads", naive.norm_rotate, rotate, pid(2, 37, 72), ("x",), FAULTS),
    Case("one pair", naive.norm_rotate, rotate, pid(1, 1, 2), ("x",)),
    Case("float32 weight", naive.norm_rotate, rotate, pid(2, 9, 16, HALF), ("x",)),
    Case("for attention", naive.norm_rotate, rotate, pid(2, 70, 72, HALF, dtype=HALF), ("x",)),
    Case("L2P", naive.norm_turn, turn, l2p(3, 33, 24, torch.float32, True), (), TURNED),
    Case("official", naive.norm_turn, turn, l2p(2, 35, 128, HALF, True), (),
         TURNED | {"rounded before the weight too": changed(once=False)}),
    Case("diffusers", naive.norm_turn, turn, l2p(2, 35, 128, HALF, False), (),
         TURNED | {"rounded once": changed(once=True)}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_equals_its_naive_twin(case, found, device):
    check(found[case.name], device)
