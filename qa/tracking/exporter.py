"""MLflow: an exporter that copies a finished run folder into a tracking store.

    experiment decoder-qa
    └── run per suite            params, dataset input
        └── run per run folder   one decoder with its knobs: params, aggregates, tags, artifacts

The run folder stays the truth. Exporting is an upsert: a run is found again by the tag `qa.key`,
and only what differs is written, so a second export changes nothing, an interrupted one is
completed by the next, and a new verdict updates its tags, numbers and files in place. MLflow
cannot take a number back: one that changes gets a new step, one that is gone gets a tag
`qa.missing.<metric>`.

Only MlflowClient is used: MLflow's active run is global and belongs to the user.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qa.errors import QaError
from qa.store import RunFolder
from qa.tracking.connection import artifact_root, default_uri, locked, open_client, reported, shown
from qa.tracking.sheet import contact_sheet
from qa.tracking.summary import MISSING, Summary, summarise

Item = TypeVar("Item")

SHEET = "worst.png"
FILES = (
    "config.yaml", "record.json", "samples.json", "decoded.parquet", "scores.parquet",
    "verdict.json", "report.html",
)  # fmt: skip
METRICS_PER_CALL = 1000
TEXTS_PER_CALL = 100
"""MLflow's limits for one request: metrics; parameters or tags."""
DIGEST_LENGTH = 36
"""MLflow's limit for the digest of a dataset."""
OURS = "qa."
"""Tags with this prefix belong to the exporter, which also removes them."""
KEY, KIND, UPLOADED = "qa.key", "qa.kind", "qa.artifacts"
PARENT = "mlflow.parentRunId"


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
            with locked(uri):
                client = open_client(uri, ours=given is None)
                experiment = _experiment(client, self.experiment, artifact_root(uri, runs))
                copy = _Copy(client, experiment, summary)
                parent = copy.suite()
                child = copy.run(parent, folder)
        if uri.startswith("http"):
            return f"{shown(uri).rstrip('/')}/#/experiments/{experiment}/runs/{child}"
        return f"run {child} in {shown(uri)} (mlflow ui --backend-store-uri '{shown(uri)}')"


