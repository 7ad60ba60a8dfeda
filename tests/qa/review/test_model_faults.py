"""A model that fails as a rater: no answer is made up, none is lost, none is asked twice."""

from __future__ import annotations

import json
import threading

import pytest
from judge_server import MODEL, Act, always, serving
from pair_server import (
    TEN,
    asked,
    comparing,
    expected,
    is_check,
    key,
    review,
    says,
    scores,
    sent,
    times,
    voice,
)

from qa.chat.hidden import HIDDEN
from qa.errors import QaError, UsageError
from qa.review import answers


@pytest.mark.parametrize(
    "act", [Act(status=500, body="out of memory"), Act(status=429), Act(body="<html>")],
    ids=["500", "429", "no JSON"],
)  # fmt: skip
def test_what_passes_is_tried_again(tmp_path, judge, act):
    made = review(tmp_path, TEN)
    with serving(times(2, act, lambda place: place % 4 == 0), answer=comparing()) as server:
        told = asked(made, judge(server, retries=2))
    assert scores(made) == expected(made, TEN)
    assert told.asked == 20
    assert sorted(sent(server).values()) == [1] * 15 + [3] * 5


def test_slow_answers_are_asked_for_again(tmp_path, judge):
    patience = threading.Event()
    slow = Act(wait=lambda: patience.wait(20))
    made = review(tmp_path, [1, 0])
    with serving(times(1, slow, lambda place: place == 0), answer=comparing()) as server:
        asked(made, judge(server, timeout=0.5, retries=6))
        patience.set()
    assert scores(made) == {0: 1, 1: 0}


def test_a_refusal_of_some_pairs_is_told_and_asked_again_later(tmp_path, judge):
    made = review(tmp_path, TEN)
    refused = Act(status=400, body="the content filter took offence " + "x" * 1000)
    plan = times(1, refused, lambda place: place in (0, 5))
    with serving(plan, answer=comparing()) as server:
        first = asked(made, judge(server, concurrency=1))
        assert set(sent(server).values()) == {1}  # a refusal stays one
        (why,) = first.unanswered
        assert why.startswith("refused with status 400: the content filter took offence xxx")
        assert len(why) < 250
        assert first.unanswered == {why: 2}
        assert (voice(made)["refused"], voice(made)["why"]) == (2, why)
        assert str(first).count(why) == 1
        second = asked(made, judge(server, concurrency=1))
    assert (second.asked, second.unanswered) == (2, {})
    assert sorted(sent(server).values()) == [1] * 18 + [2] * 2
    assert scores(made) == expected(made, TEN)
    assert voice(made)["refused"] == 0


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_everything_ends_it(tmp_path, judge, status):
    made = review(tmp_path, TEN)
    act = Act(status=status, body="not you")
    with serving(times(1, act, lambda place: place == 4), answer=comparing()) as server:
        with pytest.raises(QaError, match=f"refuses with status {status}. not you"):
            asked(made, judge(server, concurrency=1))
        assert len(answers.read(made.folder, made.plan)) == 4
        assert all(row.said for row in answers.read(made.folder, made.plan))
        asked(made, judge(server, concurrency=1))
    assert scores(made) == expected(made, TEN)
    with serving(always(act)) as server, pytest.raises(QaError, match="refuses"):
        asked(review(tmp_path / "other", [1]), judge(server))


@pytest.mark.parametrize(
    ("text", "why"),
    [("I like both.", "none of 1, 2, tie, bad: 'I like both.'"),
     (None, "none of 1, 2, tie, bad: ''"), ([], "not understood")],
)  # fmt: skip
def test_what_is_no_answer_is_asked_again_and_then_missing(tmp_path, judge, text, why):
    act = Act(body=json.dumps(says(text)))
    made = review(tmp_path, [1, 0, 1])
    with serving(times(2, act, lambda place: place == 2), answer=comparing()) as server:
        asked(made, judge(server, again=2, concurrency=1))
    assert sorted(sent(server).values()) == [1] * 5 + [3]
    assert scores(made) == {0: 1, 1: 0, 2: 1}
    made = review(tmp_path / "other", [0, 0, 1])
    with serving(times(2, act, lambda place: place == 2), answer=comparing()) as server:
        told = asked(made, judge(server, again=1, concurrency=1, revision="b"))
        (reason,) = told.unanswered
        assert why in reason
        assert scores(made) == {0: 0, 2: 1}
        assert voice(made)["rates"][0]["count"] == 3  # the pair is lost, not left out
        asked(made, judge(server, again=1, concurrency=1, revision="b"))
    assert scores(made) == {0: 0, 1: 0, 2: 1}


