"""scripts/bench_exact.py measures what it says, and keeps nothing that disagrees."""

from __future__ import annotations

import argparse
import json

import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4}


@pytest.fixture
def bench(script, monkeypatch):
    module = script("bench_exact")
    monkeypatch.setattr(module, "FLUX", module.FLUX | TINY)

    def measured(half, variant, file, options):
        return json.loads(json.dumps(module.measure(half, variant, file, options)))

    monkeypatch.setattr(module, "fresh", measured)  # in this process: its peak is not looked at
    return module


def options(bench, **more):
    settings = {"side": 128, "rounds": 2, "threads": 1, "device": "cpu", "dtype": "float32"}
    return argparse.Namespace(**settings | {"halves": bench.HALVES} | more)


def test_it_measures_in_turns_and_compares(bench):
    result = bench.rounds(options(bench))
    assert result["about"]["side"] == 128
    for half in bench.HALVES:
        assert 0 < result["apart"][half] <= bench.BAR
        for variant in bench.VARIANTS:
            rows = result["rows"][half][variant]
            assert len(rows) == 2
            assert all(row["seconds"] > 0 and row["peak_bytes"] > 0 for row in rows)


def test_nothing_is_kept_that_differs(bench, monkeypatch):
    untiled = bench.CALLS["decode", "untiled"]
    wrong = bench.CALLS | {("decode", "exact"): lambda model, z: untiled(model, z) + 1e-3}
    monkeypatch.setattr(bench, "CALLS", wrong)
    with pytest.raises(SystemExit, match="decode: the variants differ"):
        bench.rounds(options(bench, halves=["decode"], rounds=1))


def test_the_section_says_ratios(bench):
    gib = 2**30

    def rows(peaks, seconds):
        return [
            {"seconds": one, "cpu_seconds": 2 * one, "peak_bytes": peak * gib, "before_bytes": gib}
            for peak, one in zip(peaks, seconds, strict=True)
        ]

    about = {"side": 64, "dtype": "float32", "hardware": "a machine", "threads": 2, "torch": "2"}
    result = {
        "about": about | {"weights_bytes": 2**20},
        "rows": {"decode": {"untiled": rows((5, 4), (10, 30)), "exact": rows((2, 2), (12, 33))}},
        "apart": {"decode": 3e-6},
    }
    page = bench.section(result)
    assert page.startswith("## An AutoencoderKL in stripes")
    assert "| decode, untiled | 4.00 | 5.00 | 20.0 | 100% | 1 | 1 | 3.0e-06 |" in page
    assert "| decode, exact | 1.00 | 2.00 | 22.5 | 25% | 1.15 | 1.15 | 3.0e-06 |" in page
