"""A model as a rater: its known preference and bias are measured, and nothing is asked twice.

Where answers are drawn by lot, the expectation is derived and the tolerance is three standard
errors of it.
"""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import replace
from importlib.resources import files

import pytest
import yaml
from judge_server import MODEL, Act, always, serving
from pair_server import (
    TEN,
    asked,
    comparing,
    expected,
    review,
    says,
    scores,
    sent,
    times,
    voice,
)
from reviews import finished

from qa import cli
from qa.errors import UsageError
from qa.review import answers
from qa.review.answers import LEFT, RIGHT, TIE
from qa.review.model import Judge
from qa.review.plan import ANYTIME, FIXED
from qa.review.tally import tally

# Measuring


def test_an_honest_model_says_the_truth_in_both_orders(tmp_path, judge):
    made = review(tmp_path, TEN, trials=4)
    seen = []
    with serving(answer=comparing()) as server:
        told = asked(made, judge(server), progress=lambda *now: seen.append(now))
    assert scores(made) == expected(made, TEN) | {0: 0.5, 1: 1.0, 2: 0.5, 3: 1.0}
    assert seen[-1] == (14, 14)
    assert (told.unanswered, told.stopped) == ({}, "")
    # Two identical pictures are one message in both orders.
    assert (told.asked, told.kept) == (26, 2)
    assert sum(sent(server).values()) == 26
    found = voice(made)
    assert found["position"]["first"] == 0.5
    assert found["raters"][0]["missed"] == 0
    rows = answers.read(made.folder, made.plan)
    assert {(row.pair, row.first_is_left) for row in rows} == {
        (number, first) for number in range(14) for first in (True, False)
    }
    assert all(row.date.endswith("+00:00") and "." in row.date for row in rows)
    assert all(body["temperature"] == 0 for body in server.bodies)


PAIRS = 120


@pytest.mark.parametrize(("bias", "won"), [(0.0, 0.75), (0.3, 0.75), (0.3, 0.5), (0.6, 0.5)])
def test_a_position_bias_is_measured_and_moves_no_rate_across_one_half(tmp_path, judge, bias, won):
    """Each order takes Picture 1 unseen with probability b. Over both orders of a pair of truth x:

        E[Picture 1 wins] = ((b + (1-b) x) + (b + (1-b)(1-x))) / 2 = 1/2 + b/2
        E[score]          = ((b + (1-b) x) + (1-b) x) / 2          = b/2 + (1-b) x

    of which one order is certain and the other a coin: a variance of b (1-b) / 4 a pair.
    """
    truth = [1] * round(PAIRS * won) + [0] * round(PAIRS * (1 - won))
    made = review(tmp_path, truth)
    with serving(answer=comparing(bias)) as server:
        asked(made, judge(server))
    found = voice(made)
    error = math.sqrt(bias * (1 - bias) / 4 / PAIRS)
    assert found["position"]["first"] == pytest.approx(0.5 + bias / 2, abs=3 * error + 1e-12)
    rate = found["rates"][0]["rate"]
    derived = bias / 2 + (1 - bias) * won
    assert rate == pytest.approx(derived, abs=3 * error + 1e-12)
    # Negative control, one order alone: the first picture gains b/2 of what the pairs do not owe it
    # and loses none, which is off by b/2 from what both orders measure.
    once = [row.score for row in answers.read(made.folder, made.plan) if row.first_is_left]
    assert len(once) == PAIRS
    apart = math.sqrt(bias * (1 - bias) * (1 - won) / PAIRS)
    assert sum(once) / PAIRS == pytest.approx(derived + bias / 2, abs=3 * apart + 1e-12)
    assert not bias or sum(once) / PAIRS > derived + 3 * error


def test_contradictory_answers_are_a_tie(tmp_path, judge):
    made = review(tmp_path, [1, 0, 1])
    with serving(answer=lambda body, model: says("Answer: 2", model)) as server:
        asked(made, judge(server))
    assert scores(made) == {0: 0.5, 1: 0.5, 2: 0.5}
    found = voice(made)
    assert found["position"] | {"low": 0, "high": 0} == {
        "first": 0.0, "low": 0, "high": 0, "contrary": 3, "pairs": 3,
    }  # fmt: skip
    assert found["rates"][0]["said"][TIE] == 3


