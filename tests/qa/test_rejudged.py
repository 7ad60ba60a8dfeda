"""Shipping takes scores that are there and that give the verdict again; holding takes neither."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from stored import put_scores
from toyruns import make_pictures, toy_overrides

from qa.cli import run as qa
from qa.files import write_json
from qa.outcomes import counts
from qa.signoff import HOLD, SHIP, WITH_WAIVERS, Refused, sign
from qa.store import RunFolder

PART = "scores/metric=psnr/part-00000.parquet"


def measured(pictures, name, *more):
    overrides = toy_overrides(pictures, "Sampler", f"out={name}", "gate=[regression]", *more)
    return qa(["run", *overrides])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a promoted baseline, a run as good as that and one that is worse."""
    folder = tmp_path_factory.mktemp("rejudged")
    pictures = make_pictures(folder / "pictures", 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert measured(pictures, "base") == 0
        assert qa(["baseline", "promote", "base", "--by", "Ann"]) == 0
        assert measured(pictures, "same") == 0
        assert measured(pictures, "worse", "+decoder.noise=0.2") == 3
    return folder


@pytest.fixture
def at(place, tmp_path, monkeypatch):
    """A copy of it."""
    shutil.copytree(place, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def signing(name, decision=SHIP):
    return sign(RunFolder.open(name), decision, by="Ann", why="because")


def refused(name, decision=SHIP):
    """What is said; nothing is written, and holding needs none of it."""
    run = RunFolder.open(name)
    with pytest.raises(Refused) as caught:
        signing(name, decision)
    assert caught.value.exit_code == 2
    assert not run.signoff_file.exists()
    assert signing(name, HOLD).decision == HOLD
    return str(caught.value)


def passed(verdict):
    """A verdict that failed, made to pass in every place that contradicts it."""
    rows = [row | {"state": "PASS"} if counts(row) else row for row in verdict["gates"]]
    return verdict | {"state": "PASS", "exit_code": 0, "gates": rows}


def test_scores_that_give_the_verdict_again_can_be_shipped(at):
    assert signing("same").decision == SHIP


@pytest.mark.parametrize("name", ["config.yaml", "samples.jsonl", "decoded.parquet",
                                  "scores/_parts.json", PART])  # fmt: skip
@pytest.mark.parametrize("content", [None, b"", b"garbage", b"7", b"[]", b"{}"])
def test_evidence_that_is_gone_or_no_longer_readable_cannot_be_shipped(at, name, content):
    file = at / "same" / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert refused("same").startswith("What the verdict rests on cannot be judged again.")


@pytest.mark.parametrize("name", ["decoded.parquet", PART])
def test_a_table_of_something_else_is_no_evidence(at, name):
    pd.DataFrame({"colour": ["red"]}).to_parquet(at / "same" / name)
    assert "cannot be judged again" in refused("same")


@pytest.mark.parametrize("name", ["decoded.parquet", PART])
def test_a_table_cut_short_is_no_evidence(at, name):
    file = at / "same" / name
    rows = pd.read_parquet(file)
    rows[rows["sample"] != rows["sample"][0]].to_parquet(file)
    refused("same")


def test_a_verdict_made_to_pass_is_not_what_the_scores_say(at):
    run = RunFolder.open("worse")
    write_json(run.verdict_file, passed(run.verdict()))
    said = refused("worse")
    assert "The scores give FAIL today, verdict.json says PASS." in said
    assert "judge again with `qa judge worse --save`" in said


def test_scores_that_changed_after_judging_are_seen(at):
    run = RunFolder.open("same")
    scores = run.scores()
    scores.loc[scores["metric"] == "psnr", "value"] -= 20
    put_scores(run, scores)
    assert "The scores give FAIL today, verdict.json says " in refused("same")


def test_another_promoted_run_is_another_question(at):
    assert qa(["baseline", "promote", "same", "--by", "Bea"]) == 0
    assert "is not the one that the verdict compared with" in refused("same")
    assert qa(["judge", "same", "--save"]) == 0
    assert signing("same").decision == SHIP


def test_without_its_promoted_run_a_verdict_is_not_judged_again(at):
    shutil.rmtree(at / "baselines")
    assert "The scores give " in refused("same")


def test_a_waiver_that_was_struck_out_is_asked_for(at):
    """PASS either way, and the proposal differs."""
    assert qa(["baseline", "approve", "toy", "--gate", "psnr", "--reason", "known", "--by", "Ann",
               "--until", "2999-01-01"]) == 0  # fmt: skip
    assert qa(["judge", "worse", "--save"]) == 0
    run = RunFolder.open("worse")
    honest = run.verdict()
    rows = [row | {"waiver": None, "counts": True, "state": "PASS"} if row["waiver"] else row
            for row in honest["gates"]]  # fmt: skip
    write_json(run.verdict_file, honest | {"gates": rows})
    assert "The scores propose SHIP WITH WAIVERS today, verdict.json SHIP." in refused("worse")
    run.signoff_file.unlink()
    write_json(run.verdict_file, honest)
    assert signing("worse", WITH_WAIVERS).decision == WITH_WAIVERS
