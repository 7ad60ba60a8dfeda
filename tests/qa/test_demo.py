"""The first five minutes, and what they leave in MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa import cli, setting
from qa.demo import demo
from qa.errors import QaError
from qa.store import RunFolder

pytestmark = [
    pytest.mark.slow,
    # What the dial says of so few words; a person sees it as a line.
    pytest.mark.filterwarnings("default:.*only the reference keeps:RuntimeWarning"),
]


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
    """The demo's runs over the whole suite, by what they are."""
    found = [RunFolder.open(file.parent) for file in place.glob("runs/*/record.json")]
    names = {
        "pid_mini_shifted": "defect", "pid_mini": "candidate", "vae_mini_bicubic": "baseline",
    }  # fmt: skip
    whole = [run for run in found if run.record()["suite"] == "legibility"]
    assert len(whole) == len(names)
    return {names[run.record()["decoder"]]: run for run in whole}


def test_the_verdicts_are_what_the_story_says(shown):
    verdicts = {name: run.verdict() for name, run in runs_of(shown).items()}
    states = {name: v["state"] for name, v in verdicts.items()}
    assert (states["baseline"], states["defect"]) == ("MEASURED", "FAIL")
    plans = {name: v["candidate"]["plan"] for name, v in verdicts.items()}
    assert verdicts["candidate"]["baseline"]["plan"] == plans["baseline"]
    assert verdicts["defect"]["baseline"]["plan"] == plans["candidate"]
    gates = {gate["metric"]: gate["state"] for gate in verdicts["defect"]["gates"]}
    assert (gates["psnr"], gates["gmsd"]) == ("FAIL", "FAIL")


def test_the_generative_decoder_has_more_fine_detail(shown):
    gates = {gate["metric"]: gate for gate in runs_of(shown)["candidate"].verdict()["gates"]}
    assert gates["hf_energy"]["state"] == "IMPROVED"
    assert gates["hf_energy"]["high"] < -0.1


def test_the_report_shows_words_and_where_the_seeds_differ(shown):
    page = runs_of(shown)["candidate"].report_file.read_text()
    assert "Worst words" in page
    assert page.count('<figure class="box word">') == 24
    assert "standard deviation over the seeds" in page
    still = runs_of(shown)["baseline"].report_file.read_text()
    assert "standard deviation over the seeds" not in still


def test_the_dial_picks_another_setting_for_each_use_case(shown):
    """Documents stay at the reference, whose words nobody can have lost; creative work does not."""
    found = [json.loads(file.read_text()) for file in shown.glob("runs/dial-*/dial.json")]
    documents = {document["use_case"]: document for document in found}
    assert {name: dial["picked"] for name, dial in documents.items()} == {
        "document": "steps=2", "creative": "steps=4",
    }  # fmt: skip
    for name, dial in documents.items():
        assert dial["state"] == "CONFIRMED"
        assert any(setting["front"] for setting in dial["settings"])
        assert setting.read(shown / "dials" / f"pid_mini-{name}.yaml").use_case == name
    (sharper,) = (row for row in documents["document"]["settings"] if row["name"] == "steps=4")
    assert "unreadable_words" in sharper["why"]
    assert len(list(shown.glob("runs/dial-*/dial.html"))) == 2


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
    assert len(before) == 4, "a parent for the suite, a child for each of three runs"
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
        assert {"verdict.json", "report.html", "scores"} <= set(before[child.info.run_id][3])
        MLflow().export(run.path)
    assert stored() == before


def test_it_can_be_run_again_and_leaves_other_baselines_alone(shown, monkeypatch):
    """The second time everything is there already; a baseline of the user's own is not touched."""
    monkeypatch.chdir(shown)
    monkeypatch.setenv("QA_CACHE", str(shown / "cache"))
    pointer = shown / "baselines" / "legibility.json"
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
