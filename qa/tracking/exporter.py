"""MLflow: an exporter that copies a finished run folder into a tracking store.

    experiment decoder-qa
    ├── run per suite            params, dataset
    │   └── run per run folder   one decoder with its knobs: params, numbers, tags, description,
    │                            table of gates, files, system metrics; a link to its baseline
    └── model per decoder        weights and settings under test, with the runs that measured them

The run folder stays the truth. Exporting is an upsert (`qa.tracking.upsert`): a second export
changes nothing, an interrupted one is completed by the next, and a new verdict updates its tags,
numbers and files in place. A number that is gone gets a tag `qa.missing.<metric>`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa import usage
from qa.files import sha256
from qa.store import RunFolder
from qa.tracking import baselines, panels
from qa.tracking.connection import (
    artifact_root,
    default_uri,
    locked,
    open_client,
    reach,
    reported,
    shown,
)
from qa.tracking.models import logged_model
from qa.tracking.named import check_named
from qa.tracking.note import TABLE, note, table
from qa.tracking.sheet import contact_sheet
from qa.tracking.summary import Summary, summarise
from qa.tracking.upsert import KEY, KIND, UPLOADED, Dataset, Upsert, experiment_id
from qa.tracking.values import MISSING

SHEET = "worst.png"
FILES = (
    "config.yaml", "record.json", "samples.jsonl", "decoded.parquet", "scores", "sets.json",
    "panels.json", "reviews", "usage.json", "verdict.json", "signoff.json", "report.html",
)  # fmt: skip
SYSTEM = "system/"
"""MLflow shows numbers of this prefix on a page of their own."""
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
HEX = re.compile("[0-9a-f]{8,64}")


class NoTracking:
    """Keeps runs in their folders only."""

    def export(self, run: Path) -> str:
        """Does nothing, and so has no place to name."""
        return ""


class MLflow:
    """Copies finished runs into MLflow. Safe to call from several threads and processes.

    The store is `uri`, or else MLFLOW_TRACKING_URI, or else the SQLite file `mlflow.db` beside the
    run folders with its files under `mlartifacts`. A database that is reached directly keeps files
    where its experiment says; one that is created here keeps them in `mlartifacts` too.
    """

    def __init__(self, uri: str | None = None, experiment: str = "decoder-qa") -> None:
        self.uri = uri
        self.experiment = experiment

    def check_named(self, run: RunFolder) -> None:
        """UsageError where the store is one that only the run's own configuration names."""
        if self.uri:
            also = f"qa export {shlex.quote(str(run.path))} --uri {shlex.quote(shown(self.uri))}"
            check_named(self.uri, run.config_file, also)

    def export(self, run: Path) -> str:
        """Copy a finished run; returns where it can be seen. QaError if the store takes nothing.

        The run folder is only read. A store that does not answer is given up within seconds.
        """
        folder = RunFolder.open(run)
        summary = summarise(folder)
        runs = folder.path.resolve().parent
        given = self.uri or os.environ.get("MLFLOW_TRACKING_URI")
        with reported(given or str(runs / "mlflow.db"), folder.path):
            uri = given or default_uri(runs)
            reach(uri)
            with locked(uri):
                client = open_client(uri, ours=given is None)
                experiment = experiment_id(client, self.experiment, artifact_root(uri, runs))
                copy = _Copy(Upsert(client, experiment), summary)
                parent = copy.suite()
                child = copy.run(parent, folder)
        if uri.startswith("http"):
            return f"{shown(uri).rstrip('/')}/#/experiments/{experiment}/runs/{child}"
        return f"run {child} in {shown(uri)} (mlflow ui --backend-store-uri '{shown(uri)}')"


