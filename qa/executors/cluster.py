"""Workers on one machine or many, as Ray places them.

    driver: plan ─► Ledger ─► Crew ──blocks of units──► Seat (a process; weights load once)
                                   ◄──names of finished units, one by one──┘

Ray schedules, starts and watches the processes; units and their results are ours. Every result is
stored whole under its unit's id and reduced in order of ids, so neither the number of workers nor
their deaths change a byte of a verdict (docs/scale.md).
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa.errors import QaError, Unavailable, UsageError
from qa.executors import parcels
from qa.executors.crew import Crew, Terms
from qa.executors.depot import Depot
from qa.executors.ledger import Ledger
from qa.executors.local import LocalExecutor
from qa.executors.seat import AUTO, DRIVER, Seat, check_deliver, scratch
from qa.files import PARTIAL, left_over, remove, write_bytes
from qa.types import Unit
from qa.worker import Worker

LOCAL = "local"
QUIET = {"log_to_driver": False, "configure_logging": False}
STORE_BYTES = 512 * 2**20
"""Object store of a cluster of our own: only parcels pass through it, and only with `driver`."""
FETCHERS, AT_ONCE = 8, 64
"""Threads that fetch parcels, and how many parcels are in memory."""


@dataclass(frozen=True)
class Share:
    """What one worker needs of its machine."""

    cpus: float
    gpus: float


class RayExecutor:
    """A pool of workers, one a GPU or a share of cores."""

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        cpus: float | None = None,
        gpus: float | None = None,
        batch: int = 4,
        prefetch: int = 4,
        finishers: int | None = None,
        block: int = 16,
        retries: int = 3,
        patience: float = 3600,
        deliver: str = AUTO,
    ) -> None:
        """See conf/executor/ray.yaml for what each means. Unavailable without Ray."""
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise Unavailable(
                "executor=ray needs Ray.", "It is not installed.", "pip install 'decoder-qa[ray]'"
            ) from error
        check_deliver(deliver)
        one = 1 if workers is None else workers
        for name, value in {"workers": one, "block": block, "retries": retries}.items():
            if type(value) is not int or value < 1:
                raise _impossible(name, value, "It is a count, 1 or more.")
        for name, share in {"cpus": cpus, "gpus": gpus}.items():
            if share is not None and not (_number(share) and share >= 0):
                raise _impossible(name, share, "It is 0 or more.")
        if cpus == 0 and not gpus:
            raise _impossible("cpus", cpus, "Without a GPU a worker takes some of a core.")
        if not (_number(patience) and patience > 0):
            raise _impossible("patience", patience, "It is a number of seconds, above 0.")
        self.address, self.workers, self.cpus, self.gpus = address, workers, cpus, gpus
        self.pipeline = LocalExecutor(batch, prefetch, finishers)
        self.block, self.retries, self.patience, self.deliver = block, retries, patience, deliver
        self._told: tuple[str, ...] = ()

    def run(self, worker: Worker, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield each unit once its result is in the run folder.

        UsageError where the workers cannot do what the driver planned, QaError where a store, the
        cluster or worker after worker fails.
        """
        if not units:
            return
        if worker.recipe is None:
            raise ValueError("this worker cannot be built in another process")
        depot = None
        left: Sequence[Unit] = units
        if self.deliver not in {AUTO, DRIVER}:
            depot, left = Depot(self.deliver, worker.recipe.marks), []
            yield from _fetched(depot, worker, units, left)
        if not left:
            return
        with _connected(self.address) as ray, _beacon(worker) as beacon:
            crew = self._crew(ray, worker, beacon, depot, left)
            try:
                yield from crew.work()
            finally:
                crew.dismiss()
                _clear(beacon, worker.folder.path if crew.lost else None)
                self._told = crew.told()

    def told(self) -> Sequence[str]:
        """A line for each worker of the last run: where it was, how much it did, how fast."""
        return self._told

    def _crew(
        self, ray: Any, worker: Worker, beacon: Path, depot: Depot | None, units: Sequence[Unit]
    ) -> Crew:
        share = self._share(worker)
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_restarts": 0}
        actor = ray.remote(**options)(Seat)
        home = worker.folder.path.resolve()

        def hire() -> Any:
            return actor.remote(worker.recipe, home, beacon, self.deliver, self.pipeline)

        count = min(self.workers or _room(ray, share), len(units))
        ledger = Ledger(units, self.block, self.retries, count)
        return Crew(ray, hire, Terms(count, self.patience), ledger, worker, depot)

    def _share(self, worker: Worker) -> Share:
        """What one worker takes, where the configuration leaves it open."""
        import torch

        cuda = worker.device.startswith("cuda")
        if cuda and worker.device != "cuda":
            raise UsageError(
                f"device={worker.device} and executor=ray contradict each other.",
                "Ray gives each worker a GPU of its own.",
                "device=cuda",
            )
        cpus = self.cpus if self.cpus is not None else (1 if cuda else torch.get_num_threads())
        return Share(cpus, self.gpus if self.gpus is not None else float(cuda))


