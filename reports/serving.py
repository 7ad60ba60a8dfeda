"""Pages for one person at this machine: a small server that nobody else can reach or guess.

    GET /TOKEN/address  ──►  site(address)  ──►  Answer        anything else  ──►  404, always equal

It listens on the loopback interface alone, below a random token. The Host has to be its own, so
that no page of another site reaches it under a name of theirs (DNS rebinding). Addresses reach a
site as they came: nothing is decoded, and no path of a file is ever made from one.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
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
SILENCE = 600
"""Seconds that a connection may take: a large picture through a slow tunnel, no more."""
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
    """Media type: HTML, PNG, TEXT."""
    policy: str = NOTHING
    status: HTTPStatus = HTTPStatus.OK


Site = Callable[[str], Answer | None]
"""Address below the token ("" is the first page) → answer, or None where there is nothing."""

MISSING = Answer(b"not found\n", TEXT, status=HTTPStatus.NOT_FOUND)
READ_ONLY = Answer(b"only GET and HEAD\n", TEXT, status=HTTPStatus.METHOD_NOT_ALLOWED)
BROKEN = Answer(b"failed: the terminal says why\n", TEXT, status=HTTPStatus.INTERNAL_SERVER_ERROR)


class Server(ThreadingHTTPServer):
    """Serves a site on 127.0.0.1 until it is interrupted; `url` is all that a browser needs."""

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0) -> None:
        """Listen at once; port 0 takes any free one. UsageError if that is not possible."""
        self.site = site
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
        names = [f"{name}:{self.server.server_port}" for name in NAMES]
        hosts = self.headers.get_all("Host", [])
        start = f"/{self.server.token}/"
        known = secrets.compare_digest(self.path[: len(start)].encode(), start.encode())
        if not known or len(hosts) != 1 or hosts[0] not in names:
            return MISSING
        if self.command not in ("GET", "HEAD"):
            return READ_ONLY
        return self.server.site(self.path[len(start) :]) or MISSING

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        allowed = {"Allow": "GET, HEAD"} if answer is READ_ONLY else {}
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
