"""Reviews as rows: states, names, whose rows count, and what makes a review say nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from math import sqrt

import pytest
from arms import case
from reviews import answered, finished, planned, repictured
from scipy.stats import t

from qa import files
from qa.errors import UsageError
from qa.gates.case import Case
from qa.gates.preference import Preference
from qa.gates.regression import Regression
from qa.gates.use_case import Level, Review, UseCase, from_config
from qa.judge import judge
from qa.results import load
from qa.review.answers import MODEL

PICTURES = 100


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run and its baseline, of 100 pictures; nobody writes them."""
    folder = tmp_path_factory.mktemp("arms")
    return finished(folder / "run", PICTURES, shade=1), finished(folder / "baseline", PICTURES)


@pytest.fixture
def runs(made):
    """The same, without a review from another test."""
    yield made
    for folder in (made[0].path / "reviews").glob("*"):
        files.remove(folder)


def asked(runs, review=None, **known) -> Case:
    use = UseCase(review=review)
    return case(load(runs[0].path), load(runs[1].path), use, **known)


def rows(runs, gate=None, **known):
    return (gate or Preference())(asked(runs, **known))


def first(pair, rater):
    return "first"


def second(pair, rater):
    return "second"


def in_turn(pair, rater):
    return ("first", "second")[pair.number % 2]


@pytest.mark.parametrize(
    ("say", "state", "rate"), [(first, "IMPROVED", 1.0), (second, "FAIL", 0.0)]
)
def test_a_run_that_wins_or_loses_every_pair(runs, say, state, rate):
    """Of N pictures that all say the same, 0.05^(1/N) of all may be sure to."""
    answered(planned(*runs), say)
    (row,) = rows(runs)
    assert (row["gate"], row["metric"], row["state"]) == ("preference", "overall", state)
    short = 1 - 0.05 ** (1 / PICTURES)
    ends = (-0.5, short - 0.5) if rate else (0.5 - short, 0.5)
    assert row["estimate"] == 0.5 - rate
    assert (row["low"], row["high"]) == pytest.approx(ends)
    assert (row["candidate"], row["margin"], row["counts"]) == (rate, 0.1, True)
    assert row["margin_why"] == "a tenth of the pairs"
    assert (row["better"], row["unit"], row["count"]) == ("higher", "", PICTURES)


def half_of_coins():
    """Half an interval of n scores 0 and 1 in turn, beside pseudo-pictures at 1/2 ± 3/4.

    Their squares sum to n/4 + 9/8, and there are n + 2 of them.
    """
    error = sqrt((PICTURES / 4 + 9 / 8) / (PICTURES + 1) / (PICTURES + 2))
    return t.ppf(0.95, PICTURES + 1) * error


def test_harm_is_one_half_less_the_win_rate_with_its_interval(runs):
    """Half of the pairs are won."""
    answered(planned(*runs), in_turn)
    (row,) = rows(runs)
    half = half_of_coins()
    assert row["estimate"] == pytest.approx(0, abs=1e-12)
    assert (row["low"], row["high"]) == (pytest.approx(-half), pytest.approx(half))
    assert half < 0.1
    assert row["state"] == "PASS"


def test_the_same_answers_do_not_pass_a_margin_that_they_cannot_resolve(runs):
    half = half_of_coins()
    answered(planned(*runs, margin=half * 0.99), in_turn)
    (row,) = rows(runs)
    assert row["state"] == "INCONCLUSIVE"


def test_the_interval_is_turned_round_with_the_rate(runs):
    """Three quarters are won: the sure end of the rate is the sure end of the harm."""
    answered(planned(*runs), lambda pair, _: "second" if pair.number % 4 == 0 else "first")
    (row,) = rows(runs)
    assert (row["candidate"], row["estimate"]) == (0.75, -0.25)
    assert -0.5 < row["low"] < -0.25 < row["high"] < 0


def test_answers_that_are_not_all_there_decide_nothing_yet(runs):
    folder = answered(planned(*runs), second, pairs=range(PICTURES - 1))
    (row,) = rows(runs)
    assert row["state"] == "INCONCLUSIVE"
    assert "99 of 100 draws are answered" in row["why"]
    answered(folder, second, pairs=[PICTURES - 1])
    assert rows(runs)[0]["state"] == "FAIL", "control"


