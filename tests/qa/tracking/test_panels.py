"""Panels in MLflow: numbers of their summaries, and their notes as tables."""

from __future__ import annotations

import json

import pytest
from tracked import client_of, make_run, run_of

from qa.files import write_json
from qa.panels import write_notes
from qa.tracking.exporter import MLflow
from qa.tracking.panels import add_numbers, tables
from qa.tracking.values import MISSING, Numbers

SUMMARY = {
    "overall": 0.75, "images": 8, "detector": "oracle", "exact": True, "missing": 0,
    "tags": {"counting": 0.5, "colours": None}, "by size": {"8 px": {"cer": 0.25}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    run = make_run(tmp_path / "runs" / "first")
    write_json(run.panels_file, {"geneval": SUMMARY, "odd one": {"why": "it failed", "cer": None}})
    note = {"sample": "a", "seed": 0, "correct": True, "details": {"cat": [1, 2]}}
    write_notes(run, "geneval", "a", [note])
    words = [{"expected": "cold", "read": "gold", "seed": 9}, {"expected": "up", "read": "up"}]
    write_notes(run, "odd one", "c", [{"sample": "c", "seed": 1, "words": words, "page": "x"}])
    return run


def test_numbers_near_the_top_of_a_summary_are_metrics(folder):
    numbers = Numbers()
    add_numbers(folder, numbers)
    assert numbers.found == {
        "panel/geneval/overall": 0.75, "panel/geneval/images": 8, "panel/geneval/missing": 0,
        "panel/geneval/tags/counting": 0.5,
    }  # fmt: skip
    assert numbers.missing == {
        f"{MISSING}panel/geneval/tags/colours": "no value",
        f"{MISSING}panel/odd one/cer": "it failed",
    }


def test_notes_are_tables_and_lists_of_objects_rows(folder):
    found = {name: json.loads(content) for name, content in tables(folder).items()}
    assert found == {
        "panel_geneval.json": {
            "columns": ["sample", "seed", "correct", "details"],
            "data": [["a", 0, True, '{"cat": [1, 2]}']],
        },
        "panel_odd one.json": {
            "columns": ["sample", "seed", "expected", "page", "read"],
            "data": [["c", 1, "cold", "x", "gold"], ["c", 1, "up", "x", "up"]],
        },
    }


def test_both_arrive_and_a_second_export_changes_nothing(folder, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MLflow(uri=uri).export(folder.path)
    run = run_of(uri, folder)
    assert run.data.metrics["panel/geneval/tags/counting"] == 0.5
    listed = {item.path for item in client_of(uri).list_artifacts(run.info.run_id)}
    assert {"panels.json", "panel_geneval.json", "panel_odd one.json"} <= listed
    shown = [entry["path"] for entry in json.loads(run.data.tags["mlflow.loggedArtifacts"])]
    assert sorted(shown) == ["panel_geneval.json", "panel_odd one.json", "regressions.json"]
    MLflow(uri=uri).export(folder.path)
    assert run_of(uri, folder).data.tags == run.data.tags
