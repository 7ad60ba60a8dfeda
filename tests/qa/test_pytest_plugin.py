"""`pytest --qa-run RUN`: every gate a test that ends as the gate ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree as xml

import pandas as pd
import pytest
from verdicts import gate, secondary, tail, verdict, waived

from qa import files
from qa.store import RunFolder

ROOT = Path(__file__).parents[2]
INSTALLED = any(e.value == "qa.pytest_plugin" for e in entry_points(group="pytest11"))
ROWS = [
    gate("psnr", "FAIL"), gate("lpips", "INCONCLUSIVE", needs=140), gate("dists", "IMPROVED"),
    gate("flip", "INVALID"), secondary(), waived(), tail(),
]  # fmt: skip


@pytest.fixture
def run(tmp_path) -> RunFolder:
    """A run folder with nothing but its record and its verdict."""
    folder = RunFolder(tmp_path / "runs" / "candidate")
    files.write_json(folder.record_file, {"schema": "decoder-qa/record/1"})
    return judged(folder, verdict("FAIL", *ROWS))


def judged(folder, document):
    files.write_json(folder.verdict_file, document)
    return folder


def pytest_in(folder, *words, code=None):
    """pytest in a process of its own, in an empty project."""
    plugin = [] if INSTALLED else ["-p", "qa.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "--rootdir",
               str(folder), "-rA", *map(str, words)]  # fmt: skip
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def cases(file):
    """Name → (outcome, message, properties) of a JUnit file that pytest wrote."""
    found = {}
    for case in xml.parse(file).getroot().iter("testcase"):
        ends = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        values = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        end = ends[0] if ends else None
        kind = "passed" if end is None else end.get("type", "").removeprefix("pytest.") or end.tag
        found[case.get("name")] = (
            kind if end is None or end.tag == "skipped" else end.tag,
            "" if end is None else end.get("message"),
            values,
        )
    return found


def test_every_gate_ends_as_it_was_judged(run, tmp_path):
    out = pytest_in(tmp_path, "--qa-run", run.path, "--junitxml", "out.xml", code=1)
    found = cases(tmp_path / "out.xml")
    assert {name: kind for name, (kind, _, _) in found.items()} == {
        "regression/psnr": "failure",
        "regression/lpips": "skip",
        "regression/dists": "passed",
        "regression/flip": "error",
        "regression/ssim": "skip",
        "regression/gmsd": "xfail",
        "tail/catastrophe": "skip",
    }
    assert "1 failed, 1 passed, 3 skipped, 1 xfailed, 1 error" in out
    assert "waived until 2027-01-31 by Ada: known, mended in 2.1" in out
    assert "INCONCLUSIVE: why of lpips" in out
    assert "harm 1.0812 [0.9123, 1.2511] dB" in out
    assert "Traceback" not in out
    properties = found["regression/psnr"][2]
    assert (properties["harm"], properties["low"], properties["margin"]) == (
        "1.0812",
        "0.9123",
        "1.0",
    )


def test_gates_join_other_tests_and_can_be_chosen(run, tmp_path):
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n")
    judged(run, verdict("PASS", gate("psnr"), gate("ssim")))
    assert "3 passed" in pytest_in(tmp_path, "--qa-run", run.path, code=0)
    assert "1 passed, 2 deselected" in pytest_in(
        tmp_path, "--qa-run", run.path, "-k", "ssim", code=0
    )
    # without the option there is nothing of ours
    assert "1 passed" in pytest_in(tmp_path, code=0)


def test_a_verdict_that_no_gate_explains_is_an_error(run, tmp_path):
    judged(run, verdict("INVALID", gate("psnr", "PASS"), problems=["seeds: 1 against 2"]))
    out = pytest_in(tmp_path, "--qa-run", run.path, code=1)
    assert "1 passed, 1 error" in out
    assert "seeds: 1 against 2" in out


def test_a_folder_without_a_verdict_is_a_usage_error(tmp_path):
    (tmp_path / "empty").mkdir()
    out = pytest_in(tmp_path, "--qa-run", "empty", code=pytest.ExitCode.USAGE_ERROR)
    assert "empty is not a run folder" in out


def test_scores_can_be_judged_against_a_baseline(tmp_path):
    for name, shift in (("base", 0.0), ("worse", 1.5)):
        rows = [
            {"sample": f"p{i}", "seed": 0, "metric": "psnr", "value": 30 + i - shift}
            for i in range(8)
        ]  # fmt: skip
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    out = pytest_in(tmp_path, "--qa-run", "worse.csv", "--qa-baseline", "base.csv", code=1)
    assert "regression/psnr" in out
    assert "FAIL" in out
    out = pytest_in(tmp_path, "--qa-run", "worse.csv", "--qa-baseline", "none.csv", code=4)
    assert "none.csv does not exist" in out


def test_loading_it_imports_nothing_of_weight():
    code = (
        "import sys, json, qa.pytest_plugin; "
        "print(json.dumps([m for m in sys.modules if m.split('.')[0] in "
        "{'torch', 'numpy', 'pandas', 'scipy', 'mlflow', 'rich'} or m.startswith('qa.')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["qa.pytest_plugin"]
