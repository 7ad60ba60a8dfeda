"""Schedule, guidance and steps, from their definitions and against diffusers' scheduler."""

import numpy as np
import pytest
import torch

from decoders.l2p.sampler import guided, sample, schedule
from qa.errors import UsageError


def scheduler(shift=3.0):
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=shift)


@pytest.mark.parametrize(("steps", "shift"), [(30, 3.0), (50, 3.0), (8, 1.0), (50, 5.0), (1, 3.0)])
def test_the_schedule_is_that_of_diffusers_with_explicit_sigmas(steps, shift):
    theirs = scheduler(shift)
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist())
    ours = schedule(steps, shift)
    assert ours.shape == (steps + 1,)
    assert ours.dtype == torch.float32
    assert (ours - theirs.sigmas).abs().max() <= 1.2e-7


def test_it_is_not_what_diffusers_does_by_itself():
    theirs = scheduler()
    theirs.set_timesteps(30)
    difference = (schedule(30, 3.0) - theirs.sigmas).abs().max().item()
    assert difference == pytest.approx(0.085, abs=5e-4)


def test_thirty_steps_in_numbers():
    """σ = 3u/(1 + 2u) at u = 1, 29/30, 28/30 … 1/30."""
    sigmas = schedule(30, 3.0).tolist()
    expected = [3 * u / (1 + 2 * u) for u in (1 - i / 30 for i in range(30))]
    assert sigmas[:-1] == pytest.approx(expected, abs=1.2e-7)
    assert sigmas[:6] == pytest.approx(
        [1, 0.988636, 0.976744, 0.964286, 0.951219, 0.9375], abs=1e-6
    )
    assert sigmas[-4:] == pytest.approx([0.25, 0.176471, 0.09375, 0], abs=1e-6)


def test_euler_steps_are_those_of_diffusers():
    theirs = scheduler()
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / 5, 5).tolist())
    noise = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    x = noise
    for time, sigma in zip(theirs.timesteps, theirs.sigmas, strict=False):
        x = theirs.step((x * sigma).cos(), time, x).prev_sample
    ours = sample(noise, lambda x, sigma: (x * sigma).cos(), schedule(5, 3.0))
    assert (ours - x).abs().max() <= 1e-6


def test_a_straight_path_arrives_whatever_the_steps():
    """v = ε − x0 everywhere: from ε at σ = 1 to x0 at σ = 0."""
    generator = torch.Generator().manual_seed(0)
    noise, picture = torch.randn(2, 3, 4, 4, generator=generator)
    for steps in (1, 7, 30):
        found = sample(noise, lambda x, sigma: noise - picture, schedule(steps, 3.0))
        assert (found - picture).abs().max() < 1e-5
        away = sample(noise, lambda x, sigma: picture - noise, schedule(steps, 3.0))
        assert (away - picture).abs().max() > 1


def test_the_state_is_float32_even_if_the_network_is_not():
    """Steps of 2^-9 on a value of 1 vanish in bfloat16."""
    found = sample(
        torch.ones(1), lambda x, sigma: torch.full((1,), -0.5, dtype=torch.bfloat16),
        torch.linspace(1, 0, 257),
    )  # fmt: skip
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(1.5, abs=1e-5)


def test_guidance_by_hand():
    calls = []

    def side(value):
        def velocity(x, sigma):
            calls.append(value)
            return torch.tensor([value])

        return velocity

    assert guided(side(3.0), side(1.0), 2.0)(torch.zeros(1), torch.tensor(0.5)).item() == 5.0
    assert guided(side(3.0), side(1.0), 0.0)(torch.zeros(1), torch.tensor(0.5)).item() == 1.0
    calls.clear()
    assert guided(side(3.0), side(1.0), 1.0)(torch.zeros(1), torch.tensor(0.5)).item() == 3.0
    assert calls == [3.0]


def test_guidance_rounds_in_the_networks_precision():
    def side(value):
        return lambda x, sigma: torch.tensor([value], dtype=torch.bfloat16)

    found = guided(side(1.0078125), side(257.0), 2.5)(torch.zeros(1), torch.tensor(0.5))
    pos, neg = torch.tensor(1.0078125).bfloat16(), torch.tensor(257.0).bfloat16()
    assert found.dtype == torch.bfloat16
    assert found.item() == (neg + 2.5 * (pos - neg)).item()
    assert found.item() != neg.item() + 2.5 * (pos.item() - neg.item())


@pytest.mark.parametrize(
    ("steps", "shift"), [(0, 3.0), (-1, 3.0), (30, 0.0), (30, -1.0), (30, float("nan"))]
)
def test_an_impossible_dial_is_refused(steps, shift):
    with pytest.raises(UsageError, match="cannot work"):
        schedule(steps, shift)
