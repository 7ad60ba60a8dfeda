"""PiD's two samplers. Noise comes from outside; states are float32; nothing is clamped.

Student (all distilled checkpoints), times τ = 0.999, 0.866, 0.634, 0.342, 0:

    x̂0 = x − τ_k v,  x ← (1 − τ_{k+1}) x̂0 + τ_{k+1} ε_{k+1}

with fresh noise at every step and x̂0 in float64. Fewer steps take round(linspace(0, 4, n + 1)) of
these times (and one step the time 1); more than four would repeat times, so they are refused.

Teacher: DPM-Solver++ 2M (arXiv 2211.01095, algorithm 2) with α = 1 − t, σ = t, λ = ln(1 − t) − ln t
and classifier-free guidance on the predicted noise e = (1 − t) v + x, x̂0 = (x − t e) / (1 − t).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from qa import stages

Velocity = Callable[[Tensor, Tensor], Tensor]
"""x [B,3,H,W] float32 and t [B] in 0..1000 → v [B,3,H,W]."""

STUDENT_TIMES = (0.999, 0.866, 0.634, 0.342, 0.0)
STUDENT_STEPS = (1, 2, 3, 4)
LEAST_BETA = 0.001
MOST_STEPS = 10_000


@dataclass(frozen=True)
class Noise(Sequence[Tensor]):
    """The noise of every step, drawn when it is asked for."""

    steps: int
    draw: Callable[[int], Tensor]

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Tensor:  # type: ignore[override]
        if not 0 <= step < self.steps:
            raise IndexError(step)
        return self.draw(step)


def student_times(steps: int = 4) -> Tensor:
    """float32 [steps+1], falling to 0. Raises ValueError for a count the schedule does not have."""
    if steps not in STUDENT_STEPS:
        raise ValueError(f"{steps} steps: the student has 1 to {STUDENT_STEPS[-1]}")
    if steps == 1:
        return torch.tensor((1.0, 0.0))
    last = len(STUDENT_TIMES) - 1
    places = [round(last * k / steps) for k in range(steps + 1)]
    return torch.tensor([STUDENT_TIMES[place] for place in places])


def student(velocity: Velocity, noise: Sequence[Tensor]) -> Tensor:
    """Noise float32 [B,3,H,W], one for each step → x0 [B,3,H,W], nominal [-1,1].

    Each noise is taken once, after the network was called that comes before it: noise that is drawn
    when it is asked for is drawn while a GPU computes.
    """
    steps, x = len(noise), noise[0]
    for k, (now, then) in enumerate(pairwise(student_times(steps).to(x.device))):
        v = velocity(x, (1000 * now).expand(len(x)))
        fresh = noise[k + 1] if k + 1 < steps else None
        x0 = _in_double(x, now, v)
        x = x0 if fresh is None else (1 - then) * x0 + then * fresh
        stages.mark(stages.step(k + 1), x)
    return x


def teacher_times(steps: int, shift: float) -> Tensor:
    """float32 [steps+1] from s·0.999/(1 + (s−1)·0.999) down to 0.

    Raises ValueError for steps outside 1..MOST_STEPS and for a shift that is not positive.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"{steps} steps: there are 1 to {MOST_STEPS}")
    if not 0 < shift < float("inf"):
        raise ValueError(f"shift {shift}: it is a number greater than 0")
    q = 1 - torch.linspace(1, LEAST_BETA, steps + 1)
    return (shift * q / (1 + (shift - 1) * q)).flip(0)


def teacher(
    velocity: Velocity,
    noise: Tensor,
    *,
    steps: int,
    shift: float,
    guidance: float = 1.0,
    negative: Velocity | None = None,
) -> Tensor:
    """Noise float32 [B,3,H,W] → x0 [B,3,H,W], nominal [-1,1].

    `negative` is the same network with the negative prompt; it is not called for guidance 1.
    """
    times = teacher_times(steps, shift).to(noise.device)
    log_alpha = (1 - times).log()
    lam = log_alpha - times.log()
    x, before = noise, None
    for k, (now, then) in enumerate(pairwise(times)):
        e = _guided(velocity, negative, guidance, x, now)
        # Near t = 1 rounding grows by 1 / (1 - t), some 5000 times: the order of operations here
        # is the official one, and so is taking α from its logarithm in the step but not in x̂0.
        x0 = (x - now * e) / (1 - now)
        h = lam[k + 1] - lam[k]
        push = log_alpha[k + 1].exp() * torch.expm1(-h)
        step = then / now * x - push * x0
        if before is not None and k < steps - 1:
            r = (lam[k] - lam[k - 1]) / h
            step = step - 0.5 * push * ((1 / r) * (x0 - before))
        x, before = step, x0
        stages.mark(stages.step(k + 1), x)
    return x


def _guided(
    velocity: Velocity, negative: Velocity | None, guidance: float, x: Tensor, t: Tensor
) -> Tensor:
    """The predicted noise, e_u + w (e_c − e_u)."""
    model_time = (1000 * t).expand(len(x))
    e = (1 - t) * velocity(x, model_time).float() + x
    if guidance == 1:
        return e
    if negative is None:
        raise ValueError(f"guidance {guidance} needs the network with a negative prompt")
    e_u = (1 - t) * negative(x, model_time).float() + x
    return e_u + guidance * (e - e_u)


def _in_double(x: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """x − t v, in float64 where the device has it (MPS has not)."""
    if x.device.type == "mps":
        return _in_double(x.cpu(), t.cpu(), v.cpu()).to(x.device)
    return (x.double() - t.double() * v.double()).float()
