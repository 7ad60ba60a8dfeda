"""The user's log-in goes to no store that only somebody's files name."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from qa.baseline import find
from qa.cli import run
from qa.commands.report import compared
from qa.errors import UsageError
from qa.files import write_json
from qa.store import RunFolder

TOKEN = "sesame-login-0009"
CONTENT = "ab" * 32


@pytest.fixture
def listener():
    """A store of somebody else: its address, and the log-in of each request that it got."""
    received: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received.append(self.headers.get("Authorization"))
            self.send_response(200 if self.path == "/health" else 400)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def theirs(shown, tmp_path, monkeypatch):
    """A run folder of somebody else, in the folder where the user stands, with a log-in set."""
    place, _, _ = shown
    shutil.copytree(place / "made", tmp_path / "runs" / "made")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = RunFolder(tmp_path / "runs" / "made")
    configured(folder, tracking={"_target_": "qa.tracking.MLflow"})
    return folder


def configured(folder, **changes):
    folder.config_file.write_text(yaml.safe_dump({**folder.config(), **changes}))


def pointed(folder, where, place="baselines"):
    """A pointer to a baseline of the run's suite that lies `where`."""
    suite = folder.record()["suite"]
    line = {"environment": "0" * 12, "content": CONTENT, "run": "base",
            "promoted": "2026-01-01T00:00:00+00:00", "where": where}  # fmt: skip
    file = folder.path.parent.parent / place / f"{suite}.json"
    write_json(file, {"schema": "decoder-qa/baseline/2", "suite": suite, "baselines": [line],
                      "waivers": [], "tolerances": []})  # fmt: skip
    return file


def judged_against_it(folder):
    """Give the run a verdict against that baseline, as if it had been judged so."""
    verdict = folder.verdict()
    arm = {**verdict["candidate"], "content": CONTENT, "by": "Eve", "why": "", "until": None}
    write_json(folder.verdict_file, {**verdict, "baseline": arm})


COMMANDS = [
    ["judge", "runs/made"], ["judge", "runs/made", "--baselines", "baselines"],
    ["plan", "runs/made"], ["baseline", "why", "SUITE"],
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pointer_names_no_store(words, theirs, listener, capsys):
    uri, received = listener
    pointed(theirs, f"mlflow:{uri}#abc")
    words = [theirs.record()["suite"] if word == "SUITE" else word for word in words]
    code = run(words)
    said = capsys.readouterr()
    assert received == []
    assert f"names the store {uri}, which you did not" in said.out + said.err
    if words[0] != "baseline":  # that one shows what is wrong, and is done
        assert code == 2
        assert f"MLFLOW_TRACKING_URI={uri}" in said.err


def test_nor_does_a_pointer_at_another_place_that_the_run_names(theirs, listener, capsys):
    uri, received = listener
    configured(theirs, baselines=str(pointed(theirs, f"mlflow:{uri}#abc", "else/where").parent))
    assert run(["judge", "runs/made"]) == 2
    assert received == []
    assert "which you did not" in capsys.readouterr().err


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_store_that_the_user_named_is_asked(slash, theirs, listener, monkeypatch):
    """Negative control: the log-in arrives, and this is how a team works."""
    uri, received = listener
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri + slash)
    pointed(theirs, f"mlflow:{uri}{'' if slash else '/'}#abc")
    assert run(["judge", "runs/made"]) == 1
    assert f"Bearer {TOKEN}" in received


def test_another_store_is_not_asked_where_one_is_named(theirs, listener, monkeypatch, capsys):
    uri, received = listener
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    pointed(theirs, f"mlflow:{uri}#abc")
    assert run(["judge", "runs/made"]) == 2
    assert received == []
    assert "which you did not" in capsys.readouterr().err


def test_a_store_that_this_command_was_given_is_asked(theirs, listener):
    from qa.errors import QaError

    uri, received = listener
    pointed(theirs, f"mlflow:{uri}#abc")
    with pytest.raises(UsageError, match="which you did not"):
        find(theirs.record()["suite"])
    assert received == []
    with pytest.raises(QaError, match="does not give"):
        find(theirs.record()["suite"], stores=[uri])
    assert f"Bearer {TOKEN}" in received


