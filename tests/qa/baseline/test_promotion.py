"""What a promotion writes: the object, who and until when, drift and anchor."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from approvals import CPU, GPU, LATER, TODAY, make_run, make_verdict, row

from qa import baseline
from qa.baseline import pointers
from qa.baseline.approved import Waiver
from qa.errors import QaError, UsageError
from qa.files import digest, read_json, sha256, write_json
from qa.results import load


@pytest.fixture(autouse=True)
def place(workdir, monkeypatch):
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ann@example.org")
    return workdir


def promote(run, **more):
    return baseline.promote(run, today=TODAY, **more)


def entry(environment=CPU):
    """object.json of the present baseline."""
    (line,) = (x for x in read_json(baseline.pointer("photos"))["baselines"]
               if x["environment"] == environment)  # fmt: skip
    content = line["content"]
    return content, read_json(
        baseline.pointer("photos").parent / f"photos-{content[:12]}/object.json"
    )


def step(place, name, psnr, state, estimate, **more):
    """A run judged against the present baseline, and promoted."""
    content, _ = entry()
    run = make_run(place / name, (psnr,) * 3)
    gates = [row(state, estimate, **more.pop("row", {})), *more.pop("beside", ())]
    write_json(run.verdict_file, make_verdict(state, *gates, against=content))
    return promote(run, **more)


def test_the_object_says_everything(place):
    run = make_run(place / "runs" / "first")
    file = promote(run, reason="release 4.1", until=LATER)
    assert file == baseline.pointer("photos")
    content, found = entry()
    assert digest(found) == content
    assert (found["by"], found["why"], found["until"]) == (
        "Ann <ann@example.org>", "release 4.1", LATER,
    )  # fmt: skip
    record = run.record()
    for key in ("suite", "plan", "suite_digest", "decoder", "decoder_digest", "seeds", "pictures"):
        assert found[key] == record[key]
    assert found["environment"] == record["environment"]
    assert found["fingerprints"] == {"psnr": "f00d"}
    assert found["verdict"]["state"] == "MEASURED"
    assert found["drift"] == {}
    assert found["anchor"] is found["replaces"] is None
    names = {
        "record.json", "config.yaml", "samples.jsonl", "decoded.parquet", "scores/_parts.json",
        "scores/metric=psnr/part-00000.parquet",
    }  # fmt: skip
    assert found["files"] == {name: sha256(run.path / name) for name in names}


def test_what_is_found_is_what_was_promoted(place):
    run = make_run(place / "first")
    promote(run, reason="first")
    found = baseline.find("photos")
    assert found.results.rows("psnr").equals(load(run.path).rows("psnr"))
    assert found.results.folder.path.resolve() == run.path.resolve()
    assert found.anchor is found.results
    assert (found.environment, found.by, found.why) == (CPU, "Ann <ann@example.org>", "first")
    shutil.rmtree(run.path)
    gone = baseline.find("photos")
    assert gone.results.rows("psnr").equals(found.results.rows("psnr"))
    assert gone.results.folder is None, "its pictures are not there any more"


def test_promoting_again_changes_nothing(place):
    def tree():
        return {f: f.read_bytes() for f in sorted((place / "baselines").rglob("*")) if f.is_file()}

    run = make_run(place / "first")
    promote(run, reason="first")
    before = tree()
    later = {**run.record(), "finished": "2026-11-21T10:00:00+00:00", "command": ["again"]}
    write_json(run.record_file, later)
    promote(run, reason="first")
    assert tree() == before
    promote(run, reason="another reason")  # negative control
    assert tree() != before


def test_a_baseline_promoted_again_needs_no_verdict_and_keeps_its_decisions(place):
    """With one more metric, or another last day, it is still the same baseline."""
    promote(make_run(place / "first", (30.0,) * 3))
    step(place, "second", 29.9, "PASS-DRIFT", 0.1)
    first = entry()[1]["anchor"]["content"]
    baseline.approve("photos", gate="tail", reason="known", until=LATER, today=TODAY)
    run = make_run(place / "renewed", (29.9,) * 3)
    assert run.verdict()["baseline"] is None
    before, _ = entry()
    promote(run, until=LATER)
    content, found = entry()
    assert content != before
    assert (found["drift"], found["until"]) == ({"psnr": 0.1}, LATER)
    assert found["anchor"]["content"] == first
    assert [w.gate for w in baseline.find("photos").waivers] == ["tail"]
    other = make_run(place / "other", (29.8,) * 3)  # negative control: other pictures
    with pytest.raises(UsageError, match="not judged against the present baseline"):
        promote(other)


def test_drift_adds_up_from_the_anchor(place):
    promote(make_run(place / "first", (30.0,) * 3))
    anchor, _ = entry()
    step(place, "second", 29.97, "PASS-DRIFT", 0.03)
    step(place, "third", 30.1, "IMPROVED", -0.13)
    step(place, "fourth", 30.05, "PASS-DRIFT", 0.05)
    _, found = entry()
    assert found["drift"] == {"psnr": 0.03 + 0.05}, "an improvement gives nothing back"
    assert found["anchor"] == {"content": anchor, "where": None}
    known = baseline.find("photos")
    assert known.drift == found["drift"]
    assert known.anchor.by_picture("psnr").tolist() == [30.0] * 3
    assert known.results.by_picture("psnr").tolist() == [30.05] * 3


def test_only_the_regression_gate_is_charged(place):
    """A PASS-DRIFT row against the anchor says the same harm a second time."""
    promote(make_run(place / "first", (30.0,) * 3))
    step(
        place, "second", 29.9, "PASS-DRIFT", 0.1, row={"gate": "anchor"}, beside=[row("PASS", 0.0)]
    )
    assert entry()[1]["drift"] == {}


@pytest.mark.parametrize(("low", "drift"), [(0.05, {"psnr": 0.1}), (-0.05, {})])
def test_what_equivalence_let_pass_is_charged_if_it_is_worse(place, low, drift):
    """Otherwise refactorings, each within the margin, would add up unseen."""
    promote(make_run(place / "first", (30.0,) * 3))
    step(place, "second", 29.9, "PASS", 0.1, row={"gate": "equivalence", "low": low})
    assert entry()[1]["drift"] == drift


@pytest.mark.parametrize(("low", "drift"), [(0.05, {"psnr": 0.1}), (-0.05, {})])
def test_a_loss_that_a_correction_left_open_is_charged(place, low, drift):
    """Under `release` a nearly spent budget would else never be spent."""
    promote(make_run(place / "first", (30.0,) * 3))
    step(place, "second", 29.9, "INCONCLUSIVE", 0.1, row={"low": low})
    assert entry()[1]["drift"] == drift


def test_a_new_anchor_takes_the_drift_back(place):
    promote(make_run(place / "first", (30.0,) * 3))
    step(place, "second", 29.9, "PASS-DRIFT", 0.1)
    with pytest.raises(UsageError, match="new anchor"):
        step(place, "third", 29.8, "PASS-DRIFT", 0.1, anchor=True)
    step(place, "third", 29.8, "PASS-DRIFT", 0.1, anchor=True, reason="major release")
    content, found = entry()
    assert (found["drift"], found["anchor"]) == ({}, None)
    step(place, "fourth", 29.7, "PASS-DRIFT", 0.1)
    assert entry()[1]["anchor"]["content"] == content


def test_a_waived_harm_is_charged_and_the_waiver_used_up(place):
    promote(make_run(place / "first", (30.0,) * 3))
    before, _ = entry()
    baseline.approve("photos", gate="psnr", reason="deblocking", until=LATER, today=TODAY)
    assert [w.gate for w in baseline.find("photos").waivers] == ["psnr"]
    step(place, "second", 29.5, "FAIL", 0.5)
    _, found = entry()
    assert found["drift"] == {"psnr": 0.5}
    assert [(w["gate"], w["against"]) for w in found["waivers"]] == [("psnr", [before[:12]])]
    assert baseline.find("photos").waivers == ()
    with pytest.raises(UsageError, match="It FAILED: regression/psnr"):
        step(place, "third", 29.0, "FAIL", 0.5)
    baseline.approve("photos", gate="psnr", reason="again", until=LATER, today=TODAY)
    step(place, "third", 29.0, "FAIL", 0.5)
    assert entry()[1]["drift"] == {"psnr": 1.0}


def test_each_environment_class_has_its_own(place):
    promote(make_run(place / "cpu", (30.0,) * 3))
    promote(make_run(place / "gpu", (30.0, 30.0, 30.1), environment=GPU))
    for environment, name in ((CPU, "cpu"), (GPU, "gpu")):
        found = baseline.find("photos", environment=environment)
        assert (found.environment, found.results.folder.name) == (environment, name)
        assert found.anchor is found.results
    assert baseline.find("photos", environment="d" * 12).environment in {CPU, GPU}


def test_an_approval_has_a_name(place, monkeypatch):
    run = make_run(place / "first")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    config = place / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with pytest.raises(UsageError, match=r"Who approves.*\n.*--by NAME"):
        promote(run)
    assert not (place / "baselines").exists()
    config.write_text("[user]\n\tname = Bea\n\temail = bea@example.org\n")
    promote(run)
    assert entry()[1]["by"] == "Bea <bea@example.org>"
    promote(run, by="  Cem\n ")
    assert entry()[1]["by"] == "Cem"


@pytest.mark.parametrize("day", ["2026-11-21", "2026-11-20", "soon", "2027-02-30", ""])
def test_a_last_day_lies_in_the_future(place, day):
    run = make_run(place / "first")
    with pytest.raises(UsageError, match="--until"):
        promote(run, until=day)
    promote(run, until="2026-11-22")
    with pytest.raises(UsageError, match="--until"):
        baseline.approve("photos", gate="tail", reason="known", until=day, today=TODAY)
    baseline.approve("photos", gate="tail", reason="known", until="2026-11-22", today=TODAY)


def test_a_waiver_has_a_gate_a_reason_and_a_baseline(place):
    with pytest.raises(UsageError, match="no baseline"):
        baseline.approve("photos", gate="tail", reason="known", until=LATER, today=TODAY)
    promote(make_run(place / "first"))
    for gate, reason in (("", "known"), ("tail", " ")):
        with pytest.raises(UsageError, match="a gate and a reason"):
            baseline.approve("photos", gate=gate, reason=reason, until=LATER, today=TODAY)
    baseline.approve("photos", gate=" tail ", reason="known", until=LATER, today=TODAY)
    (waiver,) = baseline.find("photos").waivers
    assert (waiver.gate, waiver.by, waiver.why, waiver.until, waiver.given) == (
        "tail", "Ann <ann@example.org>", "known", LATER, "2026-11-21",
    )  # fmt: skip


def test_the_pointer_changes_by_one_line(place):
    promote(make_run(place / "first", (30.0,) * 3))
    file = baseline.pointer("photos")
    before = file.read_text().splitlines()
    step(place, "second", 29.9, "PASS", 0.01)
    after = file.read_text().splitlines()
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
    baseline.approve("photos", gate="tail", reason="known", until=LATER, today=TODAY)
    waived = file.read_text().splitlines()
    (new,) = (line for line in waived if line not in after)
    assert [line for line in waived if line != new] == after
    assert json.loads(new)["gate"] == "tail"


def test_a_waiver_that_names_nothing_is_told(place):
    promote(make_run(place / "first"))
    for gate in ("PSNR", "regression", "regression/psrn", "tail/psnr", "cost/psnr", "psnr/tail"):
        with pytest.warns(RuntimeWarning, match=f"^{gate} names no row"):
            baseline.approve("photos", gate=gate, reason="known", until=LATER, today=TODAY)
    for gate in ("psnr", "regression/psnr", "anchor/psnr", "anchor", "tail", "tail/catastrophe",
                 "cost", "cost/latency_p95", "reproducibility/level"):  # fmt: skip
        baseline.approve("photos", gate=gate, reason="known", until=LATER, today=TODAY)


def approve(gate):
    return baseline.approve("photos", gate=gate, reason="known", until=LATER, today=TODAY)


def test_two_decisions_at_once_are_both_kept(place):
    promote(make_run(place / "first"))
    with ThreadPoolExecutor(1) as pool:
        with pointers.changing("photos", "baselines") as known:
            second = pool.submit(approve, "tail")
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
            first = Waiver("regression/psnr", "Bob", "known", LATER, "2026-11-21", ("a" * 12,))
            known.with_waiver(first).write()
        second.result()
    found = pointers.read(baseline.pointer("photos")).waivers
    assert {waiver.gate for waiver in found} == {"tail", "regression/psnr"}


def test_a_decision_does_not_wait_for_ever(place, monkeypatch):
    promote(make_run(place / "first"))
    monkeypatch.setattr(pointers, "LOCK_SECONDS", 0.1)
    with pointers.changing("photos", "baselines"):
        with ThreadPoolExecutor(1) as pool, pytest.raises(QaError, match="Another command"):
            pool.submit(approve, "tail").result()
        baseline.promote(make_run(place / "other", suite="other"))
