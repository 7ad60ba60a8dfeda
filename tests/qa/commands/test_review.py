"""`qa review`: what it registers, what it refuses to change, and what it prints."""

from __future__ import annotations

import json
import shutil

import pytest
from raters import said
from toyruns import make_pictures, toy_overrides

from qa import cli
from qa.review import answers
from qa.review.plan import reviews
from qa.run import evaluate
from qa.store import RunFolder
from reports.serving import Server


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A candidate and a base over twelve pictures."""
    place = tmp_path_factory.mktemp("runs")
    pictures = make_pictures(place / "pictures", 12)
    for name, noise in (("base", 0.02), ("candidate", 0.08)):
        more = (f"+decoder.noise={noise}", f"out={place / name}", "baseline=none")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            evaluate(*toy_overrides(pictures, "Sampler", *more))
    return place


@pytest.fixture
def candidate(runs, tmp_path):
    """A copy of the candidate that a test may write into."""
    return RunFolder(shutil.copytree(runs / "candidate", tmp_path / "candidate"))


@pytest.fixture(autouse=True)
def served(monkeypatch):
    """Servers that were started; Ctrl-C is pressed at once."""
    found = []

    def once(self):
        found.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", once)
    return found


@pytest.fixture
def call(candidate, runs, capsys):
    """`qa review CANDIDATE words…`: exit code, stdout, stderr."""

    def run(*words, base=True):
        own = [str(candidate.path), *([str(runs / "base")] if base else [])]
        code = cli.run(["review", *own, "--no-open", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_it_registers_a_plan_and_serves_it(call, candidate, served):
    code, out, err = call()
    assert code == 0
    assert len(served) == 1
    assert served[0].url in out
    [folder] = reviews(candidate)
    plan = folder.plan()
    assert folder.name == "overall-base"
    assert (plan.pictures, len(plan.draws), plan.rule) == (12, 200, "anytime")
    assert plan.arms[0].name != plan.arms[1].name
    assert "registered" in err
    assert str(sum(1 for _ in plan.asked)) in err
    assert "nobody has answered yet" in out


def test_a_second_call_goes_on_with_the_same_plan(call, candidate):
    call("pairs=30", "seed=4")
    [folder] = reviews(candidate)
    before = folder.plan_file.read_bytes()
    for words in ((), ("pairs=30",)):
        code, _, err = call(*words)
        assert code == 0
        assert "registered" not in err
    assert folder.plan_file.read_bytes() == before


@pytest.mark.parametrize(
    "word",
    ["margin=0.2", "pairs=31", "rule=fixed", "shares={harm: 0, margin: 0, random: 1}", "catch=0"],
)
def test_what_was_registered_is_not_changed(call, candidate, word):
    call("pairs=30", "seed=4")
    [folder] = reviews(candidate)
    before = folder.plan_file.read_bytes()
    code, _, err = call(word)
    assert code == 2
    assert f"other settings: {word.partition('=')[0]}" in err
    assert folder.plan_file.read_bytes() == before
    assert call(word, "name=another")[0] == 0
    assert len(reviews(candidate)) == 2


@pytest.mark.parametrize("word", ["catch=0", "shares={harm: 0.4, margin: 0.1, random: 0.5}"])
def test_the_same_command_goes_on_whatever_it_sets(call, candidate, word):
    for _ in range(2):
        assert call("pairs=30", "seed=4", "margin=0.2", word)[0] == 0
    assert len(reviews(candidate)) == 1


def test_a_question_keeps_its_text(call, candidate):
    assert call("name=mine")[0] == 0
    code, _, err = call("name=mine", "questions.overall.text=Which is worse?")
    assert code == 2
    assert "other settings: question" in err


def test_a_run_is_not_compared_with_itself(call, candidate, runs):
    for words in ([str(candidate.path)], [str(runs / "base")] * 2):
        assert cli.run(["review", str(candidate.path), *words]) == 2
    assert reviews(candidate) == []


def test_what_is_left_out_is_counted(call, candidate):
    rows = candidate.samples_file.read_text().splitlines(keepends=True)
    changed = json.loads(rows[0]) | {"prompt": "another one"}
    candidate.samples_file.write_text(json.dumps(changed) + "\n" + "".join(rows[1:]))
    _, _, err = call()
    assert err.splitlines()[0].endswith("; left out: 1 another reference or prompt")


def test_a_plan_that_is_lost_is_not_replaced_under_its_answers(call, candidate):
    call("pairs=30")
    [folder] = reviews(candidate)
    plan = folder.plan()
    answers.add(folder, plan, said(plan, "Ada", {plan.draws[0]: "first"})[0])
    folder.plan_file.unlink()
    code, _, err = call("pairs=30", "seed=9")
    assert code == 2
    assert "name=NAME" in err
    assert not folder.plan_file.exists()


def test_a_review_of_another_run_is_not_continued(call, candidate, runs):
    call("name=mine")
    code = cli.run(["review", str(candidate.path), str(runs / "candidate"), "name=mine"])
    assert code == 2


def test_pictures_are_drawn_by_their_harm(call, candidate, runs):
    call("pairs=60", "shares={harm: 0.5, margin: 0, random: 0.5}")
    plan = reviews(candidate)[0].plan()
    assert {pair.chosen for pair in plan.pairs} == {"harm", "random", "catch"}
    ours, theirs = (
        run.scores_folder.of("psnr").groupby("sample")["value"].mean()
        for run in (candidate, RunFolder(runs / "base"))
    )
    worst = set((theirs - ours).nlargest(2).index)  # a tenth of twelve, rounded up
    assert {pair.sample for pair in plan.pairs if pair.chosen == "harm"} <= worst
    drawn = [plan.pairs[number].sample in worst for number in plan.draws]
    assert sum(drawn) > 60 * 2 / 12 * 2  # at random it would be a sixth


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("question=beauty",), "no question 'beauty'"),
        (("question=prompt",), "no prompt"),
        (("question=text",), "no words"),
        (("pairs=0",), "pairs cannot be that"),
        (("pears=3",), "'pears'"),
        (("judge=robot",), "robot"),
        (("judge.model=m",), "add judge=mllm"),
        (("+questions.odd.text=Well?", "question=odd", "+questions.odd.shows=[seed]"), "odd"),
        (("questions.overall=5",), "overall is not understood"),
        (("questions.overall.text=[1]",), "overall is not understood"),
        (("+questions.odd.text=Well?", "question=odd", "+questions.odd.shows=5"), "odd"),
    ],
)
def test_what_cannot_be_asked(call, candidate, words, why):
    code, _, err = call(*words)
    assert code == 2
    assert why in err
    assert reviews(candidate) == []


def test_a_question_of_ones_own(call, candidate):
    code, _, _ = call("+questions.sky.text=Whose sky is bluer?", "question=sky")
    assert code == 0
    assert reviews(candidate)[0].plan().question.text == "Whose sky is bluer?"


def test_without_a_base_it_takes_the_one_judged_against(call, candidate):
    code, _, err = call(base=False)
    assert code == 2
    assert "nothing to compare with" in err.lower()


def test_results_as_a_table_and_as_json(call, candidate, capsys):
    call("pairs=40")
    [folder] = reviews(candidate)
    plan = folder.plan()
    for row in said(plan, "Ada\u202e", {p.number: "first" for p in plan.pairs if not p.catch}):
        answers.add(folder, plan, row)
    code, out, _ = call("--results", base=False)
    assert code == 0
    assert "people" in out
    assert "IMPROVED" in out
    assert "\u202e" not in out
    code, out, _ = call("--results", "--json", base=False)
    assert json.loads(out)[0]["voices"][0]["rates"][0]["rate"] == 1.0


def test_a_model_is_built_from_its_choice(call):
    code, _, err = call("judge=mllm")
    assert code == 2
    assert "judge.url=" in err
    assert call("judge=person", "pairs=20")[0] == 0


def test_every_setting_can_be_printed(call):
    code, out, _ = call("--cfg")
    assert code == 0
    assert "draws" not in out
    assert "pairs: 200" in out
