"""The same on every kind of store: SQLite, a server over HTTP, PostgreSQL."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from tracked import JUDGED, RECORD, client_of, make_run, run_of, snapshot, table_of, tree

from qa import usage
from qa.files import write_json
from qa.tracking import MLflow, baselines
from qa.tracking.connection import ENVIRONMENT
from qa.tracking.exporter import FILES, SHEET
from qa.tracking.note import TABLE

EIGHT = 8
SAMPLES = {
    "schema": usage.SCHEMA,
    "times": [1767323045000, 1767323046004, 1767323047500],
    "values": {
        "cpu_utilization_percentage": [50.0, 75.5, None],
        "process_memory_usage_megabytes": [100.0, 200.0, 300.0],
    },
}
REPRO = {
    "schema": "decoder-qa/repro/1", "decoder_digest": RECORD["decoder_digest"],
    "inputs": RECORD["inputs"],
    "environment": {"class": "c1a55"}, "date": "2026-01-02T00:00:00+00:00", "reached": "R1",
    "levels": {"R0": {"verdict": "PASS"}, "R1": {"verdict": "PASS"}, "R2": {"verdict": "FAIL"}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Files of a database that is reached directly lie in the working folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def experiment():
    """A name of its own: the server is shared."""
    return f"test-{uuid.uuid4().hex}"


def judged(path, **record):
    """A run that leaves every kind of thing to export, and its baseline."""
    folder = make_run(path, JUDGED, **record)
    write_json(folder.path / usage.FILE, SAMPLES)
    write_json(path.parent / "repro-mini" / "repro.json", REPRO)
    return folder


def test_everything_arrives_and_arrives_once(store, experiment, tmp_path):
    from mlflow.entities import ViewType

    tracker = MLflow(uri=store, experiment=experiment)
    base = make_run(tmp_path / "runs" / "base", plan="b" * 64)
    tracker.export(base.path)
    folder = judged(tmp_path / "runs" / "x")
    location = tracker.export(folder.path)
    client = client_of(store)
    run, measure = (run_of(store, each, experiment) for each in (folder, base))
    run_id, data = run.info.run_id, run.data
    assert run_id in location

    assert data.metrics["gate/psnr/harm"] == 0.5
    assert data.metrics["gate/psnr/high"] == 0.6
    assert data.metrics["gate/anchor/psnr/harm"] == -0.5
    assert data.metrics["gate/tail/catastrophe/high"] == 0.6
    assert data.metrics["drift/psnr/spent"] == 0.03
    expected = {
        "qa.gate.psnr": "FAIL", "qa.gate.dists": "PASS-DRIFT", "qa.gate.anchor/psnr": "IMPROVED",
        "qa.waiver.lpips": "waived until 2031-01-31 by Ada: known since May",
        "qa.policy": "release", "qa.look": "1 of 3: 3 of 12 pictures", "qa.repro": "R1",
        "qa.repro.R2": "FAIL", "qa.baseline.run": measure.info.run_id,
    }  # fmt: skip
    assert {key: data.tags.get(key) for key in expected} == expected
    link = f"#/experiments/{measure.info.experiment_id}/runs/{measure.info.run_id}"
    assert f"[base]({link})" in data.tags["mlflow.note.content"]

    table = table_of(store, run, TABLE)
    assert list(table["metric"]) == [
        "psnr", "catastrophe", "dists", "level", "psnr", "lpips", "ssim",
    ]  # fmt: skip
    assert table["harm"][0] == 0.5
    assert json.loads(data.tags["mlflow.loggedArtifacts"]) == [{"path": TABLE, "type": "table"}]

    (model,) = client.search_logged_models([run.info.experiment_id])
    assert {i.model_id for i in run.inputs.model_inputs} == {model.model_id}
    assert {i.model_id for i in measure.inputs.model_inputs} == {model.model_id}
    assert model.params["digest"] == RECORD["decoder_digest"]
    assert model.tags["qa.licence"] == "Apache-2.0"
    assert str(model.status) == "READY"
    of_run = {m.key: m.value for m in model.metrics if m.run_id == run_id}
    assert of_run == {k: v for k, v in data.metrics.items() if not k.startswith("system/")}
    assert {(m.dataset_name, m.dataset_digest) for m in model.metrics} == {
        ("mini", RECORD["suite_digest"][:36])
    }

    history = client.get_metric_history(run_id, "system/cpu_utilization_percentage")
    assert [(p.timestamp, p.step, p.value) for p in history] == [
        (1767323045000, 0, 50.0), (1767323046004, 1, 75.5),
    ]  # fmt: skip
    files = {item.path for item in client.list_artifacts(run_id)}
    lacking = {"sets.json", "panels.json", "reviews", "signoff.json"}
    assert files == {*FILES, SHEET, TABLE, "repro.json"} - lacking
    for name in FILES:
        if name in files:
            got = Path(client.download_artifacts(run_id, name, str(tmp_path)))
            own = folder.path / name
            if own.is_dir():
                assert contents(got) == contents(own)
            else:
                assert got.read_bytes() == own.read_bytes()

    before = snapshot(store, experiment)
    assert tracker.export(folder.path) == location
    assert snapshot(store, experiment) == before
    assert len(client.search_runs([run.info.experiment_id], run_view_type=ViewType.ALL)) == 3


MEETING = """
import contextlib, pathlib, sys, time
from qa.tracking import MLflow, exporter

run, uri, name, together = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
open_client = exporter.open_client

