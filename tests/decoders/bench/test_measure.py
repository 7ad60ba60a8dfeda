"""Seconds, percentiles and ceilings, by a clock that is set by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from decoders.bench import measure


class Hand:
    """A clock that calls move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def taking(self, *seconds):
        left = list(seconds)

        def call():
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_percentiles_of_a_picture():
    found = measure.summary([2, 12, 4, 10, 6, 8], pictures=2)  # 1, 2, 3, 4, 5, 6 a picture
    assert found == {"median": 3.5, "p20": 2.0, "p80": 5.0, "rounds": 6}


def test_ways_take_turns_and_every_other_round_goes_backwards():
    order, clock = [], Hand()
    calls = {name: (lambda n=name: order.append(n)) for name in "abc"}
    measure.taking_turns(calls, 3, clock)
    assert "".join(order) == "abccbaabc"


def test_each_way_gets_its_own_seconds():
    clock = Hand()
    calls = {"a": clock.taking(1.0, 3.0), "b": clock.taking(10.0)}
    assert measure.taking_turns(calls, 2, clock) == {"a": [1.0, 3.0], "b": [10.0, 10.0]}


@pytest.mark.parametrize(("once", "rounds"), [(100.0, 3), (1.0, 10), (1e-12, 20)])
def test_rounds_fit_a_budget(once, rounds):
    assert measure.rounds_within(10.0, once) == rounds


class Rounds(Hand):
    """A clock that says how long each timed call took; the call itself takes nothing."""

    def __init__(self, *seconds):
        super().__init__()
        self.left, self.running = list(seconds), False

    def __call__(self):
        if self.running:
            self.now += self.left.pop(0)
        self.running = not self.running
        return self.now


def test_a_ceiling_is_what_the_best_round_did():
    rounds = [0.5, 0.25, 1.0, 0.5, 0.5]
    assert len(rounds) == measure.CEILING_ROUNDS
    cpu = torch.device("cpu")
    found = measure.matmul_ceiling(cpu, torch.float32, Rounds(*rounds), side=16)
    assert found == 2 * 16**3 / 0.25
    assert measure.copy_ceiling(cpu, Rounds(*rounds), size=4096) == 2 * 4096 / 0.25


def test_a_share_is_of_the_ceiling():
    assert measure.share(30.0, 2.0, 60.0) == 0.25


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells")
def test_resident_bytes_of_a_call():
    held = 2**26

    def call():
        torch.ones(held // 4)

    assert 0.9 * held < measure.cpu_bytes(call) < 1.5 * held
    assert measure.cpu_bytes(lambda: None) < held // 8


@pytest.mark.parametrize(
    ("code", "found"),
    [("import os; os.kill(os.getpid(), 9)", (None, True)),
     ("raise SystemExit(3)", (None, False)),
     ("print('loading'); print(12)", (12, False))],
)  # fmt: skip
def test_a_killed_process_is_told_from_one_that_broke(monkeypatch, code, found):
    monkeypatch.undo()  # conftest's stand-in
    run = subprocess.run

    def instead(command, **more):
        return run([sys.executable, "-c", code], **more)

    monkeypatch.setattr(subprocess, "run", instead)
    assert measure.in_fresh_process({}) == found
