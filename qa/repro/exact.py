"""R0, R1, R2 and R4: what has to be equal to the bit."""

from __future__ import annotations

from typing import Any

from qa import environment
from qa.repro import compare
from qa.repro.bench import Bench, ChildFailed, inputs
from qa.repro.divergence import Divergence, first, located
from qa.repro.measures import moved
from qa.repro.rows import Row, from_difference, invalid
from qa.repro.trace import Observed, Run, Trace, batched, chunks, traced
from qa.types import Unit

BATCHES = (1, 2, 4, 8)
PLACES = 4
"""Batch size at which the order of requests is reversed, too."""
REQUESTS = 10
"""Enough for a whole batch of 8 and a partial one."""


def same_inputs(bench: Bench) -> Row:
    """R0: a fresh process builds the same from the same configuration."""
    here = inputs(bench.job)
    compared = f"{', '.join(here)} of this process and of a fresh one"
    try:
        there, _ = bench.fresh
    except ChildFailed as error:
        return invalid("R0", compared, f"the fresh process: {error}")
    differ = [
        f"{name}: {_short(here[name])} against {_short(there[name])}"
        for name in here
        if name != "environment" and here[name] != there[name]
    ]
    differ += [
        f"environment {field}"
        for field in environment.differences(
            here["environment"]["decides"], there["environment"]["decides"]
        )
    ]
    return Row("R0", "FAIL" if differ else "PASS", compared, "; ".join(differ), not differ)


def same_process(bench: Bench) -> Row:
    """R1: decoded twice in this process, all stages are equal."""
    one, two = bench.first, bench.here()
    row = _stages(bench, "R1", one, two, bench.here, "decoded twice")
    if two.undetermined:
        told = f"no deterministic form: {', '.join(two.undetermined)}"
        return Row(row.level, row.verdict, row.compared, "; ".join(filter(None, (row.why, told))),
                   row.exact, row.measured, row.divergence)  # fmt: skip
    return row


def fresh_process(bench: Bench) -> Row:
    """R2: decoded in a fresh process, all stages are equal."""
    compared = "decoded here and in a fresh process"
    try:
        _, there = bench.fresh
        return _stages(bench, "R2", bench.first, there, bench.elsewhere, compared)
    except ChildFailed as error:
        return invalid("R2", compared, f"the fresh process: {error}")


def batches(bench: Bench) -> Row:
    """R4: alone or in a batch, and wherever in it, a picture is the same."""
    units = bench.units(-(-REQUESTS // len(bench.units(1))))
    compared = (
        f"float answers of {len(units)} requests, one by one and in batches of "
        f"{', '.join(map(str, BATCHES))} (the last partial), and in reverse order"
    )
    alone = traced(bench.worker(latents=bench.latents), units)
    if alone.failed:
        return invalid("R4", compared, _failure(alone))
    worst: list[compare.Difference] = []
    where = None
    for batch, backwards in [*((size, False) for size in BATCHES), (PLACES, True)]:
        ordered = units[::-1] if backwards else units
        trace, sizes = _in_batches(bench, ordered, batch, alone)
        if sizes != chunks(units, batch):
            return invalid("R4", compared, f"not every batch of {batch} could be decoded as one")
        if trace.failed:  # what alone gives a picture
            return Row("R4", "FAIL", compared, f"in batches of {batch}: {_failure(trace)}", False)
        if _differs(alone, trace):
            shift = moved(bench.job, alone.pixels, trace.pixels, units)
            worst.append(compare.difference(alone.pixels, trace.pixels, shift))
            name = f"batch of {batch}" + (", reversed" if backwards else "")
            where = where or (name, batch, ordered)
    if where is None:
        return Row("R4", "PASS", compared, "", True)
    name, batch, ordered = where
    divergence = _divergence(
        bench, "R4",
        lambda watch, keep: traced(
            bench.worker(latents=bench.latents), units, watch=watch, keep=keep),
        lambda watch, keep: _in_batches(bench, ordered, batch, None, watch, keep)[0],
        _place(alone, _in_batches(bench, ordered, batch, alone)[0]),
    )  # fmt: skip
    found = compare.worst(worst)
    return from_difference("R4", compared, found, divergence, f"parts first in a {name}")


def _in_batches(
    bench: Bench,
    units: list[Unit],
    batch: int,
    alone: Trace | None,
    watch: bool = False,
    keep: str | None = None,
) -> tuple[Trace, list[int]]:
    """The trace, and how many requests each call of the decoder carried out.

    Without `alone` the units are first decoded one by one, watched as closely.
    """
    if alone is None:
        alone = traced(bench.worker(latents=bench.latents), units, watch=watch)
    observed = Observed(bench.job.decoder)
    worker = bench.worker(observed, bench.latents)
    trace = batched(worker, units, batch, alone, watch=watch, keep=keep)
    return trace, observed.calls


def _differs(one: Trace, two: Trace) -> bool:
    import torch

    return any(not torch.equal(pixels, two.pixels[name]) for name, pixels in one.pixels.items())


def _place(one: Trace, two: Trace) -> tuple[str, str]:
    return first(one, two) or (next(iter(one.digests)), "pixels")


def _stages(bench: Bench, level: str, one: Trace, two: Trace, again: Run, how: str) -> Row:
    """PASS if all stages of both are equal; else where they part."""
    count = sum(map(len, one.digests.values()))
    compared = f"{len(one.digests)} pictures {how}, {count} stages in all"
    if one.failed or two.failed:
        return invalid(level, compared, _failure(one if one.failed else two))
    parted = first(one, two)
    if parted is None:
        return Row(level, "PASS", compared, "", True)
    divergence = _divergence(bench, level, bench.here, again, parted)
    name, stage = parted
    return Row(level, "FAIL", compared, f"{name} differs from stage {stage} on", False, {},
               divergence)  # fmt: skip


def _divergence(
    bench: Bench, level: str, one: Run, two: Run, parted: tuple[str, str]
) -> Divergence:
    return located(one, two, parted, bench.folder, level.lower())


def _failure(trace: Trace) -> str:
    name, why = next(iter(trace.failed.items()))
    return f"{name} was not decoded: {why}"


def _short(value: Any) -> str:
    return str(value)[:12]