def meet(*args, **kwargs):
    run.with_suffix(".met").touch()
    end = time.monotonic() + (60 if together > 2 else 3)
    while time.monotonic() < end and len(list(run.parent.glob("*.met"))) < together:
        time.sleep(0.001)
    return open_client(*args, **kwargs)

exporter.open_client = meet
if together > 2:
    exporter.locked = lambda uri: contextlib.nullcontext()
MLflow(uri=uri, experiment=name).export(run)
"""
"""Exports, but waits for others just before the store is opened, so that all would set it up at the
same moment. With the lock the first waits for a second in vain. More than two: without the lock."""


def export_together(folders, store, experiment, together=2):
    """Exit codes and output of a process for each folder, all at once."""
    environment = {k: v for k, v in os.environ.items() if k not in ENVIRONMENT}
    command = [sys.executable, "-c", MEETING]
    processes = [
        subprocess.Popen(
            [*command, str(folder.path), store, experiment, str(together)],
            cwd=folders[0].path.parents[1], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for folder in folders
    ]  # fmt: skip
    said = [process.communicate(timeout=300) for process in processes]
    return [process.returncode for process in processes], said


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("server", "postgres"))],
)
def test_eight_processes_share_an_empty_store(kind, request, experiment, tmp_path):
    store = request.getfixturevalue(kind)
    folders = [make_run(tmp_path / "runs" / f"p{index}") for index in range(EIGHT)]
    codes, said = export_together(folders, store, experiment)
    assert said == [("", "")] * EIGHT
    assert codes == [0] * EIGHT
    found = snapshot(store, experiment)
    runs = [run_of(store, folder, experiment) for folder in folders]
    assert len(found["runs"]) == EIGHT + 1
    assert len({run.data.tags["mlflow.parentRunId"] for run in runs}) == 1
    assert len(found["models"]) == 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {len(run.data.metrics) for run in runs} == {19}
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {"here", "runs", "store"}, "nothing is left in the working folder"


def test_negative_control_without_the_lock_they_collide(sqlite, experiment, tmp_path):
    folders = [make_run(tmp_path / "runs" / f"p{index}") for index in range(4)]
    codes, _ = export_together(folders, sqlite, experiment, together=4)
    whole = codes == [0] * 4 and len(snapshot(sqlite, experiment)["runs"]) == 5
    assert not whole


def kept(place, **more):
    """The folder of a baseline; the name of one of its files is hard on artifact stores."""
    entry = {"run": "runs/x", "decoder": "vae_mini", "by": "Ada", "why": "it is good",
             "environment": {"class": "c1a55", "decides": {}}, **more}  # fmt: skip
    write_json(place / "object.json", entry)
    (place / "features" / "f00d").mkdir(parents=True)
    (place / "features" / "f00d" / "b%2Fü #1?.safetensors").write_bytes(bytes(range(256)) * 50)
    (place / "decoded.parquet").write_bytes(b"pictures")
    content = hashlib.sha256((place / "object.json").read_bytes()).hexdigest()
    return place, content


def contents(place):
    files = (file for file in place.rglob("*") if file.is_file())
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}


def test_a_baseline_comes_back_as_it_went(store, tmp_path):
    suite = f"photos {uuid.uuid4().hex} é"
    place, content = kept(tmp_path / "photos-1")
    before = tree(place)
    where = baselines.upload(place, suite, content, store)
    assert tree(place) == before
    assert baselines.upload(place, suite, content, store) == where
    baselines.download(where, tmp_path / "new" / "copy")
    assert contents(tmp_path / "new" / "copy") == contents(place)
    client = client_of(store)
    run = client.get_run(where.rpartition("#")[2])
    assert run.info.status == "FINISHED"
    expected = {"approved": "true", "qa.suite": suite, "qa.environment": "c1a55",
                "qa.baseline.by": "Ada", "qa.baseline.content": content}  # fmt: skip
    assert {key: run.data.tags.get(key) for key in expected} == expected
    assert {f.path for f in client.list_artifacts(run.info.run_id)} == {
        "object.json", "baseline.zip",
    }  # fmt: skip

    other, its = kept(tmp_path / "photos-2", why="it is better")
    moved = baselines.upload(other, suite, its, store)
    assert approved(client, suite) == [moved.rpartition("#")[2]]
    elsewhere, third = kept(tmp_path / "photos-3", environment={"class": "0ther"})
    also = baselines.upload(elsewhere, suite, third, store)
    assert approved(client, suite) == sorted(each.rpartition("#")[2] for each in (moved, also))
    assert baselines.upload(place, suite, content, store) == where, "back to the first"
    assert approved(client, suite) == sorted(each.rpartition("#")[2] for each in (where, also))
    baselines.download(moved, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(other), "one that is replaced stays readable"


def approved(client, suite):
    experiment = client.get_experiment_by_name(baselines.EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], "tags.approved = 'true'")
    return sorted(run.info.run_id for run in runs if run.data.tags["qa.suite"] == suite)


def test_a_run_leads_to_its_baseline_where_only_that_is_kept(store, experiment, tmp_path):
    place, content = kept(tmp_path / "base", why=uuid.uuid4().hex)
    where = baselines.upload(place, "mini", content, store)
    verdict = {**JUDGED, "baseline": {"name": "base", "plan": "d" * 64, "content": content}}
    folder = make_run(tmp_path / "runs" / "x", verdict)
    MLflow(uri=store, experiment=experiment).export(folder.path)
    run = run_of(store, folder, experiment)
    assert run.data.tags["qa.baseline.run"] == where.rpartition("#")[2]
    shutil.rmtree(place)
