"""Stores that are dead, fresh, shared, old or behind a server."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from tracked import client_of, closed_port, make_run, run_of, snapshot, tree

from qa.errors import QaError, UsageError
from qa.tracking import MLflow
from qa.tracking.connection import ENVIRONMENT, _upgrade, default_uri, shown
from qa.tracking.exporter import FILES

pytestmark = [
    # MLflow's model of its tables asks for a loader that SQLAlchemy 2.1 is dropping.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


class Mute(threading.Thread):
    """A server that takes connections and says `answer`, or nothing at all."""

    def __init__(self, answer=b""):
        super().__init__(daemon=True)
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://user:secret@127.0.0.1:{self.socket.getsockname()[1]}"
        self.held = []

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.held.append(connection)
            if self.answer:
                connection.recv(1000)
                connection.sendall(self.answer)
                connection.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.held:
            connection.close()


def refused(folder, tracker, within):
    """Export to a store that is not there; the error, after checking time and run folder."""
    before = tree(folder.path)
    begin = time.monotonic()
    with pytest.raises(QaError) as caught:
        tracker.export(folder.path)
    assert time.monotonic() - begin < within
    assert tree(folder.path) == before
    error = caught.value
    assert not isinstance(error, UsageError)
    assert error.exit_code == 1
    assert f"qa export {folder.path}" in error.fix
    assert "secret" not in str(error)
    return error


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql"])
def test_a_dead_store_is_given_up_quickly(tmp_path, scheme):
    folder = make_run(tmp_path / "runs" / "x")
    uri = f"{scheme}://user:secret@127.0.0.1:{closed_port()}/base"
    assert "refused" in str(refused(folder, MLflow(uri=uri), 10))


def test_a_dead_store_in_the_environment(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "runs" / "x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    refused(folder, MLflow(), 10)
    assert not (tmp_path / "runs" / "mlflow.db").exists()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 503 Service Unavailable\r\n\r\n"])
def test_a_server_that_hangs_or_is_ill_is_given_up_quickly(tmp_path, answer):
    folder = make_run(tmp_path / "runs" / "x")
    server = Mute(answer)
    server.start()
    try:
        error = refused(folder, MLflow(uri=server.uri), 10)
    finally:
        server.close()
    assert ("503" if answer else "timed out") in str(error)


def test_what_is_no_database_is_given_up_quickly(tmp_path):
    folder = make_run(tmp_path / "runs" / "x")
    (tmp_path / "runs" / "mlflow.db").write_text("not a database " * 100)
    assert "not a database" in str(refused(folder, MLflow(), 10))
    (tmp_path / "file").touch()
    refused(folder, MLflow(uri=f"sqlite:///{tmp_path}/file/mlflow.db"), 10)
    refused(folder, MLflow(uri=f"file://{tmp_path}/files"), 20)


def test_a_database_of_another_age_is_left_alone_unless_it_is_ours(tmp_path, monkeypatch):
    import mlflow

    def old(*_args, **_kwargs):
        raise mlflow.exceptions.MlflowException("Detected out-of-date database schema (found 1)")

    folder = make_run(tmp_path / "runs" / "x")
    upgraded = []
    monkeypatch.setattr(mlflow, "MlflowClient", old)
    monkeypatch.setattr("qa.tracking.connection._upgrade", upgraded.append)
    error = refused(folder, MLflow(uri=f"sqlite:///{tmp_path}/other.db"), 10)
    assert "mlflow db upgrade sqlite:///" in error.fix
    assert not upgraded
    refused(folder, MLflow(), 10)
    assert upgraded == [default_uri(tmp_path / "runs")]


MEETING = """
import pathlib, sys, time
import qa.tracking.connection

run, ask = pathlib.Path(sys.argv[1]), qa.tracking.connection._ask

def meet(uri):
    import mlflow.store.tracking.sqlalchemy_store
    run.with_suffix(".met").touch()
    end = time.monotonic() + 4
    while time.monotonic() < end and len(list(run.parent.glob("*.met"))) < 2:
        time.sleep(0.001)
    ask(uri)

qa.tracking.connection._ask = meet
qa.tracking.MLflow().export(run)
"""
"""Exports, but waits for another process just before the store is opened: both would set up its
tables at once, were there no lock. With the lock the wait is in vain and ends."""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Two runs that two processes exported at once into a store that was not there before."""
    path = tmp_path_factory.mktemp("fresh")
    folders = [make_run(path / "runs" / name) for name in ("x", "y")]
    environment = {k: v for k, v in os.environ.items() if k not in ENVIRONMENT}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MEETING, str(folder.path)],
            cwd=path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for folder in folders
    ]  # fmt: skip
    said = [process.communicate(timeout=120) for process in processes]
    return folders, said, [process.returncode for process in processes]


def test_two_processes_share_a_fresh_database_and_say_nothing(fresh):
    folders, said, codes = fresh
    assert said == [(b"", b"")] * 2
    assert codes == [0, 0]
    uri = default_uri(folders[0].path.parent)
    parents = {run_of(uri, folder).data.tags["mlflow.parentRunId"] for folder in folders}
    assert len(parents) == 1
    assert len(snapshot(uri)["runs"]) == 3
    names = {path.name for path in folders[0].path.parents[1].iterdir()}
    assert names == {"runs"}, "nothing is left in the working folder"


def test_upgrading_our_database_keeps_a_copy(fresh, tmp_path):
    shutil.copy(fresh[0][0].path.parent / "mlflow.db", tmp_path / "mlflow.db")
    uri = default_uri(tmp_path)
    _upgrade(uri)
    kept = (tmp_path / "mlflow.db.before-upgrade").read_bytes()
    assert kept == (fresh[0][0].path.parent / "mlflow.db").read_bytes()
    assert run_of(uri, fresh[0][0]).data.tags["qa.verdict"] == "FAIL"


def test_over_http(fresh, tmp_path):
    port = closed_port()
    uri = f"http://127.0.0.1:{port}"
    shutil.copy(
        fresh[0][0].path.parent / "mlflow.db", tmp_path / "server.db"
    )  # saves the set-up of a database
    log = (tmp_path / "log").open("w")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
               "--artifacts-destination", str(tmp_path / "served")]  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        await_server(uri, server)
        folder = make_run(tmp_path / "runs" / "x")
        location = MLflow(uri=uri, experiment="served").export(folder.path)
        run = run_of(uri, folder, "served")
        assert location.startswith(f"{uri}/#/experiments/")
        assert location.endswith(run.info.run_id)
        assert run.data.metrics["gate/psnr/harm"] == 0.1 + 0.2
        assert run.data.metrics["psnr/high"] == 1e300
        client = client_of(uri)
        for name in FILES:
            got = client.download_artifacts(run.info.run_id, name, str(tmp_path))
            assert Path(got).read_bytes() == (folder.path / name).read_bytes()
        before = snapshot(uri, "served"), tree(tmp_path / "served")
        assert len(before[1]) == len(FILES) + 1
        MLflow(uri=uri, experiment="served").export(folder.path)
        assert (snapshot(uri, "served"), tree(tmp_path / "served")) == before
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        log.close()


def await_server(uri, server, seconds=60):
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("mlflow server did not start")


def test_uris_are_shown_without_secrets():
    assert shown("https://me:word@host:1/x") == "https://***@host:1/x"
    assert shown("sqlite:////a/b.db") == "sqlite:////a/b.db"
