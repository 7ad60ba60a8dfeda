"""`qa review`: what it registers, what it refuses to change, and what it prints."""

from __future__ import annotations

import json
import shutil

import pytest
from approvals import TODAY, make_verdict
from raters import said
from reviews import answered, finished, level, planned
from toyruns import make_pictures, toy_overrides

from qa import baseline, cli
from qa.commands import registering
from qa.files import write_json
from qa.review import answers
from qa.review.pictures import FIRST, SECOND, png
from qa.review.plan import reviews
from qa.review.tally import tally
from qa.run import evaluate
from qa.store import RunFolder
from qa.tables import DECODED, arrow, write
from reports.serving import Server

NOBODY_THERE = ("judge=mllm", "judge.url=http://127.0.0.1:9/v1", "judge.model=m")
"""A model that does not answer."""


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
    assert (plan.pictures, len(plan.draws), plan.rule) == (12, 400, "anytime")
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
    ["margin=0.05", "pairs=31", "rule=fixed", "shares={harm: 0, margin: 0, random: 1}", "catch=0"],
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
        assert call("pairs=30", "seed=4", "margin=0.05", word)[0] == 0
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


def test_a_plan_that_another_command_registered_meanwhile_stays(call, candidate, monkeypatch):
    plan = registering._planned

    def slow(*given):
        monkeypatch.setattr(registering, "_planned", plan)
        assert call("margin=0.05")[0] == 0, "the other command is faster"
        return plan(*given)

    monkeypatch.setattr(registering, "_planned", slow)
    code, _, err = call("margin=0.1")
    assert code == 2
    assert "registered with other settings: margin" in err
    assert reviews(candidate)[0].plan().margin == 0.05


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("margin=0.2", "margin=0.1", "A margin of 0.2 is wider than 0.1"),
        ("confidence=0.8", "confidence=0.9", "Intervals of 80%"),
    ],
)
def test_what_would_make_a_verdict_invalid_is_refused_at_once(call, candidate, wrong, right, told):
    code, _, err = call(wrong)
    assert code == 2
    assert told in err
    assert reviews(candidate) == []
    assert call(right)[0] == 0


def test_runs_of_equal_pictures_need_nobody(workdir, capsys):
    for name, pictures, noise in (("run", 12, 0), ("base", 12, 0), ("other", 12, 1)):
        finished(workdir / name, pictures, noise)
    record = RunFolder(workdir / "base").record()
    write_json(workdir / "base" / "record.json", record | {"plan": "9" * 64})
    assert cli.run(["review", "run", "base", "--no-open"]) == 2
    assert "are of equal pictures, value for value" in capsys.readouterr().err
    assert cli.run(["review", "run", "other", "--no-open"]) == 0


def first(pair, rater):
    return "first"


def test_results_as_a_table_and_as_json(call, candidate):
    call("pairs=40")
    [folder] = reviews(candidate)
    answered(folder, first, raters=("Ada\u202e",))
    code, out, _ = call("--results", base=False)
    assert code == 0
    assert "people" in out
    assert "IMPROVED" in out
    assert "\u202e" not in out
    code, out, _ = call("--results", "--json", base=False)
    assert json.loads(out)[0]["voices"][0]["rates"][0]["rate"] == 1.0


@pytest.mark.parametrize("word", [(), ("--json",)])
def test_who_rates_is_told_nothing_of_what_was_said(call, candidate, word):
    call("pairs=40")
    [folder] = reviews(candidate)
    plan = folder.plan()
    real = [pair.number for pair in plan.asked if not pair.catch]
    answered(folder, first, raters=("Ben\u202e",), pairs=real[:2])
    _, out, _ = call("pairs=40", *word)
    told = out.splitlines()[1:]
    name = "Ben<U+202E>"
    results = f"results  qa review {candidate.path} --results"
    assert told == [f"{name}  2 of {len(real)} pairs answered", "not enough yet", results]
    answered(folder, first, raters=("Ada",))
    _, out, _ = call("pairs=40", *word)
    assert out.splitlines()[1:] == [
        f"Ada  {len(real)} of {len(real)} pairs answered", *told[:1], "enough pairs were seen",
        results,
    ]  # fmt: skip
    assert "IMPROVED" in call("--results", base=False)[1], "control: there is something to tell"


def gone(run, base):
    shutil.rmtree(run.path / "images")


def one_gone(run, base):
    base.picture_file(sorted(base.decoded()["sample"])[0], 0).unlink()


def no_reference(run, base):
    run.reference_file(sorted(base.decoded()["sample"])[0]).unlink()


def another(run, base):
    """As if the base had been decoded anew, differently, twice."""
    rows = arrow(base.decoded_file, DECODED).to_pylist()
    for row in rows[:2]:
        row["digest"] = "9" * 64
    write(base.decoded_file, rows, DECODED)


