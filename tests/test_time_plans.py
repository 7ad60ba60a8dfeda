"""The large plans that are timed are plans that a run can go on with."""

from __future__ import annotations

import json

import pytest


def test_every_phase_does_what_it_says(script, tmp_path, monkeypatch):
    timing = script("time_plans")
    monkeypatch.chdir(tmp_path)
    found = {}
    for name in ("plan", "plant", "resume", "reduce", "again", "base", "judge", "report", "half"):
        found[name] = timing.phase(name, 60, tmp_path)
        assert found[name]["seconds"] > 0
        assert found[name]["bytes"] > 1e6
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert [row["count"] for row in verdict["gates"]] == [60] * len(timing.METRICS)
    with pytest.raises(AssertionError):  # half of the units is gone by now
        timing.phase("resume", 60, tmp_path)


def test_the_section_says_when_a_phase_takes_too_much(script):
    timing = script("time_plans")
    row = {name: {"seconds": 50.0, "bytes": 1.5e9} for name in timing.PHASES}
    result = {"sizes": {"1000000": row}, "cpu": {"model": "Zen", "count": 2}}
    said = timing.section(result)
    assert "The largest is 1.50 GB, within the 2 GB" in said
    assert "50.0 s (5.0), 1.50 GB" in said
    row["judge"]["bytes"] = 2.1e9
    assert "The largest is 2.10 GB, above the 2 GB" in timing.section(result)


def test_a_million_units_stayed_within_two_gigabytes(script):
    """The promise, on the committed file."""
    timing = script("time_plans")
    sizes = json.loads(timing.RESULT.read_text())["sizes"]
    assert list(map(int, sizes)) == list(timing.SIZES)
    assert max(row["bytes"] for found in sizes.values() for row in found.values()) <= timing.LIMIT