def test_a_model_that_always_takes_the_first_is_caught(tmp_path, judge):
    """Every planted defect becomes a tie: 4 of 4, of which an attentive one misses a tenth."""
    made = review(tmp_path, [1] * 6, trials=8)
    with serving(answer=comparing(bias=1.0)) as server:
        asked(made, judge(server))
    assert voice(made)["rates"][0]["state"] == "INVALID"
    other = review(tmp_path / "honest", [1] * 6, trials=8)
    with serving(answer=comparing()) as server:
        asked(other, judge(server, revision="honest"))  # else it is known what it says of these
    assert voice(other)["rates"][0]["state"] != "INVALID"


# Stopping


def test_it_stops_when_enough_pairs_were_seen(tmp_path, judge):
    made = review(tmp_path, [1] * 60, rule=ANYTIME)
    with serving(answer=comparing()) as server:
        told = asked(made, judge(server))
        used = sum(sent(server).values())
        assert told.stopped == "enough pairs were seen"
        assert used < 120
        assert used % 6 == 0  # three pairs at a time
        assert voice(made)["rates"][0]["state"] in ("PASS", "IMPROVED")
        assert asked(made, judge(server)).asked == 0
        assert len(server.bodies) == used + 1  # nothing is asked of who has said enough
        assert asked(made, judge(server), all_pairs=True).asked == 120 - used
    fixed = review(tmp_path / "fixed", [1] * 60, rule=FIXED)
    with serving(answer=comparing()) as server:
        told = asked(fixed, judge(server))
    assert (told.asked + told.kept, told.stopped) == (120, "")


def test_what_has_no_answer_decides_nothing_and_is_asked_again(tmp_path, judge):
    made = review(tmp_path, [1] * 60, rule=ANYTIME)
    refused = Act(status=400, body="not now")
    with serving(times(10**6, refused), answer=comparing()) as server:
        told = asked(made, judge(server))
    assert (told.asked, told.stopped) == (0, "")
    assert voice(made)["rates"][0]["state"] == "INCONCLUSIVE"
    lost = voice(made)["refused"]
    with serving(answer=comparing()) as server:
        told = asked(made, judge(server))
    assert told.asked == 2 * lost == 120
    assert (told.unanswered, voice(made)["rates"][0]["state"]) == ({}, "IMPROVED")


def test_it_stops_when_the_model_does_not_see(tmp_path, judge):
    made = review(tmp_path, [1] * 20, trials=12, rule=ANYTIME)
    with serving(answer=comparing(bias=1.0)) as server:
        told = asked(made, judge(server))
    assert "catch trials missed" in told.stopped
    assert "does not see what it is asked" in told.stopped
    assert len(scores(made)) < 32


# Keeping


def test_equal_messages_are_asked_once_in_all_reviews(tmp_path, judge):
    first = review(tmp_path, TEN, trials=2)
    with serving(answer=comparing()) as server:
        asked(first, judge(server))
        again = asked(first, judge(server))
        assert (again.asked, again.kept) == (0, 0)
        before = sum(sent(server).values())
        same = review(tmp_path / "copy", TEN, trials=2, name="second")
        told = asked(same, judge(server))
        assert (told.asked, told.kept) == (0, 24)
        assert sum(sent(server).values()) == before
        assert scores(same) == scores(first)
        # Other pictures, another question, other settings: none of it is known.
        others = [
            (review(tmp_path / "x", [0, *TEN[1:]], trials=2), {}, 3),  # one of them a trial
            (review(tmp_path, TEN, name="t", question=changed(first)), {}, 20),
            (review(tmp_path, TEN, name="m"), {"max_pixels": 16}, 20),
            (review(tmp_path, TEN, name="e"), {"extra": {"top_p": 1}}, 20),
            (review(tmp_path, TEN, name="p"), {"template": "{question} Answer: 1 or 2?"}, 20),
        ]  # fmt: skip
        for number, (made, more, fresh) in enumerate(others):
            assert asked(made, judge(server, **more)).asked == fresh, number


