"""Pages for one person at this machine: a small server that nobody else can reach or guess.

    GET /TOKEN/address   ──►  site(address)          ──►  Answer
    POST /TOKEN/address  ──►  accept(address, body)  ──►  Answer     only where a site takes any
    anything else        ──►  404, always equal

It listens on the loopback interface alone, below a random token. The Host has to be its own, so
that no page of another site reaches it under a name of theirs (DNS rebinding). Addresses reach a
site as they came: nothing is decoded, and no path of a file is ever made from one.

What is sent has to be JSON of bounded length, and its Origin, which every browser names, the
server's own: no page of another site can send anything, nor a form of this one.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from qa.errors import UsageError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""What a browser may call this machine."""
NOTHING = "default-src 'none'"
"""Content security policy of whatever is no page."""
HTML, PNG, TEXT = "text/html; charset=utf-8", "image/png", "text/plain; charset=utf-8"
JSON = "application/json"
SILENCE = 600
"""Seconds that a connection may take: a large picture through a slow tunnel, no more."""
LONGEST = 64 * 1024
"""Bytes of a body."""
PATIENCE = 30
"""Seconds in which a body has to come."""
DIGITS = re.compile("[0-9]+")
TOKEN_BYTES = 32
HEADERS = {
    "Cache-Control": "no-store",  # run folders change, and their pictures are nobody else's
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # it would tell the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Answer:
    """What is sent for one address."""

    body: bytes
    kind: str
    """Media type: HTML, PNG, TEXT, JSON."""
    policy: str = NOTHING
    status: HTTPStatus = HTTPStatus.OK


Site = Callable[[str], Answer | None]
"""Address below the token ("" is the first page) → answer, or None where there is nothing."""
Accept = Callable[[str, bytes], Answer | None]
"""The same for what is sent: address and body."""

MISSING = Answer(b"not found\n", TEXT, status=HTTPStatus.NOT_FOUND)
READ_ONLY = Answer(b"only GET and HEAD\n", TEXT, status=HTTPStatus.METHOD_NOT_ALLOWED)
NO_METHOD = replace(READ_ONLY, body=b"only GET, HEAD and POST\n")
NO_LENGTH = Answer(b"one length, in bytes\n", TEXT, status=HTTPStatus.LENGTH_REQUIRED)
TOO_LONG = Answer(b"too long\n", TEXT, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
NO_JSON = Answer(b"only JSON\n", TEXT, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
CUT = Answer(b"cut short\n", TEXT, status=HTTPStatus.REQUEST_TIMEOUT)
BROKEN = Answer(b"failed: the terminal says why\n", TEXT, status=HTTPStatus.INTERNAL_SERVER_ERROR)


class Server(ThreadingHTTPServer):
    """Serves a site on 127.0.0.1 until it is interrupted; `url` is all that a browser needs."""

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0, accept: Accept | None = None) -> None:
        """Listen at once; port 0 takes any free one. UsageError if that is not possible.

        `accept`: who takes what is sent; without it nothing can be sent.
        """
        self.site, self.accept = site, accept
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"Cannot listen on port {port} of {HOST}.",
                f"{error.strerror or error}.",
                "name another port, or leave --port out: any free one is taken",
            ) from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> list[str]:
        """What a browser may call it."""
        return [f"{name}:{self.server_port}" for name in NAMES]

    @property
    def methods(self) -> str:
        return "GET, HEAD" if self.accept is None else "GET, HEAD, POST"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong; a browser that did not wait for its picture is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request. Whoever does not know the token learns nothing, not even who answers."""

    server: Server
    timeout = SILENCE

    def do_GET(self) -> None:
        try:
            answer = self._answer()
        except Exception:
            self._send(BROKEN)
            raise
        self._send(answer)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _answer(self) -> Answer:
        hosts = self.headers.get_all("Host", [])
        start = f"/{self.server.token}/"
        known = secrets.compare_digest(self.path[: len(start)].encode(), start.encode())
        if not known or len(hosts) != 1 or hosts[0] not in self.server.hosts:
            return MISSING
        address, accept = self.path[len(start) :], self.server.accept
        if self.command == "POST" and accept is not None:
            sent = self._sent()
            return sent if isinstance(sent, Answer) else accept(address, sent) or MISSING
        if self.command not in ("GET", "HEAD"):
            return READ_ONLY if accept is None else NO_METHOD
        return self.server.site(address) or MISSING

    def _sent(self) -> bytes | Answer:
        """The body, or why it is not taken."""
        own = [f"http://{name}" for name in self.server.hosts]
        kinds, lengths, coded, origins = (
            self.headers.get_all(name, [])
            for name in ("Content-Type", "Content-Length", "Transfer-Encoding", "Origin")
        )
        if origins and (len(origins) != 1 or origins[0] not in own):
            return MISSING
        if kinds != [JSON]:
            return NO_JSON
        if coded or len(lengths) != 1 or not DIGITS.fullmatch(lengths[0]):
            return NO_LENGTH
        if len(lengths[0]) > len(str(LONGEST)) or int(lengths[0]) > LONGEST:
            return TOO_LONG
        body = self._read(int(lengths[0]))
        return CUT if body is None else body

    def _read(self, length: int) -> bytes | None:
        """So many bytes; None where they do not come in time, however slowly they come."""
        body, until = b"", time.monotonic() + PATIENCE
        try:
            while len(body) < length:
                self.connection.settimeout(max(0.001, until - time.monotonic()))
                part = self.rfile.read1(length - len(body))
                if not part:
                    return None
                body += part
        except TimeoutError:
            return None
        finally:
            self.connection.settimeout(SILENCE)
        return body

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        refused = answer.status is HTTPStatus.METHOD_NOT_ALLOWED
        allowed = {"Allow": self.server.methods} if refused else {}
        own = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.body)),
            "Content-Security-Policy": answer.policy,
        }
        for name, value in (own | HEADERS | allowed).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no HTTP, or a method that nobody knows."""
        self.close_connection = True
        self._send(Answer(b"", TEXT, status=HTTPStatus(code)))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests."""
