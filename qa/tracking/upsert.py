"""Writing to MLflow so that writing again changes nothing.

A run is found by the tag `qa.key`; of everything else only what differs is written. MLflow cannot
take a number back: one that changes gets a new step. Only MlflowClient is used: MLflow's active
run is global and belongs to the user.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qa.errors import QaError
from qa.files import digest, sha256
from qa.tracking.named import check_files

Item = TypeVar("Item")
Point = tuple[str, float, int, int]
"""Name, value, milliseconds since 1970, step."""

METRICS_PER_CALL = 1000
TEXTS_PER_CALL = 100
"""MLflow's limits for one request: metrics; parameters or tags."""
DIGEST_LENGTH = 36
"""MLflow's limit for the digest of a dataset."""
OURS = "qa."
"""Tags with this prefix belong to the exporter, which also removes them."""
KEY, KIND, UPLOADED = "qa.key", "qa.kind", "qa.artifacts"
TABLES = "mlflow.loggedArtifacts"
"""MLflow's list of the files that it shows as tables."""


@dataclass(frozen=True)
class Dataset:
    """What a run was measured on."""

    name: str
    digest: str
    profile: Mapping[str, Any]

    @property
    def label(self) -> tuple[str, str]:
        """Name and digest as short as MLflow keeps them."""
        return self.name[:500], self.digest[:DIGEST_LENGTH]


@dataclass(frozen=True)
class Upsert:
    """Writes into one experiment."""

    client: Any
    experiment: str

    def run(self, key: str, tags: Mapping[str, str], name: str, started: int | None = None) -> Any:
        """The run with this key, made if there is none.

        Of two that machines made at the same moment the first is used.
        """
        found = self.client.search_runs(
            [self.experiment],
            filter_string=f"tags.`{KEY}` = '{key}'",
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            max_results=1,
        )
        if found:
            return self.client.get_run(found[0].info.run_id)  # a search leaves models out
        return self.client.create_run(
            self.experiment, start_time=started, tags={KEY: key, **tags}, run_name=name
        )

    def params(self, run: Any, wanted: Mapping[str, str]) -> None:
        """Write the parameters that are not there; MLflow never changes one."""
        from mlflow.entities import Param

        new = [Param(key, value) for key, value in wanted.items() if key not in run.data.params]
        for part in _parts(new, TEXTS_PER_CALL):
            self.client.log_batch(run.info.run_id, params=part, synchronous=True)

    def metrics(
        self,
        run: Any,
        wanted: Mapping[str, float],
        when: int,
        model: str | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        """Write the numbers that differ, as numbers of a model on a dataset too.

        A changed one gets the next step, so that it is shown.
        """
        from mlflow.entities import Metric

        stored = run.data.metrics
        of = dict(zip(("dataset_name", "dataset_digest"), dataset.label, strict=True)
                  if model and dataset else ())  # fmt: skip
        new = [
            Metric(key, value, when, self._step(run, key), model_id=model, **of)
            for key, value in wanted.items()
            if stored.get(key) != value
        ]
        for part in _parts(new, METRICS_PER_CALL):
            self.client.log_batch(run.info.run_id, metrics=part, synchronous=True)

    def series(self, run: Any, points: Sequence[Point]) -> None:
        """Write points of curves; the store drops those that it has."""
        from mlflow.entities import Metric

        for part in _parts([Metric(*point) for point in points], METRICS_PER_CALL):
            self.client.log_batch(run.info.run_id, metrics=part, synchronous=True)

    def tags(self, run: Any, wanted: Mapping[str, str]) -> None:
        """Write the tags that differ and remove those of ours that are not wanted."""
        from mlflow.entities import RunTag

        stored = run.data.tags
        new = [RunTag(key, value) for key, value in wanted.items() if stored.get(key) != value]
        for part in _parts(new, TEXTS_PER_CALL):
            self.client.log_batch(run.info.run_id, tags=part, synchronous=True)
        for key in sorted(set(stored) - set(wanted)):
            if key.startswith(OURS):
                self.client.delete_tag(run.info.run_id, key)

    def inputs(self, run: Any, dataset: Dataset, model: str | None = None) -> None:
        """The run's dataset and the model under test, once."""
        from mlflow import entities

        datasets = run.inputs.dataset_inputs if run.inputs else []
        models = run.inputs.model_inputs if run.inputs else []
        name, short = dataset.label
        new: dict[str, list[Any]] = {}
        if all((i.dataset.name, i.dataset.digest) != dataset.label for i in datasets):
            source = json.dumps({"suite": dataset.name, "digest": dataset.digest})
            used = entities.Dataset(
                name, short, "decoder-qa", source, profile=json.dumps(dict(dataset.profile))
            )
            tag = entities.InputTag("mlflow.data.context", "evaluation")
            new["datasets"] = [entities.DatasetInput(used, [tag])]
        if model and all(i.model_id != model for i in models):
            new["models"] = [entities.LoggedModelInput(model)]
        if new:
            self.client.log_inputs(run.info.run_id, **new)

    def artifacts(self, run: Any, wanted: Mapping[str, Path | bytes]) -> str:
        """Upload the files that differ from what is there; returns their digests as JSON.

        `wanted`: name → a file or folder of that name, or a file's content. A folder has one
        digest, however many files it has: a tag has room for a few. UsageError for a SQLite file
        that would send them to a place that nobody named (`qa.tracking.named`).
        """
        run_id = run.info.run_id
        check_files(self.client.tracking_uri, run)
        known = _digests(run.data.tags.get(UPLOADED))
        present = {item.path for item in self.client.list_artifacts(run_id)}
        digests = {}
        for name, content in wanted.items():
            digests[name] = _sha256(content)
            if name not in present or known.get(name) != digests[name]:
                with _file(name, content) as file:
                    if file.is_dir():
                        self.client.log_artifacts(run_id, str(file), name)
                    else:
                        self.client.log_artifact(run_id, str(file))
        return json.dumps(digests, sort_keys=True)

    def show_as_tables(self, run: Any, names: Sequence[str]) -> None:
        """Let MLflow show artifacts as tables."""
        try:
            listed = list(json.loads(run.data.tags.get(TABLES, "[]")))
        except (ValueError, TypeError):
            listed = []
        entries = [{"path": name, "type": "table"} for name in names]
        new = [entry for entry in entries if entry not in listed]
        if new:
            self.client.set_tag(run.info.run_id, TABLES, json.dumps([*listed, *new]))

    def end(self, run: Any, finished: int | None = None) -> None:
        """Mark the run as finished."""
        if run.info.status != "FINISHED":
            self.client.set_terminated(run.info.run_id, "FINISHED", finished)

    def _step(self, run: Any, key: str) -> int:
        if key not in run.data.metrics:
            return 0
        history = self.client.get_metric_history(run.info.run_id, key)
        return 1 + max(int(point.step) for point in history)


def experiment_id(client: Any, name: str, artifacts: str | None) -> str:
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


@contextmanager
def _file(name: str, content: Path | bytes) -> Iterator[Path]:
    """The content as a file of this name."""
    if isinstance(content, Path):
        yield content
        return
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / name
        file.write_bytes(content)
        yield file


def _sha256(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    if content.is_file():
        return sha256(content)
    files = sorted(file for file in content.rglob("*") if file.is_file())
    return digest([[file.relative_to(content).as_posix(), sha256(file)] for file in files])


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _digests(tag: str | None) -> dict[str, str]:
    try:
        return dict(json.loads(tag or "{}"))
    except (ValueError, TypeError):
        return {}
