"""Requests to a judge's server: bounded, timed, repeated where that may help.

A refused or broken connection, a timeout, an answer that is no JSON, longer than `LARGEST` or not
whole within the timeout, and the states 408, 425, 429 and 5xx are tried again after 1, 2, 4 … times
`pause` seconds (or as long as the server asks for), at most `LONGEST`. Any other 4xx is an error at
once, and so is a 3xx: the key goes to nobody else. A server that had all its attempts is down:
until it answers once more, each request has one attempt, so that a long run ends soon.

Servers repeat what they were sent, the key too. Nothing of theirs may be kept or shown before it
went through `Transport.clean`.

Errors say which option to change, as `option`.url: `metric.dpg.judge` or `judge`.
"""

from __future__ import annotations

import json
import os
import re
import time
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from qa.chat.hidden import hidden
from qa.errors import QaError, UsageError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

AGAIN = (408, 425, 429)
LONGEST = 60.0
"""Seconds between two attempts."""
LARGEST = 2**20
"""Bytes of an answer; one to one question has about a thousand."""
OF_ONE = (400, 413, 422, 451)
"""States that may be about one request alone: too large, or refused by a filter."""


class Silent(QaError):
    """The server did not answer a request, however often it was tried."""


class Refused(QaError):
    """The server refuses a request with this `status`; `why` is its own word."""

    def __init__(self, what: str, why: str = "", fix: str = "", status: int = 0) -> None:
        super().__init__(what, why, fix)
        self.status = status


class Transport:
    """JSON to and from the addresses below `url`, at most `concurrency` requests at a time."""

    def __init__(
        self,
        url: str,
        key: str,
        concurrency: int,
        timeout: float,
        retries: int,
        pause: float,
        option: str,
    ) -> None:
        """`key` names the environment variable that holds the server's key, if it wants one."""
        if concurrency < 1 or timeout <= 0 or retries < 0 or pause < 0:
            raise UsageError(
                f"concurrency={concurrency}, timeout={timeout}, retries={retries}, pause={pause} "
                "cannot work.",
                "At least one request at a time, a timeout above 0, and nothing negative.",
            )
        if key and not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key):
            raise UsageError(  # without the value: it may be the key itself
                "key is not the name of an environment variable.",
                "A configuration is kept with the run, so it must not hold the key.",
                f"export JUDGE_KEY=… and {option}.key=JUDGE_KEY",
            )
        self._url, self._key, self.option = _address(url, option), key, option
        self._timeout, self._retries, self._pause = timeout, retries, pause
        self._turn = BoundedSemaphore(concurrency)
        self._down = False

    def clean(self, text: str) -> str:
        """What the server sent, without the key in it, and such that it can be written."""
        return hidden(text, self._secret()).encode("utf-8", "replace").decode()

    def post(self, path: str, body: Any) -> Any:
        """The server's answer to JSON at `url`/`path`.

        Silent if it gives none; Refused or another QaError if it refuses.
        """
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
        raise Silent(
            f"The judge at {self._url} does not answer.",
            f"After {attempts} attempts: {why}.",
            "look after the server, then run the same command again: answers are kept",
        )

    def _try(self, path: str, body: Any) -> tuple[str, float, Any]:
        """Why to try again (or ""), after how many seconds at least, and what was answered."""
        import requests

        secret = self._secret()
        try:
            with (
                self._turn,
                requests.post(
                    f"{self._url}/{path}", json=body, timeout=self._timeout, stream=True,
                    auth=lambda request: _signed(request, secret), allow_redirects=False,
                ) as response,
            ):  # fmt: skip
                data = _bounded(response, time.monotonic() + self._timeout)
        except requests.Timeout:
            return f"no answer within {self._timeout:g} s", 0.0, None
        except requests.RequestException as error:
            # Without its text, which holds addresses in memory and is another one each time.
            return type(error).__name__, 0.0, None
        status = response.status_code
        if status in AGAIN or status >= 500:
            return f"status {status} {self._short(data)}", _pause(response), None
        if status >= 300:
            self._refused(response, data)
        if len(data) > LARGEST:
            return f"its answer is longer than {LARGEST} bytes", 0.0, None
        try:
            return "", 0.0, json.loads(data)
        except (ValueError, RecursionError):
            return f"its answer is no JSON: {self._short(data)}", 0.0, None

    def _refused(self, response: Response, data: bytes) -> None:
        """QaError for a state that stays."""
        if response.status_code < 400:
            place = self._short(response.headers.get("Location", "").encode())
            raise QaError(
                f"The judge at {self._url} sends elsewhere, to {place or 'no address'}.",
                f"Its status is {response.status_code}; the key is not taken along.",
                f"{self.option}.url=URL of the server itself",
            )
        raise Refused(
            f"The judge at {self._url} refuses with status {response.status_code}.",
            self._short(data),
            f"check the model's name, what else is asked for, and the key in "
            f"{self._key or 'a variable named by key='}",
            response.status_code,
        )

    def _secret(self) -> str:
        key = os.environ.get(self._key, "").strip() if self._key else ""
        if not all("!" <= letter <= "~" for letter in key):
            raise UsageError(
                f"The environment variable {self._key} holds no key.",
                "A key is one word of visible ASCII characters.",
                f"export {self._key}=KEY",
            )
        return key

    def _short(self, data: bytes) -> str:
        return " ".join(self.clean(data.decode("utf-8", "replace")).split())[:200]


def _address(url: str, option: str) -> str:
    """The address as it may be shown and kept; UsageError for one that is none."""
    if "@" in url:
        raise UsageError(
            "The judge's url holds a name or a password.",
            "A url is kept with the run.",
            "put the secret into an environment variable: export JUDGE_KEY=… and "
            f"{option}.key=JUDGE_KEY",
        )
    if not _usable(url):
        raise UsageError(  # without the value: it may hold a secret
            "The judge's url is no address of a server.",
            "It has a host and a path, and no query.",
            "give it as http://HOST:8000/v1",
        )
    return url.rstrip("/")


def _usable(url: str) -> bool:
    try:
        parts: SplitResult = urlsplit(url)
        number = parts.port
    except ValueError:
        return False
    plain = parts.scheme in ("http", "https") and bool(parts.hostname) and number != 0
    return plain and not parts.query and not parts.fragment


def _signed(request: PreparedRequest, secret: str) -> PreparedRequest:
    """As `auth`, also without a key: requests would otherwise take one from a .netrc file."""
    if secret:
        request.headers["Authorization"] = f"Bearer {secret}"
    return request


def _bounded(response: Response, end: float) -> bytes:
    """The body, or a byte more than `LARGEST` of it. Timeout where it is not whole by the end.

    Byte by byte: a read of more waits for all of it, however slowly that comes, and a compressed
    body unpacks to a thousand times as much.
    """
    import requests

    data = bytearray()
    for part in response.iter_content(1):
        data += part
        if len(data) > LARGEST:
            break
        if time.monotonic() > end:
            raise requests.Timeout
    return bytes(data)


def _pause(response: Response) -> float:
    """Seconds that the server asks to wait; a date, which it may be as well, is not read."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0