def test_a_server_that_goes_down_ends_it_and_nothing_is_lost(tmp_path, judge):
    made = review(tmp_path, TEN)

    def plan(number, text, body):
        return Act(status=503, body="going down") if number > 8 else None

    with serving(plan, answer=comparing()) as server:
        with pytest.raises(QaError, match="does not answer") as error:
            asked(made, judge(server))
        assert "503 going down" in error.value.why
        rows = answers.read(made.folder, made.plan)
        assert len(rows) == 8  # the requests 1 to 8; the first one was the check
        assert all(row.said for row in rows)
    before = {(row.pair, row.first_is_left) for row in rows}
    with serving(answer=comparing()) as server:
        told = asked(made, judge(server))
    assert told.asked == 12
    assert set(sent(server).values()) == {1}
    assert scores(made) == expected(made, TEN)
    assert [row for row in answers.read(made.folder, made.plan) if
            (row.pair, row.first_is_left) in before] == rows  # fmt: skip


def test_one_message_without_an_answer_does_not_take_the_others_along(tmp_path, judge):
    """The server is up, says the small question, and has no answer to one message for ever."""
    made = review(tmp_path, TEN)
    bad = Act(status=500, body="assertion failed")
    with serving(times(10**6, bad, lambda place: place == 3), answer=comparing()) as server:
        told = asked(made, judge(server, retries=1, again=1, concurrency=1))
    (why,) = told.unanswered
    assert "has no answer to it" in why
    assert "500 assertion failed" in why
    assert told.asked == 19
    assert sorted(sent(server).values()) == [1] * 19 + [4]


def test_another_model_is_refused(tmp_path, judge):
    made = review(tmp_path, TEN)
    with serving(model="smaller", answer=comparing()) as server:
        with pytest.raises(UsageError, match="Another model answers: smaller") as error:
            asked(made, judge(server))
        assert "judge.served=smaller" in error.value.fix
        assert "metric." not in error.value.fix
        assert len(server.bodies) == 1
        assert asked(made, judge(server, served="smaller")).asked == 20
    changes = review(tmp_path / "later", TEN)
    other = Act(body=json.dumps(says("Answer: 1", "smaller")))
    with (
        serving(times(1, other, lambda place: place == 6), answer=comparing()) as server,
        pytest.raises(UsageError, match="Another model answers"),
    ):
        asked(changes, judge(server, concurrency=1))
    assert len(answers.read(changes.folder, changes.plan)) == 6


def test_a_server_of_another_protocol_is_refused_before_any_pair(tmp_path, judge):
    made = review(tmp_path, TEN)
    with serving(always(Act(body="[1]"))) as server:
        with pytest.raises(UsageError, match="does not speak OpenAI's protocol") as error:
            asked(made, judge(server))
        assert error.value.fix == "judge.url=http://HOST:8000/v1"
    assert answers.read(made.folder, made.plan) == []


def test_a_key_that_comes_back_is_hidden(tmp_path, judge, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "open-sesame")
    made = review(tmp_path, [1, 0, 1, 0])
    acts = [
        Act(status=400, body="Bearer open-sesame is odd"),
        Act(body=json.dumps(says("I was sent open-sesame"))),
        Act(body=json.dumps({"model": MODEL, "choices": [{"message": "open-sesame"}]})),
        Act(body=json.dumps(says("open-sesame\nAnswer: 1"))),
    ]
    seen = {}

    def plan(number, text, body):
        if is_check(body):
            return None
        return acts[seen.setdefault(key(body), len(seen)) % 4]

    with serving(plan) as server:
        told = asked(made, judge(server, key="JUDGE_KEY", concurrency=1, again=0))
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer open-sesame"}
    assert sum(told.unanswered.values()) == 4
    assert HIDDEN in str(told)
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert any(HIDDEN.encode() in data for data in written)
    assert not any(b"sesame" in data for data in written)
    assert "sesame" not in str(told)
