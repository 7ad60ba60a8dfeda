"""R5: the same decode with other kernels and settings, held to R4t.

The latents stay those of the first decode: what is under test is how the decoder computes. The
largest difference over the pictures and the repeats, times two, is the tolerance of a variation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from qa import numerics
from qa.config import edited
from qa.errors import QaError, said
from qa.job import prepare
from qa.numerics import Numerics
from qa.record import now
from qa.repro.bench import Bench
from qa.repro.compare import Difference, difference, worst
from qa.repro.divergence import Divergence, first, located
from qa.repro.measures import moved
from qa.repro.options import CHANNELS_LAST, Variation
from qa.repro.rows import Row, invalid
from qa.repro.trace import Run, Trace, networks, traced
from qa.roles import Decoder

if TYPE_CHECKING:
    import torch
    from torch import nn

MARGIN = 2
"""A tolerance is this many times the largest difference that was measured."""


def otherwise(bench: Bench, asked: list[Variation], repeats: int) -> Row:
    """R5: every variation stays within R4t; the row says how far each goes."""
    compared = (
        f"{len(bench.units())} decodes with the same latents: {', '.join(v.name for v in asked)}, "
        f"{repeats} times each"
    )
    plain = traced(bench.worker(latents=bench.latents), bench.units())
    if plain.failed:
        name, why = next(iter(plain.failed.items()))
        return invalid("R5", compared, f"{name} was not decoded: {why}")
    measured: dict[str, Any] = {}
    told, bad = [], False
    divergence: Divergence | None = None
    tolerances = []
    for variation in asked:
        try:
            found, parted = _measured(bench, plain, variation, repeats)
        except QaError as error:
            return invalid("R5", compared, f"{variation.name}: {said(error)}")
        if found is None:
            measured[variation.name] = {"exact": True}
            continue
        divergence = divergence or parted
        measured[variation.name] = {"exact": False, **found.document(), "from": str(parted)}
        bad = bad or bool(found.unacceptable)
        levels = "level" if found.levels == 1 else "levels"
        size = f"at most {found.max_abs:.2g}, {found.levels} {levels} of 255"
        where = "" if parted is None else f"parts at {parted.stage}; "
        told.append(f"{variation.name}: {where}{found.unacceptable or size}")
        tolerances.append(tolerance(bench, "R5", variation.name, found, repeats))
    exact = not divergence and not told
    why = "; ".join(told) or "equal to the bit"
    return Row("R5", "FAIL" if bad else "PASS", compared, why, exact, measured, divergence,
               tuple(tolerances))  # fmt: skip


def tolerance(
    bench: Bench, level: str, axis: str, found: Difference, repeats: int, **more: Any
) -> dict[str, Any]:
    """A measured tolerance: the largest difference, times two, and where it was measured."""
    limits: dict[str, float] = {
        "levels": MARGIN * found.levels,
        "outside": MARGIN * (1 - found.within),
        "density": MARGIN * found.density,
        **({} if found.max_abs is None else {"max_abs": MARGIN * found.max_abs}),
        **{f"shift/{metric}": MARGIN * share for metric, share in found.shift.items()},
    }
    return {
        "level": level, "axis": axis, "limits": limits, "repeats": repeats,
        "pictures": found.pictures, "date": now(),
        "hardware": str(bench.job.resolved_numerics["hardware"]), **more,
    }  # fmt: skip


def _measured(
    bench: Bench, plain: Trace, variation: Variation, repeats: int
) -> tuple[Difference | None, Divergence | None]:
    """The largest difference over the repeats and where it starts; None where there is none."""
    found: list[Difference] = []
    with _varied(bench, variation) as other:
        for _ in range(repeats):
            before = numerics.TALLY.copy()
            trace = other(False, None)
            if trace.failed:
                name, why = next(iter(trace.failed.items()))
                raise QaError(f"{name} was not decoded.", why)
            _used(variation, numerics.TALLY - before)
            if first(plain, trace) is not None:
                shift = moved(bench.job, plain.pixels, trace.pixels, bench.units())
                found.append(difference(plain.pixels, trace.pixels, shift))
                parted = first(plain, trace)
    if not found:
        return None, None
    assert parted is not None

    def again(watch: bool, keep: str | None) -> Trace:
        with _varied(bench, variation) as other:
            return other(watch, keep)

    name = "r5-" + "".join(c if c.isalnum() else "-" for c in variation.name)
    return worst(found), located(_plain(bench), again, parted, bench.folder, name)


def _plain(bench: Bench) -> Run:
    def run(watch: bool, keep: str | None) -> Trace:
        return traced(bench.worker(latents=bench.latents), bench.units(), watch=watch, keep=keep)

    return run


@contextmanager
def _varied(bench: Bench, variation: Variation) -> Iterator[Run]:
    """Traces of the same pictures and latents within a variation."""
    decoder: Decoder = bench.job.decoder
    settings: Numerics = bench.job.numerics
    changes: Mapping[str, Any] = {**bench.changes, **variation.changes}
    if variation.changes and variation.numerics_only:
        from omegaconf import OmegaConf

        tree = edited(bench.config, changes).tree
        settings = OmegaConf.to_object(tree.numerics)  # type: ignore[assignment]
        _effective(bench, variation, settings)
    elif variation.changes:
        job = prepare(edited(bench.config, changes))
        decoder, settings = job.decoder, job.numerics
    with ExitStack() as stack:
        stack.enter_context(numerics.applied(settings))
        if variation.name == CHANNELS_LAST:
            stack.enter_context(channels_last(decoder))

        def run(watch: bool, keep: str | None) -> Trace:
            worker = bench.worker(decoder, bench.latents)
            return traced(worker, bench.units(), watch=watch, keep=keep)

        yield run


def _effective(bench: Bench, variation: Variation, settings: Numerics) -> None:
    """QaError for settings that leave everything as it is: equality would show nothing."""
    device = str(bench.job.resolved_numerics["device"])
    there = numerics.describe(settings, device)
    changed = {key for key, value in there.items() if bench.job.resolved_numerics[key] != value}
    if not device.startswith("cuda"):
        changed -= numerics.CUDA_ONLY
    if not changed:
        raise QaError(
            f"{variation.name} changes nothing here.",
            "The run has that setting already, or its device does not know it.",
            "name another value",
        )


def _used(variation: Variation, tally: Mapping[str, int]) -> None:
    """QaError for kernels or steps that were asked for and that this decoder never came to use."""
    for name in ("kernels", "steps"):
        plain = getattr(Numerics(), name)
        if variation.changes.get(f"numerics.{name}", plain) != plain and not tally.get(name):
            raise QaError(
                f"{variation.name} changes nothing here.",
                f"This decoder ran no such {name}.",
                "name another value",
            )


@contextmanager
def channels_last(decoder: Decoder) -> Iterator[None]:
    """Within the block the decoder's convolutions hold their weights, and so compute, in NHWC."""
    import torch

    parts = list(networks(decoder).values())
    if not parts:
        raise QaError(
            "The decoder holds no network that could be laid out otherwise.",
            f"{type(decoder).__name__} has no torch.nn.Module among its attributes.",
        )
    _lay_out(parts, torch.channels_last)
    try:
        yield
    finally:
        _lay_out(parts, torch.contiguous_format)


def _lay_out(parts: list[nn.Module], layout: torch.memory_format) -> None:
    for part in parts:
        for parameter in part.parameters():
            if parameter.ndim == 4:  # channels_last is defined for these alone
                parameter.data = parameter.data.contiguous(memory_format=layout)
