"""All measurements that are asked for, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from decoders.bench import document as documents
from decoders.bench import measure, operations
from decoders.bench.document import Document
from decoders.bench.measure import Clock
from decoders.bench.parity import Parity, compared
from decoders.bench.parts import shares_of_parts, top_operations
from decoders.bench.runner import OUT_OF_MEMORY, Models, Runner, attempt, moved, tidy
from decoders.bench.system import Given, System, inputs_bytes, weights_bytes
from decoders.bench.systems import SYSTEMS, chosen, sides
from decoders.bench.ways import AXES, PLAIN, Way, fields, in_force, ways
from qa.errors import QaError, UsageError
from qa.numerics import pick_device

BUDGET = {"cpu": 6.0, "cuda": 30.0}
"""Seconds of the rounds of one size and batch, where their number is not given."""
MEASURED = "measured"
USUAL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "cpu": {"dtype": ("float32",), "kernels": ("torch",), "steps": ("eager",)},
    "cuda": {"dtype": ("bfloat16",), "kernels": AXES["kernels"], "steps": AXES["steps"]},
}
"""What is measured where an axis is left open; of `memory`, everything."""
Progress = Callable[[int, int, str], None]
"""Called with rows done, rows in all, and what comes next."""


@dataclass(frozen=True)
class Options:
    """What to measure; None leaves a choice to the device."""

    systems: Sequence[str] | None = None
    sizes: Sequence[int] | None = None
    batch: Sequence[int] = (1,)
    dtype: Sequence[str] | None = None
    kernels: Sequence[str] | None = None
    steps: Sequence[str] | None = None
    memory: Sequence[str] | None = None
    operations: bool = True
    rounds: int | None = None
    profile: bool = False
    device: str = "auto"
    threads: int | None = None
    out: str | None = None


@dataclass(frozen=True)
class Group:
    """What takes turns: one system at a size and a batch, in several ways."""

    system: System
    side: int
    batch: int
    ways: tuple[Way, ...]


def plan(options: Options, kind: str) -> list[Group]:
    """What is asked for and possible on that kind of device; UsageError where nothing is."""
    usual = {**USUAL[kind], "memory": AXES["memory"]}
    asked = {axis: getattr(options, axis) or usual[axis] for axis in AXES}
    if any(batch < 1 for batch in options.batch) or (options.rounds or 1) < 1:
        raise UsageError("A batch and the number of rounds are 1 or more.")
    groups = []
    for system in chosen(options.systems, kind):
        possible = tuple(ways(asked, partial(system.possible, device=kind)))
        for side in sides(system, options.sizes, kind):
            groups += [Group(system, side, n, possible) for n in dict.fromkeys(options.batch)]
    groups = [group for group in groups if group.ways]
    if not groups and options.systems != []:
        raise UsageError(
            "Nothing of what is asked for can be measured here.",
            f"No system has such a size and runs in such a way on {kind}.",
            f"other systems ({', '.join(SYSTEMS)}), sizes, dtype, kernels or steps",
        )
    return groups


def run(options: Options, progress: Progress = lambda *_: None) -> tuple[Document, int]:
    """Measure, merge into the device's file, write it; what was measured now and the exit code.

    The exit code is that of a QaError if a way differed or failed, else 0.
    """
    device = torch.device(pick_device(options.device))
    groups = plan(options, device.type)
    with in_force(PLAIN, device, options.threads, autocast=False):
        found: Document = {"schema": documents.SCHEMA, "device": documents.about(device)}
        found |= {"rows": {}, "operations": {}}
        file = documents.file_of(found, options.out)
        before = documents.stored(file)
        documents.merged(before, found)  # refused now rather than at the end
    ceilings: dict[str, float] = {}
    versions = documents.software(device)
    names = list(operations.OPERATIONS) if options.operations else []
    done, rows = 0, sum(len(group.ways) for group in groups) + len(names)
    for system in dict.fromkeys(group.system for group in groups):
        own = [group for group in groups if group.system == system]
        progress(done, rows, system.name)
        _raise(ceilings, own, device, options.threads)
        found["rows"] |= _system(own, options, device)
        _shares(found["rows"], ceilings)
        for row in found["rows"].values():
            row["software"] = versions
        done += sum(len(group.ways) for group in own)
        documents.write(file, documents.merged(before, found))
    with in_force(PLAIN, device, options.threads, autocast=False):
        copied = measure.copy_ceiling(device, Clock(device)) if names else 0.0
    for name in names:
        progress(done, rows, name)
        for dtype in options.dtype or USUAL[device.type]["dtype"]:
            found["operations"] |= operations.measured(name, dtype, device, options.threads, copied)
        done += 1
    for row in found["operations"].values():
        row["software"] = versions
    documents.write(file, documents.merged(before, found))
    progress(rows, rows, str(file))
    return found, exit_code(found)


def exit_code(document: Mapping[str, Any]) -> int:
    """0, or that of a QaError where something differs or failed; too little memory is a result."""
    outcomes = {
        row["outcome"] for name in ("rows", "operations") for row in document[name].values()
    }
    return QaError.exit_code if outcomes - {MEASURED, OUT_OF_MEMORY} else 0


def _raise(
    ceilings: dict[str, float],
    groups: Sequence[Group],
    device: torch.device,
    threads: int | None,
) -> None:
    """The ceilings of the groups' precisions, measured again before every system: the best counts.

    On a machine with other work the first may be low.
    """
    for dtype in {way.dtype for group in groups for way in group.ways}:
        with in_force(PLAIN, device, threads, autocast=False):
            found = measure.matmul_ceiling(device, Way(dtype).precision, Clock(device))
        ceilings[dtype] = max(found, ceilings.get(dtype, 0.0))
    tidy()


def _shares(rows: Mapping[str, dict[str, Any]], ceilings: Mapping[str, float]) -> None:
    """Put shares of the ceilings into the rows that were timed."""
    for row in rows.values():
        if row["outcome"] == MEASURED:
            row["ceiling_flops_per_second"] = ceiling = ceilings[row["dtype"]]
            row["share"] = measure.share(row["flops"], row["seconds"]["median"], ceiling)


def _system(
    groups: Sequence[Group],
    options: Options,
    device: torch.device,
) -> dict[str, dict[str, Any]]:
    """Rows of all groups of one system."""
    models = Models(groups[0].system, device, options.threads)
    batches = sorted({group.batch for group in groups})
    agreed = compared(models, groups[0].ways, batches)
    rows: dict[str, dict[str, Any]] = {}
    flops: dict[int, int] = {}
    for group in groups:
        for way, row in _group(group, models, agreed, options).items():
            if row["outcome"] == MEASURED:
                if group.side not in flops:
                    flops[group.side] = group.system.flops(group.side)
                row["flops"] = flops[group.side]
            rows[f"{group.system.name}/{group.side}/{group.batch}/{way}"] = row
    models.built.clear()
    torch._dynamo.reset()  # compiled code holds its networks
    tidy()
    return rows


def _group(
    group: Group,
    models: Models,
    agreed: Mapping[tuple[Way, int], Parity],
    options: Options,
) -> dict[Way, dict[str, Any]]:
    """Rows of one group by way: what agreed is warmed up, timed in turns, and profiled if asked."""
    given = group.system.given(group.side, range(group.batch), group.system.sampler_steps)
    given = moved(given, models.device)
    clock = Clock(models.device)
    rows: dict[Way, dict[str, Any]] = {}
    ready: dict[Way, Runner] = {}
    for way in group.ways:
        parity = agreed[way, group.batch]
        rows[way] = row = {
            "system": group.system.name,
            "side": group.side,
            "batch": group.batch,
            **fields(way),
            "sampler_steps": group.system.sampler_steps,
            "parity": parity.entry(),
            "outcome": parity.outcome,
        }
        if parity.passed:
            runner, why = attempt(partial(_first, group, models, way, given, row))
            row["outcome"] = why or MEASURED
            if runner is not None:
                ready[way] = runner
    calls = {way: partial(runner, given) for way, runner in ready.items()}
    once = sum(measure.timed(call, clock) for call in calls.values())
    rounds = options.rounds or measure.rounds_within(BUDGET[models.device.type], once)
    taken, why = attempt(lambda: measure.taking_turns(calls, rounds, clock))
    if taken is None:  # together they need more than each alone
        for way in ready:
            rows[way]["outcome"] = why
        return rows
    for way, seconds in taken.items():
        rows[way]["seconds"] = measure.summary(seconds, group.batch)
    if options.profile:
        for way, runner in ready.items():
            rows[way] |= _profiled(calls[way], runner, models.device)
    return rows


def _first(group: Group, models: Models, way: Way, given: Given, row: dict[str, Any]) -> Runner:
    """A runner that has run at this size; bytes, and seconds of its first call, go into the row."""
    device = models.device
    row["weights_bytes"] = weights_bytes(models.get(way))
    if device.type == "cpu":
        above, killed = measure.in_fresh_process(
            {
                "system": group.system.name,
                "side": group.side,
                "batch": group.batch,
                "threads": models.threads,
                **fields(way),
            }
        )
        if killed:
            raise MemoryError
    runner = models.runner(way)
    seconds: list[float] = []

    def call() -> None:
        pictures: list[Any] = []
        seconds.append(measure.timed(lambda: pictures.append(runner(given)), Clock(device)))
        if not pictures.pop().isfinite().all():
            raise QaError("Its pictures are not finite at this size.")

    if device.type == "cuda":
        above = measure.cuda_bytes(call, device)
    else:
        call()
    row["above_bytes"] = None if above is None else above + inputs_bytes(given)
    row["first_seconds"] = seconds[0]
    return runner


def only(asked: Mapping[str, Any]) -> int | None:
    """Bytes that become resident in one call on the CPU: what `measure.in_fresh_process` runs."""
    way = Way(**{axis: asked[axis] for axis in AXES})
    system, cpu = SYSTEMS[asked["system"]], torch.device("cpu")
    runner = Models(system, cpu, asked["threads"]).runner(way)
    given = system.given(asked["side"], range(asked["batch"]), system.sampler_steps)
    # What libraries set up once is not measured; what a compiler does depends on the size.
    runner(given if way.steps == "compile" else system.given(system.small, [0], 1))
    return measure.cpu_bytes(lambda: runner(given))


def _profiled(call: Callable[[], Any], runner: Runner, device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {"top": top_operations(call, device)}
    parts = runner.models.system.parts
    if parts and runner.way.steps == "eager":
        found["parts"] = shares_of_parts(call, runner.model, parts, device)
    return found
