"""What `qa.repro` starts as a fresh process: `python -m qa.repro.child ORDER.json`.

trace    build the job, decode the pictures, tell digests of its inputs and of every stage
killed   start the job as a run, and kill -9 this process in the decode after its first unit
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qa.config import compose
from qa.errors import QaError
from qa.executors import Executor
from qa.executors.local import LocalExecutor
from qa.files import read_json, write_json
from qa.repro.bench import Bench, inputs, opened
from qa.repro.options import ROOT
from qa.roles import Decoder
from qa.types import DecodeRequest, Unit
from qa.worker import Worker


def main(order_file: str) -> int:
    """Carry out one order; 1, with one line on stderr, where it cannot be."""
    order = read_json(Path(order_file))
    out = Path(order["out"])
    changes = dict(order["changes"])
    if order["task"] == "killed":
        changes["out"] = order["run"]
    try:
        bench = opened(
            compose(order["overrides"], order["config_dir"], ROOT), changes,
            scratch=out, folder=out, pictures=order["pictures"],
        )  # fmt: skip
        if order["task"] == "killed":
            _run_until_killed(bench)
        else:
            _trace(bench, order, out)
    except QaError as error:
        print(f"{error.what} {error.why}".strip(), file=sys.stderr)
        return 1
    return 0


def _trace(bench: Bench, order: dict[str, Any], out: Path) -> None:
    import torch

    from qa.numerics import applied

    told = inputs(bench.job)
    with applied(bench.job.numerics):
        trace = bench.here(order["watch"], order["keep"])
    torch.save({"pixels": dict(trace.pixels), "kept": dict(trace.kept)}, out / "kept.pt")
    document = {"inputs": told, "digests": _plain(trace.digests), "failed": dict(trace.failed)}
    write_json(out / "told.json", document)


def _plain(digests: Any) -> list[Any]:
    """As lists: written JSON has sorted keys, and the order of stages matters."""
    return [[label, [list(pair) for pair in stages.items()]] for label, stages in digests.items()]


class FirstAlone:
    """Finishes one unit before the executor gets the others."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def run(self, worker: Worker, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield each unit once its result is stored."""
        yield from LocalExecutor(1, 1, 1).run(worker, units[:1])
        yield from self.executor.run(worker, units[1:])


class Deadly:
    """A decoder that ends its process, as a power cut would, once a unit lies in the folder."""

    def __init__(self, decoder: Decoder, units: Path) -> None:
        self._decoder, self._units = decoder, units

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def decode(self, requests: Sequence[DecodeRequest]) -> Any:
        """As the decoder, or never again."""
        if any(self._units.glob("*/*.json")):
            _die()
        return self._decoder.decode(requests)


def _run_until_killed(bench: Bench) -> None:
    from qa.run import measure

    job = bench.job
    deadly: Any = Deadly(job.decoder, job.folder.path / "units")
    measure(replace(job, decoder=deadly, executor=FirstAlone(job.executor)))
    _die()  # there was one unit only


def _die() -> None:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
