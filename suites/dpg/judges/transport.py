"""Requests to a judge's server: bounded, timed, repeated where that may help.

A refused or broken connection, a timeout, an answer that is no JSON, and the states 408, 425, 429
and 5xx are tried again after 1, 2, 4 … times `pause` seconds (or as long as the server asks for),
at most `LONGEST`. Any other 4xx is an error at once. A server that had all its attempts is down:
until it answers once more, each request has one attempt, so that a long run ends soon.
"""

from __future__ import annotations

import os
import time
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qa.errors import QaError, UsageError

if TYPE_CHECKING:
    from requests import Response

AGAIN = (408, 425, 429)
LONGEST = 60.0
"""Seconds between two attempts."""


class Transport:
    """JSON to and from the addresses below `url`, at most `concurrency` requests at a time."""

    def __init__(
        self, url: str, key: str, concurrency: int, timeout: float, retries: int, pause: float
    ) -> None:
        """`key` names the environment variable that holds the server's key, if it wants one."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{url!r} is no address of a server.", "", "give it as http://HOST:8000/v1"
            )
        if concurrency < 1 or timeout <= 0 or retries < 0 or pause < 0:
            raise UsageError(
                f"concurrency={concurrency}, timeout={timeout}, retries={retries}, pause={pause} "
                "cannot work.",
                "At least one request at a time, a timeout above 0, and nothing negative.",
            )
        self._url, self._key = url.rstrip("/"), key
        self._name = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._timeout, self._retries, self._pause = timeout, retries, pause
        self._turn = BoundedSemaphore(concurrency)
        self._down = False

    def post(self, path: str, body: Any) -> Any:
        """The server's answer to JSON at `url`/`path`; QaError if it gives none, or refuses."""
        attempts = 1 if self._down else self._retries + 1
        why, wait = "", 0.0
        for attempt in range(attempts):
            time.sleep(wait)
            why, asked_for, found = self._try(path, body)
            if not why:
                self._down = False
                return found
            wait = min(LONGEST, max(asked_for, self._pause * 2**attempt))
        self._down = True
        raise QaError(
            f"The judge at {self._name} does not answer.",
            f"After {attempts} attempts: {why}.",
            "look after the server, then run the same command again: answers are kept",
        )

    def _try(self, path: str, body: Any) -> tuple[str, float, Any]:
        """Why to try again (or ""), after how many seconds at least, and what was answered."""
        import requests

        key = os.environ.get(self._key, "") if self._key else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with self._turn:
                response = requests.post(
                    f"{self._url}/{path}", json=body, headers=headers, timeout=self._timeout
                )
        except requests.Timeout:
            return f"no answer within {self._timeout:g} s", 0.0, None
        except requests.RequestException as error:
            # Without its text, which holds addresses in memory and is another one each time.
            return type(error).__name__, 0.0, None
        if response.status_code in AGAIN or response.status_code >= 500:
            return f"status {response.status_code} {_short(response)}", _pause(response), None
        if response.status_code >= 400:
            raise QaError(
                f"The judge at {self._name} refuses with status {response.status_code}.",
                _short(response),
                f"check the model's name, what reading= asks for, and the key in "
                f"{self._key or 'a variable named by key='}",
            )
        try:
            return "", 0.0, response.json()
        except requests.JSONDecodeError:
            return f"its answer is no JSON: {_short(response)}", 0.0, None


def _short(response: Response) -> str:
    return " ".join(response.text.split())[:200]


def _pause(response: Response) -> float:
    """Seconds that the server asks to wait; a date, which it may be as well, is not read."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
