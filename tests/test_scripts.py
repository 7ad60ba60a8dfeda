"""The measuring scripts run, and the pages they write say what the committed files hold."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def timing():
    spec = importlib.util.spec_from_file_location("time_pid", ROOT / "scripts" / "time_pid.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_measurements_say(timing):
    result = json.loads(timing.RESULT.read_text())
    assert timing.PAGE.read_text() == timing.page(result)
    result["seconds"]["v1 forward"][0] *= 100
    result["seconds"]["v1 forward"][1] *= 100
    result["seconds"]["v1 forward"][2] *= 100
    assert timing.PAGE.read_text() != timing.page(result)


def test_the_script_measures(timing, monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 64)
    result = timing.measure(2)
    assert set(result["seconds"]) == {
        f"{version} {part}" for version in timing.ADAPTERS for part in ("condition", "forward")
    }
    assert all(len(times) == 2 and min(times) > 0 for times in result["seconds"].values())
    assert timing.page(result | {"threads": 1}).startswith("# Performance")
