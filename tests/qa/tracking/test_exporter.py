"""The MLflow exporter, read back through MlflowClient."""

import copy
import json
import math
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from tracked import (
    RECORD,
    STARTED,
    SUITE_DIGEST,
    VERDICT,
    client_of,
    local,
    make_run,
    run_of,
    snapshot,
    tree,
)  # fmt: skip

from qa.errors import QaError
from qa.files import write_bytes, write_json
from qa.tracking import MLflow, NoTracking
from qa.tracking.exporter import FILES, SHEET
from qa.tracking.note import TABLE
from qa.tracking.upsert import Upsert
from qa.tracking.values import MISSING

pytestmark = [
    # MLflow's model of its tables asks for a loader that SQLAlchemy 2.1 is dropping.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
WRITTEN = {*FILES, SHEET, TABLE} - {
    "panels.json", "reviews", "sets.json", "signoff.json", "usage.json",
}  # fmt: skip
"""What the run of `tracked` has."""


def test_numbers_arrive_exactly(exported, uri):
    run = run_of(uri, exported[0])
    assert run.data.metrics == {
        "psnr/mean": 26.2, "psnr/low": -1.5, "psnr/high": 1e300, "psnr/count": 2.0,
        "psnr/missing": 1.0, "lpips/count": 0.0, "lpips/missing": 3.0,
        "gate/psnr/harm": 0.1 + 0.2, "gate/psnr/low": 1e-17, "gate/psnr/high": 0.7,
        "gate/psnr/margin": 0.05, "gate/psnr/count": 2.0, "gate/psnr/missing": 0.0,
        "decode/pictures": 2.0, "decode/failures": 1.0, "decode/clipped": 4.0,
        "decode/seconds_median": 0.25, "decode/seconds_p95": 0.25,
        "decode/pictures_per_second": 4.0,
    }  # fmt: skip
    history = client_of(uri).get_metric_history(run.info.run_id, "psnr/mean")
    assert [(point.timestamp, point.step) for point in history] == [(STARTED + 60000, 0)]


def test_missing_numbers_are_tags_and_never_nan(exported, uri):
    run = run_of(uri, exported[0])
    assert all(map(math.isfinite, run.data.metrics.values()))
    missing = {k.removeprefix(MISSING): v for k, v in run.data.tags.items() if MISSING in k}
    assert missing == {
        **dict.fromkeys(("lpips/mean", "lpips/low", "lpips/high"), "no weights"),
        "decode/peak_bytes": "the device does not tell",
        "decode/seconds_warm": "every picture was a first",
        "decode/tokens": "the decoder does not tell",
    }


def test_params_and_tags(exported, uri):
    run = run_of(uri, exported[0])
    params, tags = run.data.params, run.data.tags
    assert params["decoder"] == "vae_mini"
    assert params["use_case"] == "photo"
    assert params["seeds"] == "1"
    assert params["knobs.sigma"] == "0.1"
    assert params["knobs.steps"] == params["latents_digest"] == "none"
    assert params["plan"] == RECORD["plan"]
    assert run.info.run_name == "vae_mini sigma=0.1"
    assert (run.info.start_time, run.info.end_time) == (STARTED, STARTED + 60000)
    assert run.info.status == "FINISHED"
    expected = {
        "qa.verdict": "FAIL", "qa.exit_code": "3", "qa.gate.psnr": "FAIL", "qa.limited": "false",
        "qa.git.commit": "0" * 40, "qa.git.dirty": "true", "qa.licence": "Apache-2.0",
        "qa.weights": RECORD["decoder_digest"], "qa.fingerprint.psnr": "f00d" * 4,
        "qa.environment": "c1a55", "qa.baseline": "base", "qa.run": "first",
        "qa.unavailable.piqe": "pyiqa is not installed",
    }  # fmt: skip
    assert {key: tags.get(key) for key in expected} == expected


def test_parent_is_the_suite_and_both_have_the_dataset(exported, uri):
    run = run_of(uri, exported[0])
    parent = client_of(uri).get_parent_run(run.info.run_id)
    assert parent.info.run_name == "mini"
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"suite": "mini", "suite_digest": SUITE_DIGEST}
    for each in (run, parent):
        (used,) = each.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("mini", SUITE_DIGEST[:36])
        assert json.loads(used.dataset.source)["digest"] == SUITE_DIGEST
        assert [(tag.key, tag.value) for tag in used.tags] == [
            ("mlflow.data.context", "evaluation")
        ]


def _files(place):
    return [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]