def changed(made):
    return replace(made.plan.question, text="Which picture is sharper?")


def test_only_answers_are_kept(tmp_path, judge):
    made = review(tmp_path, [1])
    with serving(always(Act(body=json.dumps(says("who knows"))))) as server:
        asked(made, judge(server, again=0))
    assert list((tmp_path / "qa-cache").rglob("*.json")) == []
    with serving(answer=comparing()) as server:
        asked(made, judge(server))
    (settings,) = (tmp_path / "qa-cache").rglob("settings.json")
    assert json.loads(settings.read_text())["model"] == MODEL
    (file, _) = (tmp_path / "qa-cache").glob("answers/*/??/*.json")
    file.write_text('{"Which picture is better?": "maybe"}')
    other = review(tmp_path, [1], name="again")
    with serving(answer=comparing()) as server:
        told = asked(other, judge(server))
    assert (told.asked, told.kept) == (1, 1)


# Names and settings


def test_two_settings_are_two_raters(tmp_path, judge):
    made = review(tmp_path, [1, 0])
    with serving(answer=comparing()) as server:
        for more in ({}, {"max_pixels": 16}, {"revision": "v2"}):
            asked(made, judge(server, **more))
        names = [one["name"] for one in tally(made.folder)["voices"]]
        assert len(names) == 3
        assert sum(name.startswith(f"{MODEL} [") for name in names) == 2
        assert sum(name.startswith(f"{MODEL}@v2 [") for name in names) == 1
        same = judge(server, timeout=9.0, concurrency=1, again=0, retries=0)
        assert same.rater == judge(server).rater
        long = judge(server, served="m" * 300).rater
        assert (len(long), long.endswith("]")) == (100, True)


def test_an_answer_says_which_picture_came_first(tmp_path, judge):
    made = review(tmp_path, [1])
    with serving(answer=comparing()) as server:
        asked(made, judge(server))
    said = {row.first_is_left: row.said for row in answers.read(made.folder, made.plan)}
    assert said == {True: LEFT, False: RIGHT}


@pytest.mark.parametrize(
    ("more", "why"),
    [({"model": None}, "Nobody is named"), ({"url": None}, "Nobody is named"),
     ({"template": "Which?"}, "no place for the question"), ({"max_pixels": 0}, "max_pixels=0"),
     ({"concurrency": 0}, "concurrency=0"), ({"key": "sk-abc"}, "not the name"),
     ({"url": "http://me:pw@host/v1"}, "a name or a password")],
)  # fmt: skip
def test_settings_that_cannot_work(more, why):
    with pytest.raises(UsageError, match=why) as error:
        Judge(**{"model": MODEL, "url": "http://127.0.0.1:1/v1"} | more)
    assert "metric." not in str(error.value)
    assert "sk-abc" not in str(error.value)


def test_the_configuration_has_every_option_with_its_default():
    node = yaml.safe_load(files("qa.conf").joinpath("judge/mllm.yaml").read_text())
    assert node.pop("_target_") == f"{Judge.__module__}.{Judge.__name__}"
    options = inspect.signature(Judge).parameters
    assert node == {name: option.default for name, option in options.items()}


def test_the_command_asks_the_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, shade in (("run", 1), ("base", 0)):
        finished(tmp_path / name, 40, shade)
    with serving(answer=comparing()) as server:
        words = ("judge=mllm", f"judge.url={server.url}", f"judge.model={MODEL}", "judge.pause=0")
        call = ["review", "run", "base", *words, "pairs=60", "catch=0.3", "--json"]
        assert cli.run(call) == 0
    told = capsys.readouterr()
    (only,) = json.loads(told.out)[0]["voices"]
    assert (only["rates"][0]["rate"], only["rates"][0]["state"]) == (1.0, "IMPROVED")
    assert "enough pairs were seen" in told.err
    assert cli.run(["review", "run", "base", "judge=mllm"]) == 2
    assert "judge.url=http://HOST:8000/v1" in capsys.readouterr().err
