"""Tiny networks with every kernel in its place against the same networks without."""

from dataclasses import replace
from unittest import mock

import pytest
import tiny_pid
import torch
from kernel_battery import Case, check, kernels_in_force
from l2p_reference import inputs_of, tiny, weights_of

from decoders.l2p.network import L2PNetwork
from decoders.weights import load_strict, on_meta

HALF = torch.bfloat16


def in_force(forward):
    """The same forward pass with kernels; `where` names a launcher whose result is spoilt."""

    def call(where=None, **inputs):
        with kernels_in_force(inputs["x"].device.type):
            if where is None:
                return forward(**inputs)
            module, name = where.split(".")
            launcher = f"decoders.kernels.{module}.triton.{name}"
            with mock.patch(launcher, spoilt(launcher)):
                return forward(**inputs)

    return lambda: call


def spoilt(launcher):
    module, name = launcher.rsplit(".", 1)
    real = getattr(__import__(module, fromlist=[name]), name)
    return lambda *args, **named: real(*args, **named).roll(1, -2)


def faults(*launchers):
    """Each launcher is called, and what it gives counts."""
    return {where: lambda f, a, where=where: f(where=where, **a) for where in launchers}


def pid(x, network, t, text, latent, sigma, dtype):
    with torch.no_grad(), torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
        return network(x, t, network.condition(text, *x.shape[-2:], latent, sigma)).float()


def pid_inputs(adapter, dtype):
    def inputs(draw):
        sizes = {"patch": 4, "pixel_hidden": 16, "depth": 1, "pixel_depth": 1}
        network = tiny_pid.network(adapter, **sizes).to(draw.device)
        return {"network": network, "x": draw(2, 3, 8, 20), "text": draw(2, 5, 12),
                "t": torch.tensor([999.0, 634.0], device=draw.device),
                "sigma": torch.tensor([0.0, 0.3], device=draw.device),
                "latent": draw(2, 16, 1, 3), "dtype": dtype}  # fmt: skip

    return inputs


def l2p(x, network, text):
    with torch.no_grad():
        return network.velocity(x, 0.3125, text)


def l2p_inputs(rounding="official"):
    """One level of the head: patches of 2x2 pixels."""
    own = tiny("1k")
    config = replace(own, patch=2, levels=own.levels[:1], rounding=rounding)

    def inputs(draw):
        network = on_meta(lambda: L2PNetwork(config))
        load_strict(network, weights_of(config), what="L2P", source="here", dtype=torch.float32,
                    device=draw.device)  # fmt: skip
        x, text = (value.to(draw.device) for value in inputs_of(config, tokens=33))
        return {"network": network, "x": x, "text": text}

    return inputs


PID = faults("norm.norm_modulate", "norm.gated_add", "rotary.norm_rotate", "gate.sigma_gate",
             "group_norm.group_norm_silu")  # fmt: skip
PIXELS = faults("pixels.modulated", "pixels.mixed")
L2P = faults("norm.norm_modulate", "rotary.norm_turn", "conv.conv_silu", "conv.up_conv")
WIRED = 1e-4
"""What float32 leaves of an operation's rounding at the end of a network."""
CASES = [
    Case("PiD v1", pid, in_force(pid), pid_inputs(tiny_pid.V1, torch.float32), (), PID, WIRED),
    Case("PiD v1.5", pid, in_force(pid), pid_inputs(tiny_pid.V15, torch.float32), (), {},
         WIRED),
    Case("PiD autocast", pid, in_force(pid), pid_inputs(tiny_pid.V1, HALF), (), PIXELS,
         tolerance=0.03),
    Case("L2P", l2p, in_force(l2p), l2p_inputs(), (), L2P, WIRED),
    Case("L2P diffusers", l2p, in_force(l2p), l2p_inputs("diffusers"), (), {}, WIRED),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_network_gives_the_same(case, found, device):
    check(found[case.name], device)
