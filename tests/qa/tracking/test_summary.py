"""What a tracker is told of a run."""

from dataclasses import replace

import pytest
from tracked import RECORD, VERDICT, make_run

from qa.errors import QaError, UsageError
from qa.files import write_json
from qa.signature import Signature, add, digests
from qa.tracking import MLflow
from qa.tracking.summary import reproducibility, summarise

LEVELS = {"R0": {"verdict": "PASS"}, "R1": {"verdict": "FAIL"}, "R2": {"verdict": "SKIPPED"}}


def repro(file, **changed):
    content = {
        "schema": "decoder-qa/repro/1", "decoder_digest": RECORD["decoder_digest"],
        "inputs": RECORD["inputs"],
        "environment": {"class": "c1a55"}, "date": "2026-01-01", "reached": "R0",
        "levels": LEVELS, **changed,
    }  # fmt: skip
    write_json(file, content)
    return file


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        MLflow().export(tmp_path)
    folder = make_run(tmp_path / "runs" / "x", finished=None)
    with pytest.raises(QaError, match="not finished"):
        MLflow().export(folder.path)
    folder = make_run(tmp_path / "runs" / "y")
    folder.verdict_file.unlink()
    with pytest.raises(QaError, match=r"no verdict\.json"):
        MLflow().export(folder.path)
    folder = make_run(tmp_path / "runs" / "z", suite_digest=None)
    with pytest.raises(QaError, match="suite_digest"):
        MLflow().export(folder.path)
    assert not (tmp_path / "runs" / "mlflow.db").exists()


def test_further_looks_belong_to_the_same_run(tmp_path):
    first, second, other = (
        summarise(
            make_run(
                tmp_path / f"{index}" / "x",
                pictures=n,
                look={"number": 1, "of": 2, "pictures": n, "planned": planned},
            )
        )
        for index, (n, planned) in enumerate([(3, 12), (6, 12), (6, 24)])
    )
    assert first.key == second.key != other.key
    assert first.params["pictures"] == "12"
    assert first.pictures == 12


def test_a_decision_is_told_and_one_for_something_else_only_as_that(tmp_path):
    def decided(run):
        tags = summarise(run).tags
        return {key: value for key, value in tags.items() if key.startswith("qa.decision")}

    run = make_run(tmp_path / "runs" / "x")
    assert decided(run) == {}
    verdict, evidence = digests(run)
    when = "2026-11-22T10:00:00+00:00"
    signed = Signature("HOLD", "Ada", "", when, "HOLD", "FAIL", verdict, evidence, ())
    add(run, replace(signed, why="see #9"))
    told = {"qa.decision": "HOLD", "qa.decision.by": "Ada", "qa.decision.date": when,
            "qa.decision.verdict": verdict}  # fmt: skip
    assert decided(run) == {**told, "qa.decision.why": "see #9"}
    write_json(run.verdict_file, {**VERDICT, "summary": "another"})
    assert decided(run) == {"qa.decision.broken": f"HOLD by Ada, {when}: verdict.json changed"}
    add(run, Signature("SHIP", "Bea", "", when, "SHIP", "PASS", *digests(run), ()))
    assert decided(run)["qa.decision"] == "SHIP"
    assert "qa.decision.why" not in decided(run)
    run.signoff_file.write_text("{}")
    with pytest.raises(QaError, match="is not what `qa signoff` writes"):
        summarise(run)


def test_folders_of_one_name_are_runs_of_their_own(tmp_path):
    """`runs/b` and `other/b` hold two measurements; a folder that was moved holds the same one."""
    one, two, moved = (
        summarise(make_run(tmp_path / place / "b", started=f"2026-01-02T03:04:{second}+00:00"))
        for place, second in [("runs", "05"), ("other", "06"), ("moved", "05")]
    )
    assert one.params == two.params
    assert one.key == moved.key != two.key


def test_the_newest_levels_of_this_decoder_on_this_machine_are_taken(tmp_path):
    old = repro(tmp_path / "repro-a" / "repro.json")
    new = repro(tmp_path / "repro-b" / "repro.json", date="2026-02-01", reached=None)
    repro(tmp_path / "repro-c" / "repro.json", date="2026-03-01", decoder_digest="other")
    repro(tmp_path / "repro-d" / "repro.json", date="2026-03-01", environment={"class": "0ther"})
    (tmp_path / "repro-e").mkdir()
    (tmp_path / "repro-e" / "repro.json").write_text("{")
    repro(tmp_path / "repro-f" / "repro.json", environment=None)
    repro(tmp_path / "repro-g" / "repro.json", levels=None)
    repro(tmp_path / "repro-h" / "repro.json", date="2026-03-01", inputs={"digest": "other"})
    repro(tmp_path / "repro-i" / "repro.json", date="2026-03-01", inputs=None)
    states = {"qa.repro.R0": "PASS", "qa.repro.R1": "FAIL"}
    assert reproducibility(tmp_path, RECORD) == (new, {"qa.repro": "none", **states})
    new.unlink()
    assert reproducibility(tmp_path, RECORD) == (old, {"qa.repro": "R0", **states})
    old.unlink()
    assert reproducibility(tmp_path, RECORD) == (None, {})
