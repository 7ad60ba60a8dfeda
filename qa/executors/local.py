"""One process, one device: threads overlap reading, decoding, and writing with scoring.

    prefetch thread          this thread            the device            worker threads
    load(unit) ──queue──► decode(units, batch) ──► copy to the CPU ──► finish(unit)

PyTorch, PNG and file calls release the interpreter lock, and a GPU copies while it computes, so the
stages really overlap. Order and overlap change nothing in the results. Decoders run on all cores;
pictures are scored side by side, one core each, so that a score depends on neither the cores nor
the number of workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from qa import numerics
from qa.errors import UsageError
from qa.types import Unit
from qa.worker import Worker


class LocalExecutor:
    """Runs units in this process."""

    def __init__(self, batch: int = 4, prefetch: int = 4, workers: int | None = None) -> None:
        """`batch` pictures per decoder call, `prefetch` units read ahead, `workers` finishers.

        Without a number of workers there is one for each core, at most eight: every one holds a
        picture's scoring in memory.
        """
        counts = {
            "batch": batch,
            "prefetch": prefetch,
            "workers": 1 if workers is None else workers,
        }
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise UsageError(
                    f"executor.{name}={value} cannot work.", "It is a count, 1 or more."
                )
        self.batch, self.prefetch, self.workers = batch, prefetch, workers

    def run(self, worker: Worker, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield each unit once its result is stored. The first broken stage stops the run."""
        import torch

        if not units:
            return
        group = -(-self.batch // len(units[0].seeds))  # enough units to fill a batch
        workers = self.workers or min(torch.get_num_threads(), 8)
        readers = ThreadPoolExecutor(1, "load")
        finishers = numerics.one_core_each(workers, "finish")
        finishing: set[Future[Unit]] = set()
        try:
            waiting = iter(units)
            loading = deque(
                readers.submit(worker.load, unit) for unit in islice(waiting, self.prefetch + group)
            )
            while loading:
                loaded = [loading.popleft().result() for _ in range(min(group, len(loading)))]
                loading.extend(readers.submit(worker.load, u) for u in islice(waiting, len(loaded)))
                for raw in worker.decode(loaded, self.batch):
                    finishing.add(finishers.submit(worker.finish, raw))
                # Bounded: decoded pictures must not pile up in memory when scoring is slower.
                while len(finishing) >= workers + group:
                    yield from _harvest(finishing)
                yield from _harvest(finishing, block=False)
            while finishing:
                yield from _harvest(finishing)
        finally:
            readers.shutdown(cancel_futures=True)
            finishers.shutdown(cancel_futures=True)


def _harvest(finishing: set[Future[Unit]], block: bool = True) -> Iterator[Unit]:
    """Take finished units out of `finishing`; with `block`, wait for at least one."""
    done = wait(finishing, None if block else 0, FIRST_COMPLETED).done
    finishing -= done
    for future in done:
        yield future.result()
