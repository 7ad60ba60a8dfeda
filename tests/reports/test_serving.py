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
from reports.serving import HTML, JSON, LONGEST, PNG, Answer, Server

PAGE = Answer(b"<p>page</p>", HTML, "default-src 'none'; img-src 'self'")
PICTURE = Answer(b"picture", PNG)
BODY = b'{"said": "left"}'
ELSEWHERE = "127.0.0.2"
"""An address of this machine that is not the server's own."""
UNKNOWN = (
    "..", "../..", "%2e%2e", "%2E%2E/%2E%2E", "./", "/", "//a.png", "/etc/passwd", "a.png/",
    "a.png?", "a.png?x=1", "a.png#x", "a.png%00", "a.png\\..", "A.PNG", "%61.png",
    "file:///etc/passwd", "b.png",
)  # fmt: skip


@contextmanager
def running(site, accept=None):
    with Server(site, accept=accept) as server:
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


@pytest.fixture
def sent():
    """What reached the site: address and body."""
    return []


@pytest.fixture
def taking(sent):
    """A server that takes what is sent to "answer"."""

    def accept(address, body):
        sent.append((address, body))
        return Answer(b"{}", JSON) if address == "answer" else None

    with running(lambda address: None if address else PAGE, accept) as found:
        yield found


def raw(server, text, body=b"", closed=False):
    """What comes back for these very bytes: status, headers in order, body.

    `closed`: the client says that it sends no more.
    """
    with socket.create_connection((serving.HOST, server.server_port), timeout=20) as connection:
        connection.sendall(text.encode("latin-1") + body)
        if closed:
            connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection, method=text.partition(" ")[0])
        answer.begin()
        return answer.status, answer.getheaders(), answer.read()


def get(server, address="", *, path=None, host=None, method="GET"):
    path = f"/{server.token}/{address}" if path is None else path
    host = f"Host: 127.0.0.1:{server.server_port}" if host is None else host
    return raw(server, f"{method} {path} HTTP/1.1\r\n{host}\r\n\r\n")


def post(server, address="answer", body=BODY, *, closed=False, **changes):
    """POST with these headers, of which None leaves one out and a list sends several."""
    headers = {
        "Host": f"127.0.0.1:{server.server_port}",
        "Origin": server.url.removesuffix(f"/{server.token}/"),
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [
        f"{name}: {value}\r\n"
        for name, values in headers.items()
        for value in ([] if values is None else values if isinstance(values, list) else [values])
    ]
    start = f"POST /{server.token}/{address} HTTP/1.1\r\n{''.join(lines)}\r\n"
    return raw(server, start, body, closed)


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


def test_what_is_sent_reaches_the_site(taking, sent):
    status, headers, body = post(taking)
    assert (status, body) == (200, b"{}")
    assert dict(headers)["Content-Type"] == "application/json"
    assert sent == [("answer", BODY)]
    assert post(taking, "elsewhere") == get(taking, path="/"), "the site takes nothing there"
    assert get(taking)[::2] == (200, PAGE.body)
    assert get(taking, "answer")[0] == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_other_method_sends_anything(taking, sent, method):
    status, headers, _ = get(taking, "answer", method=method)
    assert status == 405
    assert dict(headers)["Allow"] == "GET, HEAD, POST"
    assert sent == []


def test_nothing_is_taken_from_who_does_not_know_the_token(taking, sent):
    missing, token = get(taking, path="/"), taking.token
    for wrong in (token[:-1] + "!", "", token + "x"):
        lines = f"POST /{wrong}/answer HTTP/1.1\r\nHost: 127.0.0.1:{taking.server_port}\r\n"
        lines += f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        assert raw(taking, lines, BODY) == missing
    assert sent == []


def test_nothing_is_taken_for_another_host(taking, sent):
    missing, port = get(taking, path="/"), taking.server_port
    for host in (None, "evil.example", f"evil.example:{port}", [f"127.0.0.1:{port}"] * 2):
        assert post(taking, Host=host) == missing
    assert sent == []
    assert post(taking, Host=f"localhost:{port}")[0] == 200


def test_nothing_is_taken_from_a_page_of_another_site(taking, sent):
    missing, port = get(taking, path="/"), taking.server_port
    own = f"http://127.0.0.1:{port}"
    foreign = [
        "null", "", "https://evil.example", f"https://127.0.0.1:{port}", "http://127.0.0.1",
        f"http://127.0.0.1:{port + 1}", f"{own}/", f"{own}.evil.example", f"{own} {own}",
        [own, own], [own, "https://evil.example"],
    ]  # fmt: skip
    assert [post(taking, Origin=one) for one in foreign] == [missing] * len(foreign)
    assert sent == []
    for good in (own, f"http://localhost:{port}", None):
        assert post(taking, Origin=good)[0] == 200, "the check can fail"


def test_nothing_but_json_is_taken(taking, sent):
    kinds = [
        None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
        "application/json; charset=utf-8", "application/json2", "APPLICATION/JSON",
        ["application/json"] * 2,
    ]  # fmt: skip
    assert {post(taking, Content_Type=kind)[0] for kind in kinds} == {415}
    assert sent == []
    assert post(taking)[0] == 200


def test_the_length_is_said_once_and_as_a_number(taking, sent):
    lengths = [None, "", "x", "-1", "+5", "1.5", "0x5", "5 5", "\xb2", ["5", "5"], ["5", "6"]]
    assert {post(taking, Content_Length=length)[0] for length in lengths} == {411}
    chunked = {"Transfer_Encoding": "chunked"}
    assert post(taking, **chunked)[0] == 411
    assert post(taking, **chunked, Content_Length=None)[0] == 411
    assert sent == []
    assert post(taking)[0] == 200


def test_no_more_is_taken_than_the_longest(taking, sent):
    for length in (str(LONGEST + 1), "1" + 9 * "0", "1" + 5000 * "0"):
        assert post(taking, body=b"", Content_Length=length)[0] == 413
    assert sent == []
    assert post(taking, body=b"x" * LONGEST)[0] == 200
    assert sent == [("answer", b"x" * LONGEST)]


def test_half_a_body_is_none(taking, sent, monkeypatch):
    assert post(taking, Content_Length=str(len(BODY) + 1), closed=True)[0] == 408
    monkeypatch.setattr(serving, "PATIENCE", 0.05)
    assert post(taking, Content_Length=str(len(BODY) + 1))[0] == 408
    assert sent == []
    assert post(taking, Content_Length=str(len(BODY) - 1))[0] == 200
    assert sent == [("answer", BODY[:-1])], "what follows belongs to nobody"


def test_a_body_in_pieces_is_put_together(taking, sent):
    start = f"POST /{taking.token}/answer HTTP/1.1\r\nHost: 127.0.0.1:{taking.server_port}\r\n"
    start += f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with socket.create_connection((serving.HOST, taking.server_port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(start.encode())
        for letter in BODY:
            connection.sendall(bytes([letter]))
        assert connection.makefile("rb").readline().split()[1] == b"200"
    assert sent == [("answer", BODY)]


def test_a_failure_to_take_is_told_in_the_terminal_alone(capfd):
    def broken(address, body):
        raise ValueError("the secret of this machine")

    with running(lambda _: None, broken) as server:
        status, _, body = post(server)
        assert (status, b"secret" in body) == (500, False)
    assert "the secret of this machine" in capfd.readouterr().err