def _impossible(name: str, value: object, why: str) -> UsageError:
    return UsageError(f"executor.{name}={value} cannot work.", why)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fetched(
    depot: Depot, worker: Worker, units: Sequence[Unit], left: list[Unit]
) -> Iterator[Unit]:
    """Units that the store has already, taken into the run folder; the others go to `left`.

    Pictures that are here already are not replaced. QaError where the store, or the run folder's
    disk, fails: what is there would be made again otherwise.
    """
    there = depot.ids()
    wanted: list[Unit] = []
    for unit in units:
        found = worker.folder.finished(unit.id) if unit.id in there else None
        whole = found is not None and all(made.file is not None for made in found.decoded)
        (left if unit.id not in there or whole else wanted).append(unit)
    with ThreadPoolExecutor(FETCHERS, "fetch") as pool:
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            for unit, parcel in zip(some, pool.map(lambda u: depot.get(u.id), some), strict=True):
                try:
                    parcels.unpack(worker.folder, unit, parcel)
                except parcels.Damaged as error:
                    said = f"Made again: {error.what} {error.why}"
                    warnings.warn(said, RuntimeWarning, stacklevel=2)
                if worker.complete(unit):
                    yield unit
                else:
                    left.append(unit)


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster, or to one of our own for as long as the block lasts."""
    import ray

    if ray.is_initialized():  # somebody else's session: a notebook, or a test
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a harness reports to nobody
    with redirect_stdout(sys.stderr):  # Ray tells of deaths on stdout, which is for results
        _join(ray, address or os.environ.get("RAY_ADDRESS"))
        try:
            yield ray
        finally:
            ray.shutdown()


def _join(ray: Any, known: str | None) -> None:
    """Connect to a cluster or start one; QaError where neither works."""
    try:
        if known in {None, LOCAL}:
            ray.init(
                address=LOCAL, include_dashboard=False, object_store_memory=STORE_BYTES, **QUIET
            )
        else:
            ray.init(address=known, **QUIET)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise QaError(
            f"Ray could not be {'started' if known in {None, LOCAL} else f'reached at {known}'}.",
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
            "executor.address=local starts a cluster here; one that asks for a token: "
            "RAY_AUTH_MODE=token, and its token (docs/scale.md)",
        ) from error


def _room(ray: Any, share: Share) -> int:
    """How many workers the cluster has room for; UsageError where it has none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(_fits(node, share) for node in nodes)
    if room:
        return room
    there = ray.cluster_resources()
    has = f"{there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs"
    raise UsageError(
        "The Ray cluster has no room for a worker.",
        f"One takes {share.cpus:g} cores and {share.gpus:g} GPUs; the cluster has {has}.",
        "executor.cpus=… executor.gpus=…, or executor.workers=N where it grows by itself",
    )


def _fits(node: Mapping[str, float], share: Share) -> int:
    """Workers that one machine has room for; none of them has parts of two GPUs."""
    rooms = []
    for kind, need in {"CPU": share.cpus, "GPU": share.gpus}.items():
        there = node.get(kind, 0)
        if kind == "GPU" and 0 < need < 1:
            rooms.append(int(there) * int(1 / need + 1e-9))
        elif need:
            rooms.append(int(there / need + 1e-9))
    return min(rooms)


def _clear(beacon: Path, home: Path | None) -> None:
    """Remove what killed workers left: in this machine's folder for temporary files, in `home`."""
    for folder in Path(tempfile.gettempdir()).glob(f"{scratch(beacon)}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for left in [] if home is None else list(left_over(home)):
        remove(left)


@contextmanager
def _beacon(worker: Worker) -> Iterator[Path]:
    """A file that workers look for: who finds it sees the run folder. The next run clears it."""
    file = worker.folder.path.resolve() / f"{PARTIAL}beacon-{secrets.token_hex(8)}"
    write_bytes(file, b"")
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
