"""Stores that are dead, fresh, shared, old or behind a server."""

import shutil
import socket
import threading
import time

import pytest
from tracked import closed_port, make_run, run_of, tree

from qa.errors import QaError, UsageError
from qa.tracking import MLflow
from qa.tracking.connection import _upgrade, default_uri, said, shown

pytestmark = [
    # MLflow's model of its tables asks for a loader that SQLAlchemy 2.1 is dropping.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


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


def test_upgrading_our_database_keeps_a_copy(tmp_path):
    folder = make_run(tmp_path / "runs" / "x")
    MLflow().export(folder.path)
    shutil.copy(tmp_path / "runs" / "mlflow.db", tmp_path / "mlflow.db")
    uri = default_uri(tmp_path)
    _upgrade(uri)
    kept = (tmp_path / "mlflow.db.before-upgrade").read_bytes()
    assert kept == (tmp_path / "runs" / "mlflow.db").read_bytes()
    assert run_of(uri, folder).data.tags["qa.verdict"] == "FAIL"


def test_uris_are_shown_without_secrets():
    assert shown("https://me:word@host:1/x") == "https://***@host:1/x"
    assert shown("https://me:wo/rd@host:1/x?a=b") == "https://***@host:1/x?a=b"
    assert shown("http://[bad") == "http://[bad", "what is no address is shown, too"
    assert shown("sqlite:////a/b.db") == "sqlite:////a/b.db"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("refused by http://me:ses/ame@host/x"),
        ValueError("nonnumeric port: 'ses'"),  # as urllib says it
    ],
)
def test_errors_are_told_without_passwords(error):
    with pytest.raises(QaError) as caught, said("http://me:ses/ame@host:1", "did not do", "this"):
        raise error
    assert "ses" not in str(caught.value)
    assert type(error).__name__ in str(caught.value)
