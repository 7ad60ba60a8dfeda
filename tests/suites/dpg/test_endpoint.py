"""A judge behind HTTP, served on loopback: right answers, kept answers, and its settings."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from judge_server import (
    LEVEL,
    MODEL,
    TEMPLATE,
    Act,
    always,
    answers_of,
    asked,
    right,
    serving,
    values,
)

from qa.errors import UsageError


def test_right_answers_from_log_probabilities(judge):
    with serving() as server:
        found = answers_of(judge(server.url), 40, 50, 60)
    assert values(found) == right(40, 50, 60)
    assert [answer.counted for answer in found] == [1, 0, 0]
    (body, *_) = server.bodies
    assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)
    assert body["temperature"] == 0
    assert sorted(server.questions) == [
        TEMPLATE.replace("{question}", f"Is it brighter than {t}?") for t in (40, 50, 60)
    ]
    assert not any("Authorization" in headers for headers in server.headers)


def test_right_answers_from_text(judge):
    with serving() as server:
        found = answers_of(judge(server.url, reading="text"), 40, 60)
    assert [(answer.said, answer.yes) for answer in found] == [("Yes.", 1), ("No.", 0)]
    assert "logprobs" not in server.bodies[0]


def test_concurrency_is_used_and_bounded(judge):
    """Three requests wait for each other: fewer at a time would never get on."""
    together = threading.Barrier(3, timeout=20)
    with serving(always(Act(wait=together.wait))) as server:
        made = judge(server.url, concurrency=3, timeout=30.0)
        with ThreadPoolExecutor(2) as pool:  # pictures are looked at by several threads
            found = list(pool.map(lambda level: answers_of(made, *range(6), level=level), (50, 51)))
    assert server.most == 3
    assert values(found[0]) == right(*range(6))
    with serving(always(Act(wait=threading.Barrier(2, timeout=0.2).wait))) as server:
        (found,) = answers_of(judge(server.url, concurrency=1, retries=0), 41)
    assert found.yes is None  # the check above can fail


def test_answers_are_kept_by_everything_that_matters(judge):
    with serving() as server:
        first = judge(server.url)
        answers = answers_of(first, 40, 60)
        assert len(server.bodies) == 2
        assert answers_of(judge(server.url, concurrency=1, timeout=1.0), 40, 60) == answers
        assert len(server.bodies) == 2
        others = [
            {"template": "{question}"}, {"revision": "b"}, {"max_pixels": 16}, {"reading": "text"},
            {"extra": {"top_p": 1}}, {"served": MODEL, "model": "alias"},
        ]  # fmt: skip
        for count, other in enumerate(others, 3):
            assert judge(server.url, **other).digest != first.digest
            answers_of(judge(server.url, **other), 40)
            assert len(server.bodies) == count, other
        answers_of(first, 40, level=51)
        assert len(server.bodies) == count + 1


def test_kept_answers_need_no_server(judge, tmp_path):
    with serving() as server:
        answers = answers_of(judge(server.url), 40)
    alone = judge(None)
    alone.check(["item"])
    again = answers_of(alone, 40, 60)
    assert again[0] == answers[0]
    assert again[1].yes is None
    assert "there is no server" in again[1].why
    (kept,) = (tmp_path / "cache").glob("*/??/*.json")
    kept.write_text("{damaged")
    assert answers_of(alone, 40)[0].yes is None
    with serving() as server:
        assert answers_of(judge(server.url), 40) == answers


def test_a_large_picture_is_reduced(judge):
    picture = torch.full((3, 30, 40), LEVEL, dtype=torch.uint8)
    with serving() as server:
        made = judge(server.url, max_pixels=300)
        assert values(made.ask(picture, asked(40))) == right(40)
        assert values(judge(server.url).ask(picture, asked(40))) == right(40)
    assert server.sizes == [(15, 20), (30, 40)]


def test_extra_entries_are_sent_and_null_takes_one_away(judge):
    with serving() as server:
        answers_of(judge(server.url, extra={"seed": None, "chat_template_kwargs": {"a": 1}}), 40)
    assert server.bodies[0]["chat_template_kwargs"] == {"a": 1}
    assert "seed" not in server.bodies[0]


def test_settings_that_cannot_work(judge):
    for more, why in (
        ({"model": None}, "no judge"), ({"reading": "guess"}, "reading=guess"),
        ({"template": "What?"}, "no place for the question"), ({"max_pixels": 0}, "max_pixels=0"),
        ({"concurrency": 0}, "concurrency=0"), ({"timeout": 0}, "timeout=0"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=why):
            judge("http://127.0.0.1:1/v1", **more)
    for url in ("localhost:8000", "http://h:99999/v1", "http://[::1/v1", "http://h/v1?k=1"):
        with pytest.raises(UsageError, match="no address"):
            judge(url)
    with pytest.raises(UsageError, match="Nobody answers for tiny-judge"):
        judge(None).check(["item"])
