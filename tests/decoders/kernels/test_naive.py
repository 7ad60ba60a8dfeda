"""The naive twins are the formulas themselves, bit for bit, in each precision."""

import pytest
import torch
from torch.nn import functional as F

from decoders import kernels
from decoders.kernels.precision import autocast_dtype, layer_dtype

HALF = torch.bfloat16


def draw(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, HALF, torch.float64])
def test_norm_and_modulation(dtype):
    x, weight, shift, scale = (
        draw(*shape, dtype=dtype, seed=k)
        for k, shape in enumerate([(2, 5, 24), (24,), (2, 1, 24), (2, 1, 24)])
    )
    wide = x.float()
    normed = (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)).to(dtype) * weight
    found = kernels.norm_modulate(x, weight, 1e-6, 1 + scale, shift)
    assert torch.equal(found, normed * (1 + scale) + shift)
    assert torch.equal(kernels.norm_modulate(x, weight, 1e-6), normed)
    once = F.rms_norm(x, (24,), weight, 1e-6)
    assert torch.equal(kernels.norm_modulate(x, weight, 1e-6, scale, x, True), x + scale * once)
    assert torch.equal(kernels.gated_add(x, scale, normed), x + scale * normed)


def test_positions_turn_pairs_as_complex_numbers():
    x, weight, angles = draw(1, 2, 5, 12), draw(12, seed=1), draw(5, 6, seed=2)
    turns = torch.polar(torch.ones_like(angles), angles)
    found = kernels.norm_rotate(x, weight, 1e-6, angles)
    rows = kernels.norm_turn(x[0].transpose(0, 1), weight, 1e-6, turns)
    torch.testing.assert_close(found[0].transpose(0, 1), rows)
    pairs = torch.view_as_complex(kernels.norm_modulate(x, weight, 1e-6).unflatten(-1, (-1, 2)))
    torch.testing.assert_close(found, torch.view_as_real(pairs * turns).flatten(-2))


def test_the_gate():
    s, content, latent = (draw(2, 3, 4, seed=k) for k in range(3))
    alpha, sigma = torch.tensor(0.7), torch.tensor([0.1, 0.9])
    found = kernels.sigma_gate(s, content, latent, alpha, sigma)
    gate = torch.sigmoid(content - alpha.exp() * sigma[:, None, None])
    assert torch.equal(found, s + gate * latent)


def test_group_norm_and_convolutions():
    x, weight, bias = draw(2, 6, 4, 5), draw(6, seed=1), draw(6, seed=2)
    found = kernels.group_norm_silu(x, 3, weight, bias, 1e-5)
    assert torch.equal(found, F.silu(F.group_norm(x, 3, weight, bias, 1e-5)))
    kernel = draw(6, 6, 3, 3, seed=3)
    parts = list(x.split([4, 2], 1))
    assert torch.equal(
        kernels.conv_silu(parts, kernel, bias), F.silu(F.conv2d(x, kernel, bias, padding=1))
    )
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(kernels.up_conv(x, kernel, bias), F.conv2d(doubled, kernel, bias, padding=1))


def test_what_a_layer_would_round_to():
    x = torch.zeros(1)
    assert autocast_dtype(x) is None
    with torch.autocast("cpu", HALF):
        assert autocast_dtype(x) == HALF
        assert autocast_dtype(x.double()) is None
        assert autocast_dtype(x.to("meta")) is None
        assert layer_dtype(x) is None, "gradients are recorded"
        with torch.no_grad():
            assert layer_dtype(x) == HALF
