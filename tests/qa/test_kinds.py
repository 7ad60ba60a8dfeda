"""Kinds of documents: what is written passes, and what nobody writes is named by its place."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import verdicts
import yaml
from toyruns import make_pictures, toy_overrides

import qa
from qa import kinds
from qa.errors import QaError
from qa.gates.rows import EMPTY
from qa.judge import EXIT_CODES
from qa.plan import Look
from qa.record import sample_row
from qa.store import RunFolder
from qa.types import MetricFacts, Sample, TextRegion


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    """A run with a baseline and two looks, judged by gates of most kinds."""
    place = tmp_path_factory.mktemp("kinds")
    pictures = make_pictures(place / "pictures", 4)
    words = toy_overrides(pictures, "Sampler", "gate=[regression,slices,tail,cost,threshold]",
                          "+gate.threshold.limits.psnr.at_least=3")  # fmt: skip
    qa.evaluate(*words, f"out={place / 'base'}")
    looks = ["looks=[2,4]", f"baseline={place / 'base'}", f"out={place / 'run'}"]
    qa.evaluate(*words, *looks)
    return qa.evaluate(*words, *looks, "extend=4").folder


def whole(kind: Any) -> set[str]:
    return set(kind.__annotations__)


def test_a_real_run_is_of_its_kinds(run):
    """Read through the store, every document is what its file holds, and no key is dropped."""
    assert run.record() == json.loads(run.record_file.read_text())
    assert run.verdict() == json.loads(run.verdict_file.read_text())
    assert run.config() == yaml.safe_load(run.config_file.read_text())
    assert run.samples() == list(map(json.loads, run.samples_file.read_text().splitlines()))
    assert run.record()["look"]["history"]
    assert run.verdict()["look"]["history"]
    assert {row["gate"] for row in run.verdict()["gates"]} >= {"regression", "tail", "threshold"}


def test_all_that_is_written_has_a_kind(run):
    """A key that no kind names would go unchecked; of a sample it would not even be read."""
    verdict = run.verdict()
    assert set(verdict) == whole(kinds.Verdict)
    assert set(EMPTY) == whole(kinds.Gate)
    assert {*verdict["candidate"], *verdict["baseline"]} == whole(kinds.Arm)
    assert set(verdict["metrics"][0]) == whole(kinds.Metric)
    assert set(verdict["drift"]["psnr"]) == whole(kinds.Drift)
    assert set(run.record()) == whole(kinds.Record)
    assert {field.name for field in fields(Look)} < whole(kinds.Planned)
    assert {field.name for field in fields(MetricFacts)} < whole(kinds.Facts)
    regions = (TextRegion("c", (0, 1, 2, 3)),)
    sample = Sample("a", prompt="b", regions=regions, asks={"d": [1.5, None]})
    row = sample_row(sample, 5, 7)
    assert set(row) == whole(kinds.Sample)
    assert kinds.sample(json.dumps(row).encode()) == row


@pytest.mark.parametrize("state", EXIT_CODES)
def test_verdicts_of_every_state_pass(state):
    rows = (verdicts.gate(), verdicts.secondary(), verdicts.waived(), verdicts.tail())
    more = {"failures": [{"sample": "a", "seed": 0, "why": "out of memory"}]}
    assert kinds.check(verdicts.verdict(state, *rows, **more), kinds.Verdict) is None
    assert kinds.check(verdicts.verdict(state, baseline=None), kinds.Verdict) is None


def test_keys_that_are_not_known_may_hold_anything():
    more = {"schema": "decoder-qa/record/9", "later": {"a": [1, None, "b"]}, "facts": {}}
    assert kinds.check(more, kinds.Record) is None
    assert kinds.sample(b'{"id": "a", "later": [1]}') == {"id": "a"}


DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]
WRONG = [
    ("Record", {"seeds": "x"}, "seeds"), ("Record", {"seeds": 2**62}, "seeds"),
    ("Record", {"facts": {"a": 1}}, "facts.a"), ("Record", {"notes": -1}, "notes"),
    ("Record", {"look": 10**400}, "look"), ("Record", {"dial": "x"}, "dial"),
    ("Record", {"environment": {"class": []}}, "environment.class"),
    ("Record", {"later": float("nan")}, "not JSON compliant"),
    ("Record", {"later": DEEP}, "recursion limit"), ("Record", {"knobs": {"sigma": 10**400}},
                                                     "knobs.sigma"),
    ("Record", {"name": "\ud800"}, "Invalid JSON"),
    ("Record", {"look": {"number": 3, "pictures": 1, "planned": 1, "of": 2, "sizes": [1, 2]}},
     "look"),
    ("Settings", {"gate": "x"}, "gate"), ("Settings", {"gate": {"a": 1}}, "gate.a"),
    ("Settings", {"baselines": 3}, "baselines"), ("Settings", {"tracking": [1]}, "tracking"),
    ("Settings", {"tracking": {"uri": 3}}, "tracking.uri"),
    ("Settings", {"use_case": {}}, "use_case.margins"),
    ("Verdict", {"metrics": [None]}, "metrics[0]"), ("Verdict", {"metrics": [{}]}, "metrics[0]"),
    ("Verdict", {"metrics": [[1]]}, "metrics[0]"), ("Verdict", {"look": 3}, "look"),
    ("Verdict", {"drift": {"a": 1}}, "drift.a"), ("Verdict", {"failures": [1]}, "failures[0]"),
    ("Verdict", {"confidence": "x"}, "confidence"), ("Verdict", {"confidence": 1}, "confidence"),
    ("Verdict", {"gates": None}, "gates"), ("Verdict", {"state": 3}, "state"),
    ("Verdict", {"use_case": "\ud800"}, "Invalid JSON"),
    ("Verdict", {"exit_code": True}, "exit_code"), ("Verdict", {"exit_code": 1.0}, "exit_code"),
]  # fmt: skip


def document(kind: str, changes: dict[str, Any]) -> dict[str, Any]:
    start = {"Record": {"schema": "decoder-qa/record/1"}, "Settings": {},
             "Verdict": verdicts.verdict()}[kind]  # fmt: skip
    assert kinds.check(start, getattr(kinds, kind)) is None, "negative control"
    return start | changes


@pytest.mark.parametrize(("kind", "changes", "place"), WRONG)
def test_what_is_of_another_kind_is_named(kind, changes, place):
    why = kinds.check(document(kind, changes), getattr(kinds, kind))
    assert why is not None
    assert place in why
    assert len(why) < 200


@pytest.mark.parametrize("value", [{}, [1], "x", {"a": 1}, 10**400, float("inf"), True])
def test_every_number_of_a_row_is_a_number(value):
    row = verdicts.verdict()["metrics"][0]
    for key in ("mean", "low", "high"):
        changed = verdicts.verdict(metrics=[row | {key: value}])
        assert kinds.check(changed, kinds.Verdict), key


@pytest.mark.parametrize("key", ["state", "gates", "problems"])
def test_what_every_reader_needs_is_there(key):
    verdict = verdicts.verdict()
    del verdict[key]
    assert kinds.check(verdict, kinds.Verdict) == f"{key} Field required"


@pytest.mark.parametrize(
    ("line", "place"),
    [(b"[" * 100_000, "recursion limit"), (b'{"id": "a", "height": "x"}', "height"),
     (b'{"id": 3}', "id"), (b'{"tags": []}', "id"), (b"[1]", "object"), (b"", "JSON"),
     (b'{"id": "a", "width": 1' + b"0" * 400 + b"}", "width"), (b'{"id": "\\ud800"}', "JSON"),
     (b'{"id": "a", "regions": [{"text": "b", "box": [1, 2]}]}', "regions[0].box"),
     (b'{"id": "a", "height": 3, "width": null}', "one of height and width"),
     (b'{"id": "a", "tags": [null]}', "tags[0]"), (b'{"id": "\xff"}', "JSON")],
)  # fmt: skip
def test_samples_of_another_kind_are_refused_by_their_line(line, place, tmp_path):
    run = RunFolder(tmp_path)
    run.samples_file.write_bytes(b'{"id": "0"}\n' + line + b"\n")
    with pytest.raises(QaError) as raised:
        run.samples()
    assert raised.value.why.startswith("Line 2: ")
    assert place in raised.value.why
    assert len(raised.value.why) < 200
    run.samples_file.write_bytes(b'{"id": "0"}\n')
    assert run.samples() == [{"id": "0"}], "negative control"


def test_the_store_refuses_in_three_parts(run, tmp_path):
    copy = RunFolder(tmp_path)
    wrong = run.verdict() | {"metrics": [run.verdict()["metrics"][0] | {"low": {"a": 1}}]}
    copy.verdict_file.write_text(json.dumps(wrong))
    with pytest.raises(QaError) as raised:
        copy.verdict()
    assert raised.value.what == f"{copy.verdict_file} is not what this version writes."
    assert raised.value.why == "metrics[0].low should be a valid number."
    assert raised.value.fix


def test_a_place_is_told_in_a_few_letters():
    why = kinds.check({"schema": "", "facts": {"x" * 10**5: 1}}, kinds.Record)
    assert why is not None
    assert len(why) < 200


def test_reading_no_document_costs_no_import():
    """pydantic takes longer to import than the store, which every command does."""
    text = "import sys, qa.store; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.stdout == "False\n"
