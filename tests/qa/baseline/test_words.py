"""What `qa baseline` prints, and what its commands do."""

import json
import shutil

import pytest
from approvals import CPU, GPU, TODAY, make_run, make_verdict, row

from qa import baseline
from qa.cli import run as qa


@pytest.fixture(autouse=True)
def place(workdir, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(workdir / "none"))
    return workdir


@pytest.fixture
def history(place):
    """An anchor, a successor that drifted, a waiver and a tolerance."""
    baseline.promote(make_run(place / "first", (30.0,) * 3), reason="first", today=TODAY)
    first = baseline.find("photos").content
    verdict = make_verdict("PASS-DRIFT", row("PASS-DRIFT", 0.1), against=first)
    second = make_run(place / "second", (29.9,) * 3, verdict=verdict)
    baseline.approve("photos", gate="psnr", reason="old", until="2026-12-01", today=TODAY)
    baseline.promote(second, reason="smaller", until="2026-12-31", today=TODAY)
    baseline.approve("photos", gate="tail", reason="known", until="2026-12-24", today=TODAY)
    baseline.add_tolerance(
        "photos", environments=(GPU, CPU), limits={"max_abs": 0.004}, today=TODAY
    )
    return first


def test_why_says_which_and_all_that_was_decided(history):
    told = baseline.why("photos", today=TODAY).split("\n")
    known = baseline.find("photos")
    assert told[0].startswith("second is the baseline of photos: ")
    assert f"{known.content[:12]}, which is intact" in told[0]
    words = {line.split()[0]: line for line in told[1:]}
    assert "there is no other" in words["chosen"]
    assert CPU in words["chosen"]
    assert "by Ann, " in words["approved"]
    assert ": smaller; until 2026-12-31" in words["approved"]
    assert f"PASS-DRIFT when it was promoted, against {history[:12]}" in words["verdict"]
    assert "worse within the margin: psnr" in words["verdict"]
    assert words["anchor"].endswith(f"{history[:12]}; harm accepted since then: psnr +0.1")
    assert words["waiver"].endswith("tail: known (by Ann, 2026-11-21); until 2026-12-24")
    assert words["outdated"].endswith("an earlier baseline: psnr")
    assert "max_abs 0.004" in words["tolerance"]


def test_what_is_over_is_said(history):
    day = TODAY.replace(year=2027)
    told = baseline.why("photos", today=day)
    assert "smaller; EXPIRED on 2026-12-31" in told
    assert "EXPIRED on 2026-12-24" in told
    assert "EXPIRED" not in baseline.why("photos", today=TODAY)


def test_why_this_one_and_not_another(place):
    baseline.promote(make_run(place / "cpu", (30.0,) * 3), today=TODAY)
    gpu = make_run(place / "gpu", (31.0,) * 3, environment=GPU)
    baseline.promote(gpu, today=TODAY)
    assert "cpu is the baseline" in baseline.why("photos", environment=CPU)
    assert f"because it was measured in environment class {CPU}; 1 more" in baseline.why(
        "photos", environment=CPU
    )
    told = baseline.why("photos", environment="d" * 12)
    assert "none was measured in environment class dddddddddddd" in told
    assert "INVALID under policy=release" in told
    assert "no class was asked for" in baseline.why("photos")


def test_without_a_baseline_it_says_how_to_make_one(place):
    told = baseline.why("nothing")
    assert "nothing has no baseline" in told
    assert "qa baseline promote RUN" in told


def test_show_lists_everything(history, capsys):
    (entry,) = baseline.show(today=TODAY)
    assert (entry["suite"], entry["run"], entry["expired"], entry["damage"]) == (
        "photos", "second", False, "",
    )  # fmt: skip
    assert [(w["gate"], w["expired"]) for w in entry["waivers"]] == [("tail", False)]
    assert entry["drift"] == {"psnr": 0.1}
    assert baseline.show(today=TODAY.replace(year=2027))[0]["expired"]
    assert qa(["baseline", "show"]) == 0
    out = capsys.readouterr().out
    for word in ("photos", CPU, "second", "by Ann: smaller", "psnr +0.1", "tail", "max_abs 0.004"):
        assert word in out
    assert qa(["baseline", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["content"] == entry["content"]


def test_the_commands(place, capsys):
    make_run(place / "first", (30.0,) * 3)
    assert qa(["baseline", "show"]) == 0
    assert "no baselines" in capsys.readouterr().out
    promote = ["baseline", "promote", "first", "--reason", "the first", "--until", "2999-01-01"]
    assert qa([*promote, "--by", "Bea"]) == 0
    assert "commit it" in capsys.readouterr().out
    assert qa(["baseline", "why", "photos", "--environment", CPU]) == 0
    out = capsys.readouterr().out
    assert "first is the baseline of photos" in out
    assert "by Bea" in out
    assert "until 2999-01-01" in out
    waive = ["baseline", "approve", "photos", "--gate", "tail", "--until", "2999-01-01"]
    with pytest.raises(SystemExit) as ended:
        qa(waive)
    assert ended.value.code == 2, "a waiver needs a reason"
    assert qa([*waive, "--reason", "known"]) == 0
    assert "waives tail until 2999-01-01" in capsys.readouterr().out
    assert baseline.find("photos").waivers[0].by == "Ann"
    assert qa([*waive[:-1], "yesterday", "--reason", "known"]) == 2
    make_run(place / "other", (29.0,) * 3)
    assert qa(["baseline", "promote", "other"]) == 2
    assert "fix: qa judge other --save" in capsys.readouterr().err
    shutil.rmtree(next((place / "baselines").glob("photos-*")))
    assert qa(["baseline", "show"]) == 0
    assert "DAMAGED" in capsys.readouterr().out


def test_what_it_took_to_be_promoted_is_told(place):
    baseline.promote(make_run(place / "first", (30.0,) * 3), today=TODAY)
    failed = make_verdict("FAIL", row("FAIL"), against=baseline.find("photos").content)
    baseline.approve("photos", gate="psnr", reason="known", until="2026-12-01", today=TODAY)
    baseline.promote(make_run(place / "second", (29.0,) * 3, verdict=failed), today=TODAY)
    assert "verdict    FAIL when it was promoted" in baseline.why("photos")
    assert "; waived: psnr\n" in baseline.why("photos")
    (shown,) = baseline.show()
    assert [waiver["why"] for waiver in shown["accepted"]] == ["known"]
    assert shown["waivers"] == [], "it does not cover the next step"
