"""The first five minutes, and what they leave in MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa import cli
from qa.demo import demo
from qa.errors import QaError
from qa.store import RunFolder


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    """A folder in which the demo ran to its end."""
    place = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("QA_CACHE", str(place / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert cli.run(["demo"]) == 0
    return place


def runs_of(place: Path) -> dict[str, RunFolder]:
    """The demo's runs, by what they are."""
    found = [RunFolder.open(file.parent) for file in place.glob("runs/*/record.json")]
    names = {
        "shifted": "defect", "bfloat16": "candidate", "blurred": "blur", "legibility": "words",
        "none": "baseline",
    }  # fmt: skip
    return {
        next(v for k, v in names.items() if k in " ".join(run.record()["command"])): run
        for run in found
    }


def test_the_verdicts_are_what_the_story_says(shown):
    verdicts = {name: run.verdict() for name, run in runs_of(shown).items()}
    states = {name: v["state"] for name, v in verdicts.items()}
    assert (states["baseline"], states["defect"]) == ("MEASURED", "FAIL")
    # bfloat16 rounds a little differently on each kind of CPU; 24 pictures never show it as harm.
    assert states["candidate"] in {"PASS", "INCONCLUSIVE"}
    assert verdicts["defect"]["baseline"]["plan"] == verdicts["baseline"]["candidate"]["plan"]
    assert {gate["state"] for gate in verdicts["defect"]["gates"]} == {"FAIL"}


def test_blurred_words_are_unreadable_and_not_other_words(shown):
    verdicts = {name: run.verdict() for name, run in runs_of(shown).items()}
    assert (verdicts["words"]["state"], verdicts["blur"]["state"]) == ("MEASURED", "FAIL")
    gates = {gate["metric"]: gate for gate in verdicts["blur"]["gates"]}
    assert gates["unreadable_words"]["state"] == "FAIL"
    assert gates["unreadable_words"]["estimate"] > 0.3
    assert gates["wrong_words"]["estimate"] < 0.01


def test_the_report_shows_words_that_can_no_longer_be_read(shown):
    page = runs_of(shown)["blur"].report_file.read_text()
    assert "Worst words" in page
    assert page.count('<figure class="box word">') == 24


def test_the_report_names_the_failing_metric_and_picture(shown):
    run = runs_of(shown)["defect"]
    page = run.report_file.read_text()
    gate = run.verdict()["gates"][0]
    assert gate["metric"] in page
    assert gate["worst"][0]["sample"] in page
    assert "FAIL" in page


def test_mlflow_holds_the_runs_and_a_second_export_adds_nothing(shown):
    from mlflow import MlflowClient

    from qa.tracking import MLflow

    client = MlflowClient(f"sqlite:///{shown}/runs/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "decoder-qa"]

    def stored() -> dict:
        return {
            run.info.run_id: (
                {key: len(client.get_metric_history(run.info.run_id, key))
                 for key in run.data.metrics},
                dict(run.data.tags),
                dict(run.data.params),
                sorted(a.path for a in client.list_artifacts(run.info.run_id)),
                [d.dataset.digest for d in run.inputs.dataset_inputs],
            )
            for run in client.search_runs([experiment.experiment_id])
        }  # fmt: skip

    before = stored()
    assert len(before) == 7, "a parent for each of two suites, a child for each of five runs"
    for name, run in runs_of(shown).items():
        verdict = run.verdict()
        (child,) = [
            r for r in client.search_runs([experiment.experiment_id])
            if r.data.params.get("plan") == verdict["candidate"]["plan"]
        ]  # fmt: skip
        assert child.data.tags["mlflow.parentRunId"] in before
        assert verdict["state"] in child.data.tags.values(), name
        metric = verdict["metrics"][0]
        assert child.data.metrics[f"{metric['metric']}/mean"] == metric["mean"]
        assert {"verdict.json", "report.html", "scores.parquet"} <= set(
            before[child.info.run_id][3]
        )
        MLflow().export(run.path)
    assert stored() == before


def test_it_can_be_run_again_and_leaves_other_baselines_alone(shown, monkeypatch):
    """The second time everything is there already; a baseline of the user's own is not touched."""
    monkeypatch.chdir(shown)
    monkeypatch.setenv("QA_CACHE", str(shown / "cache"))
    pointer = shown / "baselines" / "mini.json"
    ours = pointer.read_text()
    assert cli.run(["demo"]) == 0
    assert pointer.read_text() == ours
    measure = str(runs_of(shown)["baseline"].path)
    assert cli.run(["baseline", "promote", measure, "--reason", "the one we ship"]) == 0
    mine = pointer.read_text()
    assert mine != ours
    assert cli.run(["demo"]) == 0
    assert pointer.read_text() == mine


def test_the_demo_can_fail(workdir):
    """Negative control: a gate that passes the planted defect is an error."""
    with pytest.raises(QaError, match="was not rejected"):
        demo(lambda arguments: 0)
    with pytest.raises(QaError, match="ended with exit 1"):
        demo(lambda arguments: 1)
