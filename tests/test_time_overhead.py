"""scripts/time_overhead.py: equal work on both sides, and ratios that say what they should."""

from __future__ import annotations

import argparse

import pytest


@pytest.fixture
def overhead(script):
    return script("time_overhead")


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["vae_mini", "pid_mini"])
def test_both_sides_find_the_same_values(decoder, overhead, workdir, one_thread):
    rows = {
        "alone": [overhead.alone(decoder, 2)],
        "harness": [overhead.harness(decoder, 2)],
    }
    assert set(rows["alone"][0]["found"]) == {"psnr", "ssim", "ms_ssim", "gmsd"}
    assert rows["alone"][0]["found"]["psnr"][0] == 2 * overhead.SEEDS
    overhead.check(decoder, rows)
    right = rows["harness"][0]["found"]
    count, mean = right["psnr"]
    for wrong in ((count, mean * (1 + 1e-5)), (count, float("nan")), (count - 1, mean)):
        rows["harness"][0]["found"] = right | {"psnr": wrong}
        with pytest.raises(SystemExit, match=f"{decoder}: "):
            overhead.check(decoder, rows)
    rows["harness"][0]["found"] = {name: right[name] for name in right if name != "psnr"}
    with pytest.raises(SystemExit, match=f"{decoder}: "):
        overhead.check(decoder, rows)


def test_variants_take_turns_and_ratios_stay_within_a_round(overhead, monkeypatch):
    """A machine that becomes slower in the second round changes no ratio."""
    told, slow = [], {1: 1.0, 2: 1.0, 3: 10.0, 4: 10.0}

    def fresh(variant, decoder, options):
        told.append(variant)
        seconds = slow[len(told)] * (1.0 if variant == "alone" else 1.25)
        times = dict.fromkeys(("seconds", "cpu_seconds", "loop", "loop_cpu"), seconds)
        return times | {"found": {"psnr": [8, 30.0]}}

    monkeypatch.setattr(overhead, "fresh", fresh)
    options = argparse.Namespace(rounds=2, threads=2, decoders=["vae_mini"], limit=None)
    page = overhead.section(overhead.rounds(options))
    assert told == ["harness", "alone", "alone", "harness"]
    assert "| vae_mini, loop | 5.5 | 6.9 | 1.25 [1.25, 1.25] |" in page
