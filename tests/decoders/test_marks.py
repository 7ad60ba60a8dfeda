"""Samplers tell the state after each step (qa.stages)."""

from __future__ import annotations

import torch

from decoders.l2p import sampler as l2p
from decoders.pid import samplers as pid
from qa.stages import heard


def marked(sample):
    told = []
    with heard(lambda name, value, key: told.append((name, value.clone()))):
        last = sample()
    return told, last


def check(sample, steps):
    told, last = marked(sample)
    assert [name for name, _ in told] == [f"x-{k}" for k in range(1, steps + 1)]
    assert torch.equal(told[-1][1], last)
    assert len({value.sum().item() for _, value in told}) == steps, "every step is another state"
    assert torch.equal(sample(), last), "listening changes nothing"


def test_the_student_of_pid():
    noise = [torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    check(lambda: pid.student(lambda x, t: 0.1 * x, noise), 4)


def test_the_teacher_of_pid():
    noise = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    check(lambda: pid.teacher(lambda x, t: 0.1 * x, noise, steps=5, shift=2.0), 5)


def test_l2p():
    noise = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    check(lambda: l2p.sample(noise, lambda x, sigma: 0.1 * x, l2p.schedule(6, 3.0)), 6)