@dataclass(frozen=True)
class _Copy:
    """One export: what to write, and where."""

    client: Any
    experiment: str
    summary: Summary

    def suite(self) -> str:
        """Id of the suite's run, made if there is none."""
        summary = self.summary
        run = self._run(summary.suite_key, {KIND: "suite"}, summary.suite)
        self._params(run, {"suite": summary.suite, "suite_digest": summary.suite_digest})
        self._dataset(run)
        self._end(run)
        return str(run.info.run_id)

    def run(self, parent: str, folder: RunFolder) -> str:
        """Id of the run's copy, brought up to date; its tags come last: they say it is whole."""
        summary = self.summary
        run = self._run(summary.key, {KIND: "run", PARENT: parent}, summary.name)
        self._params(run, summary.params)
        self._metrics(run)
        self._dataset(run)
        uploaded = self._artifacts(run, folder)
        gone = sorted(set(run.data.metrics) - set(summary.metrics))
        tags = {
            **{MISSING + key: "no longer part of this run's verdict" for key in gone},
            **summary.tags,
            UPLOADED: uploaded,
            KEY: summary.key,
            KIND: "run",
            PARENT: parent,
        }
        self._tags(run, tags)
        self._end(run)
        return str(run.info.run_id)

    def _run(self, key: str, tags: Mapping[str, str], name: str) -> Any:
        """The run with this key. Of copies made by two machines at once the first is used."""
        found = self.client.search_runs(
            [self.experiment],
            filter_string=f"tags.`{KEY}` = '{key}'",
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            max_results=1,
        )
        if found:
            return found[0]
        return self.client.create_run(
            self.experiment,
            start_time=self.summary.started,
            tags={KEY: key, **tags},
            run_name=name,
        )

    def _params(self, run: Any, wanted: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        new = [Param(key, value) for key, value in wanted.items() if key not in run.data.params]
        for part in _parts(new, TEXTS_PER_CALL):
            self.client.log_batch(run.info.run_id, params=part, synchronous=True)

    def _metrics(self, run: Any) -> None:
        """Write the numbers that differ; a changed one gets the next step, so that it is shown."""
        from mlflow.entities import Metric

        stored = run.data.metrics
        new = [
            Metric(key, value, self.summary.finished, self._step(run, key))
            for key, value in self.summary.metrics.items()
            if stored.get(key) != value
        ]
        for part in _parts(new, METRICS_PER_CALL):
            self.client.log_batch(run.info.run_id, metrics=part, synchronous=True)

    def _step(self, run: Any, key: str) -> int:
        if key not in run.data.metrics:
            return 0
        history = self.client.get_metric_history(run.info.run_id, key)
        return 1 + max(int(point.step) for point in history)

    def _tags(self, run: Any, wanted: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        stored = run.data.tags
        new = [RunTag(key, value) for key, value in wanted.items() if stored.get(key) != value]
        for part in _parts(new, TEXTS_PER_CALL):
            self.client.log_batch(run.info.run_id, tags=part, synchronous=True)
        for key in sorted(set(stored) - set(wanted)):
            if key.startswith(OURS):
                self.client.delete_tag(run.info.run_id, key)

    def _dataset(self, run: Any) -> None:
        """The suite as the run's dataset, once."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        summary = self.summary
        name, short = summary.suite[:500], summary.suite_digest[:DIGEST_LENGTH]
        inputs = run.inputs.dataset_inputs if run.inputs else []
        if any((i.dataset.name, i.dataset.digest) == (name, short) for i in inputs):
            return
        dataset = Dataset(
            name=name,
            digest=short,
            source_type="decoder-qa",
            source=json.dumps({"suite": summary.suite, "digest": summary.suite_digest}),
            profile=json.dumps({"pictures": summary.pictures}),
        )
        used = DatasetInput(dataset, [InputTag("mlflow.data.context", "evaluation")])
        self.client.log_inputs(run.info.run_id, [used])

    def _artifacts(self, run: Any, folder: RunFolder) -> str:
        """Upload the files that differ from what is there; returns their digests as JSON."""
        run_id = run.info.run_id
        known = _digests(run.data.tags.get(UPLOADED))
        present = {item.path for item in self.client.list_artifacts(run_id)}
        digests = {}
        for file in (folder.path / name for name in FILES):
            if file.is_file():
                digests[file.name] = _sha256(file.read_bytes())
                if file.name not in present or known.get(file.name) != digests[file.name]:
                    self.client.log_artifact(run_id, str(file))
        sheet = contact_sheet(folder)
        if sheet is not None:
            digests[SHEET] = _sha256(sheet)
            if SHEET not in present or known.get(SHEET) != digests[SHEET]:
                with tempfile.TemporaryDirectory() as temporary:
                    file = Path(temporary) / SHEET
                    file.write_bytes(sheet)
                    self.client.log_artifact(run_id, str(file))
        return json.dumps(digests, sort_keys=True)

    def _end(self, run: Any) -> None:
        if run.info.status != "FINISHED":
            self.client.set_terminated(run.info.run_id, "FINISHED", self.summary.finished)


def _experiment(client: Any, name: str, artifacts: str | None) -> str:
    """Id of the experiment, created if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except Exception:  # another machine may have created it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise QaError(
            f"The MLflow experiment {name!r} was deleted.",
            "MLflow keeps its name reserved.",
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`, "
            "or tracking.experiment=NAME",
        )
    return str(found.experiment_id)


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _digests(tag: str | None) -> dict[str, str]:
    try:
        return dict(json.loads(tag or "{}"))
    except (ValueError, TypeError):
        return {}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
