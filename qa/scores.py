"""The scores of a run: a folder of Parquet files, a part of a metric each.

    metric=<name>/part-00000.parquet, …   its scores, in order of (sample, seed), as Hive names it
    _parts.json                           metric → rows of each of its parts

`pandas.read_parquet("scores")` gives all metrics with a column `metric`. The folder appears whole
or not at all, and one metric of it is read at a time.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qa import tables
from qa.documents import not_older, strange
from qa.files import PARTIAL, cannot_write, read_json, remove, write_json

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("sample", "seed", "metric", "value", "why")
"""Columns of a table of scores."""
PART = ("sample", "seed", "value", "why")
"""Columns of the files of one metric."""
LARGEST = 2**20
"""Rows of a part; a multiple of `qa.tables.GROUP`."""


@dataclass(frozen=True)
class ScoreFolder:
    """The scores of one run."""

    path: Path

    @property
    def parts_file(self) -> Path:
        return self.path / "_parts.json"

    def part_file(self, metric: str, number: int) -> Path:
        """A part of a metric's scores."""
        return self.path / f"metric={quote(metric, safe='')}" / f"part-{number:05d}.parquet"

    def files(self) -> list[Path]:
        """All files that are there, in order of names."""
        return sorted(file for file in self.path.rglob("*") if file.is_file())

    def parts(self) -> dict[str, list[int]]:
        """Metric → rows of each of its parts; QaError where a part is missing."""
        not_older(self.parts_file, self.path.parent / "scores.parquet")
        found = read_json(self.parts_file)
        known = isinstance(found, dict) and all(
            isinstance(rows, list) and all(type(count) is int for count in rows)
            for rows in found.values()
        )
        if not known:
            raise strange(self.parts_file, "It is no object of lists of numbers.")
        for metric, rows in found.items():
            for number in range(len(rows)):
                file = self.part_file(metric, number)
                if not file.is_file():
                    raise strange(self.path, f"There is no {file.name} of {metric}.")
        return dict(found)

    def of(self, metric: str, samples: Collection[str] | None = None) -> pd.DataFrame:
        """Columns sample, seed, value, why of one metric, sorted, of all samples or of some.

        No file of another metric is read.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = None if samples is None else pa.array(sorted(samples), pa.string())
        found = []
        for number, rows in enumerate(self.parts().get(metric, ())):
            file = self.part_file(metric, number)
            found.append(tables.arrow(file, PART))
            if found[-1].num_rows != rows:
                raise strange(file, f"It has {found[-1].num_rows} rows and not {rows}.")
            if wanted is not None:
                found[-1] = found[-1].filter(pc.is_in(found[-1]["sample"], value_set=wanted))
        return pa.concat_tables(found).to_pandas() if found else no_scores()[[*PART]]

    def whole(self) -> pd.DataFrame:
        """Columns of `SCORES`; one row a score, sorted by sample, seed and metric."""
        import pandas as pd

        found = [self.of(metric).assign(metric=metric) for metric in sorted(self.parts())]
        if not found:
            return no_scores()
        every = pd.concat(found, ignore_index=True)[list(SCORES)]
        return every.sort_values(["sample", "seed", "metric"], ignore_index=True)

    @contextmanager
    def anew(self) -> Iterator[ScoreWriter]:
        """Writes the scores anew: those of before are gone at once, the new ones come whole."""
        temporary = ScoreFolder(self.path.parent / f"{PARTIAL}scores")
        try:
            remove(self.path)
            remove(temporary.path)
            temporary.path.mkdir(parents=True)
            writer = ScoreWriter(temporary)
            try:
                yield writer
            finally:
                writer.close()
            write_json(temporary.parts_file, writer.parts)
            for file in temporary.path.rglob("*.parquet"):
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            temporary.path.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        finally:
            remove(temporary.path)


class ScoreWriter:
    """Writes scores metric by metric, in the order in which they come."""

    def __init__(self, folder: ScoreFolder) -> None:
        self.folder = folder
        self.parts: dict[str, list[int]] = {}
        """Metric → rows of each of its parts."""
        self._open: dict[str, tables.Writer] = {}

    def add(self, metric: str, row: Sequence[Any]) -> None:
        """Add a row, in order of `PART`, to a metric's last part."""
        writer = self._open.get(metric)
        if writer is None:
            file = self.folder.part_file(metric, len(self.parts.setdefault(metric, [])))
            file.parent.mkdir(parents=True, exist_ok=True)
            self.parts[metric].append(0)
            writer = self._open[metric] = tables.Writer(file, PART)
        writer.add(row)
        self.parts[metric][-1] = writer.rows
        if writer.rows == LARGEST:
            self._open.pop(metric).close()

    def close(self) -> None:
        """Write what is left of every metric."""
        while self._open:
            self._open.popitem()[1].close()


def no_scores() -> pd.DataFrame:
    """A table of scores without any."""
    import pandas as pd

    return pd.DataFrame(columns=list(SCORES))
