"""What a run of MLflow leads to: samples of its machine, its baseline, its model, its table."""

import json
from pathlib import Path

import pytest
from tracked import STARTED, VERDICT, client_of, make_run, run_of, table_of

from qa import usage
from qa.errors import QaError
from qa.files import write_json
from qa.signature import Signature, add, digests
from qa.tracking import MLflow
from qa.tracking.note import TABLE
from qa.tracking.values import MISSING


def test_more_samples_of_the_machine_are_added_to_those_that_are_there(runs, uri):
    folder = make_run(runs / "sampled")
    name, times = "cpu_utilization_percentage", [STARTED, STARTED + 1000]
    file = folder.path / usage.FILE
    write_json(file, {"schema": usage.SCHEMA, "times": times, "values": {name: [1.0, 2.0]}})
    MLflow().export(folder.path)
    run = run_of(uri, folder)
    later = {"times": [*times, STARTED + 61000], "values": {name: [1.0, 2.0, 3.0]}}
    write_json(file, {"schema": usage.SCHEMA, **later})
    MLflow().export(folder.path)
    history = client_of(uri).get_metric_history(run.info.run_id, f"system/{name}")
    assert sorted((p.step, p.value) for p in history) == [(0, 1.0), (1, 2.0), (61, 3.0)]
    assert MISSING + f"system/{name}" not in run_of(uri, folder).data.tags


def test_the_baseline_is_found_by_its_plan_and_never_the_run_itself(runs, uri):
    verdict = {**VERDICT, "baseline": {"name": "twin", "plan": "ab" * 32}}
    alone = make_run(runs / "alone", verdict, plan="ab" * 32)
    MLflow().export(alone.path)
    assert "qa.baseline.run" not in run_of(uri, alone).data.tags
    first = make_run(runs / "other-folder", VERDICT, plan="ab" * 32)
    MLflow().export(first.path)
    MLflow().export(alone.path)
    assert run_of(uri, alone).data.tags["qa.baseline.run"] == run_of(uri, first).info.run_id
    named = make_run(runs / "twin", VERDICT, plan="ab" * 32)
    MLflow().export(named.path)
    MLflow().export(alone.path)
    run = run_of(uri, alone)
    assert run.data.tags["qa.baseline.run"] == run_of(uri, named).info.run_id
    assert f"/runs/{run_of(uri, named).info.run_id})" in run.data.tags["mlflow.note.content"]


@pytest.mark.parametrize("plan", [None, "", "x' or '1' = '1"])
def test_a_baseline_that_has_no_digest_is_not_looked_for(runs, uri, plan):
    verdict = {**VERDICT, "baseline": {"name": "table", "plan": plan}}
    folder = make_run(runs / "against-a-table", verdict)
    MLflow().export(folder.path)
    tags = run_of(uri, folder).data.tags
    assert "qa.baseline.run" not in tags
    assert "Baseline: table" in tags["mlflow.note.content"]


def test_other_weights_are_another_model_and_the_same_ones_are_not(exported, runs, uri):
    def models(folder):
        return [found.model_id for found in run_of(uri, folder).inputs.model_inputs]

    same = make_run(runs / "same-weights", knobs={"sigma": 0.7})
    other = make_run(runs / "other-weights", decoder_digest="ef" * 32)
    none = make_run(runs / "no-weights", decoder_digest=None)
    for folder in (same, other, none):
        MLflow().export(folder.path)
    assert models(same) == models(exported[0]) != models(other)
    assert models(none) == []


def test_a_changed_licence_is_changed_in_the_model_too(runs, uri):
    folder = make_run(runs / "licensed", decoder_digest="cd" * 32)
    MLflow().export(folder.path)
    write_json(folder.record_file, {**folder.record(), "licence": "MIT"})
    MLflow().export(folder.path)
    (used,) = run_of(uri, folder).inputs.model_inputs
    assert client_of(uri).get_logged_model(used.model_id).tags["qa.licence"] == "MIT"


def test_a_server_without_models_gets_the_rest(runs, uri, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND, INTERNAL_ERROR

    def fail(code):
        def answer(*_args, **_kwargs):
            raise MlflowException("no such page", error_code=code)

        return answer

    folder = make_run(runs / "old-server", suite="old-server")
    monkeypatch.setattr(MlflowClient, "search_logged_models", fail(ENDPOINT_NOT_FOUND))
    MLflow().export(folder.path)
    run = run_of(uri, folder)
    assert run.data.tags["qa.verdict"] == "FAIL"
    assert run.inputs.model_inputs == []
    monkeypatch.setattr(MlflowClient, "search_logged_models", fail(INTERNAL_ERROR))
    with pytest.raises(QaError, match="no such page"):
        MLflow().export(folder.path)


def test_tables_of_others_stay_listed(runs, uri):
    folder = make_run(runs / "with-tables")
    MLflow().export(folder.path)
    client, run_id = client_of(uri), run_of(uri, folder).info.run_id
    theirs = {"path": "theirs.json", "type": "table"}
    client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps([theirs]))
    MLflow().export(folder.path)
    MLflow().export(folder.path)
    listed = json.loads(client.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    assert listed == [theirs, {"path": TABLE, "type": "table"}]


def test_a_withdrawn_verdict_empties_the_table(runs, uri):
    folder = make_run(runs / "emptied")
    MLflow().export(folder.path)
    run = run_of(uri, folder)
    assert len(table_of(uri, run, TABLE)) == 1
    write_json(folder.verdict_file, {**VERDICT, "state": "MEASURED", "gates": []})
    MLflow().export(folder.path)
    assert len(table_of(uri, run, TABLE)) == 0


def test_a_signature_comes_and_goes_with_what_it_was_given_for(runs, uri):
    folder = make_run(runs / "signed")
    MLflow().export(folder.path)
    assert "qa.decision" not in run_of(uri, folder).data.tags
    when = "2026-11-22T10:00:00+00:00"
    signature = Signature("HOLD", "Ada", "see #9", when, "HOLD", "FAIL", *digests(folder), ())
    add(folder, signature)
    MLflow().export(folder.path)
    run = run_of(uri, folder)
    assert (run.data.tags["qa.decision"], run.data.tags["qa.decision.by"]) == ("HOLD", "Ada")
    assert run.data.tags["qa.decision.verdict"] == signature.verdict
    assert "**HOLD** signed by Ada" in run.data.tags["mlflow.note.content"]
    got = client_of(uri).download_artifacts(run.info.run_id, "signoff.json")
    assert Path(got).read_bytes() == folder.signoff_file.read_bytes()
    write_json(folder.verdict_file, {**VERDICT, "summary": "judged again"})
    MLflow().export(folder.path)
    tags = run_of(uri, folder).data.tags
    assert tags["qa.decision.broken"].endswith("verdict.json changed")
    assert [key for key in tags if key.startswith("qa.decision")] == ["qa.decision.broken"]
    folder.signoff_file.unlink()
    MLflow().export(folder.path)
    assert not [key for key in run_of(uri, folder).data.tags if key.startswith("qa.decision")]
