"""The measuring script runs, and what it measured at 4096x4096 stays within its promise."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISE = 6e9
"""Bytes of memory in which a 4096x4096 picture is scored on a CPU."""


@pytest.fixture
def script(monkeypatch):
    for module in ("lpips", "dists"):  # which the script replaces for good: put back afterwards
        monkeypatch.setattr(f"qa.metrics.{module}.load_trunk", None)
    file = ROOT / "scripts" / "measure_4k.py"
    spec = importlib.util.spec_from_file_location("measure_4k", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_measured_peaks_are_within_the_promise(script):
    result = json.loads(script.RESULT.read_text())
    assert "4096x4096" in result["about"]["what"]
    peaks = {name: row["peak_bytes"] for name, row in result["metrics"].items()}
    assert {"default", "psnr", "ssim", "ms_ssim", "gmsd", "lpips_alex", "dists"} <= set(peaks)
    assert {name: peak for name, peak in peaks.items() if peak >= PROMISE} == {}


def test_a_fresh_process_measures_itself(script):
    found = script.fresh("gmsd", side=48, threads=1)
    assert found["row"]["peak_bytes"] >= found["row"]["before_bytes"] > 50e6
    assert found["row"]["seconds"] > 0
    result = script.add({"metrics": {}}, "gmsd", found)
    assert "| `gmsd` |" in script.table(result)
    assert set(script.add(result, "vif", found)["metrics"]) == {"gmsd", "vif"}
    with pytest.raises(SystemExit, match="another setup"):
        script.add(result, "vif", found | {"about": {}})


def test_the_parent_process_stays_small():
    """On Linux a child's peak begins at its parent's size, so the parent must not load torch."""
    code = "import measure_4k, sys; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "scripts")
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["lpips_alex", "dists"])
def test_learned_metrics_are_built_on_drawn_networks(script, name):
    reference, picture = script.pair(48)
    assert script.build(name)(picture[None], reference)[0] > 0


def test_the_defaults_are_those_of_a_run(script):
    from qa.config import compose

    assert tuple(compose().group("metric")) == script.DEFAULT
    reference, picture = script.pair(192)
    assert script.build("default")(picture[None], reference)[0] > 20
