"""The measuring script runs, its three ways agree, and the kept file shows what was promised."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from statistics import median

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "time_frechet.py"


@pytest.fixture
def timing():
    spec = importlib.util.spec_from_file_location("time_frechet", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("n", "rel"), [(12, 1e-5), (80, 1e-9)])
def test_the_three_ways_agree(timing, n, rel):
    case = timing.measure(n, 20, 2)
    ours = case["values"]["ours"]
    assert case["values"] == pytest.approx(dict.fromkeys(case["values"], ours), rel=rel)
    assert all(len(times) == 2 and min(times) > 0 for times in case["seconds"].values())


def test_the_kept_measurement_is_what_was_promised(timing):
    result = json.loads(timing.RESULT.read_text())
    small, large = result["cases"]
    assert [(case["n"], case["d"]) for case in (small, large)] == [(256, 2048), (5000, 2048)]
    assert median(small["seconds"]["ours"]) < 0.5
    for way in ("eigvals", "sqrtm"):
        pairs = zip(large["seconds"][way], large["seconds"]["ours"], strict=True)
        assert median(slow / fast for slow, fast in pairs) > 2
    for case in (small, large):
        assert max(case["values"].values()) == pytest.approx(min(case["values"].values()), rel=1e-5)
    assert f"{median(large['seconds']['ours']):.2f}" in timing.section(result)
