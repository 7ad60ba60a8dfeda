"""The run folder: the only interface between measuring and everything that reads results.

    runs/<name>/
      config.yaml             the resolved configuration
      record.json             what ran: environment, digests, metric facts (qa.record)
      samples.jsonl           the suite as it was: id, sha256, prompt, tags, what it asks, size …
      images/<sample>/reference.png, seed<k>.png
      units/<id[:2]>/<id>.json   one finished unit: its decoded pictures and its scores
      decoded.parquet         all units' pictures, in order of (sample, seed)
      scores/                 what the metrics gave, a folder for each (qa.scores)
      features/<id>/<sample>.safetensors   what set metrics saw (qa.features.stored)
      sets.json               values of the set metrics (qa.aggregate)
      notes/<panel>/<sample>.json, panels.json   what panels saw, and their summaries (qa.panels)
      maps/<sample>/seed<k>.<metric>.png   where the worst pictures differ (qa.maps)
      verdict.json, report.html
      signoff.json            what people decided about the verdict, oldest first (qa.signature)
      usage.json              what the machine did meanwhile (qa.usage); no part of a verdict
      .lock                   held by the process that works on the run

Nothing else builds these paths. Every file appears whole or not at all (`qa.files`), and so does
the folder `scores`. A run may have a million units: nothing here holds all of them in memory, and
of the scores one metric is read at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qa import tables
from qa.documents import checked, document, not_older, objects, rows, sealed, strange, unsealed
from qa.errors import QaError, UsageError
from qa.files import atomic, cannot_write, left_over, remove, write_bytes
from qa.scores import ScoreFolder
from qa.types import Decoded, Score

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
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of every picture that it left, by its path inside the run."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its pictures, ascending."""
        return tuple(sorted(made.seed for made in self.decoded))

    @property
    def even(self) -> bool:
        """Whether it has pictures, one of each seed, and of every metric one score of each."""
        seeds, scored = self.seeds, [(row.metric, row.seed) for row in self.scores]
        every = product({metric for metric, _ in scored}, seeds)
        return 0 < len(set(seeds)) == len(seeds) and sorted(scored) == sorted(every)


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
        return self.path / "samples.jsonl"

    @property
    def scores_folder(self) -> ScoreFolder:
        return ScoreFolder(self.path / "scores")

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
        return self.path / f"units/{unit[:2]}/{unit}.json"

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
            for left in list(left_over(self.path)):
                remove(left)
            yield
        finally:
            lock.release()

    def config(self) -> dict[str, Any]:
        """Contents of config.yaml; QaError if it cannot be read."""
        from qa import kinds, plain

        try:
            content = dict(plain.load(plain.text(self.config_file)))
        except (OSError, ValueError, TypeError) as error:
            raise QaError(
                f"Cannot read {self.config_file}.",
                "It is missing or damaged.",
                "run the same `qa run` command again: a finished run is not decoded again",
            ) from error
        return checked(self.config_file, content, kinds.Settings)

    def record(self) -> dict[str, Any]:
        """Contents of record.json (qa.record); QaError for anything else."""
        from qa import kinds  # it takes as long to import as all else here

        return document(self.record_file, "decoder-qa/record/", kinds.Record)

    def sets(self) -> list[dict[str, Any]]:
        """Rows of the set metrics (qa.aggregate); none where the run has no such metric."""
        return rows(self.sets_file, "metric") if self.sets_file.is_file() else []

    def panels(self) -> dict[str, dict[str, Any]]:
        """Panel → its summary of the run (qa.panels); {} where the run has no panel."""
        return objects(self.panels_file) if self.panels_file.is_file() else {}

    def samples(self) -> list[dict[str, Any]]:
        """The suite's samples as dictionaries, sorted by id; `each_sample` takes less memory."""
        return list(self.each_sample())

    def each_sample(self) -> Iterator[dict[str, Any]]:
        """The suite's samples one after the other; QaError for anything else."""
        from qa import kinds

        not_older(self.samples_file, self.path / "samples.json")
        number = 0
        try:
            with self.samples_file.open("rb") as lines:
                for line in lines:
                    number += 1
                    yield kinds.sample(line)
        except OSError as error:
            raise strange(self.samples_file, f"{error.strerror}.") from error
        except ValueError as error:
            raise strange(self.samples_file, f"Line {number}: {error}.") from error

    def write_samples(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the suite's samples (`sample_row`), which come sorted by id."""
        with atomic(self.samples_file) as temporary, temporary.open("w", encoding="utf-8") as out:
            for row in rows:
                text = json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False)
                out.write(text + "\n")

    def scores(self) -> pd.DataFrame:
        """Columns sample, seed, metric, value, why; one row a score, sorted. All of the run."""
        return self.scores_folder.whole()

    def decoded(self, columns: Sequence[str] = tables.DECODED) -> pd.DataFrame:
        """Columns of `qa.types.Decoded`, or some of them; one row a picture, sorted."""
        return tables.read(self.decoded_file, columns)

    def verdict(self, needs: Collection[str] = ()) -> dict[str, Any]:
        """Contents of verdict.json (qa.judge); QaError where a part that is needed is not there."""
        from qa import kinds

        content = document(self.verdict_file, "decoder-qa/verdict/", kinds.Verdict)
        for key in needs:
            if key not in content:
                raise strange(self.verdict_file, f"It has no {key}.")
        return content

    def finished(self, unit: str) -> UnitResult | None:
        """A stored unit's result, or None if it has to run (again)."""
        try:
            with open(self.unit_file(unit), "rb") as opened:
                data = unsealed(opened.read())
            result = UnitResult(
                data["unit"],
                tuple(Decoded(**row) for row in data["decoded"]),
                tuple(Score(**row) for row in data["scores"]),
                dict(data["fingerprints"]),
                dict(data.get("features", {})),
                dict(data["sizes"]),
            )
            whole = result.unit == unit and result.even and self._holds(result)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return result if whole else None

    def _holds(self, result: UnitResult) -> bool:
        """Whether a unit's pictures are there, as long as they were; they are not read."""
        named = {made.file for made in result.decoded if made.file is not None}
        root = str(self.path)
        return named <= result.sizes.keys() and all(
            os.stat(f"{root}/{name}").st_size == size for name, size in result.sizes.items()
        )

    def store(self, result: UnitResult) -> None:
        """Keep a unit's result; the pictures it names, and the reference, are already in place."""
        sample = result.decoded[0].sample
        files = [self.path / made.file for made in result.decoded if made.file is not None]
        reference = self.reference_file(sample)
        files += [reference] if reference.is_file() else []
        try:
            sizes = {file.relative_to(self.path).as_posix(): file.stat().st_size for file in files}
        except OSError as error:  # somebody took the run folder away
            raise cannot_write(self.unit_file(result.unit), error) from error
        write_bytes(self.unit_file(result.unit), sealed(asdict(replace(result, sizes=sizes))))

    def write_picture(self, file: Path, png: bytes) -> str:
        """Write a picture; returns its path inside the run folder."""
        write_bytes(file, png)
        return file.relative_to(self.path).as_posix()


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
