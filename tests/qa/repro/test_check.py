"""`qa repro`, from a configuration to its levels: what holds holds, and each fault is found."""

from __future__ import annotations

import json

import pytest

from qa.config import compose
from qa.errors import UsageError
from qa.repro.check import check
from qa.repro.options import ROOT
from qa.run import evaluate

pytestmark = pytest.mark.usefixtures("workdir")


@pytest.fixture
def repro(toy):
    """Check a decoder of `toys` or `planted`; returns the reproduction."""

    def run(decoder, *more):
        words = [*toy("Sampler", f"decoder._target_={decoder}"), *more]
        return check(compose(words, root=ROOT))

    return run


def verdicts(found):
    rows = found.document["levels"].items()
    return {level: row["verdict"] for level, row in rows if row["verdict"] != "SKIPPED"}


@pytest.mark.slow
def test_a_reproducible_decoder_reaches_r4(repro, tmp_path):
    found = repro("toys.Sampler")
    assert verdicts(found) == dict.fromkeys(["R0", "R1", "R2", "R3", "R4"], "PASS"), found.document
    assert found.document["reached"] == "R4"
    assert found.document["divergence"] is None
    assert found.exit_code == 0
    assert json.loads((found.folder / "repro.json").read_text()) == dict(found.document)
    assert found.folder.name.startswith("repro-toy-toy-")
    assert [path.name for path in found.folder.iterdir()] == ["repro.json"]
    assert not list((tmp_path / "runs").glob(".repro-*")), "nothing is left of its work"


def test_the_document_is_of_the_runs_decoder_and_class(repro, toy):
    found = repro("toys.Sampler", "levels=[R1]")
    record = evaluate(*toy()).folder.record()
    assert found.document["decoder_digest"] == record["decoder_digest"]
    assert found.document["environment"]["class"] == record["environment"]["class"]


def test_what_changes_within_a_process_fails_r1_with_place_and_distance(repro):
    found = repro("planted.Restless", "levels=[R1]")
    row = found.document["levels"]["R1"]
    assert row["verdict"] == "FAIL"
    divergence = found.document["divergence"]
    assert (divergence["stage"], divergence["index"]) == ("pixels", [1, 2, 3])
    assert (divergence["max_ulp"], divergence["ulps"]) == (1, {"1": 1})
    assert divergence["differing"] == 1
    assert (found.folder / "r1-stage.png").is_file()
    assert found.exit_code == 3


@pytest.mark.slow
def test_what_changes_with_the_process_fails_r2_alone(repro):
    found = repro("planted.OfProcess", "levels=[R1,R2]")
    assert verdicts(found) == {"R1": "PASS", "R2": "FAIL"}
    assert found.document["divergence"]["stage"] == "pixels"


@pytest.mark.slow
def test_other_inputs_in_a_fresh_process_fail_r0(repro):
    found = repro("planted.Named", "levels=[R0]")
    row = found.document["levels"]["R0"]
    assert row["verdict"] == "FAIL"
    assert "decoder: named-" in row["why"]


@pytest.mark.slow
def test_a_decoder_that_counts_fails_r3(repro):
    found = repro("planted.Counting", "levels=[R3]")
    row = found.document["levels"]["R3"]
    assert row["verdict"] == "FAIL"
    for way in ("reverse order", "two shards", "resume after kill -9"):
        assert f"{way}: decoded.parquet differs" in row["why"], row["why"]
        assert f"{way}: verdict.json differs" in row["why"]


def test_noise_of_a_batch_fails_r4(repro):
    found = repro("toys.Coupled", "levels=[R4]")
    row = found.document["levels"]["R4"]
    assert (row["verdict"], row["exact"]) == ("FAIL", False)
    assert "batch of" in row["why"]
    assert found.document["reached"] == ""


def test_rounding_in_a_batch_is_r4t_and_a_stage_is_named(repro):
    found = repro("planted.Batching", "levels=[R4]", "pictures=1")
    row = found.document["levels"]["R4"]
    assert (row["verdict"], row["exact"]) == ("PASS", False), row["why"]
    assert row["divergence"]["stage"] == "network.second Second"
    assert 0 < row["measured"][""]["max_abs"] < 2e-6


def test_a_batch_that_fell_apart_shows_nothing(repro):
    found = repro("planted.Batching", "levels=[R4]", "+decoder.most=3")
    row = found.document["levels"]["R4"]
    assert row["verdict"] == "INVALID"
    assert row["why"] == "not every batch of 4 could be decoded as one"
    assert found.exit_code == 5


def test_a_batch_of_wrong_sizes_is_no_batch(repro):
    """Its pictures are made again one by one, which must not look like equality."""
    found = repro("planted.Cropping", "levels=[R4]")
    assert found.document["levels"]["R4"]["verdict"] == "INVALID"


def test_what_breaks_in_a_batch_alone_fails_r4(repro):
    row = repro("planted.Overflowing", "levels=[R4]").document["levels"]["R4"]
    assert row["verdict"] == "FAIL"
    assert "in batches of 2" in row["why"]
    assert "NaN or infinite" in row["why"]


def test_a_decoder_that_fails_is_invalid_not_reproducible(repro):
    found = repro("toys.Breaks", "levels=[R1,R3,R4]", "+decoder.sample=p00", "+decoder.how=raise")
    assert verdicts(found) == dict.fromkeys(("R1", "R3", "R4"), "INVALID")
    for level in ("R1", "R3"):
        assert "the sampler diverged" in found.document["levels"][level]["why"]


def test_numbers_that_are_none_are_no_picture(repro):
    found = repro("toys.Breaks", "levels=[R1,R3]", "+decoder.sample=p00", "+decoder.how=infinite")
    assert verdicts(found) == {"R1": "INVALID", "R3": "INVALID"}


def test_levels_add_up_over_several_checks(repro):
    repro("toys.Sampler", "levels=[R1]")
    found = repro("toys.Sampler", "levels=[R4]")
    assert verdicts(found) == {"R1": "PASS", "R4": "PASS"}
    other = repro("toys.Sampler", "levels=[R4]", "+decoder.noise=0.2")
    assert verdicts(other) == {"R4": "PASS"}, "another decoder has a document of its own"


def test_the_gate_reads_what_repro_wrote(repro, toy):
    repro("toys.Sampler", "levels=[R1]")
    gate = ["gate=[reproducibility]", "gate.reproducibility.level=R1"]
    passed = evaluate(*toy("Sampler", *gate))
    assert [row["state"] for row in passed.verdict["gates"]] == ["PASS"], passed.verdict["gates"]
    asked = evaluate(*toy("Sampler", "gate=[reproducibility]", "gate.reproducibility.level=R4"))
    assert asked.exit_code == 5


def test_a_request_that_cannot_work_is_refused_before_anything_is_made(repro, workdir):
    for words in (["levels=[R5]"], ["pictures=0"], ["against=nowhere"], ["vary=[odd]"]):
        with pytest.raises(UsageError):
            repro("toys.Sampler", *words)
    assert not (workdir / "runs").exists()