@pytest.mark.parametrize("known", [False, True])
def test_a_report_asks_no_store_at_all(known, theirs, listener, monkeypatch):
    uri, received = listener
    if known:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    pointed(theirs, f"mlflow:{uri}#abc")
    judged_against_it(theirs)
    for form in ("html", "md", "json", "junit"):
        assert run(["report", "runs/made", "--format", form]) == 0
    assert compared(theirs) == (None, ()), "what `qa view` shows"
    assert received == []


def test_an_export_goes_to_no_store_that_the_run_names(theirs, listener, monkeypatch, capsys):
    uri, received = listener
    configured(theirs, tracking={"_target_": "qa.tracking.MLflow", "uri": uri})
    assert run(["export", "runs/made"]) == 2
    assert received == []
    assert f"qa export runs/made --uri {uri}" in capsys.readouterr().err
    assert run(["export", "runs/made", "--uri", uri]) == 1
    assert f"Bearer {TOKEN}" in received, "negative control: the user named it"
    received.clear()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert run(["export", "runs/made"]) == 1
    assert f"Bearer {TOKEN}" in received, "and so does this"


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_signature_goes_to_no_store_that_the_run_names(theirs, listener, capsys):
    uri, received = listener
    configured(theirs, tracking={"_target_": "qa.tracking.MLflow", "uri": uri})
    words = ["signoff", "runs/made", "--decision", "hold", "--why", "later", "--by", "Ann"]
    assert run(words) == 0
    assert received == []
    said = capsys.readouterr().err
    assert f"Not tracked: runs/made/config.yaml names the store {uri}, which you did not" in said


@pytest.fixture
def planted(theirs, listener):
    """A SQLite store beside the run whose experiments keep their files at the listener."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{theirs.path.parent}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    files = f"{listener[0]}/api/2.0/mlflow-artifacts/artifacts/theirs"
    experiment = client.create_experiment("decoder-qa", artifact_location=files)
    return uri, client.create_run(experiment).info.run_id


@pytest.mark.parametrize("named", [False, True])
def test_an_export_sends_no_file_where_a_database_says(
    named, theirs, planted, listener, monkeypatch, capsys
):
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", planted[0])
    assert run(["export", "runs/made"]) == (1 if named else 2)
    assert (f"Bearer {TOKEN}" in listener[1]) == named, "negative control: the user named it"
    assert ("keeps the files of run" in capsys.readouterr().err) != named


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("default", [False, True])
def test_no_baseline_is_fetched_from_where_a_database_says(
    default, named, theirs, planted, listener, monkeypatch, capsys
):
    uri, run_id = planted
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    pointed(theirs, f"mlflow:{'' if default else uri}#{run_id}")
    assert run(["judge", "runs/made"]) == (1 if named else 2)
    assert (f"Bearer {TOKEN}" in listener[1]) == named, "negative control: the user named it"
    assert ("keeps the files of run" in capsys.readouterr().err) != named


@pytest.mark.parametrize("where", ["mlflow:http://[x#abc", "mlflow:sqlite:x#abc"])
def test_what_is_no_address_is_refused(where, theirs, capsys):
    pointed(theirs, where)
    assert run(["judge", "runs/made"]) == 2
    assert "names a store whose address is none" in capsys.readouterr().err


def test_a_baseline_that_is_here_is_shown(theirs, monkeypatch):
    """Fetched once, an object lies in the cache, and a report has its history from there."""
    from qa import baseline

    asked = []
    pointed(theirs, "mlflow:http://mlflow.example#abc")
    judged_against_it(theirs)
    arm = theirs.verdict()["baseline"]
    entry = {"plan": arm["plan"], "run": "runs/made", "before": [{"content": "cd" * 32}]}

    def at_hand(file, content, where):
        asked.append(content)
        return entry

    monkeypatch.setattr(baseline.objects, "at_hand", at_hand)
    shown, history = compared(theirs)
    assert shown.path.resolve() == theirs.path.resolve()
    assert json.dumps(history) == json.dumps(entry["before"])
    assert asked == [CONTENT]
