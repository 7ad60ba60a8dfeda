"""What is measured anew is not judged before it is finished, and keeps no older verdict."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from qa import results
from qa.cli import run as command
from qa.config import compose
from qa.errors import UsageError
from qa.job import prepare
from qa.run import conclude, evaluate, measure

WORSE = ("+decoder.noise=0.2", "out=worse", "gate=[regression]")
WIDE = "use_case.margins.psnr.margin=60"


class Killed(BaseException):
    """Ends a run where it stands."""


class Dying:
    """An executor that is killed before its first unit."""

    def run(self, *_):
        raise Killed


@pytest.fixture
def base(workdir, toy):
    """A promoted run `base`."""
    evaluate(*toy("Sampler", "out=base"))
    assert command(["baseline", "promote", "base", "--reason", "first"]) == 0


def started(toy, *more):
    """A run whose record says what is to be measured, and whose values say what was."""
    job = prepare(compose(toy("Sampler", *more)))
    with pytest.raises(Killed):
        measure(replace(job, executor=Dying()))
    return job


def test_new_facts_over_old_values_are_not_judged(base, toy, capsys):
    """Values in YCbCr under a record that says RGB would be compared as if they were RGB."""
    other = evaluate(*toy("Sampler", *WORSE, "metric.psnr.colour=ycbcr"))
    assert other.verdict["state"] == "INVALID"
    job = started(toy, *WORSE)
    assert job.folder.record()["finished"] is None
    with pytest.raises(UsageError, match="worse is not finished"):
        results.load("worse")
    for words in (["judge", "worse"], ["judge", "base", "--baseline", "worse"], ["plan", "worse"]):
        capsys.readouterr()
        assert command(words) == 2, words
        assert "worse is not finished" in capsys.readouterr().err
    measure(job)
    assert command(["judge", "worse"]) == 3, "negative control"


def test_a_verdict_does_not_outlive_what_it_judged(base, toy, capsys):
    page = "report=reports.html.write"
    first = evaluate(*toy("Sampler", *WORSE, WIDE, page))
    assert first.verdict["state"] == "PASS-DRIFT"
    assert first.folder.report_file.is_file()
    job = prepare(compose(toy("Sampler", *WORSE, page)))
    measure(job)  # and killed before it is judged
    assert not first.folder.verdict_file.exists()
    assert not first.folder.report_file.exists()
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--qa-run", "worse"]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 4
    capsys.readouterr()
    assert command(["baseline", "promote", "worse", "--reason", "x"]) == 2
    assert "not finished" in capsys.readouterr().err
    assert conclude(job).verdict["state"] == "FAIL"
    assert first.folder.report_file.is_file()
