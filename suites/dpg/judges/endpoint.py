"""A judge behind HTTP: any server that speaks OpenAI's chat protocol, such as vLLM.

One request for each question, at temperature 0:

    POST <url>/chat/completions   {model, messages: [picture as PNG, question], max_tokens, …}

`reading: logprobs` asks for one token and for the 20 likeliest first tokens, and weighs yes against
no (`suites.dpg.judges.reading`); a server that has no log-probabilities is told apart before
anything is decoded. `reading: text` reads the text of at most 16 tokens. An answer that is neither
yes nor no is asked for again, `again` times, and is then missing.

The name under which the server says that it answered must be `served` (by default `model`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import assets, images
from qa.chat.endpoint import KEPT, Chat, Garbled, picture, text
from qa.chat.kept import Kept
from qa.chat.sight import check_pixels, check_template, data_url, shrunk
from qa.chat.transport import Transport
from qa.errors import QaError, UsageError, said
from qa.files import digest
from qa.metrics.licences import NOT_STATED
from suites.dpg.judges import MAX_PIXELS, TEMPLATE, Answer, Asked
from suites.dpg.judges.reading import spoken, weighed

if TYPE_CHECKING:
    from torch import Tensor

READINGS: Mapping[str, Mapping[str, Any]] = {
    "logprobs": {"max_tokens": 1, "logprobs": True, "top_logprobs": 20},
    "text": {"max_tokens": 16},
}
OPTION = "metric.dpg.judge"
"""Where a run's configuration has this judge."""


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
        extra = dict(extra or {})
        settings = {
            "version": 1, "model": self._model, "served": self._served, "revision": revision,
            "reading": reading, "template": template, "max_pixels": max_pixels,
            "extra": extra,
        }  # fmt: skip
        self.label = self._served + (f" at {revision}" if revision else "")
        self.digest = digest(settings)
        self.licence = licence or NOT_STATED
        self._concurrency = concurrency
        self._chat = None
        if url:
            server = Transport(url, key, concurrency, timeout, retries, pause, OPTION)
            self._chat = Chat(server, self._model, self._served, extra)
        place = Path(cache) if cache else assets.store().cache / "answers"
        self._kept = Kept(place, settings)

    def check(self, items: Collection[str]) -> None:
        """Asks the server one question, so that a wrong one is met before the first decode."""
        import torch

        if self._chat is not None:
            grey = torch.full((3, 64, 64), 128, dtype=torch.uint8)
            with self._chat.first_question():
                self._asked(data_url(grey), "Is this a picture?")
        elif self._kept.empty:
            raise UsageError(
                f"Nobody answers for {self.label}.",
                "It has no url, and no answers of it are kept.",
                f"{OPTION}.url=http://HOST:8000/v1",
            )

    def ask(self, picture: Tensor, asked: Asked) -> list[Answer]:
        """An answer to each question: kept ones, the others from the server, side by side."""
        name = images.digest(picture)
        known = self._known(name)
        fresh = list(dict.fromkeys(q.text for q in asked.questions if q.text not in known))
        if fresh:
            seen = data_url(shrunk(picture, self._max_pixels)) if self._chat else ""
            with ThreadPoolExecutor(min(len(fresh), self._concurrency)) as pool:
                answers = pool.map(lambda question: self._one(name, seen, question), fresh)
                known |= zip(fresh, answers, strict=True)
        return [known[q.text] for q in asked.questions]

    def _known(self, name: str) -> dict[str, Answer]:
        """Question → answer that is kept on a picture; a damaged file holds none."""
        try:
            rows = self._kept.read(name).items()
            return {text: Answer(str(row["said"]), float(row["yes"])) for text, row in rows}
        except (KeyError, TypeError, ValueError):
            return {}

    def _one(self, name: str, seen: str, question: str) -> Answer:
        """The server's answer, kept if it is one."""
        answer = Answer("", None, "it is not among the kept answers, and there is no server")
        for _ in range(self._again + 1 if self._chat else 0):
            try:
                answer = self._asked(seen, question)
            except Garbled as error:
                answer = Answer("", None, str(error))
            except QaError as error:
                return Answer("", None, said(error))
            if answer.yes is not None:
                self._kept.add(name, question, {"said": answer.said, "yes": answer.yes})
                break
        return answer

    def _asked(self, seen: str, question: str) -> Answer:
        """What the server says now; QaError where it does not answer, Garbled if not as it should.

        Whatever of it leaves this function went through `clean`.
        """
        assert self._chat is not None
        clean = self._chat.transport.clean

        def read(words: str, choice: Mapping[str, Any]) -> Answer:
            answer = self._read(words, choice)
            if answer.yes is None:  # the reason quotes the text, and may cut it within the key
                answer = self._read(clean(words), choice)
            return replace(answer, said=clean(answer.said)[:KEPT])

        content = [picture(seen), text(self._template.replace("{question}", question))]
        return self._chat.ask(content, read, **READINGS[self._reading])

    def _read(self, words: str, choice: Mapping[str, Any]) -> Answer:
        if self._reading == "text":
            return spoken(words)
        tokens = (choice.get("logprobs") or {}).get("content")
        if not tokens:
            raise UsageError(
                "The judge's server gives no log-probabilities.",
                "They say how sure the first word of an answer is.",
                f"{OPTION}.reading=text",
            )
        return weighed(words, _first(tokens[0]["top_logprobs"]))


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
            f"{OPTION}.url=http://HOST:8000/v1 {OPTION}.model=NAME; or "
            "metric=[dpg_vision], metric=[dpg_mplug], metric=[dpg_replay]",
        )
    return model


def _known(reading: str) -> str:
    if reading not in READINGS:
        raise UsageError(
            f"reading={reading} is not known.", "", f"reading={' or reading='.join(READINGS)}"
        )
    return reading
