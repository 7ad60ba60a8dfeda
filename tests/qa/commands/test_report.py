"""`qa report`: every format, to stdout or to a file; it tells and never judges."""

from __future__ import annotations

import argparse
import json
from xml.etree import ElementTree as xml

import pytest
from verdicts import gate, verdict

from qa import files
from qa.commands import report
from qa.store import RunFolder


def command(*words):
    parser = argparse.ArgumentParser()
    report.arguments(parser.add_subparsers())
    options = parser.parse_args(["report", *map(str, words)])
    return options.do(options)


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    record = {"schema": "decoder-qa/record/1", "suite": "mini", "command": ["qa", "run"]}
    files.write_json(folder.record_file, record)
    files.write_json(folder.verdict_file, verdict("FAIL", gate("psnr", "FAIL")))
    return folder


def test_documents_go_to_stdout_and_the_exit_code_is_no_verdict(run, capsys):
    assert command(run.path, "--format", "md") == 0
    assert "### FAIL" in capsys.readouterr().out
    assert command(run.path, "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    added = document.pop("report")
    assert (added["decision"], added["proposed"]) == (None, "HOLD")
    assert document == run.verdict()
    assert command(run.path, "--format", "junit") == 0
    assert xml.fromstring(capsys.readouterr().out.encode()).get("failures") == "1"


@pytest.mark.parametrize("form", ["md", "json", "junit"])
def test_a_file_holds_what_stdout_would(run, tmp_path, capsys, form):
    command(run.path, "--format", form)
    text = capsys.readouterr().out
    file = tmp_path / "new folder" / "out"
    assert command(run.path, "--format", form, "--out", file) == 0
    assert file.read_text(encoding="utf-8") == text
    assert capsys.readouterr().out.strip() == str(file)


def test_an_unknown_format_is_a_usage_error(run):
    with pytest.raises(SystemExit) as caught:
        command(run.path, "--format", "pdf")
    assert caught.value.code == 2


def test_the_other_arm_is_found_beside_the_run_whatever_the_current_folder(run, tmp_path):
    arm = run.verdict()["baseline"]
    assert report.compared(run) == (None, ())
    other = RunFolder(tmp_path / arm["name"])
    known = {"schema": "decoder-qa/record/1"}
    for record in ({"plan": arm["plan"]}, {**known, "plan": "another"}):
        files.write_json(other.record_file, record)
        assert report.compared(run) == (None, ()), "a run of that name, and not that run"
    files.write_json(other.record_file, {**known, "plan": arm["plan"]})
    assert report.compared(run)[0].path == other.path
    assert report.compared(run, str(run.path))[0].path == run.path
