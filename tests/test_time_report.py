"""The large run that reports are timed on is one that reports can be written for."""

from __future__ import annotations

from argparse import Namespace

import pytest


@pytest.mark.slow
def test_its_runs_are_judged_and_shown(script, tmp_path, monkeypatch):
    timing = script("time_report")
    monkeypatch.setattr(timing, "SIDE", 128)
    monkeypatch.setattr(timing, "_open", lambda file: float(file.stat().st_size > 0))
    options = Namespace(pictures=30, seeds=2, rounds=1)
    runs = {name: timing.made(tmp_path / name, name, options) for name in timing.ARMS}
    timing.judge(runs)
    states = {name: run.verdict()["state"] for name, run in runs.items()}
    assert states["worse"] == "FAIL", "0.3 of a spread of 2 dB is three margins of psnr"
    assert states["base"] != "FAIL", "it is compared with itself"
    result = timing.measured(runs, options)
    assert [row["open"] for row in result["rows"].values()] == [[1.0], [1.0]]
    assert all(min(row["write"]) > 0 for row in result["rows"].values())
    assert "30 pictures × 2 seeds × 3 decoders" in timing.section(result)


def test_a_command_that_fails_is_not_timed(script):
    with pytest.raises(SystemExit, match="is not a run folder"):
        script("time_report")._write(["report", "nowhere"])
