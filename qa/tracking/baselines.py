"""Approved baselines in MLflow, for teams that keep nothing large in git.

    experiment decoder-qa-baselines
    └── run per baseline   named after its suite; tags approved, qa.suite, qa.environment,
                           qa.baseline.content; files object.json (to read), baseline.zip (all)

`baselines/<suite>.json` in git stays what decides: it names a baseline by digest and says where it
lies. The tag `approved` repeats that for people who look at MLflow only: one run of a suite and
environment class has it, the one promoted last. An experiment of its own can have permissions of
its own. One archive instead of many files: names of samples survive every kind of artifact store.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from qa.errors import UsageError
from qa.files import PARTIAL, digest, read_json
from qa.tracking.connection import (
    Unreachable,
    artifact_root,
    default_uri,
    locked,
    open_client,
    reach,
    said,
    sqlite_file,
)
from qa.tracking.named import bare, check_files, check_named, named
from qa.tracking.upsert import KIND, UPLOADED, Upsert, experiment_id
from qa.tracking.values import text
from qa.untrusted import unpack

EXPERIMENT = "decoder-qa-baselines"
APPROVED = "approved"
CONTENT = "qa.baseline.content"
POINTER = "qa.baseline.pointer"
REPLACED = "qa.baseline.replaced_by"
ARCHIVE = "baseline.zip"
OBJECT = "object.json"
SCHEME = "mlflow:"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""


def upload(folder: Path, suite: str, content: str, uri: str | None = None) -> str:
    """Keep a baseline's folder in MLflow as the approved one; returns where it is, for `download`.

    `content` is its digest. The store is `uri`, or else MLFLOW_TRACKING_URI, or else the SQLite
    file `runs/mlflow.db`. Uploading twice changes nothing. QaError if the store takes nothing.
    """
    given = uri or os.environ.get("MLFLOW_TRACKING_URI")
    store = given or default_uri(Path("runs"))
    with said(store, f"did not take the baseline {folder.name}", "promote it again"):
        reach(store)
        with locked(store):
            client = open_client(store, ours=given is None)
            experiment = experiment_id(client, EXPERIMENT, artifact_root(store, Path("runs")))
            run = _keep(Upsert(client, experiment), folder, suite, content)
    return f"{SCHEME}{bare(given) if given else ''}#{run}"


def check(where: str, pointer: Path, stores: Collection[str] = ()) -> None:
    """UsageError where `download` would ask a store, or a place of files, that nobody named.

    `pointer` is the file that says `where`; `stores` are addresses that the user gave.
    """
    place, run = _split(where)
    if place:
        check_named(place, pointer, stores=stores)
    uri = place or default_uri(Path("runs"))
    file = sqlite_file(uri)
    if file is None or not file.is_file():
        return
    with _giving(uri, run):
        reach(uri)
        with locked(uri):
            client = open_client(uri, ours=not place)
        check_files(uri, client.get_run(run))


def download(where: str, into: Path, stores: Collection[str] = ()) -> None:
    """Put a baseline that `upload` kept into the folder `into`; the caller checks its digest.

    Asks whatever store `where` names: see `check`. `stores` may hold a password for it. QaError if
    the store does not give it, UsageError if `where` is none of `upload`'s.
    """
    place, run = _split(where)
    uri = named(place, stores) or place if place else default_uri(Path("runs"))
    with _giving(uri, run):
        file = sqlite_file(uri)
        if file is not None and not file.is_file():  # reading makes no store
            raise Unreachable(f"there is no {file}")
        reach(uri)
        with locked(uri):
            client = open_client(uri, ours=not place)
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=PARTIAL) as temporary:
            archive = client.download_artifacts(run, ARCHIVE, temporary)
            whole = Path(temporary) / "whole"
            unpack(Path(archive), whole)
            try:
                whole.rename(into)
            except OSError:  # it is there: another process was faster, or half of one was left
                shutil.copytree(whole, into, dirs_exist_ok=True)


def _split(where: str) -> tuple[str, str]:
    """Store and run of a place; the store is "" for the default one."""
    place, mark, run = where.removeprefix(SCHEME).rpartition("#")
    if not where.startswith(SCHEME) or not mark or not run.isalnum():
        raise UsageError(
            f"{where!r} is no place in MLflow.",
            f"Expected {SCHEME}URI#RUN, as `qa baseline promote --store mlflow` writes it.",
            "restore the line from git, or promote the run again",
        )
    return place, run


def _giving(uri: str, run: str) -> AbstractContextManager[None]:
    return said(uri, f"does not give the baseline of run {run}", "try again, or promote it again")


def find(client: Any, content: str) -> Any | None:
    """The run that keeps a baseline of this digest, or None."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return None
    runs = client.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`{CONTENT}` = '{content}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
        max_results=1,
    )
    return runs[0] if runs else None


def _keep(store: Upsert, folder: Path, suite: str, content: str) -> str:
    """Id of the run that keeps the folder; it is approved once all of it is there."""
    facts = _facts(folder)
    environment = facts["environment"]
    pointer = digest({"suite": suite, "environment": environment})[:32]
    tags = {
        KIND: "baseline",
        CONTENT: content,
        POINTER: pointer,
        "qa.suite": text(suite),
        **{f"qa.{key}": text(value) for key, value in facts.items()},
    }
    run = store.run(digest({"suite": suite, "content": content})[:32], tags, suite[:200])
    run_id = str(run.info.run_id)
    if run.info.status != "FINISHED":
        files: dict[str, Path | bytes] = {}
        with tempfile.TemporaryDirectory() as temporary:
            files[ARCHIVE] = _packed(folder, Path(temporary) / ARCHIVE)
            if (folder / OBJECT).is_file():
                files[OBJECT] = folder / OBJECT
            uploaded = store.artifacts(run, files)
        store.client.set_tag(run_id, UPLOADED, uploaded)
        store.end(run)
    _approve(store, run_id, pointer)
    return run_id


def _approve(store: Upsert, run_id: str, pointer: str) -> None:
    """Move the tag `approved` to this run."""
    client = store.client
    holders = client.search_runs(
        [store.experiment],
        filter_string=f"tags.`{APPROVED}` = 'true' and tags.`{POINTER}` = '{pointer}'",
    )
    held = {str(run.info.run_id) for run in holders}
    for other in sorted(held - {run_id}):
        client.delete_tag(other, APPROVED)
        client.set_tag(other, REPLACED, run_id)
    if run_id not in held:
        if REPLACED in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, REPLACED)
        client.set_tag(run_id, APPROVED, "true")


def _facts(folder: Path) -> dict[str, Any]:
    """What object.json says that helps to find it in MLflow."""
    found: Mapping[str, Any] = {}
    if (folder / OBJECT).is_file():
        found = read_json(folder / OBJECT)
    environment = found.get("environment")
    if isinstance(environment, Mapping):
        environment = environment.get("class")
    keys = ("run", "decoder", "by", "why", "until", "promoted")
    return {
        "environment": environment,
        **{f"baseline.{key}": found[key] for key in keys if found.get(key)},
    }


def _packed(folder: Path, archive: Path) -> Path:
    """All files of a folder in one archive; equal folders give equal bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
            with file.open("rb") as source, opened.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
    return archive
