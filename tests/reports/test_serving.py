"""The server of local pages: one machine, one token, known addresses, nothing else."""

from __future__ import annotations

import http.client
import socket
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from qa.errors import UsageError
from reports import serving
from reports.serving import HTML, PNG, Answer, Server

PAGE = Answer(b"<p>page</p>", HTML, "default-src 'none'; img-src 'self'")
PICTURE = Answer(b"picture", PNG)
ELSEWHERE = "127.0.0.2"
"""An address of this machine that is not the server's own."""
UNKNOWN = (
    "..", "../..", "%2e%2e", "%2E%2E/%2E%2E", "./", "/", "//a.png", "/etc/passwd", "a.png/",
    "a.png?", "a.png?x=1", "a.png#x", "a.png%00", "a.png\\..", "A.PNG", "%61.png",
    "file:///etc/passwd", "b.png",
)  # fmt: skip


@contextmanager
def running(site):
    with Server(site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def asked():
    """The addresses that reached the site."""
    return []


@pytest.fixture
def server(asked):
    def site(address):
        asked.append(address)
        return {"": PAGE, "a.png": PICTURE}.get(address)

    with running(site) as found:
        yield found


def raw(server, text):
    """What comes back for these very bytes: status, headers in order, body."""
    with socket.create_connection((serving.HOST, server.server_port), timeout=20) as connection:
        connection.sendall(text.encode("latin-1"))
        answer = http.client.HTTPResponse(connection, method=text.partition(" ")[0])
        answer.begin()
        return answer.status, answer.getheaders(), answer.read()


def get(server, address="", *, path=None, host=None, method="GET"):
    path = f"/{server.token}/{address}" if path is None else path
    host = f"Host: 127.0.0.1:{server.server_port}" if host is None else host
    return raw(server, f"{method} {path} HTTP/1.1\r\n{host}\r\n\r\n")


def test_known_addresses_are_answered(server):
    assert get(server)[::2] == (200, PAGE.body)
    assert get(server, "a.png")[::2] == (200, PICTURE.body)
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"


def test_it_listens_on_the_loopback_interface_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_another_address_of_the_machine_leads_nowhere(server, monkeypatch):
    def reached(host, port):
        with socket.socket() as client:
            return client.connect_ex((host, port)) == 0

    assert reached("127.0.0.1", server.server_port)
    assert not reached(ELSEWHERE, server.server_port)
    monkeypatch.setattr(serving, "HOST", ELSEWHERE)  # the check can fail
    with Server(lambda _: None) as other:
        assert reached(ELSEWHERE, other.server_port)


def test_without_the_token_all_is_one_and_the_same_404(server, asked):
    token = server.token
    wrong = [
        "/", "/favicon.ico", "/a.png", f"/{token}", f"/{token[:-1]}/", f"/{token}x/",
        f"//{token}x/", f"/{token.swapcase()}/", f"/x/{token}/",
        f"/%{ord(token[0]):x}{token[1:]}/", "*", f"http://127.0.0.1:{server.server_port}/{token}/",
    ]  # fmt: skip
    answers = [get(server, path=path) for path in wrong]
    answers += [get(server, path=path, method="POST") for path in wrong]
    status, headers, body = answers[0]
    assert (status, body) == (404, b"not found\n")
    assert answers == [(status, headers, body)] * len(answers)
    assert asked == []
    assert get(server)[0] == 200  # the check can fail


def test_tokens_are_long_and_new_for_every_server():
    with Server(lambda _: None) as one, Server(lambda _: None) as other:
        assert one.token != other.token
        assert min(len(one.token), len(other.token)) >= 43  # 32 bytes, base64


def test_another_host_is_a_404(server, asked):
    port = server.server_port
    for good in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert get(server, host=f"Host: {good}")[0] == 200
    asked.clear()
    bad = [
        "", "evil.example", f"evil.example:{port}", "127.0.0.1", "localhost", f"[::1]:{port}",
        f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}.evil.example", f"0.0.0.0:{port}",
    ]  # fmt: skip
    lines = [f"Host: {name}" for name in bad]
    lines += ["X: no host", f"Host: 127.0.0.1:{port}\r\nHost: evil.example"]
    missing = get(server, path="/")
    assert [get(server, host=line) for line in lines] == [missing] * len(lines)
    assert asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server, asked, method):
    status, headers, _ = get(server, method=method)
    assert status == 405
    assert dict(headers)["Allow"] == "GET, HEAD"
    assert asked == []


def test_a_method_that_nobody_knows_is_refused_without_a_word(server):
    status, headers, body = get(server, method="BREW")
    assert (status, body) == (501, b"")
    assert "Server" not in dict(headers)


def test_head_is_get_without_the_body(server):
    status, headers, body = get(server, "a.png", method="HEAD")
    assert (status, headers) == get(server, "a.png")[:2]
    assert body == b""
    assert dict(headers)["Content-Length"] == str(len(PICTURE.body))


@pytest.mark.parametrize(("address", "answer"), [("", PAGE), ("a.png", PICTURE)])
def test_every_header(server, address, answer):
    assert dict(get(server, address)[1]) == {
        "Content-Type": answer.kind,
        "Content-Length": str(len(answer.body)),
        "Content-Security-Policy": answer.policy,
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    assert PICTURE.policy == "default-src 'none'"


@pytest.mark.parametrize("address", UNKNOWN)
def test_what_is_not_known_is_a_404(server, asked, address):
    assert get(server, address) == get(server, path="/")
    assert asked == [address], "as it came: nothing is decoded or normalised on the way"


def test_a_failure_is_told_in_the_terminal_alone(capfd):
    def broken(address):
        if address:
            raise ValueError("the secret of this machine")
        return PAGE

    with running(broken) as server:
        status, _, body = get(server, "x")
        assert status == HTTPStatus.INTERNAL_SERVER_ERROR
        assert b"secret" not in body
        assert get(server)[0] == 200, "others are served on"
    assert "the secret of this machine" in capfd.readouterr().err


def test_nothing_is_logged(server, capfd):
    get(server)
    get(server, "..")
    get(server, path="/")
    assert capfd.readouterr() == ("", "")


def test_a_browser_that_went_away_is_no_error(server, capfd):
    for error in (ConnectionResetError(), BrokenPipeError()):
        try:
            raise error
        except ConnectionError:
            server.handle_error(None, ("127.0.0.1", 1))
    assert capfd.readouterr() == ("", "")
    try:
        raise ValueError("told")
    except ValueError:
        server.handle_error(None, ("127.0.0.1", 1))
    assert "told" in capfd.readouterr().err


def test_a_port_that_is_taken_is_a_usage_error(server):
    with pytest.raises(UsageError, match=f"Cannot listen on port {server.server_port}") as caught:
        Server(lambda _: None, server.server_port)
    assert caught.value.exit_code == 2
    assert caught.value.fix
