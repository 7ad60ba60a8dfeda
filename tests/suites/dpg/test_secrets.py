"""The key of a judge's server: sent to it alone, kept and shown nowhere, whoever repeats it."""

from __future__ import annotations

import json

import pytest
import requests
from dpg_toys import grey
from judge_server import LEVEL, MODEL, Act, always, answers_of, first_word, right, serving, values

from qa.chat.hidden import HIDDEN
from qa.chat.sight import data_url
from qa.errors import UsageError

BODY = {"messages": [{"content": [{"image_url": {"url": data_url(grey(LEVEL))}}, {"text": ""}]}]}


def test_a_key_is_sent_and_kept_nowhere(judge, monkeypatch, tmp_path):
    monkeypatch.setenv("JUDGE_KEY", "open-sesame")
    with serving() as server:
        answers_of(judge(server.url, key="JUDGE_KEY"), 40)
    assert server.headers[0]["Authorization"] == "Bearer open-sesame"
    written = "".join(file.read_text() for file in tmp_path.rglob("*.json"))
    assert MODEL in written
    assert "sesame" not in written


def test_no_other_key_is_sent(judge, monkeypatch, tmp_path):
    """Neither one of a .netrc file instead of the key, nor without a key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password word\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving() as server:
        assert requests.post(server.url, json=BODY).ok  # the file is found
        answers_of(judge(server.url), 40)
        monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
        answers_of(judge(server.url), 50)
    sent = [headers.get("Authorization") for headers in server.headers]
    assert sent[0].startswith("Basic ")
    assert sent[1:] == [None, "Bearer open-sesame"]


def test_a_key_that_is_none(judge, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "two words")
    with serving() as server, pytest.raises(UsageError, match="OPENAI_API_KEY holds no key"):
        judge(server.url).check(["item"])
    monkeypatch.setenv("OPENAI_API_KEY", "word\n")
    with serving() as server:
        judge(server.url).check(["item"])
    assert server.headers[0]["Authorization"] == "Bearer word"


@pytest.mark.parametrize("reading", ["text", "logprobs"])
def test_a_key_in_an_answer_is_not_kept(judge, monkeypatch, reading, tmp_path):
    """Also where the reason quotes the answer's beginning, which ends within the key."""
    monkeypatch.setenv("OPENAI_API_KEY", "open-sesame")
    for text, yes in (("Yes, open-sesame", 1), ("?" * 72 + "open-sesame", None)):
        body = first_word(*([("Yes", -0.1)] if yes else []), content=text)
        with serving(always(Act(body=json.dumps(body)))) as server:
            (found,) = answers_of(judge(server.url, reading=reading), 40)
        assert found.yes == yes
        assert "open" not in f"{found.said} {found.why}"
        assert HIDDEN in found.said
        for file in (tmp_path / "cache").rglob("*.json"):
            assert "sesame" not in file.read_text()
            if file.name != "settings.json":
                file.unlink()


def test_a_key_like_a_word_changes_no_answer(judge, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "no")
    with serving() as server:
        assert values(answers_of(judge(server.url), 40, 60)) == right(40, 60)
        found = answers_of(judge(server.url, reading="text"), 40, 60)
    assert values(found) == [1, 0]


def test_a_key_in_place_of_its_name_is_refused_and_not_repeated(judge):
    for wrong, why in (({"key": "sk-abc"}, "not the name of an environment variable"),
                       ({}, "no address of a server")):  # fmt: skip
        with pytest.raises(UsageError, match=why) as refused:
            judge("http://127.0.0.1:1/v1?api-key=sk-abc", **wrong)
        assert "sk-abc" not in str(refused.value)
