"""The Parquet tables of a run: columns of fixed types, written whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.errors import QaError
from qa.files import atomic

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("sample", "seed", "metric", "value", "why")
"""Columns of scores.parquet."""
DECODED = (
    "sample", "seed", "file", "digest", "clipped", "seconds", "peak_bytes", "why", "note", "warm",
    "tokens", "noise",
)  # fmt: skip
"""Columns of decoded.parquet: the fields of `qa.types.Decoded`."""


def read(file: Path) -> pd.DataFrame:
    """A table; QaError if it is missing or damaged."""
    import pandas as pd

    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)  # it would say the name once more
        raise QaError(
            f"Cannot read {file}.",
            "No such file." if missing else f"{error}.",
            "run the same `qa run` command again: a stopped run continues",
        ) from error


def write(file: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows with these columns, each of the type that it has in every run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "sample": pa.string(), "seed": pa.int64(), "metric": pa.string(), "value": pa.float64(),
        "why": pa.string(), "file": pa.string(), "digest": pa.string(), "clipped": pa.int64(),
        "seconds": pa.float64(), "peak_bytes": pa.int64(), "note": pa.string(),
        "warm": pa.bool_(), "tokens": pa.int64(), "noise": pa.string(),
    }  # fmt: skip
    schema = pa.schema([(column, types[column]) for column in columns])
    table = pa.Table.from_pylist(rows, schema=schema)
    with atomic(file) as temporary:
        pq.write_table(table, temporary)
