"""Reaching an MLflow store: which one it is, whether it answers, and one writer at a time.

Left to itself MLflow waits minutes for a store that is down: HTTP requests are repeated seven
times with growing pauses, and a database that cannot be opened is tried for 100 seconds. So a
store is asked once, with a short limit, before MLflow is.

Writers of one machine take turns by a file lock that is held for a whole export. That covers the
set-up of an empty database, which MLflow does without a lock (eight processes on one empty SQLite
file: seven of them crash), and keeps two exports from creating the same run twice.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from qa.errors import QaError
from qa.files import digest

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Read by MLflow while it is imported and at each request; what the user has set stays."""
DATABASES = {"sqlite": 0, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Schemes that MLflow opens as a database, with their ports."""
ANSWER_SECONDS = 4.0
LOCK_SECONDS = 600.0
ARTIFACTS = "mlartifacts"


class Unreachable(Exception):
    """A store that does not answer; the message says why."""


def default_uri(runs: Path) -> str:
    """SQLite file beside the run folders; `runs` is the folder that holds them."""
    path = (runs / "mlflow.db").resolve().as_posix()
    if "%" not in path and "?" not in path:
        return f"sqlite:///{path}"
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=path).render_as_string()


def artifact_root(uri: str, runs: Path) -> str | None:
    """Where a new experiment keeps its files; None leaves it to a server."""
    if _scheme(uri) not in DATABASES:
        return None
    file = sqlite_file(uri)
    return ((file.parent if file else runs.resolve()) / ARTIFACTS).as_uri()


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other store."""
    if _scheme(uri) != "sqlite":
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database
    return None if database in (None, "", ":memory:") else Path(database).resolve()


def shown(uri: str) -> str:
    """The URI without user name and password."""
    address, mark, rest = uri.partition("?")
    return re.sub(r"//.*@", "//***@", address) + mark + rest


@contextmanager
def reported(uri: str, run: Path) -> Iterator[None]:
    """Turn whatever a tracker raises into one QaError: a run is never lost to its tracker."""
    safe = "The run folder is complete and was not changed."
    with said(uri, f"did not take the run {run.name}", f"qa export {run}", safe):
        yield


@contextmanager
def said(uri: str, what: str, then: str, besides: str = "") -> Iterator[None]:
    """Turn whatever MLflow raises into one QaError: `what` it did not do, what to do `then`."""
    try:
        yield
    except QaError:
        raise
    except Exception as error:  # MLflow, requests, SQLAlchemy, drivers and cloud clients raise all
        told = str(error) if isinstance(error, Unreachable) else f"{type(error).__name__}: {error}"
        told = re.sub(r"//\S*@", "//***@", " ".join(told.split()))
        if "@" in uri and isinstance(error, ValueError):  # it may quote a part of the password
            told = type(error).__name__
        raise QaError(
            f"MLflow at {shown(uri)} {what}.",
            f"{told[:400].rstrip('.')}. {besides}".rstrip(),
            f"{_advice(error, uri)}, then: {then}",
        ) from error


@contextmanager
def locked(uri: str) -> Iterator[None]:
    """Hold the store's lock: among the processes and threads of one machine, one writes."""
    from filelock import FileLock, Timeout

    file = sqlite_file(uri)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.with_name(file.name + ".lock")
    else:
        user = getattr(os, "getuid", lambda: 0)()
        lock = Path(tempfile.gettempdir()) / f"decoder-qa-{user}-{digest(uri)[:16]}.lock"
    try:
        with FileLock(lock, timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise Unreachable(f"another export has held {lock} for {LOCK_SECONDS:g} s") from error


def reach(uri: str) -> None:
    """Ask a store whether it is there, then import MLflow: all that many processes may do at once.

    Unreachable, within seconds, if nothing answers. Importing takes seconds and needs no turn.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if sqlite_file(uri) is None:
        _ask(uri)
    import mlflow

    if _scheme(uri) in DATABASES:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def open_client(uri: str, *, ours: bool) -> Any:
    """An MlflowClient on a store that was `reach`ed; call it while the store is `locked`.

    `ours`: the default database, whose schema is brought up to date (after a copy was made) when
    a newer MLflow asks for it. Other databases are left for their owner to upgrade.
    """
    from mlflow import MlflowClient

    file = sqlite_file(uri)
    if file is not None:  # asked here: a file that another process sets up may seem broken
        _ask(uri)
    try:
        client = MlflowClient(tracking_uri=uri)
    except Exception as error:
        if not (ours and outdated(error)):
            raise
        _upgrade(uri)
        client = MlflowClient(tracking_uri=uri)
    if file is not None and not file.is_file():  # MLflow caches its open files per process
        raise Unreachable(f"{file} was deleted while this process had it open")
    return client


def outdated(error: Exception) -> bool:
    """Whether a database waits for `mlflow db upgrade`; MLflow has no error code for it."""
    return "out-of-date database schema" in str(error)


def _scheme(uri: str) -> str:
    return urlsplit(uri).scheme.partition("+")[0]


def _advice(error: Exception, uri: str) -> str:
    if outdated(error):
        return f"back the database up and run `mlflow db upgrade {shown(uri)}`"
    if isinstance(error, ImportError):
        return "install what is missing"
    return "start it, or choose another with MLFLOW_TRACKING_URI or tracking.uri=URI"


def _ask(uri: str) -> None:
    """Raise Unreachable, within seconds, if nothing answers at `uri`."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        _ask_server(parts)
    elif _scheme(uri) in DATABASES:
        if parts.hostname:
            _connect(parts.hostname, parts.port or DATABASES[_scheme(uri)])
        _ask_database(uri)


def _ask_server(parts: SplitResult) -> None:
    """Any answer below 500 is one: `/health` may be hidden behind a log-in or a proxy."""
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/health", "", ""))
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS):
            return
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500:
            raise Unreachable(f"it answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        if "CERTIFICATE" not in str(error.reason):  # MLflow has its own TLS settings
            raise Unreachable(f"no answer: {error.reason}") from error
    except OSError as error:
        raise Unreachable(f"no answer: {error}") from error


def _connect(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise Unreachable(f"no answer from {host}:{port}: {error}") from error


def _ask_database(uri: str) -> None:
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    engine = sqlalchemy.create_engine(uri, poolclass=NullPool)
    try:
        sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _upgrade(uri: str) -> None:
    """`mlflow db upgrade` in a process of its own, which is its public interface."""
    file = sqlite_file(uri)
    if file is not None:
        shutil.copy2(file, file.with_name(file.name + ".before-upgrade"))
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Unreachable(f"`mlflow db upgrade` failed: {last}")