@pytest.mark.parametrize("model", [(), NOBODY_THERE])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (gone, "{seen} of the pictures"),
        (one_gone, "1 of the pictures"),
        (no_reference, "1 of the pictures"),
        (another, "2 of the pictures of {base} are not those"),
    ],
)
def test_pictures_are_looked_for_before_anybody_is_asked(
    candidate, runs, tmp_path, capsys, served, fault, told, model
):
    base = RunFolder(shutil.copytree(runs / "base", tmp_path / "base"))
    words = ["review", str(candidate.path), str(base.path), "question=invented", "name=mine",
             "--no-open"]  # fmt: skip
    assert cli.run(words) == 0
    assert len(served) == 1, "control"
    asked = list(reviews(candidate)[0].plan().asked)
    seen = {(pair.sample, pair.seed) for pair in asked} | {(pair.sample, "") for pair in asked}
    fault(candidate, base)
    capsys.readouterr()
    assert cli.run([*words, *model]) == 2
    assert len(served) == 1
    err = capsys.readouterr().err
    assert told.format(seen=len(seen), base=base.path) in err
    assert "The first one is " in err
    assert "fix: bring" in err


def test_every_stored_picture_is_the_one_that_was_registered(call, candidate, runs):
    """Of a real run: digests in the plan are those of the values in its files."""
    call("pairs=100")
    plan = reviews(candidate)[0].plan()
    arms = {"A": candidate, "B": RunFolder(runs / "base")}
    shown = {
        (pair.sample, which): png(plan, arms, pair, which)
        for pair in plan.asked
        for which in (FIRST, SECOND)
    }
    assert {sample for sample, _ in shown} == set(candidate.decoded()["sample"])


def test_under_fixed_a_rate_is_not_looked_at_before_all_draws_are_answered(workdir, capsys):
    run, base = finished(workdir / "run", 12, shade=1), finished(workdir / "base", 12)
    folder = answered(planned(run, base), first, pairs=range(11))

    def row():
        assert cli.run(["review", "run", "--results"]) == 0
        return capsys.readouterr().out.splitlines()[1].split()

    assert row() == ["overall", "people", "11", "of", "12", "–", "0.1", "INCONCLUSIVE"]
    assert tally(folder)["voices"][0]["rates"][0]["rate"] == 1.0, "control: there is one"
    answered(folder, first, pairs=[11])
    assert row()[5] == "1.00"


def test_pairs_that_nobody_is_asked_are_not_waited_for(workdir, capsys):
    run, base = finished(workdir / "run", 12, shade=1), finished(workdir / "base", 12)
    folder = planned(run, base)
    level(folder, 3)
    answered(folder, first)
    assert cli.run(["review", "run", "--results"]) == 0
    assert " 11 of 11 " in capsys.readouterr().out


def test_two_reviews_of_a_question_are_told_apart(workdir, capsys):
    run, base = finished(workdir / "run", 12, shade=1), finished(workdir / "base", 12)
    answered(planned(run, base, name="monday"), first)
    cli.run(["review", "run", "--results"])
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "overall"
    answered(planned(run, base, name="tuesday"), first)
    answered(planned(run, base, name="text", question="text"), first)
    cli.run(["review", "run", "--results"])
    rows = capsys.readouterr().out.splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["overall/monday", "text", "overall/tuesday"]


def steps(capsys, *words):
    """Commands that `--results` offers."""
    assert cli.run(["review", *words, "--results"]) == 0
    out = capsys.readouterr().out.splitlines()
    return [line.removeprefix("judge  ") for line in out if line.startswith("judge  ")]


def test_the_step_that_is_offered_judges_with_the_review(workdir, capsys, monkeypatch):
    """Against the base that was compared, whichever run is promoted."""
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ann@example.org")
    run, base = finished(workdir / "run", shade=1), finished(workdir / "base")
    other = finished(workdir / "other", shade=2)
    answered(planned(run, base), first)
    unknown = "qa judge run --save --baseline BASE, where BASE is toy-base"
    given = "qa judge run --save --baseline base"
    assert steps(capsys, "run") == [unknown], "it lies beside the run, under another name"
    assert steps(capsys, "run", "base") == [given]
    assert steps(capsys, "run", "other") == [unknown]
    base.path.rename(workdir / "toy-base")
    assert steps(capsys, "run") == [f"{given.removesuffix('base')}toy-base"]
    for promoted, step in (
        (other, "qa judge run --save --baseline toy-base"),
        (RunFolder(workdir / "toy-base"), "qa judge run --save"),
    ):
        shutil.rmtree("baselines", ignore_errors=True)
        write_json(promoted.verdict_file, make_verdict())
        baseline.promote(promoted, today=TODAY)
        assert steps(capsys, "run") == [step]
        cli.run(step.split()[1:])
        capsys.readouterr()
        names = [row["gate"] for row in run.verdict()["gates"]]
        assert "preference" in names
    answered(planned(run, other, name="other"), first)
    steps_now = steps(capsys, "run", "other")
    assert steps_now == ["qa judge run --save --baseline other", "qa judge run --save"]


def test_a_model_is_built_from_its_choice(call):
    code, _, err = call("judge=mllm")
    assert code == 2
    assert "judge.url=" in err
    assert call("judge=person", "pairs=20")[0] == 0


def test_every_setting_can_be_printed(call):
    code, out, _ = call("--cfg")
    assert code == 0
    assert "draws" not in out
    assert "pairs: 400" in out
