"""Moments gathered from stripes are the map's, and normalising with them is GroupNorm + SiLU."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import silu

from decoders.exact.moments import Moments, Normalise

GROUPS = 3


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def gathered(rows, height):
    moments = Moments(GROUPS)
    for part in rows.split(height, 2):
        moments.add(part)
    return moments


def derived(rows):
    """Mean and variance of each group, from the definition."""
    groups = rows.double().reshape(GROUPS, -1)
    mean = groups.mean(1)
    return mean, ((groups - mean[:, None]) ** 2).mean(1)


@pytest.mark.parametrize("height", [1, 2, 3, 7, 100])
def test_stripes_give_the_moments_of_the_map(height):
    rows = normal(1, 6, 7, 5) * normal(1, 6, 7, 1) + normal(1, 6, 1, 1)
    for found, expected in zip(gathered(rows, height).result(), derived(rows), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_a_large_mean_costs_no_precision():
    """float32 values around 1000 with deviation 1: mean of squares minus square would lose it."""
    rows = (normal(1, 6, 40, 64) + 1000).float()
    mean, variance = gathered(rows, 8).result()
    right_mean, right = derived(rows)
    torch.testing.assert_close(mean, right_mean, rtol=1e-7, atol=0)
    torch.testing.assert_close(variance, right, rtol=1e-6, atol=0)
    groups = rows.reshape(GROUPS, -1)
    naive = groups.square().mean(1) - groups.mean(1).square()
    assert ((naive - right).abs() > 1e-3).all()


def test_empty_stripes_add_nothing():
    rows = normal(1, 6, 4, 5)
    moments = gathered(rows, 2)
    moments.add(rows[:, :, :0])
    torch.testing.assert_close(moments.result()[1], derived(rows)[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_normalise_is_group_norm_and_silu(dtype):
    norm = nn.GroupNorm(GROUPS, 6, eps=1e-6).double().requires_grad_(False)
    norm.weight.copy_(normal(6))
    norm.bias.copy_(normal(6))
    norm, rows = norm.to(dtype), (normal(1, 6, 9, 5) * 3 + 1).to(dtype)
    normalise = Normalise(norm, gathered(rows, 4))
    found = torch.cat([normalise(part) for part in rows.split(2, 2)], 2)
    expected = silu(norm(rows))
    assert found.dtype == dtype
    few = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(found, expected, rtol=few, atol=4 * few)
    other = Normalise(norm, gathered(rows[:, :, :4], 4))(rows)  # moments of a part
    assert (other - expected).abs().max() > 10 * few
