"""`qa judge`: whose rules, against what, and what it prints."""

from __future__ import annotations

import json
import shutil

import pytest
from arms import arm
from reviews import answered, planned
from stored import put_scores
from toyruns import toy_overrides

from qa.cli import run
from qa.files import read_json, write_json
from qa.scores import no_scores
from qa.store import RunFolder


@pytest.fixture
def runs(workdir, pictures):
    """A baseline and a worse candidate, as run folders `base` and `worse`."""
    run(["run", *toy_overrides(pictures, "Sampler", "out=base")])
    run(["run", *toy_overrides(pictures, "Sampler", "+decoder.noise=0.2", "out=worse")])
    return workdir


@pytest.fixture
def tables(workdir):
    """Two bare tables, a decibel apart."""
    for name, shift in (("good", 0.0), ("bad", 1.0)):
        arm(shift).scores.to_csv(workdir / f"{name}.csv", index=False)
    return workdir


def judged(capsys, *arguments):
    capsys.readouterr()
    code = run(["judge", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_run_is_asked_its_own_gates_and_a_table_regression(runs, tables, capsys):
    code, verdict = judged(capsys, "worse", "--baseline", "base")
    assert code == 3
    assert [row["gate"] for row in verdict["gates"]] == ["regression", "tail"]
    code, verdict = judged(capsys, "bad.csv", "--baseline", "good.csv")
    assert code == 3
    assert [row["gate"] for row in verdict["gates"]] == ["regression"]
    assert verdict["use_case"] == "photo"


def test_answers_of_a_review_are_judged_with_the_scores(runs, capsys):
    """By default, and only where somebody answered."""
    code, verdict = judged(capsys, "worse", "--baseline", "base")
    assert verdict["terms"]["gates"] == ["preference", "regression", "tail"]
    assert "preference" not in {row["gate"] for row in verdict["gates"]}
    folder = planned(RunFolder(runs / "worse"), RunFolder(runs / "base"))
    answered(folder, lambda pair, rater: "second")
    code, verdict = judged(capsys, "worse", "--baseline", "base", "--save")
    row = verdict["gates"][-1]
    assert (code, row["gate"], row["metric"]) == (3, "preference", "overall")
    assert (row["state"], row["estimate"], row["candidate"]) == ("FAIL", 0.5, 0.0)
    assert RunFolder(runs / "worse").verdict()["gates"][-1] == row
    assert run(["report", "worse"]) == 0
    assert "Judgement by people and models" in (runs / "worse/report.html").read_text("utf-8")


def changed(folder, **record):
    """Change entries of a run's record; `a__b` is entry b of a."""
    file = folder / "record.json"
    whole = read_json(file)
    for path, value in record.items():
        *parents, last = path.split("__")
        inner = whole
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    write_json(file, whole)


def without_a_sample(folder):
    run = RunFolder(folder)
    *rows, lost = run.samples()
    run.write_samples(rows)
    scores, decoded = run.scores(), run.decoded()
    put_scores(run, scores[scores["sample"] != lost["id"]])
    decoded[decoded["sample"] != lost["id"]].to_parquet(run.decoded_file)


def without_scores(folder):
    put_scores(RunFolder(folder), no_scores())


FAULTS = {
    "fingerprint of psnr": lambda run: changed(run, facts__psnr__fingerprint="0" * 16),
    "samples: 1 only in the baseline": without_a_sample,
    "limit": lambda run: changed(run, limited=True),
    "environment: class": lambda run: changed(run, environment__class="0" * 12),
    "nothing was measured": without_scores,
}


@pytest.mark.parametrize("field", FAULTS)
def test_what_cannot_be_compared_ends_with_5_and_names_the_field(runs, capsys, field):
    policy = "release" if field.startswith("environment") else "pr"
    arms = ("same", "--baseline", "base", "--policy", policy)
    shutil.copytree(runs / "base", runs / "same")
    code, verdict = judged(capsys, *arms)
    assert not any(field in problem for problem in verdict["problems"])  # negative control
    FAULTS[field](runs / "same")
    code, verdict = judged(capsys, *arms)
    assert (code, verdict["state"]) == (5, "INVALID")
    assert any(problem.startswith(field) for problem in verdict["problems"]), verdict["problems"]


def test_the_policy_is_the_runs_or_the_one_given(runs, capsys):
    assert judged(capsys, "worse", "--baseline", "base")[1]["policy"] == "pr"
    verdict = judged(capsys, "worse", "--baseline", "base", "--policy", "release")[1]
    assert verdict["policy"] == "release"
    with pytest.raises(SystemExit):
        run(["judge", "worse", "--policy", "strict"])


def test_margins_given_by_hand_are_primary_and_may_be_shares(tables, capsys):
    code, verdict = judged(capsys, "bad.csv", "--baseline", "good.csv", "--margin", "psnr=5%")
    (row,) = verdict["gates"]
    assert (code, row["state"], verdict["use_case"]) == (0, "PASS-DRIFT", None)
    assert row["margin"] == pytest.approx(0.05 * row["baseline"])
    assert (row["role"], row["margin_why"]) == ("primary", "given on the command line")


def test_too_many_margins_are_refused(tables, capsys):
    many = [word for i in range(7) for word in ("--margin", f"m{i}=1")]
    assert run(["judge", "bad.csv", "--baseline", "good.csv", *many]) == 2
    assert "at most 6" in capsys.readouterr().err


def test_a_use_case_of_ones_own(tables, capsys):
    (tables / "mine.yaml").write_text("margins: {psnr: {margin: 5, why: mine}}\n")
    code, verdict = judged(capsys, "bad.csv", "--baseline", "good.csv", "--use-case", "mine.yaml")
    assert (code, verdict["use_case"]) == (0, "mine")
    assert run(["judge", "bad.csv", "--baseline", "good.csv", "--use-case", "yours"]) == 2


def test_a_failed_run_is_not_promoted_on_softer_terms(runs, capsys):
    """A file of the same name with a wider margin, and a policy that forgives drift."""
    assert run(["baseline", "promote", "base", "--reason", "first"]) == 0
    (runs / "photo.yaml").write_text("margins: {psnr: {margin: 50, why: fine}}\n")
    assert run(["judge", "worse", "--save"]) == 3
    assert run(["judge", "worse", "--use-case", "photo.yaml", "--save"]) == 0
    capsys.readouterr()
    promote = ["baseline", "promote", "worse", "--reason", "x"]
    assert run(promote) == 2
    assert "other numbers under the name photo" in capsys.readouterr().err


def test_a_release_run_is_not_promoted_on_a_verdict_for_a_pull_request(runs, pictures, capsys):
    assert run(["baseline", "promote", "base", "--reason", "first"]) == 0
    terms = ("policy=release", "gate=[regression]", "use_case.drift.budget=0.01")
    overrides = toy_overrides(pictures, "Sampler", "+decoder.noise=0.0506", "out=rel", *terms)
    assert run(["run", *overrides]) == 3
    assert run(["judge", "rel", "--policy", "pr", "--save"]) == 0
    capsys.readouterr()
    assert run(["baseline", "promote", "rel", "--reason", "x"]) == 2
    assert "was judged by policy=pr" in capsys.readouterr().err


def test_a_promoted_run_is_found_where_it_is(runs, capsys):
    assert run(["baseline", "promote", "base", "--reason", "first", "--baselines", "kept"]) == 0
    assert run(["judge", "worse"]) == 2, "the run's own folder has none"
    code, verdict = judged(capsys, "worse", "--baselines", "kept")
    assert code == 3
    assert len(verdict["baseline"]["content"]) == 64
    assert verdict["baseline"]["why"] == "first"
