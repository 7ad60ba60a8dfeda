"""A waiver that cites a review: what it keeps, where it is said, and which reviews are refused."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from approvals import LATER, TODAY, make_verdict
from reviews import answered, finished, planned, repictured

from qa import baseline, files
from qa.baseline import pointers
from qa.baseline.cited import changed, others
from qa.cli import run as command
from qa.errors import QaError, UsageError
from qa.gates.preference import Preference
from qa.gates.regression import Regression
from qa.gates.use_case import from_config
from qa.judge import judge
from qa.outcomes import citing, waived
from qa.results import load
from qa.review.answers import MODEL
from qa.review.plan import ANYTIME
from qa.review.tally import tally
from qa.tracking import verdicts
from qa.tracking.note import note
from reports import markdown, wording
from reports.view import of

LEAST = 100 * 0.05 ** (1 / 40)
"""Per cent: of 40 pictures that all say the same."""
SAID = (
    f"overall IMPROVED at margin 0.1: preferred in 100 % [{LEAST:.0f}, 100] of 120 answers, "
    "3 raters"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    return finished(folder / "run", shade=1), finished(folder / "first")


@pytest.fixture
def runs(made, workdir, monkeypatch):
    """A run and the promoted baseline of its suite."""
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ann@example.org")
    run, first = (type(one)(workdir / one.name) for one in made)
    for source, copy in zip(made, (run, first), strict=True):
        shutil.copytree(source.path, copy.path)
    files.write_json(first.verdict_file, make_verdict())
    baseline.promote(first, today=TODAY)
    return run, first


def loses(pair, rater):
    return "second"


def wins(pair, rater):
    return "first"


def approve(review="run", **more):
    given = {"gate": "psnr", "reason": "nobody sees it", "until": LATER, "today": TODAY}
    return baseline.approve("toy", **{**given, "review": review, **more})


def cited():
    (waiver,) = baseline.find("toy").waivers
    return waiver.review


def test_a_waiver_keeps_what_the_review_said_and_digests_of_it(runs):
    folder = answered(planned(*runs, raters=3), wins, raters=("Ann", "Ben", "Cy"))
    approve()
    hashes = "".join(
        f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n"
        for file in sorted(folder.answers.iterdir())
    )
    assert cited() == {
        "name": "overall",
        "run": runs[0].record()["plan"],
        "plan": folder.plan().digest,
        "answers": hashlib.sha256(hashes.encode()).hexdigest(),
        "said": SAID,
    }


def test_another_answer_gives_other_digests(runs):
    folder = answered(planned(*runs), wins)
    approve()
    before = cited()
    answered(folder, wins, raters=("Ben",), pairs=[0])
    approve()
    assert cited()["answers"] != before["answers"]
    assert cited()["plan"] == before["plan"]


def test_people_speak_before_models_and_models_by_name(runs):
    folder = answered(planned(*runs), loses, raters=("judge",), kind=MODEL)
    approve()
    ends = f"[0, {100 - LEAST:.0f}]"
    assert (
        cited()["said"]
        == f"overall FAIL at margin 0.1: preferred in 0 % {ends} of 40 answers, by the model judge"
    )
    answered(folder, wins)
    approve()
    assert cited()["said"].endswith(f"[{LEAST:.0f}, 100] of 40 answers, 1 rater")


def test_raters_are_those_whose_answers_are_in_the_rate(runs):
    """With one person to a pair, who comes later and says the same is in no rate."""
    folder = answered(planned(*runs), wins)
    later = "2026-11-22T11:00:00+00:00"
    answered(folder, wins, raters=("Ben", "Cy"), date=later)
    raters = tally(folder)["voices"][0]["raters"]
    assert [rater["counts"] for rater in raters] == [True] * 3, "control: all of them may"
    approve()
    assert cited()["said"].endswith("of 40 answers, 1 rater")


def test_what_is_not_decided_yet_is_said_so_and_has_no_interval_that_may_not_be_looked_at(runs):
    answered(planned(*runs), wins, pairs=range(39))
    approve()
    told = "INCONCLUSIVE at margin 0.1: preferred in 100 %"
    assert cited()["said"] == f"overall {told} of 39 answers, 1 rater"
    folder = answered(planned(*runs, name="looks", rule=ANYTIME), wins, pairs=range(3))
    rate = tally(folder)["voices"][0]["rates"][0]
    ends = f"[{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"
    approve("run:looks")
    assert cited()["said"] == f"overall {told} {ends} of 3 answers, 1 rater"


def test_which_pictures_are_others_now(runs):
    folder = planned(*runs, catches=4)
    plan = folder.plan()
    assert others(plan, "A", runs[0]) == []
    assert changed(plan, "A", runs[0]) == ""
    for number in (3, 0):
        repictured(folder, number, 0)
    repictured(folder, 5, 1)
    repictured(folder, 40, 0)  # a catch trial of the first picture
    plan = folder.plan()
    assert others(plan, "A", runs[0]) == ["seed 0 of 'p000'", "seed 0 of 'p003'"]
    assert changed(plan, "A", runs[0]) == "seed 0 of 'p000'"
    assert others(plan, "B", runs[1]) == ["seed 0 of 'p005'"]


def test_a_waiver_without_a_review_is_stored_as_ever(runs):
    file = approve(review="")
    entry = files.read_json(file)["waivers"][0]
    assert sorted(entry) == ["against", "by", "gate", "given", "until", "why"]
    assert cited() is None
    assert pointers.read(file).waivers[0].stored() == entry


@pytest.mark.parametrize(
    "change",
    [{"said": 4}, {"more": "x"}, {"plan": None}],
    ids=["no text", "another key", "none"],
)
def test_a_pointer_that_cites_otherwise_is_refused(runs, change):
    answered(planned(*runs), wins)
    file = approve()
    content = files.read_json(file)
    content["waivers"][0]["review"] |= change
    files.write_json(file, content)
    with pytest.raises(UsageError, match="is not understood"):
        pointers.read(file)


class TestRefused:
    def refusal(self, review="run", error=UsageError):
        with pytest.raises(error) as found:
            approve(review)
        assert not files.read_json(baseline.pointer("toy"))["waivers"], "nothing was written"
        return f"{found.value.what} {found.value.why}"

    def test_no_answer_that_counts(self, runs):
        folder = planned(*runs, catches=10)
        assert "It has no answer that counts." in self.refusal()
        answered(folder, wins, attentive=False)
        assert "It has no answer that counts." in self.refusal(), "nobody looked"
        answered(folder, wins, raters=("Ben",))
        approve()

    def test_another_baseline_than_the_promoted_one(self, runs, workdir):
        other = finished(workdir / "other", shade=2)
        answered(planned(runs[0], other), wins)
        assert "another one than the suite's promoted baseline" in self.refusal()

    def test_a_review_that_was_copied_from_another_run(self, runs, workdir):
        other = finished(workdir / "other", shade=2)
        answered(planned(other, runs[1]), wins)
        shutil.copytree(other.path / "reviews", runs[0].path / "reviews")
        assert "It is a review of another run." in self.refusal()

    def test_pictures_that_are_others_now(self, runs):
        folder = answered(planned(*runs), wins)
        repictured(folder, 3, 0)
        assert "picture of seed 0 of 'p003' is another one now" in self.refusal()

    def test_a_damaged_one(self, runs):
        folder = answered(planned(*runs), wins)
        folder.plan_file.write_text("{}")
        self.refusal(error=QaError)

    def test_none_or_several_or_another_name(self, runs):
        assert "run has 0 reviews." in self.refusal()
        for name in ("monday", "tuesday"):
            answered(planned(*runs, name=name), wins)
        assert "A waiver cites one: monday, tuesday." in self.refusal()
        assert "It has monday, tuesday." in self.refusal("run:sunday")
        approve("run:tuesday")
        assert cited()["name"] == "tuesday"


def test_a_review_called_as_its_question_is_named_once():
    said = {"name": "overall", "said": "overall PASS: preferred in 50 %"}
    assert citing(said) == ", citing the review overall PASS: preferred in 50 %"
    said["name"] = "eyes"
    assert citing(said) == ", citing the review eyes, overall PASS: preferred in 50 %"


def test_wherever_a_waiver_is_told_the_review_is(runs, capsys):
    review = answered(planned(*runs, name="eyes", raters=3), loses, raters=("Ann", "Ben", "Cy"))
    words = ["baseline", "approve", "toy", "--gate", "preference/overall", "--reason", "seen",
             "--until", "2099-01-01", "--review", f"run:{review.name}"]  # fmt: skip
    assert command(words) == 0
    lost = f"preferred in 0 % [0, {100 - LEAST:.0f}] of 120 answers, 3 raters"
    said = f"citing the review eyes, overall FAIL at margin 0.1: {lost}"
    use = from_config({"margins": {"psnr": {"margin": 0.2}}})
    judged = judge(load("run"), baseline.find("toy"), use, gates=[Regression(), Preference()])
    (waiver,) = [row["waiver"] for row in judged["gates"] if row["waiver"]]
    assert waiver["review"] == cited()
    assert said in waived(waiver)
    assert any(said in warning for warning in judged["warnings"])
    assert said in json.dumps(wording.footnotes(judged))
    assert said in verdicts.tags(judged)["qa.waiver.preference/overall"]
    assert "citing the review eyes" in note(judged)
    assert "citing the review eyes" in markdown.render(of(judged, {}))
    capsys.readouterr()
    assert command(["baseline", "show"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert said in baseline.why("toy")