def test_artifacts_are_the_files(exported, uri, tmp_path):
    folder, location = exported
    run = run_of(uri, folder)
    client = client_of(uri)
    assert run.info.run_id in location
    listed = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert listed == WRITTEN
    for name in listed - {SHEET, TABLE}:
        got = Path(client.download_artifacts(run.info.run_id, name, str(tmp_path)))
        own = folder.path / name
        assert {file.relative_to(got): file.read_bytes() for file in _files(got)} == {
            file.relative_to(own): file.read_bytes() for file in _files(own)
        }
    with Image.open(client.download_artifacts(run.info.run_id, SHEET, str(tmp_path))) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 3 * 512


def test_a_second_export_changes_nothing(exported, uri):
    before = snapshot(uri)
    assert len(before["written"]) == len(WRITTEN) + 1, "scores are two files"
    location = MLflow(uri=uri).export(exported[0].path)
    assert location == exported[1]
    assert snapshot(uri) == before


def test_answers_of_reviews_are_copied_and_so_is_a_new_one(runs, uri, tmp_path):
    folder = make_run(runs / "reviewed")
    file = folder.path / "reviews/overall/answers/person-Ann.jsonl"
    write_bytes(folder.path / "reviews/overall/plan.json", b"{}")
    for text in (b"one\n", b"one\ntwo\n"):
        write_bytes(file, text)
        MLflow(uri=uri).export(folder.path)
        run = run_of(uri, folder)
        got = client_of(uri).download_artifacts(run.info.run_id, "reviews", str(tmp_path))
        assert (Path(got) / "overall/answers/person-Ann.jsonl").read_bytes() == text
        assert (Path(got) / "overall/plan.json").is_file()


def test_negative_control_the_snapshot_sees_each_kind_of_change(exported, uri, tmp_path):
    client = client_of(uri)
    run = run_of(uri, exported[0])
    run_id, (model,) = run.info.run_id, run.inputs.model_inputs
    (tmp_path / "more.txt").write_text("x")
    changes = [
        lambda: client.log_metric(run_id, "psnr/mean", 26.2, timestamp=1, step=7),
        lambda: client.set_tag(run_id, "more", "x"),
        lambda: client.log_param(run_id, "more", "x"),
        lambda: client.set_logged_model_tags(model.model_id, {"more": "x"}),
        lambda: client.log_metric(run_id, "new", 1.0, model_id=model.model_id),
        lambda: client.log_artifact(run_id, str(tmp_path / "more.txt")),
        lambda: client.create_run(run.info.experiment_id),
    ]
    for change in changes:
        before = snapshot(uri)
        change()
        assert snapshot(uri) != before


def test_another_verdict_updates_the_same_run(runs, uri):
    folder = make_run(runs / "judged-again")
    MLflow().export(folder.path)
    first = run_of(uri, folder)
    verdict = copy.deepcopy(VERDICT)
    verdict |= {"state": "PASS", "exit_code": 0, "baseline": {"name": "other", "plan": "c" * 64}}
    verdict["gates"][0] |= {"state": "PASS", "estimate": -0.3}
    write_json(folder.verdict_file, verdict)
    MLflow().export(folder.path)
    second = run_of(uri, folder)
    assert second.info.run_id == first.info.run_id
    assert second.data.tags["qa.verdict"] == second.data.tags["qa.gate.psnr"] == "PASS"
    assert second.data.tags["qa.baseline"] == "other"
    assert second.data.metrics["gate/psnr/harm"] == -0.3
    client = client_of(uri)
    harm, mean = (
        [(m.value, m.step) for m in client.get_metric_history(first.info.run_id, key)]
        for key in ("gate/psnr/harm", "psnr/mean")
    )
    assert sorted(harm, key=lambda point: point[1]) == [(0.1 + 0.2, 0), (-0.3, 1)]
    assert mean == [(26.2, 0)]
    got = client.download_artifacts(first.info.run_id, "verdict.json")
    assert Path(got).read_bytes() == folder.verdict_file.read_bytes()


def test_a_verdict_without_baseline_withdraws_the_gates(runs, uri):
    folder = make_run(runs / "withdrawn")
    MLflow().export(folder.path)
    write_json(folder.verdict_file, {**VERDICT, "state": "MEASURED", "gates": []})
    MLflow().export(folder.path)
    tags = run_of(uri, folder).data.tags
    assert "qa.gate.psnr" not in tags
    assert "no longer" in tags[MISSING + "gate/psnr/harm"]
    before = snapshot(uri)
    MLflow().export(folder.path)
    assert snapshot(uri) == before
    write_json(folder.verdict_file, VERDICT)
    MLflow().export(folder.path)
    tags = run_of(uri, folder).data.tags
    assert tags["qa.gate.psnr"] == "FAIL"
    assert MISSING + "gate/psnr/harm" not in tags


