"""Which stores are asked: those that the user named.

A run folder, and a pointer to a baseline, may come from anybody. A store on the network that only
they name is not asked: the log-in of MLFLOW_TRACKING_TOKEN goes to whatever is. A SQLite file
is on this machine, but says itself where the files of its runs lie; so these have to be here too.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from qa.errors import UsageError
from qa.tracking.connection import shown, sqlite_file

VARIABLE = "MLFLOW_TRACKING_URI"
LOCAL = ("", "file")
"""Schemes of places on this machine."""


def bare(uri: str) -> str:
    """A URI without what a password belongs to: it is going to be kept in git."""
    parts = urlsplit(uri)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)) if ":" in user else uri


def named(uri: str, stores: Collection[str] = ()) -> str | None:
    """The store as MLFLOW_TRACKING_URI or one of `stores` names it, which may hold a password.

    None if none does. `stores` are what the user gave to this command.
    """
    given = [one for one in (os.environ.get(VARIABLE), *stores) if one]
    wanted = uri.rstrip("/")
    return next((one for one in given if wanted in _spellings(one)), None)


def check_named(uri: str, file: Path, also: str = "", stores: Collection[str] = ()) -> None:
    """UsageError for a store on the network that `file` names and the user does not.

    `also` is another way than MLFLOW_TRACKING_URI to name it.
    """
    try:
        if named(uri, stores) or sqlite_file(uri):
            return
        told = shown(uri)
    except Exception as error:  # urllib and SQLAlchemy have many kinds for what they cannot parse
        raise UsageError(
            f"{file} names a store whose address is none.", f"{type(error).__name__}: {error}."
        ) from error
    ways = [f"{VARIABLE}={told}", *([also] if also else [])]
    raise UsageError(
        f"{file} names the store {told}, which you did not.",
        "The file may come from anybody, and your log-in would go there.",
        f"if you know that store, name it: {'; or '.join(ways)}",
    )


def check_files(uri: str, run: Any) -> None:
    """UsageError for a run of a SQLite file that keeps its files on the network.

    Not where MLFLOW_TRACKING_URI names that file.
    """
    place = run.info.artifact_uri or ""
    if sqlite_file(uri) is None or named(uri) or urlsplit(place).scheme in LOCAL:
        return
    raise UsageError(
        f"{shown(uri)} keeps the files of run {run.info.run_id} at {shown(place)}.",
        "The database may come from anybody, and your log-in would go there.",
        f"if you know that place: {VARIABLE}={shown(uri)}",
    )


def _spellings(uri: str) -> tuple[str, str]:
    return uri.rstrip("/"), bare(uri).rstrip("/")
