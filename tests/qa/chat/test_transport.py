"""Requests to a model's server, whoever asks. Those of a judge are in tests/suites/dpg."""

from __future__ import annotations

import json

import pytest
from judge_server import MODEL, Act, always, serving
from pair_server import says

from qa.chat.endpoint import Chat, Garbled, text
from qa.chat.transport import Refused, Silent, Transport
from qa.errors import QaError, UsageError

OPTIONS = ("judge", "metric.dpg.judge")


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def transport(url, option="judge", key="OPENAI_API_KEY"):
    return Transport(url, key, 1, 5.0, 1, 0.0, option)


def chat(url, option="judge"):
    return Chat(transport(url, option), MODEL, MODEL, {})


def ask(made, read=lambda words, choice: words):
    return made.ask([text("1 or 2?")], read)


def first_question(made):
    with made.first_question():
        ask(made)


@pytest.mark.parametrize("option", OPTIONS)
def test_errors_name_the_option_of_who_asks(option):
    other = "metric.dpg.judge" if option == "judge" else " judge."
    cases = [
        lambda: transport("http://127.0.0.1:1", option, key="sk-abc"),
        lambda: transport("http://me:pw@127.0.0.1:1", option),
    ]
    for case in cases:
        with pytest.raises(UsageError) as error:
            case()
        assert f"{option}.key=" in error.value.fix
        assert other not in error.value.fix
    moved = Act(status=302, body="", headers={"Location": "http://127.0.0.1:1/"})
    replies = [moved, Act(body=json.dumps(says("1", "stranger"))), Act(body="[]")]
    for act in replies:
        with serving(always(act)) as server, pytest.raises(QaError) as error:
            first_question(chat(server.url, option))
        assert error.value.fix.startswith((f"{option}.url=", f"{option}.model="))
        assert other not in error.value.fix


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_has_its_status(status):
    with serving(always(Act(status=status, body="no"))) as server:
        with pytest.raises(Refused) as error:
            ask(chat(server.url))
        assert len(server.bodies) == 1
    assert (error.value.status, error.value.why) == (status, "no")


def test_silence_is_told_apart_from_refusals():
    with serving(always(Act(status=500))) as server:
        with pytest.raises(Silent, match="does not answer"):
            ask(chat(server.url))
        assert len(server.bodies) == 2


def test_what_the_reader_cannot_read_is_garbled_and_what_it_can_is_given_back():
    def odd(words, choice):
        raise KeyError("logprobs")

    with serving(always(Act(body=json.dumps(says("2"))))) as server:
        assert ask(chat(server.url)) == "2"
        with pytest.raises(Garbled, match="KeyError: 'logprobs'"):
            ask(chat(server.url), odd)
