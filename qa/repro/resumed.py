"""R3: however a run is carried out, it leaves the same bytes.

The real executor runs over a few pictures in other orders, shards and numbers of workers, and one
run is killed with SIGKILL after its first finished unit and continued. Digests of the pictures, the
table of scores and verdict.json must be equal to those of a plain run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from qa.executors import Executor
from qa.executors.local import LocalExecutor
from qa.files import sha256
from qa.job import Job
from qa.repro.bench import Bench, ChildFailed
from qa.repro.rows import Row, invalid
from qa.run import conclude, measure
from qa.store import RunFolder
from qa.types import Unit
from qa.worker import Worker

KEPT = ("sample", "seed", "digest", "clipped", "noise", "why")
"""Columns of decoded.parquet that must not depend on how a run went; times do."""


class Backwards:
    """Runs the units in reverse."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def run(self, worker: Worker, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield each unit once its result is stored."""
        return self.executor.run(worker, units[::-1])


class InShards:
    """Runs every other unit first, the rest afterwards, as two machines would."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def run(self, worker: Worker, units: Sequence[Unit]) -> Iterator[Unit]:
        """Yield each unit once its result is stored."""
        yield from self.executor.run(worker, units[1::2])
        yield from self.executor.run(worker, units[::2])


def however_run(bench: Bench) -> Row:
    """R3: order, sharding, worker count and resume after kill -9 change no byte."""
    usual = bench.job.executor
    ways: dict[str, Executor] = {
        "reverse order": Backwards(usual),
        "two shards": InShards(usual),
        "one worker": LocalExecutor(batch=1, prefetch=1, workers=1),
        "three workers": LocalExecutor(batch=3, prefetch=2, workers=3),
    }
    count = len(bench.job.plan.units)
    compared = (
        f"pictures, scores and verdict of {count} pictures x {bench.job.plan.seeds} seeds: "
        f"{', '.join(ways)}, resume after kill -9"
    )
    whole = RunFolder(bench.scratch / "plain")
    plain = _carried_out(replace(bench.job, folder=whole))
    if failures := whole.verdict()["failures"]:
        lost = failures[0]
        why = f"{lost['sample']} seed {lost['seed']} was not decoded: {lost.get('why')}"
        return invalid("R3", compared, why)
    differ = []
    for name, executor in ways.items():
        folder = RunFolder(bench.scratch / name.replace(" ", "-"))
        found = _carried_out(replace(bench.job, folder=folder, executor=executor))
        differ += [f"{name}: {what}" for what in _differences(plain, found)]
    try:
        found = _resumed(bench, count)
    except ChildFailed as error:
        return invalid("R3", compared, f"the process to be killed: {error}")
    differ += [f"resume after kill -9: {what}" for what in _differences(plain, found)]
    return Row("R3", "FAIL" if differ else "PASS", compared, "; ".join(differ), not differ)


def _resumed(bench: Bench, count: int) -> dict[str, object]:
    folder = RunFolder(bench.scratch / "killed")
    bench.killed(folder.path)
    left = len(list((folder.path / "units").glob("*/*.json")))
    if not 0 < left < count and count > 1:
        raise ChildFailed(f"it had stored {left} of {count} units when it was killed")
    return _carried_out(replace(bench.job, folder=folder))


def _carried_out(job: Job) -> dict[str, object]:
    """Run a job; what must not depend on how, by name."""
    measure(job)
    folder = conclude(job).folder
    decoded = folder.decoded(KEPT)
    scores = {file.relative_to(folder.path).as_posix(): sha256(file)
              for file in folder.scores_folder.files()}  # fmt: skip
    return {
        "decoded.parquet": decoded.astype(object).where(decoded.notna(), None).to_dict("records"),
        "scores": scores,
        "verdict.json": sha256(folder.verdict_file),
    }


def _differences(one: dict[str, object], two: dict[str, object]) -> list[str]:
    return [f"{name} differs" for name in one if one[name] != two[name]]
