"""From noise to a picture: a shifted schedule of noise levels and Euler steps.

    schedule  u_i = 1 − i/N, i = 0..N−1;  σ_i = s·u_i / (1 + (s − 1)·u_i), then σ_N = 0
    guidance  v = v_neg + w·(v_pos − v_neg), in the network's precision; v = v_pos at w = 1
    step      x ← x + v·(σ_{i+1} − σ_i), in float32

There is no randomness here: noise comes from outside. The schedule is that of diffusers'
FlowMatchEulerDiscreteScheduler given explicit sigmas 1, 1 − 1/N … 1/N; left to itself that
scheduler spaces its steps otherwise. diffusers' `guidance_scale` for Z-Image is w − 1.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from qa import stages
from qa.errors import UsageError

MOST_STEPS = 10_000
Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x float32 [3,H,W], sigma float32 scalar) → v [3,H,W] in the network's precision."""


def schedule(steps: int, shift: float) -> Tensor:
    """Noise levels, float32 [steps+1] on the CPU, falling from 1 to 0.

    Raises UsageError for steps outside 1..MOST_STEPS and shift <= 0.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(
            f"knobs.steps={steps} cannot work.", f"It is 1 to {MOST_STEPS}.", "knobs.steps=30"
        )
    if not 0 < shift < float("inf"):
        raise UsageError(f"knobs.shift={shift} cannot work.", "It is above 0.", "knobs.shift=3")
    u = torch.linspace(1, 0, steps + 1)
    return shift * u / (1 + (shift - 1) * u)


def guided(positive: Velocity, negative: Velocity, cfg: float) -> Velocity:
    """Classifier-free guidance of weight w = cfg; at 1 the negative is never asked."""
    if cfg == 1:
        return positive

    def velocity(x: Tensor, sigma: Tensor) -> Tensor:
        v_pos, v_neg = positive(x, sigma), negative(x, sigma)
        return v_neg + cfg * (v_pos - v_neg)

    return velocity


def sample(noise: Tensor, velocity: Velocity, sigmas: Tensor) -> Tensor:
    """noise float32 [3,H,W] → x float32 [3,H,W] at the last noise level; [-1,1] where that is 0."""
    x = noise
    for k, (now, after) in enumerate(pairwise(sigmas)):
        x = x + velocity(x, now).to(torch.float32) * (after - now)
        stages.mark(stages.step(k + 1), x)
    return x