def test_runs_that_differ_are_kept_apart(exported, runs, uri):
    other = make_run(runs / "other-knobs", knobs={"sigma": 0.2})
    machine = make_run(runs / "other-machine", environment={"class": "else"})
    suite = make_run(runs / "other-suite", suite_digest="e" * 64)
    for folder in (other, machine, suite):
        MLflow().export(folder.path)
    first, *rest = [run_of(uri, f) for f in (exported[0], other, machine, suite)]
    assert len({run.info.run_id for run in (first, *rest)}) == 4
    parents = [run.data.tags["mlflow.parentRunId"] for run in (first, *rest)]
    assert parents[0] == parents[1] == parents[2] != parents[3]


@pytest.mark.parametrize("step", ["log_inputs", "log_artifact", "log_batch", "set_terminated"])
def test_an_interrupted_export_is_completed_by_the_next(runs, uri, monkeypatch, step):
    from mlflow import MlflowClient

    folder = make_run(runs / f"interrupted-{step}", suite=step)

    def fail(*_args, **_kwargs):
        raise ConnectionError("the network went away")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, fail)
        with pytest.raises(QaError, match="the network went away") as caught:
            MLflow().export(folder.path)
        assert f"qa export {folder.path}" in caught.value.fix
    MLflow().export(folder.path)
    run = run_of(uri, folder)
    assert run.info.status == "FINISHED"
    assert run.data.tags["qa.verdict"] == "FAIL"
    assert len(run.data.metrics) == 19
    before = snapshot(uri)
    MLflow().export(folder.path)
    assert snapshot(uri) == before


def test_a_missing_artifact_is_put_back(runs, uri):
    folder = make_run(runs / "eaten")
    MLflow().export(folder.path)
    run = run_of(uri, folder)
    stored = local(run.info.artifact_uri) / "decoded.parquet"
    stored.unlink()
    MLflow().export(folder.path)
    assert stored.read_bytes() == folder.decoded_file.read_bytes()


def test_a_deleted_experiment_says_how_to_restore_it(exported, runs, uri):
    MLflow(experiment="gone").export(exported[0].path)
    client = client_of(uri)
    client.delete_experiment(client.get_experiment_by_name("gone").experiment_id)
    with pytest.raises(QaError, match="restore"):
        MLflow(experiment="gone").export(exported[0].path)


def test_threads_share_one_tracker(exported, runs, uri):
    folders = [make_run(runs / f"thread-{index}", suite="threads") for index in range(3)]
    tracker = MLflow()
    threads = [threading.Thread(target=tracker.export, args=[f.path]) for f in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parents = {run_of(uri, folder).data.tags["mlflow.parentRunId"] for folder in folders}
    assert len(parents) == 1


class Recorder:
    """A client that notes the sizes of the batches it is given."""

    def __init__(self):
        self.sizes = []

    def log_batch(self, _run_id, metrics=(), params=(), tags=(), synchronous=None):
        self.sizes.append((len(metrics), len(params), len(tags)))
        assert synchronous


def test_batches_keep_to_the_limits():
    from mlflow.entities import Run, RunData, RunInfo

    info = RunInfo("id", "0", "me", "FINISHED", 0, 0, "active")
    store = Upsert(Recorder(), "0")
    run = Run(info, RunData())
    store.metrics(run, {f"m{index}": 1.0 for index in range(2500)}, 0)
    store.params(run, {f"p{index}": "x" for index in range(250)})
    store.tags(run, {f"t{index}": "x" for index in range(101)})
    assert store.client.sizes == [
        (1000, 0, 0), (1000, 0, 0), (500, 0, 0), (0, 100, 0), (0, 100, 0), (0, 50, 0),
        (0, 0, 100), (0, 0, 1),
    ]  # fmt: skip


def test_no_tracking_does_nothing(tmp_path):
    folder = make_run(tmp_path / "x")
    before = tree(tmp_path)
    assert NoTracking().export(folder.path) == ""
    assert tree(tmp_path) == before


def test_importing_it_imports_nothing_heavy():
    heavy = {"mlflow", "torch", "pandas", "PIL", "sqlalchemy"}
    code = f"import sys, qa.tracking; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
