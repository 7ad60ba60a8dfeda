"""The run folder: the only interface between measuring and everything that reads results.

    runs/<name>/
      config.yaml             the resolved configuration
      record.json             what ran: environment, digests, metric facts (qa.record)
      samples.json            the suite as it was: id, sha256, prompt, tags, what it asks, size …
      images/<sample>/reference.png, seed<k>.png
      units/<id>.json         one finished unit: its decoded pictures and its scores
      decoded.parquet         all units' pictures, in order of (sample, seed)
      scores.parquet          all units' scores, in order of (sample, seed, metric)
      features/<id>/<sample>.safetensors   what set metrics saw (qa.features.stored)
      sets.json               values of the set metrics (qa.aggregate)
      notes/<panel>/<sample>.json, panels.json   what panels saw, and their summaries (qa.panels)
      maps/<sample>/seed<k>.<metric>.png   where the worst pictures differ (qa.maps)
      verdict.json, report.html
      signoff.json            what people decided about the verdict, oldest first (qa.signature)
      usage.json              what the machine did meanwhile (qa.usage); no part of a verdict
      .lock                   held by the process that works on the run

Nothing else builds these paths. Every file appears whole or not at all (`qa.files`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qa import tables
from qa.errors import QaError, UsageError
from qa.files import PARTIAL, cannot_write, read_json, write_bytes, write_json
from qa.types import Decoded, Sample, Score

if TYPE_CHECKING:
    import pandas as pd

MAX_NAME = 120


@dataclass(frozen=True)
class UnitResult:
    """What one unit left behind."""

    unit: str
    decoded: tuple[Decoded, ...]
    scores: tuple[Score, ...]
    fingerprints: Mapping[str, str]
    """Metric → fingerprint of the protocol that gave the scores."""
    features: Mapping[str, str] = field(default_factory=dict)
    """Features id → why there are none, or "" where they lie in the run (qa.features.stored)."""


@dataclass(frozen=True)
class RunFolder:
    """Paths and contents of one run. Reading never needs torch."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run; UsageError if the folder holds none."""
        folder = cls(Path(path))
        if not folder.record_file.is_file():
            raise UsageError(
                f"{path} is not a run folder.",
                "It has no record.json.",
                "name a folder under runs/, as `qa run` prints it",
            )
        return folder

    @property
    def name(self) -> str:
        """Name of the run: the name of its folder."""
        return self.path.resolve().name

    @property
    def record_file(self) -> Path:
        return self.path / "record.json"

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def samples_file(self) -> Path:
        return self.path / "samples.json"

    @property
    def scores_file(self) -> Path:
        return self.path / "scores.parquet"

    @property
    def decoded_file(self) -> Path:
        return self.path / "decoded.parquet"

    @property
    def sets_file(self) -> Path:
        return self.path / "sets.json"

    @property
    def panels_file(self) -> Path:
        return self.path / "panels.json"

    @property
    def verdict_file(self) -> Path:
        return self.path / "verdict.json"

    @property
    def signoff_file(self) -> Path:
        return self.path / "signoff.json"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    def picture_file(self, sample: str, seed: int) -> Path:
        """PNG of one decoded picture."""
        return self.path / "images" / file_name(sample) / f"seed{seed}.png"

    def reference_file(self, sample: str) -> Path:
        """PNG of a sample's reference picture, as the metrics saw it."""
        return self.path / "images" / file_name(sample) / "reference.png"

    def map_file(self, sample: str, seed: int, metric: str) -> Path:
        """PNG of where one decoded picture differs from its reference, as a metric sees it."""
        return self.path / "maps" / file_name(sample) / f"seed{seed}.{file_name(metric)}.png"

    def unit_file(self, unit: str) -> Path:
        return self.path / "units" / f"{unit}.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out while this one writes; also clears what a killed one left."""
        import filelock

        lock = filelock.FileLock(self.path / ".lock", blocking=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:  # filelock.Timeout is one, too
            if not isinstance(error, filelock.Timeout):
                raise cannot_write(self.path, error) from error
            raise UsageError(
                f"Another process is working on {self.path}.",
                "Two of them would do the same work.",
                "wait for it, or name another folder: runs=DIR, or out=DIR for a single run",
            ) from error
        try:
            for left in self.path.rglob(PARTIAL + "*"):
                left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def config(self) -> dict[str, Any]:
        """Contents of config.yaml; QaError if it cannot be read."""
        import yaml

        try:
            return dict(yaml.safe_load(self.config_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise QaError(
                f"Cannot read {self.config_file}.",
                "It is missing or damaged.",
                "run the same `qa run` command again: a finished run is not decoded again",
            ) from error

    def record(self) -> dict[str, Any]:
        """Contents of record.json (qa.record)."""
        return self._document(self.record_file, "decoder-qa/record/")

    def sets(self) -> list[dict[str, Any]]:
        """Rows of the set metrics (qa.aggregate); none where the run has no such metric."""
        return _rows(self.sets_file, "metric") if self.sets_file.is_file() else []

    def panels(self) -> dict[str, dict[str, Any]]:
        """Panel → its summary of the run (qa.panels); {} where the run has no panel."""
        return _objects(self.panels_file) if self.panels_file.is_file() else {}

    def samples(self) -> list[dict[str, Any]]:
        """The suite's samples as dictionaries, sorted by id."""
        return _rows(self.samples_file, "id")

    def scores(self) -> pd.DataFrame:
        """Columns sample, seed, metric, value, why; one row a score, sorted."""
        return tables.read(self.scores_file)

    def decoded(self) -> pd.DataFrame:
        """Columns of `qa.types.Decoded`; one row a picture, sorted."""
        return tables.read(self.decoded_file)

    def verdict(self) -> dict[str, Any]:
        """Contents of verdict.json (qa.judge)."""
        return self._document(self.verdict_file, "decoder-qa/verdict/")

    @staticmethod
    def _document(file: Path, schema: str) -> dict[str, Any]:
        content = read_json(file)
        if not isinstance(content, dict) or not str(content.get("schema")).startswith(schema):
            raise _strange(file, f"Its schema is not {schema}1.")
        return content

    def finished(self, unit: str) -> UnitResult | None:
        """A stored unit's result, or None if it has to run (again)."""
        try:
            data = json.loads(self.unit_file(unit).read_text())
            result = UnitResult(
                data["unit"],
                tuple(Decoded(**row) for row in data["decoded"]),
                tuple(Score(**row) for row in data["scores"]),
                dict(data["fingerprints"]),
                dict(data.get("features", {})),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = all(d.file is None or (self.path / d.file).is_file() for d in result.decoded)
        return result if whole and result.unit == unit else None

    def store(self, result: UnitResult) -> None:
        """Keep a unit's result; the pictures it names are already in place."""
        write_json(self.unit_file(result.unit), asdict(result))

    def write_picture(self, file: Path, png: bytes) -> str:
        """Write a picture; returns its path inside the run folder."""
        write_bytes(file, png)
        return file.relative_to(self.path).as_posix()

    def reduce(self, units: Sequence[str], metrics: Collection[str]) -> list[UnitResult]:
        """Gather the units' results into the two tables, in an order that nothing influences.

        Scores of metrics that an earlier run of the same plan asked for are left out. Returns the
        results, in order of `units`.
        """
        results = [self.finished(unit) for unit in units]
        lost = [unit for unit, result in zip(units, results, strict=True) if result is None]
        if lost:
            raise QaError(
                f"{len(lost)} of {len(units)} units have no result in {self.path}.",
                f"The first is {lost[0]}.",
                "run the same command again: it continues",
            )
        found = [result for result in results if result is not None]
        decoded = sorted(
            (asdict(row) for result in found for row in result.decoded),
            key=lambda row: (row["sample"], row["seed"]),
        )
        scores = sorted(
            (asdict(row) for result in found for row in result.scores if row.metric in metrics),
            key=lambda row: (row["sample"], row["seed"], row["metric"]),
        )
        tables.write(self.decoded_file, decoded, tables.DECODED)
        tables.write(self.scores_file, scores, tables.SCORES)
        return found


def _rows(file: Path, key: str) -> list[dict[str, Any]]:
    """A JSON list of objects, each with a text under `key`; QaError for anything else."""
    content = read_json(file)
    rows = content if isinstance(content, list) else [content]
    if not all(isinstance(row, dict) and isinstance(row.get(key), str) for row in rows):
        raise _strange(file, f"It is no list of objects with a {key} each.")
    return rows


def _objects(file: Path) -> dict[str, dict[str, Any]]:
    """A JSON object of objects; QaError for anything else."""
    content = read_json(file)
    if isinstance(content, dict) and all(isinstance(part, dict) for part in content.values()):
        return content
    raise _strange(file, "It is no object of objects.")


def _strange(file: Path, why: str) -> QaError:
    again = "run the same `qa run` command again: a finished run is not decoded again"
    return QaError(f"{file} is not what this version writes.", why, again)


def file_name(sample: str) -> str:
    """A sample id as one safe path component, the same for every file system.

    Percent-encoding keeps ids readable and distinct; long ids end in a digest of the whole.
    """
    name = quote(sample, safe=" ,+()[]=@").replace("~", "%7E")
    if name.strip(". ") != name:
        name = name.replace(".", "%2E").replace(" ", "%20")
    if len(name) > MAX_NAME:
        name = name[: MAX_NAME - 17] + "-" + hashlib.sha256(sample.encode()).hexdigest()[:16]
    return name


def sample_row(sample: Sample, height: int | None, width: int | None) -> dict[str, Any]:
    """A sample as samples.json keeps it; file paths stay out, so that the run can move."""
    return {
        "id": sample.id,
        "sha256": sample.sha256,
        "prompt": sample.prompt,
        "tags": list(sample.tags),
        "asks": dict(sample.asks),
        "group": sample.group,
        "take": sample.take,
        "regions": [{"text": r.text, "box": list(r.box)} for r in sample.regions],
        "height": height,
        "width": width,
        "problem": sample.problem,
    }