@dataclass(frozen=True)
class _Copy:
    """One export: what to write, and where."""

    store: Upsert
    summary: Summary

    @property
    def dataset(self) -> Dataset:
        """The suite."""
        summary = self.summary
        return Dataset(summary.suite, summary.suite_digest, {"pictures": summary.pictures})

    def suite(self) -> str:
        """Id of the suite's run, made if there is none."""
        summary, store = self.summary, self.store
        run = store.run(summary.suite_key, {KIND: "suite"}, summary.suite, summary.started)
        store.params(run, {"suite": summary.suite, "suite_digest": summary.suite_digest})
        store.inputs(run, self.dataset)
        store.end(run, summary.finished)
        return str(run.info.run_id)

    def run(self, parent: str, folder: RunFolder) -> str:
        """Id of the run's copy, brought up to date; its tags come last: they say it is whole."""
        summary, store = self.summary, self.store
        first = {KIND: "run", PARENT: parent}
        run = store.run(summary.key, first, summary.name, summary.started)
        store.params(run, summary.params)
        model = self._model()
        store.inputs(run, self.dataset, model)
        store.metrics(run, summary.metrics, summary.finished, model, self.dataset)
        sampled = self._usage(run, folder)
        files = self._files(run, folder)
        uploaded = store.artifacts(run, files)
        tables = [name for name in files if name == TABLE or name.startswith(panels.PREFIX)]
        store.show_as_tables(run, tables)
        gone = sorted(key for key in run.data.metrics
                      if key not in summary.metrics and not key.startswith(SYSTEM))  # fmt: skip
        tags = {
            **{MISSING + key: "no longer part of this run's verdict" for key in gone},
            **summary.tags,
            **self._links(run),
            **sampled,
            **({"qa.model.id": model} if model else {}),
            UPLOADED: uploaded,
            KEY: summary.key,
            KIND: "run",
            PARENT: parent,
        }
        store.tags(run, tags)
        store.end(run, summary.finished)
        return str(run.info.run_id)

    def _model(self) -> str | None:
        """Id of the decoder under test among MLflow's models."""
        store, decoder = self.store, self.summary.decoder
        return logged_model(store.client, store.experiment, decoder) if decoder else None

    def _files(self, run: Any, folder: RunFolder) -> dict[str, Path | bytes]:
        """Artifact → its file or content."""
        files = {name: folder.path / name for name in FILES}
        found: dict[str, Path | bytes] = {n: file for n, file in files.items() if file.exists()}
        if self.summary.repro is not None:
            found[self.summary.repro.name] = self.summary.repro
        sheet = contact_sheet(folder)
        if sheet is not None:
            found[SHEET] = sheet
        if self.summary.verdict.get("gates") or TABLE in run.data.tags.get(UPLOADED, ""):
            found[TABLE] = table(self.summary.verdict)
        return {**found, **panels.tables(folder)}

    def _usage(self, run: Any, folder: RunFolder) -> dict[str, str]:
        """Copy the run's samples of its machine; the tag that says which are there."""
        file = folder.path / usage.FILE
        if not file.is_file():
            return {}
        mark = {"qa.usage": sha256(file)}
        if run.data.tags.get("qa.usage") != mark["qa.usage"]:
            points = usage.points(usage.read(folder.path))
            self.store.series(run, [(SYSTEM + n, value, at, step) for n, value, at, step in points])
        return mark

    def _links(self, run: Any) -> dict[str, str]:
        """The description, and the run of the baseline that it leads to."""
        summary = self.summary
        baseline = summary.verdict.get("baseline") or {}
        found = _baseline_run(self.store, baseline, run.info.run_id)
        if found is None:
            return {NOTE: note(summary.verdict, None, summary.level, summary.signature)}
        link = f"#/experiments/{found.info.experiment_id}/runs/{found.info.run_id}"
        said = note(summary.verdict, link, summary.level, summary.signature)
        return {NOTE: said, "qa.baseline.run": found.info.run_id}


def _baseline_run(store: Upsert, baseline: Mapping[str, Any], own: str) -> Any | None:
    """The run that measured a baseline, or else its approved copy; None if neither is here.

    Several run folders can have one plan: the one that has the baseline's name is preferred, then
    the earliest.
    """
    plan, content = str(baseline.get("plan")), str(baseline.get("content"))
    if HEX.fullmatch(plan):
        runs = store.client.search_runs(
            [store.experiment],
            filter_string=f"params.plan = '{plan}' and tags.`{KIND}` = 'run'",
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            max_results=100,
        )
        others = [run for run in runs if run.info.run_id != own]
        same = [run for run in others if run.data.tags.get("qa.run") == baseline.get("name")]
        if others:
            return (same or others)[0]
    return baselines.find(store.client, content) if HEX.fullmatch(content) else None
