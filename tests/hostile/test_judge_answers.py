"""What a judge's server may send: bounded in size and time, and a missing answer if it is none."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_server import MODEL, Act, always, answers_of, first_word, serving

from qa.chat import endpoint, transport
from qa.errors import QaError
from suites.dpg.judges.endpoint import Endpoint
from suites.dpg.judges.reading import spoken, weighed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def sending(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what `act` does, until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(2**16)
                    act(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def judge(url: str, tmp_path, **more) -> Endpoint:
    return Endpoint(MODEL, url, cache=str(tmp_path / "kept"), again=0, retries=0, **more)


def endless(connection: socket.socket) -> None:
    """A chunked body without end."""
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 2**16 + b"\r\n")


def gigabyte(connection: socket.socket) -> None:
    """A body of a declared gigabyte, of which it sends what is taken."""
    connection.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
    for _ in range(2**14):
        connection.sendall(b" " * 2**16)


def dripping(connection: socket.socket) -> None:
    """A body whose bytes come one by one, each well within the timeout of a read."""
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    for _ in range(400):
        connection.sendall(b" ")
        time.sleep(0.05)


PACKED = gzip.compress(bytes(2**26), 9) * 16


def packed(connection: socket.socket) -> None:
    """A megabyte of gzip that unpacks to a gigabyte."""
    size = b"Content-Length: %d\r\n\r\n" % len(PACKED)
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\n" + size + PACKED)


@pytest.mark.parametrize(
    ("act", "why"),
    [(endless, "longer than"), (gigabyte, "longer than"), (packed, "longer than"),
     (dripping, "no answer within 0.5 s")],
)  # fmt: skip
def test_bodies_without_end_are_missing_answers(act, why, tmp_path, monkeypatch):
    monkeypatch.setattr(transport, "LARGEST", 2**17)  # as 2**20, in an eighth of the time
    with sending(act) as url:
        (answer,) = answers_of(judge(url, tmp_path, timeout=0.5 if act is dripping else 20), 40)
    assert answer.yes is None
    assert why in answer.why


def test_negative_control_without_an_end_the_drip_goes_on(tmp_path, monkeypatch):
    bounded = transport._bounded
    monkeypatch.setattr(transport, "_bounded", lambda response, end: bounded(response, end + 60))
    start = time.monotonic()

    def some(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 30\r\n\r\n")
        for _ in range(30):
            connection.sendall(b" ")
            time.sleep(0.05)

    with sending(some) as url:
        (answer,) = answers_of(judge(url, tmp_path, timeout=0.5), 40)
    assert "no JSON" in answer.why
    assert time.monotonic() - start > 0.5


def test_memory_stays_small_while_a_gigabyte_is_offered(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(transport, "LARGEST", 2**16)
    with sending(packed) as url:
        made = judge(url, tmp_path, timeout=20)
        tracemalloc.start()
        answers_of(made, 40)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * 2**20


DEEP = "[" * 100_000
BODIES = {
    "deep list": DEEP + "]" * 100_000, "deep objects": '{"a":' * 20_000, "open": DEEP,
    "number": "1", "text": '"yes"', "null": "null", "NaN": "NaN", "huge number": "9" * 5000,
    "not a number": json.dumps(first_word(("Yes", float("nan")))),
    "infinite": json.dumps(first_word(("Yes", float("inf")))),
    "boolean": json.dumps(first_word(("Yes", True), ("No", "x"))),
    "list of choices": json.dumps({"model": MODEL, "choices": {"0": 1}}),
    "no message": json.dumps({"model": MODEL, "choices": [{}]}),
    "content": json.dumps({"model": MODEL, "choices": [{"message": {"content": ["Yes"]}}]}),
    "model": json.dumps({"model": ["x"], "choices": [{"message": {"content": "Yes"}}]}),
    "surrogate": '{"model": "\\ud800", "choices": 3}', "bytes": "\udcff\udcfe",
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_malformed_answers_are_missing_answers(name, tmp_path):
    body = BODIES[name]
    data = body.encode("utf-8", "surrogateescape")
    assert len(data) < transport.LARGEST

    def act(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data)

    with sending(act) as url:
        (answer,) = answers_of(judge(url, tmp_path), 40)
    assert (answer.yes, bool(answer.why)) == (None, True)
    assert len(answer.said) <= endpoint.KEPT
    assert len(answer.why) < 2 * endpoint.KEPT
    answer.why.encode()


def test_negative_control_a_right_answer_is_read(tmp_path):
    with serving() as server:
        (answer,) = answers_of(judge(server.url, tmp_path), 40)
    assert answer.yes is not None


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
SHAPES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "choices", "message", "content", "logprobs", "top_logprobs",
                             "token", "logprob"]),
            inner, max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def asked_of(tmp_path_factory):
    """A judge whose server says what it is told to."""
    made = Endpoint(
        MODEL, "http://127.0.0.1:1/v1", cache=str(tmp_path_factory.mktemp("kept")), again=0
    )

    def ask(reply: object):
        made._chat.transport.post = lambda path, body: reply
        return answers_of(made, 40)[0]

    return ask


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(SHAPES, SHAPES)
def test_any_json_is_an_answer_or_a_missing_one(asked_of, whole, choice):
    for reply in (whole, {"model": MODEL, "choices": [choice]},
                  {"model": MODEL, "choices": [{"message": {"content": "Yes"},
                                                "logprobs": {"content": [choice]}}]}):  # fmt: skip
        answer = asked_of(reply)
        assert answer.yes is None or 0 <= answer.yes <= 1
        assert answer.yes is not None or answer.why


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.text(max_size=300), st.lists(st.tuples(st.text(max_size=6), st.floats(0, 1))))
def test_any_text_is_read(text, shares):
    for answer in (spoken(text), weighed(text, shares)):
        assert answer.yes is None or 0 <= answer.yes <= 1 + 1e-9


def test_a_refusal_does_not_lose_the_other_answers(tmp_path):
    with serving(always(Act(status=400, body=DEEP))) as server:
        found = answers_of(judge(server.url, tmp_path), 40, 60)
    assert [answer.yes for answer in found] == [None, None]
    assert all(len(answer.why) < 1000 for answer in found)
    with pytest.raises(QaError):
        judge(server.url, tmp_path).check([])
