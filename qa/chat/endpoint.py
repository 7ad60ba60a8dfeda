"""One question to one model, at temperature 0:

    POST <url>/chat/completions   {model, messages: [one of the user: pictures and texts], …}

The name under which the server says that it answered must be `served`: a proxy that falls back to
another model would otherwise change the numbers silently. Whatever leaves this module of what the
server sent went through `Transport.clean`, but for what `read` takes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from qa.chat.transport import Transport
from qa.errors import QaError, UsageError

Part = Mapping[str, Any]
"""A text or a picture of a message, as the protocol has it."""
Found = TypeVar("Found")
KEPT = 500
"""Characters of an answer, or of what is wrong with it, that are kept."""


class Garbled(ValueError):
    """An answer that is not as the protocol says; the message says in what."""


class Chat:
    """A model as its server knows it. May be asked from several threads at once.

    `extra` adds entries to every request (None takes one away).
    """

    def __init__(
        self, transport: Transport, model: str, served: str, extra: Mapping[str, Any]
    ) -> None:
        self.transport = transport
        self._model, self._served, self._extra = model, served, dict(extra)

    def ask(
        self,
        content: Sequence[Part],
        read: Callable[[str, Mapping[str, Any]], Found],
        **settings: Any,
    ) -> Found:
        """What `read` makes of the answer's text and the choice that it is in; `settings` are more
        entries of the request.

        QaError where the server does not answer, UsageError where another model does, and Garbled
        for an answer that is not as it should be, or that `read` cannot make sense of.
        """
        body = {
            "model": self._model, "messages": [{"role": "user", "content": list(content)}],
            "temperature": 0, "seed": 0, **settings, **self._extra,
        }  # fmt: skip
        reply = self.transport.post(
            "chat/completions", {key: value for key, value in body.items() if value is not None}
        )
        try:
            served, choice = reply["model"], reply["choices"][0]
            if served != self._served:
                raise self._stranger(served)
            text = choice["message"].get("content")
            text = "" if text is None else text
            if not isinstance(text, str):
                raise TypeError(f"content is {type(text).__name__}, no text")
            return read(text, choice)
        except (AttributeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            why = self.transport.clean(f"{type(error).__name__}: {error}")[:KEPT]
            raise Garbled(f"the server's answer is not understood ({why})") from error

    @contextmanager
    def first_question(self) -> Iterator[None]:
        """What is asked inside shows whether the server is one: UsageError where it is none."""
        try:
            yield
        except Garbled as error:
            raise UsageError(
                f"The judge's server does not speak OpenAI's protocol: {error}.",
                "Its answer to a first question cannot be read.",
                f"{self.transport.option}.url=http://HOST:8000/v1",
            ) from error

    def _stranger(self, served: object) -> QaError:
        """What to raise where another model answers."""
        if not isinstance(served, str):
            raise TypeError(f"model is {type(served).__name__}, no text")
        name, option = self.transport.clean(served)[:200], self.transport.option
        return UsageError(
            f"Another model answers: {name}.",
            f"Asked for was {self._model}, to be served as {self._served}.",
            f"{option}.model={name}; or, if it is the same under another name, "
            f"{option}.served={name}",
        )


def text(words: str) -> Part:
    """A text as a part of a message."""
    return {"type": "text", "text": words}


def picture(url: str) -> Part:
    """A picture (`qa.chat.sight.data_url`) as a part of a message."""
    return {"type": "image_url", "image_url": {"url": url}}
