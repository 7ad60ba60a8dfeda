"""Which prompts were used is known by the file's hash."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from geneval_oracle import TAGS, rows, write_rows

from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from suites.geneval.detector import CLASSES, COLOURS
from suites.geneval.prompts import ASSETS, Prompts, read, row_of
from suites.geneval.rules import RELATIONS

SHARED = os.environ.get("QA_ASSETS")
needs_files = pytest.mark.skipif(not SHARED, reason="QA_ASSETS names no folder with the files")


def official(name: str) -> Path:
    return Path(str(SHARED)) / "data" / "geneval" / name


def test_prompts_of_ones_own(tmp_path):
    made = rows({"counting": 2})
    found = read("custom", write_rows(tmp_path / "own.jsonl", made))
    assert list(found.rows) == made
    assert found.sha256 == sha256(tmp_path / "own.jsonl")
    asks = found.asks(found.rows[0])
    assert asks != made[0]
    assert row_of(asks) == made[0]


@pytest.mark.parametrize("label", ["official", "rewritten"])
def test_another_file_does_not_pass_for_a_published_one(tmp_path, label):
    file = write_rows(tmp_path / "evaluation_metadata.jsonl", rows({"counting": 2}))
    with pytest.raises(UsageError, match=f"does not hold the {label}") as caught:
        read(label, file)
    assert caught.value.fix == "suite.prompts=custom"


@pytest.mark.parametrize(
    ("label", "path", "said"),
    [
        ("oficial", None, "no GenEval prompts"),
        ("custom", None, "need a file"),
        ("custom", "nowhere.jsonl", "is no file"),
    ],
)
def test_what_is_no_choice_of_prompts(label, path, said):
    with pytest.raises(UsageError, match=said):
        read(label, path)


@pytest.mark.parametrize(
    "text",
    ["{", "", json.dumps({"tag": "x", "include": []}), json.dumps({"tag": "x", "prompt": "a dog"})],
)
def test_a_line_that_is_no_row_is_named(tmp_path, text):
    file = write_rows(tmp_path / "own.jsonl", rows({"counting": 1}))
    file.write_text(file.read_text() + text + "\n" + json.dumps(rows()[0]) + "\n")
    with pytest.raises(UsageError, match="line 2 is no row"):
        read("custom", file)


def test_the_table_knows_the_hash_of_both_files():
    known = [assets.table()[name].files[0] for name in ASSETS.values()]
    assert len({file.sha256 for file in known}) == 2
    assert all(file.origin.startswith("https://raw.githubusercontent.com/") for file in known)


@needs_files
def test_the_published_files_are_what_they_are_called(workdir):
    plain, long = read("official"), read("rewritten")
    assert Counter(row["tag"] for row in plain.rows) == TAGS
    asked = [[{**row, "prompt": None} for row in found.rows] for found in (plain, long)]
    assert asked[0] == asked[1]
    prompts = [[row["prompt"] for row in found.rows] for found in (plain, long)]
    assert len(set(prompts[0])) == 553
    assert not set(prompts[0]) & set(prompts[1])


@needs_files
def test_one_published_file_does_not_pass_for_the_other(workdir):
    with pytest.raises(UsageError, match="that of the rewritten ones") as caught:
        read("official", official(ASSETS["rewritten"]))
    assert caught.value.fix == "suite.prompts=rewritten"
    assert isinstance(read("rewritten", official(ASSETS["rewritten"])), Prompts)


@needs_files
def test_the_published_prompts_ask_for_what_we_know(workdir):
    rows = read("official").rows
    clauses = [clause for row in rows for clause in (*row["include"], *row.get("exclude", ()))]
    assert {clause["class"] for clause in clauses} == set(CLASSES)
    assert {clause["color"] for clause in clauses if "color" in clause} == set(COLOURS)
    asked = {clause["position"][0] for clause in clauses if "position" in clause}
    assert asked == set(RELATIONS)


@needs_files
def test_classes_are_in_the_detectors_order():
    assert tuple(official("object_names.txt").read_text().splitlines()) == CLASSES
