"""A judge behind HTTP that fails: no answer is made up, none is lost."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections import Counter

import pytest
from judge_server import (
    MODEL,
    Act,
    always,
    answers_of,
    first_times,
    first_word,
    right,
    serving,
    values,
)

from qa.chat.transport import LARGEST
from qa.errors import QaError, UsageError


@pytest.mark.parametrize(
    "act",
    [Act(status=500, body="out of memory"), Act(status=429, headers={"Retry-After": "0"}),
     Act(body="<html>"), Act(status=503)],
    ids=["500", "429", "garbage", "503"],
)  # fmt: skip
def test_what_passes_is_tried_again(judge, act):
    with serving(first_times(2, act)) as server:
        found = answers_of(judge(server.url, retries=2), 40, 60)
    assert values(found) == right(40, 60)
    assert set(Counter(server.questions).values()) == {3}


def test_what_does_not_pass_is_a_missing_answer_and_never_a_no(judge):
    act = Act(status=500, body="out of memory")
    with serving(first_times(2, act)) as server:
        made = judge(server.url, retries=1, concurrency=1)
        found = answers_of(made, 40, 60)
        assert [answer.yes for answer in found] == [None, None]
        assert "500 out of memory" in found[0].why
        assert "After 2 attempts" in found[0].why
        # the second question found the server down: one attempt
        assert (len(server.bodies), found[1].why.count("After 1 attempts")) == (3, 1)
        assert values(answers_of(made, 40, 60)) == right(40, 60)
    assert set(Counter(server.questions).values()) == {3}


def test_a_slow_server(judge):
    patience = threading.Event()
    slow = Act(wait=lambda: patience.wait(20))
    with serving(first_times(1, slow)) as server:
        found = answers_of(judge(server.url, timeout=0.5, retries=6), 40)
        patience.set()
    assert values(found) == right(40)
    patience.clear()
    with serving(always(slow)) as server:
        found = answers_of(judge(server.url, timeout=0.1, retries=1), 45)
        patience.set()
    assert found[0].yes is None
    assert "no answer within 0.1 s" in found[0].why


def test_nobody_there(judge):
    with serving() as server:
        pass
    made = judge(server.url, retries=1)
    assert "does not answer" in answers_of(made, 40)[0].why
    with pytest.raises(QaError, match="does not answer"):
        made.check(["item"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("Perhaps", "neither yes nor no: 'Perhaps'"),
        (None, "neither yes nor no"),
    ],
)
def test_an_answer_that_is_none_is_asked_for_again(judge, content, why):
    body = json.dumps({"model": MODEL, "choices": [{"message": {"content": content}}]})
    with serving(first_times(2, Act(body=body))) as server:
        assert values(answers_of(judge(server.url, reading="text", again=2), 40)) == [1.0]
    assert len(server.bodies) == 3
    with serving(first_times(2, Act(body=body))) as server:
        made = judge(server.url, reading="text", again=1, revision="other")
        (found,) = answers_of(made, 40)
        assert (found.yes, len(server.bodies)) == (None, 2)
        assert why in found.why
        assert values(answers_of(made, 40)) == [1.0]  # it was not kept


GARBLED = [
    {}, {"model": MODEL}, {"model": MODEL, "choices": []}, [], None, "text", 5,
    {"model": MODEL, "choices": [{"message": None}]},
    {"model": 5, "choices": [{}]},
    {"model": MODEL, "choices": [
        {"message": {}, "logprobs": {"content": [{"top_logprobs": [{"token": "Yes"}]}]}}]},
    first_word(("Yes", -0.1), content=[]), first_word(("Yes", -0.1), content=5),
    first_word(("Yes", float("nan"))), first_word(("Yes", 0.5)), first_word(("Yes", 800)),
    first_word(("Yes", -(10**400))), first_word(("Yes", "-0.1")), first_word((5, -0.1)),
]  # fmt: skip


@pytest.mark.parametrize("body", GARBLED)
def test_json_that_is_no_answer(judge, body):
    with serving(always(Act(body=json.dumps(body)))) as server:
        (found,) = answers_of(judge(server.url, again=1), 40)
        assert len(server.bodies) == 2
        with pytest.raises(UsageError, match="does not speak OpenAI's protocol"):
            judge(server.url).check(["item"])
    assert found.yes is None
    assert "not understood" in found.why


def test_what_json_allows_and_is_an_answer(judge):
    certain = first_word(("Yes", 0), ("No", -math.inf), ("no", -9999.0), content=None)
    with serving(always(Act(body=json.dumps(certain)))) as server:
        judge(server.url).check(["item"])
        assert values(answers_of(judge(server.url), 40)) == [1.0]


@pytest.mark.parametrize(
    ("body", "why"),
    [("[" * 100_000, "no JSON"), (" " * LARGEST + "{}", f"longer than {LARGEST} bytes")],
    ids=["deep", "long"],
)
def test_an_answer_that_nobody_could_read_loses_only_itself(judge, body, why):
    def plan(number, text, sent):
        return Act(body=body) if "than 45?" in text else None

    with serving(plan) as server:
        found = answers_of(judge(server.url, retries=1), 40, 45, 60)
        first_too = judge(server.url, template="{question} brighter than 45?", retries=0)
        with pytest.raises(QaError, match="does not answer"):
            first_too.check(["item"])
    assert values(found) == [*right(40), None, *right(60)]
    assert why in found[1].why
    assert len(found[1].why) < 500


@pytest.mark.parametrize(("size", "why"), [(2**20, ""), (2**20 + 1, "longer than 1048576 bytes")])
def test_the_longest_answer_has_a_mebibyte(judge, size, why):
    body = json.dumps(first_word(("Yes", -0.5))).ljust(size)
    with serving(always(Act(body=body))) as server:
        (found,) = answers_of(judge(server.url, retries=0, again=0), 40)
    assert (why in found.why) if why else (found.yes == 1)


def test_what_is_kept_of_an_answer_is_short(judge, tmp_path):
    body = {"model": MODEL, "choices": [{"message": {"content": "Yes, \ud800" + "so " * 10_000}}]}
    with serving(always(Act(body=json.dumps(body)))) as server:
        (found,) = answers_of(judge(server.url, reading="text"), 40)
    assert found.yes == 1
    assert found.said.startswith("Yes, ?so")
    assert len(found.said) == 500


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed(judge, monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
    with serving() as other:
        moved = Act(status=status, headers={"Location": f"{other.url}/chat/completions"})
        with serving(always(moved)) as server:
            made = judge(server.url)
            (found,) = answers_of(made, 40)
            with pytest.raises(QaError, match="sends elsewhere"):
                made.check(["item"])
    assert found.yes is None
    assert f"{other.url}/chat/completions" in found.why
    assert other.bodies == []


def test_a_shy_model_is_not_read(judge):
    first = [{"token": "The", "logprob": -0.01}, {"token": "Yes", "logprob": -6.0}]
    choice = {"message": {"content": "The"},
              "logprobs": {"content": [{"top_logprobs": first}]}}  # fmt: skip
    body = json.dumps({"model": MODEL, "choices": [choice]})
    with serving(always(Act(body=body))) as server:
        (found,) = answers_of(judge(server.url, again=0), 40)
    assert found.yes is None
    assert "0.002" in found.why


def test_another_model_is_an_error_before_anything_is_decoded(judge):
    with serving(model="smaller-judge") as server:
        made = judge(server.url)
        with pytest.raises(UsageError, match="Another model answers: smaller-judge") as error:
            made.check(["item"])
        assert MODEL in error.value.why
        (found,) = answers_of(made, 40)
        assert found.yes is None
        assert "smaller-judge" in found.why
        same = judge(server.url, served="smaller-judge")
        same.check(["item"])
        assert values(answers_of(same, 40)) == right(40)
    assert made.digest != same.digest


def test_a_server_without_log_probabilities_is_told_apart(judge):
    body = json.dumps({"model": MODEL, "choices": [{"message": {"content": "Yes"}}]})
    with serving(always(Act(body=body))) as server:
        with pytest.raises(UsageError, match="no log-probabilities") as error:
            judge(server.url).check(["item"])
        assert error.value.fix == "metric.dpg.judge.reading=text"
        judge(server.url, reading="text").check(["item"])


def test_a_refusal_is_not_tried_again(judge):
    refused = Act(status=404, body='{"error": "no such model"}')
    with serving(always(refused)) as server:
        (found,) = answers_of(judge(server.url), 40)
    assert "no such model" in found.why
    assert "status 404" in found.why
    assert len(server.bodies) == 1


KILLED = """
import sys, torch
from suites.dpg.judges import Asked
from suites.dpg.judges.endpoint import Endpoint
from suites.dpg.questions import Question

