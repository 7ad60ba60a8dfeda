"""CSV files with a head, read strictly: a quote that is not closed swallows no lines in silence."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qa.errors import UsageError

if TYPE_CHECKING:
    from _csv import Reader


def read(file: Path) -> bytes:
    """The file's bytes; UsageError where there is none."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"Cannot read {file}.", f"{error.strerror or error}.") from error


def rows(
    data: bytes, file: Path, wanted: Collection[str], otherwise: UsageError
) -> Iterator[tuple[int, dict[str, str]]]:
    """Last line and cells of each row that holds anything, without the spaces around them.

    UsageError with the line for what is no CSV; `otherwise`, with the names, where columns that are
    wanted do not exist.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8.", f"{error}.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    head = [name.strip() for name in _next(reader, file) or ()]
    absent = sorted(set(wanted) - set(head))
    if absent:
        raise UsageError(otherwise.what, f"It has no column {', '.join(absent)}.", otherwise.fix)
    while (row := _next(reader, file)) is not None:
        cells = dict.fromkeys(head, "")
        cells |= {name: cell.strip() for name, cell in zip(head, row, strict=False)}
        if any(cells.values()):
            yield reader.line_num, cells


def _next(reader: Reader, file: Path) -> list[str] | None:
    line = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        raise UsageError(
            f"{file} is no whole CSV: the row that begins in line {line} cannot be read.",
            f"{str(error).capitalize()}.",
            "close every quote, and double a quote inside quotes",
        ) from error
