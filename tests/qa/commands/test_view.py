"""`qa view`: it serves until Ctrl-C, opens a browser if it may, and picks what stands beside."""

from __future__ import annotations

import argparse
import queue
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest
from runfolders import build, gate, judged

from qa.commands import view
from qa.errors import UsageError
from reports.serving import Server

ALONE = """
import argparse, signal, sys
from qa.commands import view
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
parser = argparse.ArgumentParser()
view.arguments(parser.add_subparsers())
options = parser.parse_args(["view", *sys.argv[1:]])
sys.exit(options.do(options))
"""


def command(*words):
    parser = argparse.ArgumentParser()
    view.arguments(parser.add_subparsers())
    options = parser.parse_args(["view", *map(str, words)])
    return options.do(options)


def fetched(url):
    # Not through a proxy of the machine: nothing of this leaves it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:
        return answer.read().decode()


@pytest.fixture
def run(tmp_path):
    return build(tmp_path / "run", ["a", "b"])


@pytest.fixture
def opened(monkeypatch):
    """The addresses that a browser was opened at."""
    found = queue.Queue()
    monkeypatch.setattr("webbrowser.open", found.put)
    return found


@pytest.fixture
def served(monkeypatch):
    """The servers that ran; each answers once, then Ctrl-C is pressed."""
    servers = []

    def once(self):
        servers.append(self)
        thread = threading.Thread(target=Server.handle_request, args=(self,))
        thread.start()
        self.text = fetched(self.url)
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", once)
    return servers


def test_it_serves_until_it_is_interrupted(run):
    started = [sys.executable, "-c", ALONE, str(run.path), "--no-open"]
    pipe = subprocess.PIPE
    with subprocess.Popen(started, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert f"<bdi>{run.name}</bdi>" in fetched(url)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    assert err.splitlines() == [
        f"shows {run.path} to this machine alone; Ctrl-C ends it",
        "",
        "ended: the address is no longer served",
    ]
    with pytest.raises(OSError, match="refused"):
        fetched(url)


def test_a_browser_is_opened_at_the_address_that_is_printed(run, served, opened, capsys):
    assert command(run.path) == 0
    assert opened.get(timeout=20) == capsys.readouterr().out.strip() == served[0].url
    assert opened.empty()


def test_no_browser_is_opened_if_that_is_asked(run, served, monkeypatch, capsys):
    threads = []
    monkeypatch.setattr(view.threading, "Thread", lambda **known: threads.append(known))
    monkeypatch.setattr(Server, "serve_forever", lambda _: None)
    assert command(run.path, "--no-open") == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
    assert threads == []


def test_runs_named_stand_beside_it(tmp_path, run, served):
    bases = [build(tmp_path / name, ["a", "b"]) for name in ("one", "two")]
    assert command(run.path, *(base.path for base in bases), "--no-open") == 0
    assert "Baseline 1: <bdi>one</bdi>" in served[0].text
    assert "Baseline 2: <bdi>two</bdi>" in served[0].text


def test_else_the_baseline_that_it_was_judged_against(tmp_path, run, served, monkeypatch):
    base, asked = build(tmp_path / "base", ["a", "b"]), []

    def compared(folder):
        asked.append(folder.path)
        return base, ()

    monkeypatch.setattr(view, "compared", compared)
    command(run.path, "--no-open")
    assert asked == [], "nobody judged it"
    assert "Baseline" not in served[0].text
    judged(run, "FAIL", [gate("psnr", "FAIL", ["a"])])
    command(run.path, "--no-open")
    assert asked == [run.path]
    assert "Baseline: <bdi>base</bdi>" in served[1].text


def test_a_port_that_is_taken_is_a_usage_error(run):
    with Server(lambda _: None) as other, pytest.raises(UsageError, match="Cannot listen"):
        command(run.path, "--no-open", "--port", other.server_port)


@pytest.mark.parametrize("port", ["80", "-1", "65536", "http"])
def test_ports_that_cannot_be_meant(run, port, capsys):
    with pytest.raises(SystemExit) as caught:
        command(run.path, f"--port={port}")
    assert caught.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_what_is_no_run_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        command(tmp_path / "nothing", "--no-open")