questions = tuple(Question(k, f"Is it brighter than {k}?", (), "") for k in range(45, 57))
judge = Endpoint(model="tiny-judge", url=sys.argv[1], cache=sys.argv[2], concurrency=1)
judge.ask(torch.full((3, 8, 8), 50, dtype=torch.uint8), Asked("item", 0, 0, questions))
"""


def test_killed_in_the_middle_it_goes_on_where_it_was(judge, tmp_path):
    held, arrived = threading.Event(), threading.Event()

    def plan(number, text, body):
        if number == 7:
            arrived.set()
            return Act(wait=lambda: held.wait(60))
        return None

    with serving(plan) as server:
        command = [sys.executable, "-c", KILLED, server.url, str(tmp_path / "cache")]
        process = subprocess.Popen(command)
        assert arrived.wait(60)
        process.kill()
        process.wait()
        held.set()
        before = server.questions[:7]
        found = answers_of(judge(server.url), *range(45, 57))
    assert values(found) == right(*range(45, 57))
    asked_again = server.questions[8:]
    assert len(asked_again) == 5
    assert not set(before) & set(asked_again)


def test_waits_double_and_the_server_may_ask_for_more(judge, monkeypatch):
    waits = []
    monkeypatch.setattr("qa.chat.transport.time.sleep", waits.append)
    acts = [Act(status=500), Act(status=429, headers={"Retry-After": "7"}),
            Act(status=429, headers={"Retry-After": "900"}), Act(status=500), None]  # fmt: skip
    with serving(lambda number, text, body: acts[number]) as server:
        assert values(answers_of(judge(server.url, pause=1.0), 40)) == right(40)
    assert waits == [0, 1, 7, 60, 8]