def test_each_voice_has_a_row_and_a_name(runs):
    folder = answered(planned(*runs), first, raters=("Ann", "Ben"))
    answered(folder, second, raters=("big/judge",), kind=MODEL)
    people, model = rows(runs)
    assert (people["metric"], people["state"]) == ("overall", "IMPROVED")
    assert (model["metric"], model["state"]) == ("overall:big/judge", "FAIL")


@pytest.mark.parametrize(
    ("by", "counts"),
    [("any", [True, True]), ("people", [True, False]), ("models", [False, True])],
)
def test_whose_rows_count(runs, by, counts):
    answered(answered(planned(*runs), first), second, raters=("judge",), kind=MODEL)
    found = rows(runs, Preference(by=by))
    assert [row["counts"] for row in found] == counts
    assert [row["role"] for row in found] == ["" if one else "secondary" for one in counts]


def test_a_row_that_does_not_count_decides_nothing(runs):
    answered(answered(planned(*runs), first), second, raters=("judge",), kind=MODEL)

    def state(by):
        use = from_config({"margins": {"psnr": {"margin": 0.2}}})
        gates = [Regression(), Preference(by=by)]
        return judge(load(runs[0].path), load(runs[1].path), use, gates=gates)["state"]

    assert state("people") == "IMPROVED"
    assert state("any") == "FAIL", "control"


def test_nobody_else_has_a_vote():
    with pytest.raises(UsageError, match="Nobody is called 'experts'"):
        Preference(by="experts")


def test_two_reviews_of_one_question_keep_their_rows_apart(runs):
    answered(planned(*runs, name="monday"), first)
    planned(*runs, name="tuesday")
    assert [row["metric"] for row in rows(runs)] == ["overall"], "nobody answered on tuesday"
    answered(planned(*runs, name="tuesday"), second)
    found = {row["metric"]: row["state"] for row in rows(runs)}
    assert found == {"overall/monday": "IMPROVED", "overall/tuesday": "FAIL"}


def test_a_review_without_an_answer_is_none(runs):
    planned(*runs)
    assert rows(runs) == []
    assert [row["state"] for row in rows(runs, Preference(required=True))] == ["INCONCLUSIVE"]


def test_a_review_of_other_runs_says_nothing(runs, tmp_path):
    other = finished(tmp_path / "other", PICTURES, shade=2)
    folder = answered(planned(runs[0], other), second)
    assert rows(runs) == []
    assert rows((runs[0], other))[0]["state"] == "FAIL", "control"
    plan = files.read_json(folder.plan_file)
    plan["arms"][0]["plan"] = "9" * 64
    files.write_json(folder.plan_file, plan)
    assert rows((runs[0], other)) == [], "copied from another run"


class TestRequired:
    def test_nobody_has_compared_these_pictures(self, runs):
        (row,) = rows(runs, Preference(required=True))
        assert (row["state"], row["counts"], row["metric"]) == ("INCONCLUSIVE", True, "")
        assert row["why"] == "nobody has compared these pictures: qa review RUN"
        assert rows(runs) == [], "not required"

    def test_every_question_of_the_use_case_is_asked(self, runs):
        wanted = Review(("overall", "text"), Level(0.1))
        answered(planned(*runs), first)
        overall, text = rows(runs, Preference(required=True), review=wanted)
        assert (overall["metric"], overall["state"]) == ("overall", "IMPROVED")
        assert (text["metric"], text["state"]) == ("text", "INCONCLUSIVE")
        answered(planned(*runs, name="text", question="text"), first)
        found = rows(runs, Preference(required=True), review=wanted)
        assert {row["state"] for row in found} == {"IMPROVED"}

    def test_whose_answers_do_not_count_do_not_fulfil_it(self, runs):
        answered(planned(*runs), first, raters=("judge",), kind=MODEL)
        wanted = Review(("overall",), Level(0.1))
        people = rows(runs, Preference(required=True, by="people"), review=wanted)
        assert [(row["metric"], row["counts"]) for row in people] == [
            ("overall:judge", False), ("overall", True),
        ]  # fmt: skip
        assert len(rows(runs, Preference(required=True, by="models"), review=wanted)) == 1


