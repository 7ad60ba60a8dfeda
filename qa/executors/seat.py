"""What runs in another process: the worker's stages, and how its results get home.

Nothing here knows Ray. A seat builds the worker once, from the driver's recipe, and then works on
the blocks of units that it is handed, overlapping their stages as `executor=local` does.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qa.errors import UsageError
from qa.executors import parcels
from qa.executors.depot import Depot
from qa.executors.local import LocalExecutor
from qa.store import RunFolder
from qa.types import Unit
from qa.worker import Recipe, Worker

AUTO, DRIVER = "auto", "driver"


@dataclass(frozen=True)
class Order:
    """A unit on its way to a seat, with what a machine without the driver's disk lacks."""

    unit: Unit
    picture: bytes | None = None
    """The reference picture's file, or None where the seat reads it itself."""
    before: bytes | None = None
    """Parcel of what the run folder holds of the unit, or None."""


@dataclass(frozen=True)
class Done:
    """A unit whose result is stored where the seat delivers to."""

    unit: str
    parcel: bytes | None = None
    """Its files, where the driver has to write them."""


@dataclass(frozen=True)
class Place:
    """Where a seat is."""

    host: str
    home: bool
    """Whether it works in the driver's run folder: nothing has to be sent to it or from it."""


class Seat:
    """One process of a pool."""

    def __init__(
        self, recipe: Recipe, folder: Path, beacon: Path, deliver: str, pipeline: LocalExecutor
    ) -> None:
        """`beacon` is a file of the driver's: who sees it sees the run folder `folder`. Its name is
        part of those of scratch folders, by which the driver finds what a killed seat left.

        Light on purpose: what can fail is in `prepare`, from where an error arrives as it is.
        """
        self._recipe, self._home, self._beacon = recipe, folder, beacon
        self._deliver, self._pipeline = deliver, pipeline
        self._stack = ExitStack()

    def prepare(self, current: Path) -> Place:
        """Build everything, in the driver's current folder where there is one of that name."""
        with suppress(OSError):
            os.chdir(current)  # paths of a configuration are relative to it
        self._depot = None
        if self._deliver not in {AUTO, DRIVER}:
            self._depot = Depot(self._deliver, self._recipe.marks)
        self._apart = self._deliver != AUTO or not self._beacon.is_file()
        path = self._home
        if self._apart:
            path = Path(tempfile.mkdtemp(prefix=scratch(self._beacon)))
            self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        folder = RunFolder(path)
        self._worker: Worker = self._stack.enter_context(self._recipe.worker(folder))
        return Place(socket.gethostname(), not self._apart)

    def work(self, orders: Sequence[Order], alone: bool) -> Iterator[Done]:
        """Finish a block of units, naming each as soon as its result is stored.

        `alone`: one picture at a time, since something went wrong with the unit before.
        """
        units = [self._unpacked(order) for order in orders]
        pipeline = self._pipeline
        if alone:
            pipeline = LocalExecutor(1, pipeline.prefetch, pipeline.workers)
        for unit in pipeline.run(self._worker, units):
            yield self._delivered(unit)

    def close(self) -> None:
        """Put numerics back and remove scratch files."""
        self._stack.close()

    def _unpacked(self, order: Order) -> Unit:
        """The unit as this machine can read it."""
        unit, folder = order.unit, self._worker.folder
        if order.before is not None:
            parcels.unpack(folder, unit, order.before)
        if order.picture is None or unit.sample.image is None:
            return unit
        place = folder.path / "in" / unit.id / unit.sample.image.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(order.picture)
        return replace(unit, sample=replace(unit.sample, image=place))

    def _delivered(self, unit: Unit) -> Done:
        if not self._apart:
            return Done(unit.id)
        folder = self._worker.folder
        parcel = parcels.pack(folder, unit)
        for file in parcels.files_of(folder, unit):
            file.unlink(missing_ok=True)
        shutil.rmtree(folder.path / "in" / unit.id, ignore_errors=True)
        if self._depot is None:
            return Done(unit.id, parcel)
        self._depot.put(unit.id, parcel)
        return Done(unit.id)


def scratch(beacon: Path) -> str:
    """How the names of scratch folders of one run begin."""
    return f"decoder-qa-{beacon.name.rpartition('-')[2]}-"


def check_deliver(deliver: Any) -> None:
    """UsageError unless `deliver` names a way home."""
    if deliver not in {AUTO, DRIVER} and "://" not in str(deliver):
        raise UsageError(
            f"executor.deliver={deliver} is no place.",
            "Workers write where the driver does (auto), hand results to it (driver), or put them "
            "into a store.",
            "executor.deliver=s3://bucket/folder, or any other URL of fsspec",
        )
