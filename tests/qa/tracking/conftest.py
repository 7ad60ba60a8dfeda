"""Stores to export to: SQLite, a server over HTTP, PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracked import closed_port, make_run, tree

from qa.tracking import MLflow
from qa.tracking.connection import ENVIRONMENT, default_uri

DRIVERS = {"psycopg": "postgresql+psycopg", "psycopg2": "postgresql+psycopg2"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of run folders, which the default store lies in."""
    return tmp_path_factory.mktemp("with space é") / "runs"


@pytest.fixture(scope="module")
def uri(runs):
    return default_uri(runs)


@pytest.fixture(scope="module")
def exported(runs, uri):
    """A run in the default store."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    folder = make_run(runs / "first")
    before = tree(folder.path)
    location = MLflow().export(folder.path)
    assert tree(folder.path) == before
    return folder, location


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[str]:
    """URI of an `mlflow server` with an empty store."""
    place = tmp_path_factory.mktemp("server")
    port = closed_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1", "--backend-store-uri", f"sqlite:///{place}/server.db",
               "--artifacts-destination", str(place / "served")]  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _await(process, uri, place / "log")
            yield uri
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _await(process: subprocess.Popen, uri: str, log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"mlflow server did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def databases() -> Iterator[str]:
    """URI of a PostgreSQL server whose user may create databases, ending in its maintenance one.

    QA_POSTGRES names one; otherwise one is started where PostgreSQL is installed.
    """
    driver = next((name for name in DRIVERS if importlib.util.find_spec(name)), None)
    if driver is None:
        pytest.skip("no driver for PostgreSQL: pip install 'psycopg[binary]'")
    given = os.environ.get("QA_POSTGRES")
    if given:
        yield given
        return
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed and QA_POSTGRES names no server")
    # In a folder of its own: paths of sockets are short, and another user has to reach it.
    place = Path(tempfile.mkdtemp(prefix="qa-pg-"))
    user = {}
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # PostgreSQL refuses to run as root
        import pwd

        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(place, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    port = closed_port()
    quiet = {"cwd": place, "check": True, "capture_output": True, **user}
    data, control = str(place / "data"), str(programs / "pg_ctl")
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "qa", "-A", "trust", "--no-sync"], **quiet
        )
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c fsync=off -k {place}"
        subprocess.run(
            [control, "-D", data, "-w", "-l", str(place / "log"), "-o", options, "start"],
            cwd=place, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,
        )  # fmt: skip
        yield f"{DRIVERS[driver]}://qa@127.0.0.1:{port}/postgres"
    finally:
        if (place / "data" / "postmaster.pid").exists():
            subprocess.run([control, "-D", data, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(place)


def _programs() -> Path | None:
    """The folder of initdb and pg_ctl, which distributions keep out of PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@pytest.fixture
def postgres(databases) -> Iterator[str]:
    """URI of an empty database."""
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    name = f"qa_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(databases, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    yield f"{databases.rpartition('/')[0]}/{name}"
    with engine.connect() as connection:  # MLflow keeps its connections open
        connection.execute(sqlalchemy.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def sqlite(tmp_path) -> str:
    """URI of a file that is not there yet."""
    return f"sqlite:///{tmp_path}/store/mlflow.db"


@pytest.fixture(params=["sqlite", "server", "postgres"])
def store(request) -> str:
    """URI of each kind of store in turn."""
    return request.getfixturevalue(request.param)
