"""A judge that can be served on loopback: it looks at the picture it is sent.

The question "Is x brighter than 40?" is answered with how far the picture's mean level is above 40;
`answer(body, model)` gives other judges' answers (`pair_server`). What goes wrong is given by
`plan(number, text, body)` → an `Act` for the request with that number (from 0), or None for a right
answer.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from dpg_toys import grey
from PIL import Image

from suites.dpg.judges import Asked
from suites.dpg.questions import Question

MODEL = "tiny-judge"
TEMPLATE = "{question} Answer yes or no."
LEVEL = 50
"""How bright the picture is that most tests show."""


@dataclass(frozen=True)
class Act:
    """What the server does instead of answering."""

    status: int = 200
    body: str | None = None
    """Sent as it is; None sends a right answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: Callable[[], object] | None = None
    """Called before anything is sent."""


Plan = Callable[[int, str, Mapping[str, Any]], Act | None]
Reply = Callable[[Mapping[str, Any], str], Mapping[str, Any]]


def chance(level: float, text: str) -> float:
    """Probability of yes: 1/2 where the picture is just as bright as asked for."""
    wanted = re.search(r"brighter than (\d+)", text)
    return 1 / (1 + math.exp(-(level - float(wanted[1])) / 4)) if wanted else 0.9


def reply(level: float, text: str, body: Mapping[str, Any], model: str = MODEL) -> dict[str, Any]:
    """A right answer, with log-probabilities where they were asked for.

    Yes and no have 0.8 of the probability, in several spellings; the rest is another word's.
    """
    yes = chance(level, text)
    shares = {" Yes": 0.6 * yes, "yes": 0.2 * yes, " No": 0.5 * (1 - yes), "NO": 0.3 * (1 - yes),
              "Maybe": 0.2}  # fmt: skip
    choice: dict[str, Any] = {"message": {"role": "assistant", "content": said(yes)}}
    if body.get("logprobs"):
        first = [{"token": token, "logprob": math.log(p)} for token, p in shares.items() if p > 0]
        choice["logprobs"] = {"content": [{"token": first[0]["token"], "top_logprobs": first}]}
    return {"model": model, "choices": [choice]}


def first_word(*rows: tuple[Any, Any], content: Any = "Yes", model: Any = MODEL) -> dict[str, Any]:
    """An answer with these tokens and log-probabilities, which may be none."""
    told = [{"token": token, "logprob": logprob} for token, logprob in rows]
    choice = {"message": {"content": content}, "logprobs": {"content": [{"top_logprobs": told}]}}
    return {"model": model, "choices": [choice]}


def said(yes: float) -> str:
    return "Yes." if yes > 0.5 else "No."


class Served:
    """What the tests see of a server."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        self.bodies: list[Mapping[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.sizes: list[tuple[int, int]] = []
        self.most = 0
        """How many requests there were at one time."""
        self._now = 0
        self._lock = threading.Lock()

    @property
    def questions(self) -> list[str]:
        return [question(body) for body in self.bodies]

    def enter(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> int:
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self._now += 1
            self.most = max(self.most, self._now)
            return len(self.bodies) - 1

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


def question(body: Mapping[str, Any]) -> str:
    """All texts of a message."""
    parts = body["messages"][0]["content"]
    return "\n".join(str(part["text"]) for part in parts if "text" in part)


def pictures(body: Mapping[str, Any]) -> list[np.ndarray]:
    """All pictures of a message, uint8 [H,W,3]."""
    urls = [part["image_url"]["url"] for part in body["messages"][0]["content"]
            if "image_url" in part]  # fmt: skip
    data = (base64.b64decode(url.partition(",")[2]) for url in urls)
    return [np.asarray(Image.open(io.BytesIO(each))) for each in data]


def brightness(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The answer of a judge that looks at one picture."""
    return reply(float(pictures(body)[0].mean()), question(body), body, model)


@contextmanager
def serving(
    plan: Plan | None = None, model: str = MODEL, answer: Reply = brightness
) -> Iterator[Served]:
    """A server on a free port of this machine until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(plan, model, answer))
    server.daemon_threads = True
    server.block_on_close = False
    server.served = Served(server)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.served  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(plan: Plan | None, model: str, answer: Reply) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served: Served = self.server.served  # type: ignore[attr-defined]
            number = served.enter(body, dict(self.headers))
            try:
                self._answer(number, body, served)
            except (BrokenPipeError, ConnectionResetError):
                pass  # whoever asked did not wait
            finally:
                served.leave()

        def _answer(self, number: int, body: Mapping[str, Any], served: Served) -> None:
            served.sizes += [picture.shape[:2] for picture in pictures(body)[:1]]
            text = question(body)
            act = (plan(number, text, body) if plan else None) or Act()
            if act.wait is not None:
                act.wait()
            data = (json.dumps(answer(body, model)) if act.body is None else act.body).encode()
            self.send_response(act.status)
            for name, value in act.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def asked(*thresholds):
    questions = [Question(k, f"Is it brighter than {t}?", (), "") for k, t in enumerate(thresholds)]
    return Asked("item", 0, 0, tuple(questions))


def right(*thresholds):
    return [chance(LEVEL, f"brighter than {t}") for t in thresholds]


def values(answers):
    return [None if answer.yes is None else pytest.approx(answer.yes) for answer in answers]


def answers_of(judge, *thresholds, level=LEVEL):
    return judge.ask(grey(level), asked(*thresholds))


def always(act):
    return lambda number, text, body: act


def first_times(count, act):
    """The first `count` requests of every question go wrong."""
    seen = Counter()

    def plan(number, text, body):
        seen[text] += 1
        return act if seen[text] <= count else None

    return plan
