"""A store that workers and the driver both reach: anything that fsspec can write to.

    <url>/<mark>/<first two digits of the id>/<unit id>.zip

The id of a unit stands for every input of its pictures, the mark for all that is measured in them:
runs may share a store, each finds there what others finished of the very same work, and none meets
a parcel with less in it than it asks for. Object stores write whole objects or none, and so does a
folder here; a parcel that is broken all the same is noticed by its check sums.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from qa.errors import QaError, UsageError
from qa.files import digest, write_bytes

T = TypeVar("T")
TRIES = 4
PAUSE = 0.5
"""Seconds before the second try, doubled each time."""


PARCEL = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]+)\.zip")


class Depot:
    """Parcels in a store, by id of their unit. Every access is tried a few times."""

    def __init__(self, url: str, marks: Mapping[str, Any], pause: float = PAUSE) -> None:
        """`url` as fsspec takes it: s3://bucket/folder, gs://…, file:///shared/folder.

        `marks` are those of the work (`qa.worker.Recipe`). UsageError where there is no driver for
        the URL.
        """
        self.url, self._pause = url.rstrip("/"), pause
        self._fs, root = _opened(self.url)
        self._root = f"{root.rstrip('/')}/{digest(dict(marks))[:16]}"

    def ids(self) -> set[str]:
        """Units of which there is a parcel."""

        def listed() -> set[str]:
            try:
                self._fs.invalidate_cache()
                names = (name.rpartition(self._root + "/")[2] for name in self._fs.find(self._root))
                return {found[2] for found in map(PARCEL.fullmatch, names) if found}
            except FileNotFoundError:
                return set()

        return self._tried("be listed", listed)

    def put(self, unit: str, parcel: bytes) -> None:
        """Store a parcel."""

        def written() -> None:
            if _is_local(self._fs):
                write_bytes(Path(self._path(unit)), parcel)  # whole or not at all
            else:
                self._fs.pipe_file(self._path(unit), parcel)

        self._tried("take a result", written)

    def get(self, unit: str) -> bytes:
        """A parcel's bytes."""
        return self._tried("give a result", lambda: bytes(self._fs.cat_file(self._path(unit))))

    def _path(self, unit: str) -> str:
        return f"{self._root}/{unit[:2]}/{unit}.zip"

    def _tried(self, what: str, do: Callable[[], T]) -> T:
        pause = self._pause
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                return do()
            except Exception as error:  # every driver of fsspec fails in its own way
                if last:
                    raise QaError(
                        f"The store {self.url} could not {what}.",
                        f"{type(error).__name__}: {' '.join(str(error).split())[:200]}. "
                        f"Tried {TRIES} times; what is finished is kept.",
                        "see that it can be reached and written to, then run the same command "
                        "again: it continues",
                    ) from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, root = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"{url} is no store that can be used here.",
            f"{' '.join(str(error).split())}.",
            "pip install the package that it names (s3fs, gcsfs, adlfs, …) on every machine",
        ) from error
    return fs, root


def _is_local(fs: Any) -> bool:
    names = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
    return bool({"file", "local"} & set(names))
