"""The Parquet tables of a run: columns of fixed types, written and read a row group at a time.

What is written follows from the rows and their order alone, byte for byte. Every page carries a
checksum, and what is read has the types that were written: a bit that turned is noticed, or it
changes no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.errors import QaError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DECODED = (
    "sample", "seed", "file", "digest", "clipped", "seconds", "peak_bytes", "why", "note", "warm",
    "tokens", "noise",
)  # fmt: skip
"""Columns of decoded.parquet: the fields of `qa.types.Decoded`."""
WHOLE = ("sample", "seed", "seconds", "why")
"""Columns in which every row has a value, and one that can be reckoned with."""
BEYOND = 1e100
GROUP = 2**16
"""Rows of a row group: as many are in memory before they are written."""
AGAIN = "run the same `qa run` command again: a stopped run continues"


def read(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a table; QaError if it is missing or damaged."""
    found: pd.DataFrame = arrow(file, columns).to_pandas()
    return found


def arrow(file: Path, columns: Sequence[str]) -> pa.Table:
    """The same as Arrow keeps it, which takes less memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            absent = sorted(set(columns) - set(opened.schema_arrow.names))
            if absent:
                raise ValueError(f"It has no column {', '.join(absent)}")
            found = opened.read(list(columns)).select(list(columns))
        found = found.cast(_schema(columns))  # no checksum covers what the file says of its types
        found.validate(full=True)  # texts are UTF-8
        present = [name for name in WHOLE if name in columns]
        lacking = [name for name in present if _lacks(found[name])]
        if lacking:
            raise ValueError(f"It has rows without {', '.join(lacking)}")
        return found
    except (OSError, ValueError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)  # it would say the name once more
        raise QaError(
            f"Cannot read {file}.", "No such file." if missing else f"{error}.", AGAIN
        ) from error


def _lacks(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return bool(column.null_count)
    known = pc.less(pc.abs(column), BEYOND)  # NaN is not less
    return bool(column.null_count) or not pc.all(known).as_py()


def write(file: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table of rows with these columns; the file is not written atomically."""
    with Writer(file, columns) as writer:
        for row in rows:
            writer.add([row[column] for column in columns])


class Writer:
    """Writes one table row by row; a row group at most is in memory."""

    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        """`columns` have the type that they have in every run."""
        import pyarrow.parquet as pq

        self._schema = _schema(columns)
        self._writer = pq.ParquetWriter(file, self._schema, write_page_checksum=True)
        self._columns: list[list[Any]] = [[] for _ in columns]
        self.rows = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *failed: object) -> None:
        self.close()

    def add(self, row: Sequence[Any]) -> None:
        """Add a row, in order of the columns; QaError where one before has no fitting value."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        self.rows += 1
        if self.rows % GROUP == 0:
            self._flush()

    def close(self) -> None:
        """Write what is left; the file is whole after that."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        arrays = []
        for column, field in zip(self._columns, self._schema, strict=True):
            try:
                arrays.append(pa.array(column, field.type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise QaError(
                    f"A stored result has a value under {field.name!r} that cannot be there.",
                    f"{error}.",
                    "delete the file in the run's folder units that holds it and run the same "
                    "command again: that unit is made again",
                ) from error
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        for column in self._columns:
            column.clear()


def _schema(columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    types = {
        "sample": pa.string(), "seed": pa.int64(), "metric": pa.string(), "value": pa.float64(),
        "why": pa.string(), "file": pa.string(), "digest": pa.string(), "clipped": pa.int64(),
        "seconds": pa.float64(), "peak_bytes": pa.int64(), "note": pa.string(),
        "warm": pa.bool_(), "tokens": pa.int64(), "noise": pa.string(),
    }  # fmt: skip
    return pa.schema([(column, types[column]) for column in columns])
