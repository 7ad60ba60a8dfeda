"""The command line as a user meets it: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from stored import put_scores
from toyruns import make_pictures, toy_overrides

from qa.cli import run
from qa.store import RunFolder


@pytest.fixture
def tables(tmp_path) -> dict[str, str]:
    """CSV tables: a base, an equal candidate, a worse one."""
    paths = {}
    for name, shift in (("base", 0.0), ("same", 0.01), ("worse", 1.5)):
        rows = [
            {"sample": f"p{i}", "seed": s, "metric": "psnr", "value": 30 + i - shift}
            for i in range(8)
            for s in (0, 1)
        ]  # fmt: skip
        paths[name] = str(tmp_path / f"{name}.csv")
        pd.DataFrame(rows).to_csv(paths[name], index=False)
    return paths


def test_judging_tables(tables, capsys):
    assert run(["judge", tables["same"], "--baseline", tables["base"]]) == 0
    assert "PASS" in capsys.readouterr().out
    assert run(["judge", tables["worse"], "--baseline", tables["base"]]) == 3
    out = capsys.readouterr().out
    assert "FAIL" in out
    assert "psnr" in out
    assert run(["judge", tables["worse"], "--baseline", tables["base"], "--margin", "psnr=2"]) == 0


def test_the_verdict_document_as_json(tables, capsys):
    code = run(["judge", tables["worse"], "--baseline", tables["base"], "--margin", "psnr=0.5",
                "--json"])  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert code == document["exit_code"] == 3
    (gate,) = document["gates"]
    assert {"metric", "state", "estimate", "low", "high", "margin", "count"} <= set(gate)
    assert (gate["metric"], gate["state"], gate["margin"], gate["count"]) == (
        "psnr",
        "FAIL",
        0.5,
        8,
    )
    assert gate["low"] <= gate["estimate"] <= gate["high"]
    assert gate["estimate"] == pytest.approx(1.5)


def test_a_margin_for_a_metric_nobody_measured_fails_closed(tables, capsys):
    arguments = ["judge", tables["same"], "--baseline", tables["base"]]
    assert run([*arguments, "--margin", "ssim=0.1"]) == 5
    assert "INVALID" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["judge", "none.csv", "--baseline", "none.csv"], 2, "none.csv does not exist"),
        (["judge", "."], 2, "is not a run folder"),
        (["run", "sed=1"], 2, "Key 'sed' not in"),
        (["run", "seeds=many"], 2, "could not be converted to Integer"),
        (["run", "seeds=0"], 2, "must be at least 1"),
        (["run", "knobs.sigma=2"], 2, "no noise level"),
        (["run", "suite=folder", "suite.path=nowhere"], 2, "suite.path=nowhere does not exist"),
        (["run", "suite=folder"], 2, "suite.path has no value"),
        (["run", "decoder=taef2", "decoder.path=nowhere"], 2, "nowhere"),
        (["run", "decoder=pictures", "decoder.path=nowhere"], 2, "nowhere"),
        (["run", "decoder=sd3", "offline=true"], 2, "qa assets fetch"),
        (["run", "baseline=nowhere"], 2, "nowhere does not exist"),
        (["baseline", "promote", "nowhere"], 2, "is not a run folder"),
        (["assets", "fetch", "nothing"], 2, "nothing"),
    ],
)
def test_user_errors_are_one_paragraph_with_a_fix(
    workdir, monkeypatch, capsys, arguments, code, said
):
    monkeypatch.setenv("QA_ASSETS", "")
    assert run(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err
    assert all(line.startswith("  ") for line in printed.err.strip().splitlines()[1:])
    assert not Path("runs").exists(), "nothing was started"


def test_a_run_prints_its_verdict_and_where_things_are(workdir, pictures, capsys):
    assert run(["run", *toy_overrides(pictures), "report=reports.html.write"]) == 0
    printed = capsys.readouterr()
    assert "plan  6 pictures × 2 seeds = 12 decodes" in printed.err
    assert "MEASURED" in printed.out
    report = Path(printed.out.split("report  ")[1].split()[0])
    assert report.read_text().startswith("<!doctype html>")


def test_a_dry_run_decodes_nothing_and_tells_the_cost(workdir, pictures, capsys):
    arguments = ["run", *toy_overrides(pictures)]
    assert run([*arguments, "--dry-run"]) == 0
    assert "time not known" in capsys.readouterr().out
    assert not Path("runs").exists()
    run(arguments)
    capsys.readouterr()
    assert run([*arguments, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["decodes"], planned["left"], planned["measured"]) == (12, 0, 12)


def test_promote_judge_and_why(workdir, pictures, capsys):
    good = ["run", *toy_overrides(pictures, "Sampler", "+decoder.noise=0.02", "out=good")]
    bad = ["run", *toy_overrides(pictures, "Sampler", "+decoder.noise=0.3", "out=bad")]
    assert run(good) == 0
    assert run(["baseline", "promote", "good", "--reason", "first"]) == 0
    assert run(bad) == 3
    capsys.readouterr()
    assert run(["judge", "bad"]) == 3
    assert "psnr" in capsys.readouterr().out
    assert run(["judge", "bad", "--use-case", "preview", "--margin", "psnr=60", "--save"]) == 0
    assert json.loads(Path("bad/verdict.json").read_text())["use_case"] == "preview"
    assert run(["baseline", "why", "toy"]) == 0
    assert "good is the baseline of toy" in capsys.readouterr().out
    assert run(["baseline", "show"]) == 0
    assert "first" in capsys.readouterr().out


def test_limited_and_changed_runs_are_no_baselines(workdir, pictures, capsys):
    run(["run", *toy_overrides(pictures, "Sampler", "limit=3", "out=limited")])
    capsys.readouterr()
    assert run(["baseline", "promote", "limited"]) == 2
    assert "limited run" in capsys.readouterr().err
    run(["run", *toy_overrides(pictures, "Sampler", "out=whole")])
    assert run(["baseline", "promote", "whole"]) == 0
    worse = ["run", *toy_overrides(pictures, "Sampler", "+decoder.noise=0.1")]
    assert run(worse) == 3, "judged against the promoted run"
    (copy,) = Path("baselines").glob("toy-*")
    promoted = RunFolder(copy)
    put_scores(promoted, promoted.scores().assign(value=99.0))
    capsys.readouterr()
    assert run(worse) == 2
    assert "not what was promoted" in capsys.readouterr().err


def test_a_baseline_outlives_its_run_folder(workdir, pictures, capsys):
    """Measured again with other metrics, or deleted: what was promoted stays the measure."""
    whole = ["run", *toy_overrides(pictures, "Sampler", "out=whole"), "metric=[psnr,gmsd]"]
    worse = ["run", *toy_overrides(pictures, "Sampler", "+decoder.noise=0.2"), "metric=[psnr,gmsd]"]
    run(whole)
    assert run(["baseline", "promote", "whole"]) == 0
    assert run(worse) == 3
    run([*whole[:-1], "metric=[psnr]", "baseline=none"])
    assert run(worse) == 3
    shutil.rmtree("whole")
    assert run(worse) == 3
    assert run(["baseline", "why", "toy"]) == 0


def test_two_folders_against_each_other(workdir, capsys):
    """decoder=pictures judges what any other system made."""
    reference = make_pictures(workdir / "ref", 5)
    arguments = ["run", "suite=folder", f"suite.path={reference}", "decoder=pictures",
                 "metric=[psnr,gmsd]", "tracking=none", "seeds=1"]  # fmt: skip
    assert run([*arguments, f"decoder.path={reference}", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {m["metric"]: m["count"] for m in document["metrics"]} == {"gmsd": 5, "psnr": 5}
    assert next(m for m in document["metrics"] if m["metric"] == "gmsd")["mean"] == 0.0


def test_a_missing_metric_is_said_with_the_command_that_fetches_it(
    workdir, pictures, capsys, monkeypatch
):
    monkeypatch.setenv("QA_ASSETS", "")
    run(["run", *toy_overrides(pictures, "Sampler", "out=base")])
    both = ["metric=[psnr,lpips_alex]", "offline=true"]
    code = run(["run", *toy_overrides(pictures), *both])
    printed = capsys.readouterr()
    assert code == 0, "nothing gates it: there is no baseline"
    assert "unavailable  lpips_alex" in printed.err
    assert "qa assets fetch" in printed.err
    assert run(["run", *toy_overrides(pictures, "Sampler", "baseline=base"), *both]) == 5
    assert "INVALID" in capsys.readouterr().out
    run(["run", *toy_overrides(pictures, "Sampler", "out=lacking"), *both])
    assert run(["baseline", "promote", "lacking"]) == 2
    assert "It lacks a metric: lpips_alex" in capsys.readouterr().err


def test_a_run_is_judged_by_its_own_margins(workdir, pictures, capsys):
    run(["run", *toy_overrides(pictures, "Sampler", "out=base")])
    own = ["+decoder.noise=0.2", "out=worse", "baseline=base", "use_case.margins.psnr.margin=60"]
    assert run(["run", *toy_overrides(pictures, "Sampler", *own)]) == 0
    assert run(["judge", "worse", "--baseline", "base"]) == 0
    assert run(["judge", "worse", "--baseline", "base", "--use-case", "photo"]) == 3
    assert run(["judge", "worse"]) == 2, "nothing to judge against"
    assert "nothing to judge against" in capsys.readouterr().err


def test_overrides_may_stand_on_both_sides_of_an_option(workdir, pictures, capsys):
    first, *others = toy_overrides(pictures)
    assert run(["run", first, "--dry-run", *others]) == 0
    assert "12 decodes" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run(["run", "--nonsense"])
    assert ended.value.code == 2


def test_documents_of_another_kind_are_refused(workdir, pictures, capsys):
    run(["run", *toy_overrides(pictures, "Sampler", "out=mine")])
    Path("mine/verdict.json").write_text("{}")
    assert run(["report", "mine"]) == 1
    assert "not what this version writes" in capsys.readouterr().err
    Path("mine/config.yaml").unlink()
    assert run(["export", "mine"]) == 1
    assert "Cannot read mine/config.yaml" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        run(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for command in ("run", "judge", "report", "export", "baseline", "assets", "doctor", "demo"):
        assert f"\n    {command}" in out
