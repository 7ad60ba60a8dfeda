"""A judge behind HTTP: any server that speaks OpenAI's chat protocol, such as vLLM.

One request for each question, at temperature 0:

    POST <url>/chat/completions   {model, messages: [picture as PNG, question], max_tokens, …}

`reading: logprobs` asks for one token and for the 20 likeliest first tokens, and weighs yes against
no (`suites.dpg.judges.reading`); a server that has no log-probabilities is told apart before
anything is decoded. `reading: text` reads the text of at most 16 tokens. An answer that is neither
yes nor no is asked for again, `again` times, and is then missing.

The name under which the server says that it answered must be `served` (by default `model`): a proxy
that falls back to another model would otherwise change the numbers silently.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import assets, images
from qa.errors import QaError, UsageError, said
from qa.files import digest
from qa.metrics.licences import NOT_STATED
from suites.dpg.judges import MAX_PIXELS, TEMPLATE, Answer, Asked
from suites.dpg.judges.cache import Cache
from suites.dpg.judges.reading import spoken, weighed
from suites.dpg.judges.sight import check_pixels, check_template, data_url, shrunk
from suites.dpg.judges.transport import Transport

if TYPE_CHECKING:
    from torch import Tensor

READINGS: Mapping[str, Mapping[str, Any]] = {
    "logprobs": {"max_tokens": 1, "logprobs": True, "top_logprobs": 20},
    "text": {"max_tokens": 16},
}
KEPT = 500
"""Characters of an answer that are kept."""


class Garbled(ValueError):
    """An answer that is not as the protocol says; the message says in what."""


class Endpoint:
    """Asks a server. Without `url` only the answers that are kept already can be had.

    `extra` adds entries to every request (null takes one away); `cache` is a folder for the
    answers, by default one in QA's own.
    """

    def __init__(
        self,
        model: str | None = None,
        url: str | None = None,
        served: str | None = None,
        revision: str = "",
        reading: str = "logprobs",
        template: str = TEMPLATE,
        max_pixels: int = MAX_PIXELS,
        extra: Mapping[str, Any] | None = None,
        key: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 60.0,
        retries: int = 5,
        pause: float = 1.0,
        again: int = 2,
        licence: str = "",
        cache: str | None = None,
    ) -> None:
        self._model = _named(model)
        self._served = served or self._model
        self._template, self._reading = check_template(template), _known(reading)
        self._max_pixels, self._again = check_pixels(max_pixels), again
        self._extra = dict(extra or {})
        settings = {
            "version": 1, "model": self._model, "served": self._served, "revision": revision,
            "reading": reading, "template": template, "max_pixels": max_pixels,
            "extra": self._extra,
        }  # fmt: skip
        self.label = self._served + (f" at {revision}" if revision else "")
        self.digest = digest(settings)
        self.licence = licence or NOT_STATED
        self._concurrency = concurrency
        self._server = Transport(url, key, concurrency, timeout, retries, pause) if url else None
        place = Path(cache) if cache else assets.store().cache / "answers"
        self._cache = Cache(place, settings)

    def check(self, items: Collection[str]) -> None:
        """Asks the server one question, so that a wrong one is met before the first decode."""
        import torch

        if self._server is not None:
            grey = torch.full((3, 64, 64), 128, dtype=torch.uint8)
            try:
                self._asked(data_url(grey), "Is this a picture?")
            except Garbled as error:
                raise UsageError(
                    f"The judge's server does not speak OpenAI's protocol: {error}.",
                    "Its answer to a first question cannot be read.",
                    "metric.dpg.judge.url=http://HOST:8000/v1",
                ) from error
        elif self._cache.empty:
            raise UsageError(
                f"Nobody answers for {self.label}.",
                "It has no url, and no answers of it are kept.",
                "metric.dpg.judge.url=http://HOST:8000/v1",
            )

    def ask(self, picture: Tensor, asked: Asked) -> list[Answer]:
        """An answer to each question: kept ones, the others from the server, side by side."""
        name = images.digest(picture)
        known = self._cache.read(name)
        fresh = list(dict.fromkeys(q.text for q in asked.questions if q.text not in known))
        if fresh:
            seen = data_url(shrunk(picture, self._max_pixels)) if self._server else ""
            with ThreadPoolExecutor(min(len(fresh), self._concurrency)) as pool:
                answers = pool.map(lambda question: self._one(name, seen, question), fresh)
                known |= zip(fresh, answers, strict=True)
        return [known[q.text] for q in asked.questions]

    def _one(self, name: str, seen: str, question: str) -> Answer:
        """The server's answer, kept if it is one."""
        answer = Answer("", None, "it is not among the kept answers, and there is no server")
        for _ in range(self._again + 1 if self._server else 0):
            try:
                answer = self._asked(seen, question)
            except Garbled as error:
                answer = Answer("", None, str(error))
            except QaError as error:
                return Answer("", None, said(error))
            if answer.yes is not None:
                self._cache.add(name, question, answer)
                break
        return answer

    def _asked(self, seen: str, question: str) -> Answer:
        """What the server says now; QaError where it does not answer, Garbled if not as it should.

        Whatever of it leaves this function went through `clean`.
        """
        assert self._server is not None
        content = [
            {"type": "image_url", "image_url": {"url": seen}},
            {"type": "text", "text": self._template.replace("{question}", question)},
        ]
        body = {
            "model": self._model, "messages": [{"role": "user", "content": content}],
            "temperature": 0, "seed": 0, **READINGS[self._reading], **self._extra,
        }  # fmt: skip
        reply = self._server.post(
            "chat/completions", {key: value for key, value in body.items() if value is not None}
        )
        try:
            served, choice = reply["model"], reply["choices"][0]
            if served != self._served:
                raise self._stranger(served)
            text = choice["message"].get("content")
            text = "" if text is None else text
            answer = self._read(text, choice)
            if answer.yes is None:  # the reason quotes the text, and may cut it within the key
                answer = self._read(self._server.clean(text), choice)
            return replace(answer, said=self._server.clean(answer.said)[:KEPT])
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            why = self._server.clean(f"{type(error).__name__}: {error}")[:KEPT]
            raise Garbled(f"the server's answer is not understood ({why})") from error

    def _stranger(self, served: object) -> QaError:
        """What to raise where another model answers."""
        assert self._server is not None
        if not isinstance(served, str):
            raise TypeError(f"model is {type(served).__name__}, no text")
        name = self._server.clean(served)[:200]
        return UsageError(
            f"Another model answers: {name}.",
            f"Asked for was {self._model}, to be served as {self._served}.",
            f"metric.dpg.judge.model={name}; or, if it is the same under another name, "
            f"metric.dpg.judge.served={name}",
        )

    def _read(self, text: object, choice: Mapping[str, Any]) -> Answer:
        if not isinstance(text, str):
            raise TypeError(f"content is {type(text).__name__}, no text")
        if self._reading == "text":
            return spoken(text)
        tokens = (choice.get("logprobs") or {}).get("content")
        if not tokens:
            raise UsageError(
                "The judge's server gives no log-probabilities.",
                "They say how sure the first word of an answer is.",
                "metric.dpg.judge.reading=text",
            )
        return weighed(text, _first(tokens[0]["top_logprobs"]))


def _first(rows: Any) -> Iterator[tuple[str, float]]:
    """Tokens and probabilities of the first word; ValueError for what is no probability."""
    for row in rows:
        share = math.exp(min(row["logprob"], 1.0))  # more would overflow, and is none either
        if not share <= 1 + 1e-6:  # NaN too; rounding may leave a little more than 1
            raise ValueError(f"{row['logprob']} is no log-probability")
        yield row["token"], share


def _named(model: str | None) -> str:
    if not model:
        raise UsageError(
            "DPG-Bench has no judge.",
            "Its questions are answered by a vision-language model.",
            "metric.dpg.judge.url=http://HOST:8000/v1 metric.dpg.judge.model=NAME; or "
            "metric=[dpg_vision], metric=[dpg_mplug], metric=[dpg_replay]",
        )
    return model


def _known(reading: str) -> str:
    if reading not in READINGS:
        raise UsageError(
            f"reading={reading} is not known.", "", f"reading={' or reading='.join(READINGS)}"
        )
    return reading