class TestInvalid:
    def state(self, runs, **known):
        found = rows(runs, **known)
        return [(row["state"], row["why"]) for row in found]

    def test_a_damaged_plan(self, runs):
        folder = answered(planned(*runs), first)
        folder.plan_file.write_text(folder.plan_file.read_text().replace('"fixed"', '"soon"'))
        ((state, why),) = self.state(runs)
        assert state == "INVALID"
        assert why.startswith("its plan is damaged: rule")
        assert str(runs[0].path) not in why

    def test_damaged_answers(self, runs):
        folder = answered(planned(*runs), first)
        with next(folder.answers.glob("*.jsonl")).open("a") as out:
            out.write(json.dumps({"pair": PICTURES}) + "\n")
        ((state, why),) = self.state(runs)
        assert state == "INVALID"
        assert why.startswith(f"its answers are damaged: Line {PICTURES + 1}")

    @pytest.mark.parametrize("which", [0, 1])
    def test_pictures_that_are_no_longer_those_that_were_compared(self, runs, which):
        folder = answered(planned(*runs), first)
        assert self.state(runs)[0][0] == "IMPROVED", "control"
        repictured(folder, 7, which)
        ((state, why),) = self.state(runs)
        arm = ("run", "baseline")[which]
        assert (state, why) == (
            "INVALID", f"the {arm}'s picture of seed 0 of 'p007' is not the one that was compared",
        )  # fmt: skip

    @pytest.mark.parametrize(("key", "value"), [("margin", 0.05), ("lapses", 0.9), ("seed", 2)])
    def test_a_plan_that_was_changed_after_the_first_answer(self, runs, key, value):
        folder = answered(planned(*runs), first)
        files.write_json(folder.plan_file, files.read_json(folder.plan_file) | {key: value})
        ((state, why),) = self.state(runs)
        assert state == "INVALID"
        assert "the plan was changed" in why

    def test_a_plan_that_is_gone(self, runs):
        folder = answered(planned(*runs), second)
        folder.plan_file.unlink()
        assert self.state(runs)[0][0] == "INVALID"

    def test_a_margin_wider_than_the_use_case_has(self, runs):
        answered(planned(*runs, margin=0.2), first)
        ((state, why),) = self.state(runs, review=Review(("overall",), Level(0.1)))
        assert state == "INVALID"
        assert why == "its margin of 0.2 is wider than 0.1, which the use case allows"
        for wide in (Review(("overall",), Level(0.2)), Review(("text",), Level(0.3))):
            assert self.state(runs, review=wide)[0][0] == "IMPROVED"

    def test_a_use_case_without_a_margin_allows_that_of_qa_review(self, runs):
        answered(planned(*runs, name="tenth"), first)
        answered(planned(*runs, name="half", margin=0.49), first)
        assert self.state(runs) == [
            ("INVALID", "its margin of 0.49 is wider than 0.1, which the use case allows"),
            ("IMPROVED", "better than the baseline"),
        ]

    def test_an_interval_that_errs_more_often(self, runs):
        answered(planned(*runs, confidence=0.5), first)
        assert self.state(runs) == [
            ("INVALID", "its intervals have 50%, and these are to have 90%")
        ]

    def test_a_look_is_no_stricter_with_a_review_that_registered_its_own_rule(self, runs):
        answered(planned(*runs), first)
        assert self.state(runs, confidence=0.98)[0][0] == "IMPROVED"

    def test_an_inattentive_model(self, runs):
        folder = planned(*runs, catches=10)
        answered(folder, first, raters=("judge",), kind=MODEL, attentive=False)
        ((state, why),) = self.state(runs)
        assert state == "INVALID"
        assert "10 of 10 catch trials missed" in why


def test_texts_that_no_file_can_hold_reach_no_verdict(runs):
    """JSON can spell half of a surrogate pair; UTF-8 cannot."""
    folder = answered(planned(*runs), first, raters=("judge",), kind=MODEL)
    (file,) = folder.answers.glob("*.jsonl")
    whole = file.read_text()
    for old, new in (('"judge"', '"ju\\ud800ge"'), ('"rater"', '"\\ud800"')):
        file.write_text(whole.replace(old, new))
        (row,) = rows(runs)
        assert row["state"] == "INVALID"
        json.dumps(row, ensure_ascii=False).encode()
    file.write_text(whole)
    plan = files.read_json(folder.plan_file)
    plan["question"]["name"] = "over\ud800all"
    folder.plan_file.write_text(json.dumps(plan))
    (row,) = rows(runs)
    assert row["state"] == "INVALID"
    json.dumps(row, ensure_ascii=False).encode()


def test_a_table_has_no_reviews(runs):
    arm = replace(load(runs[0].path), folder=None)
    assert Preference()(case(arm, load(runs[1].path), UseCase())) == []
