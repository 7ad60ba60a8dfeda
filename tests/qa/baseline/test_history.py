"""What baselines measured is handed on from one to the next."""

import shutil

import pytest
from approvals import CPU, GPU, TODAY, make_run, make_verdict, row

from qa import baseline
from qa.baseline import history
from qa.files import digest, read_json, write_json


@pytest.fixture(autouse=True)
def place(workdir, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    return workdir


def measured(mean, fingerprint="f00d"):
    return {"metric": "psnr", "mean": mean, "low": mean - 1, "high": mean + 1,
            "fingerprint": fingerprint, "unit": "dB", "count": 3}  # fmt: skip


def promoted(path, mean, *, environment=CPU, **more):
    """A run of three equal pictures, judged against the present baseline and promoted."""
    run = make_run(path, (mean,) * 3, environment=environment)
    present = baseline.find("photos", environment=environment)
    against = present.content if present and present.environment == environment else ""
    gates = [row("PASS", 0.0)] if against else []
    verdict = make_verdict("PASS", *gates, against=against) | {"metrics": [measured(mean)]}
    write_json(run.verdict_file, verdict)
    baseline.promote(run, today=TODAY, **more)
    return run


def means(found):
    return [entry["metrics"]["psnr"]["mean"] for entry in found.history]


def test_each_baseline_tells_of_those_before_it(place):
    runs = [promoted(place / f"run{mean}", mean, reason=f"because {mean}") for mean in (30, 31, 32)]
    found = baseline.find("photos")
    assert means(found) == [30, 31, 32]
    assert [entry["plan"] for entry in found.history] == [run.record()["plan"] for run in runs]
    assert [entry["why"] for entry in found.history] == ["because 30", "because 31", "because 32"]
    assert [entry["anchor"] for entry in found.history] == [True, False, False]
    assert found.history[-1]["content"] == found.content
    assert found.history[0]["metrics"]["psnr"] == {
        key: measured(30)[key] for key in ("mean", "low", "high", "fingerprint")
    }
    promoted(place / "anchored", 33, anchor=True, reason="a major release")
    assert [entry["anchor"] for entry in baseline.find("photos").history][2:] == [False, True]


def test_the_folders_of_earlier_baselines_are_not_needed(place):
    for mean in (30, 31, 32):
        promoted(place / f"run{mean}", mean)
    found = baseline.find("photos")
    shutil.rmtree(place / "baselines" / f"photos-{found.history[1]['content'][:12]}")
    assert means(baseline.find("photos")) == [30, 31, 32]


def test_environment_classes_have_histories_of_their_own(place):
    promoted(place / "cpu", 30)
    promoted(place / "gpu", 40, environment=GPU)
    promoted(place / "later", 31)
    assert means(baseline.find("photos", environment=CPU)) == [30, 31]
    assert means(baseline.find("photos", environment=GPU)) == [40]


def test_a_baseline_promoted_again_stands_there_once(place):
    promoted(place / "first", 30)
    second = promoted(place / "second", 31)
    before = baseline.find("photos").content
    verdict = second.verdict()
    write_json(second.verdict_file, verdict | {"metrics": [measured(31) | {"low": 29.5}]})
    baseline.promote(second, today=TODAY)
    assert baseline.find("photos").content == before, "judged again, it is the same baseline"
    baseline.promote(second, today=TODAY, until="2027-06-30")
    found = baseline.find("photos")
    assert found.content != before
    assert means(found) == [30, 31]
    assert found.history[-1]["metrics"]["psnr"]["low"] == 29.5


def test_an_object_of_an_earlier_version_has_no_history_and_stays_valid(place):
    run = promoted(place / "first", 30)
    pointer = baseline.pointer("photos")
    content = baseline.find("photos").content
    old = {key: value for key, value in read_json(
        place / "baselines" / f"photos-{content[:12]}" / "object.json"
    ).items() if key not in ("metrics", "before")}  # fmt: skip
    (place / "baselines" / f"photos-{content[:12]}").rename(
        place / "baselines" / f"photos-{digest(old)[:12]}"
    )
    write_json(place / "baselines" / f"photos-{digest(old)[:12]}" / "object.json", old)
    pointer.write_text(pointer.read_text().replace(content, digest(old)))
    text = pointer.read_text()
    assert baseline.find("photos").history == ()
    baseline.promote(run, today=TODAY)
    assert pointer.read_text() == text, "the very same promoted again changes nothing"
    promoted(place / "second", 31)
    assert means(baseline.find("photos")) == [31]


def test_a_history_is_bounded_and_forgets_the_oldest():
    entry = {"name": "run", "plan": "p", "suite_digest": "s", "promoted": "2026-01-01", "why": "",
             "anchor": None, "metrics": {}, "before": []}  # fmt: skip
    for place in range(history.MOST + 5):
        entry = entry | {"before": history.up_to(str(place), entry)}
    kept = [one["content"] for one in history.up_to("last", entry)]
    assert kept == [*map(str, range(6, history.MOST + 5)), "last"]


def test_a_metric_without_a_mean_is_left_out():
    verdict = {"metrics": [measured(30), measured(30) | {"metric": "cer", "mean": None}]}
    assert list(history.measured(verdict)) == ["psnr"]
    assert history.measured({}) == {}
