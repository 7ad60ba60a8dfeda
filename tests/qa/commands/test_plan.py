"""`qa plan` as a user meets it."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
import pytest

from qa.commands import plan
from qa.errors import UsageError
from qa.gates import use_case


def command(*words):
    parser = argparse.ArgumentParser()
    plan.arguments(parser.add_subparsers())
    options = parser.parse_args(["plan", *map(str, words)])
    return options.do(options)


@pytest.fixture
def tables(tmp_path):
    """A base and a candidate of 40 pictures, 2 seeds; the harm's spread is one decibel."""
    rng = np.random.default_rng(11)
    files = []
    for name, spread in (("base", 0.0), ("new", 1.0)):
        rows = [
            {"sample": f"p{i}", "seed": s, "metric": "psnr", "value": 30 + rng.normal(0, spread)}
            for i in range(40)
            for s in (0, 1)
        ]  # fmt: skip
        files.append(tmp_path / f"{name}.csv")
        pd.DataFrame(rows).to_csv(files[-1], index=False)
    return files


def test_the_table_says_what_is_resolved_and_what_would_be(tables, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    base, new = tables
    assert command(new, "--baseline", base) == 0
    out = capsys.readouterr().out
    assert "pilot new against base   use case photo   planned 40 pictures × 2 seeds" in out
    assert "40 pictures × 2 seeds do not resolve psnr" in out
    assert command(new, "--baseline", base, "--pictures", 4000, "--seeds", "2,4") == 0
    out = capsys.readouterr().out
    assert "4000 pictures × 2 seeds resolve every primary margin" in out
    assert "2 seeds" in out
    assert "4 seeds" in out


def test_json_is_the_document_alone(tables, capsys):
    base, new = tables
    assert command(new, "--baseline", base, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "decoder-qa/plan/1"
    assert [row["metric"] for row in document["metrics"]] == ["psnr"]


def test_writing_refuses_then_marks_then_never_overwrites(tables, tmp_path, capsys):
    base, new = tables
    file = tmp_path / "conf" / "use_case" / "mine.yaml"
    with pytest.raises(UsageError, match="cannot resolve psnr"):
        command(new, "--baseline", base, "--write", file)
    assert not file.exists()
    assert command(new, "--baseline", base, "--write", file, "--allow-underpowered") == 0
    assert f"qa run --config-dir {tmp_path / 'conf'} use_case=mine" in capsys.readouterr().out
    assert use_case.load(str(file)).margins["psnr"].underpowered
    before = file.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        command(new, "--baseline", base, "--write", file, "--allow-underpowered")
    assert file.read_bytes() == before
    with pytest.raises(UsageError, match="no YAML file"):
        command(new, "--baseline", base, "--write", tmp_path / "x", "--pictures", 9999)


def test_the_margins_of_a_file_may_be_planned(tables, tmp_path, capsys):
    base, new = tables
    file = tmp_path / "own.yaml"
    file.write_text("margins: {psnr: {margin: 2.0, why: a lot}}\n")
    assert command(new, "--baseline", base, "--use-case", file) == 0
    assert "resolve every primary margin" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("--pictures", "0"), ("--seeds", "0"), ("--seeds", "a"), ("--picture-cost", "-1")]
)
def test_sizes_that_cannot_be_are_refused(tables, words):
    with pytest.raises(SystemExit) as caught:
        command(tables[1], *words)
    assert caught.value.code == 2


def test_a_gate_of_one_picture_and_a_margin_out_of_reach_are_refused(tables, tmp_path):
    base, new = tables
    with pytest.raises(UsageError, match="1 picture gives no interval"):
        command(new, "--baseline", base, "--pictures", 1, "--write", tmp_path / "w.yaml")
    tiny, file = tmp_path / "tiny.yaml", tmp_path / "w.yaml"
    tiny.write_text("margins: {psnr: 1.0e-12}\n")
    with pytest.raises(UsageError, match="no feasible number of pictures for 80 %"):
        command(new, "--baseline", base, "--use-case", tiny, "--write", file)
    assert not file.exists()
    words = ("--use-case", tiny, "--write", file, "--allow-underpowered")
    assert command(new, "--baseline", base, *words) == 0
    assert "no feasible number of pictures for 80 %" in use_case.load(str(file)).margins["psnr"].why
