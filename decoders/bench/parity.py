"""The comparison without which nothing is timed.

    float32   d = max |a − b| / √(mean b²)
    halves    d = √(mean (a − b)²) / √(mean b²), and the same way in float32 must have agreed

between pictures a of a way and b of the plain one, over all of a batch, at a small size and with
two steps of the sampler (enough for what one step leaves for the next), after another picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from decoders.bench.runner import Models, attempt, moved
from decoders.bench.ways import PLAIN, Way

STEPS = 2
TOLERANCES: Mapping[str, float] = {"float32": 1e-4, "bfloat16": 2.0**-5, "float16": 2.0**-8}
"""Largest d, by precision.

float32   Of 21 wrong facts tried on PiD's network (an epsilon, a tanh for an erf, an order of
          channels …) the least moved its output, of RMS 2, by 1e-3. Rounding alone moved decodes of
          the trained networks by 2e-5.
halves    Four units in the last place: rounding alone moved the systems measured by 2.6 at most.
          Rounding of a whole network hides small faults, hence the same way in float32.
"""


@dataclass(frozen=True)
class Parity:
    """How far a way is from the plain one; for the plain one itself, from float64."""

    difference: float | None
    """None: it could not be computed, for the reason `why`."""
    tolerance: float
    side: int
    alone: bool | None = None
    """Whether each sample of a batch has the bits that it has alone; None for a single one."""
    why: str = ""

    @property
    def passed(self) -> bool:
        return self.difference is not None and self.difference <= self.tolerance

    @property
    def outcome(self) -> str:
        """Why there is no timing, or ""."""
        if self.passed:
            return ""
        return self.why or f"differs by {self.difference:.2g}, allowed {self.tolerance:.2g}"

    def entry(self) -> dict[str, Any]:
        """As a row has it; JSON knows no infinity."""
        number = self.difference
        return {
            "difference": number if number is not None and math.isfinite(number) else None,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "side": self.side,
            "equal_alone": self.alone,
        }


def distance(a: Tensor, b: Tensor, dtype: str = "float32") -> float:
    """d; infinite where a is not finite, or b says nothing (constant, or not finite)."""
    a, b = a.double().cpu(), b.double().cpu()
    if not (a.isfinite().all() and b.isfinite().all()) or float(b.std()) == 0:
        return math.inf
    apart = (a - b).abs()
    worst = apart.max() if dtype == "float32" else apart.square().mean().sqrt()
    return float(worst / b.square().mean().sqrt())


def compared(
    models: Models, ways: Sequence[Way], batches: Sequence[int]
) -> dict[tuple[Way, int], Parity]:
    """Every way at every batch against the plain way's single pictures."""
    system, side = models.system, models.system.small
    steps = min(STEPS, system.sampler_steps)

    def inputs(samples: Sequence[int]) -> dict[str, Tensor]:
        return moved(system.given(side, samples, steps), models.device)

    def plain() -> tuple[Tensor, float]:
        model = models.get(PLAIN)
        # First of all: it replaces the weights for a moment, and others keep where they lie.
        model.double()
        wide = models.runner(PLAIN)({name: t.double() for name, t in inputs([0]).items()})
        model.float()
        runner = models.runner(PLAIN)
        single = torch.cat([runner(inputs([n])) for n in range(max(batches))])
        return single, distance(single[:1], wide)

    def way_of(way: Way, batch: int, single: Tensor) -> Parity:
        runner = models.runner(way)
        runner(inputs(range(max(batches), max(batches) + batch)))  # nothing of these may be left
        together = runner(inputs(range(batch)))
        alone = None
        if batch > 1:
            each = [runner(inputs([n])) for n in range(batch)]
            alone = torch.equal(together, torch.cat(each))
        apart = distance(together, single[:batch], way.dtype)
        return Parity(apart, TOLERANCES[way.dtype], side, alone)

    reference, why = attempt(plain)
    found: dict[tuple[Way, int], Parity] = {}
    for way in sorted({*ways, *map(in_float32, ways)}, key=lambda way: way.dtype != "float32"):
        for batch in batches:
            allowed, wide = TOLERANCES[way.dtype], found.get((in_float32(way), batch))
            if reference is None:
                parity = Parity(None, allowed, side, why=f"no reference: {why}")
            elif reference[1] > TOLERANCES["float32"]:
                said = f"the plain way differs from float64 by {reference[1]:.2g}"
                parity = Parity(None, allowed, side, why=said)
            elif wide is not None and not wide.passed:
                parity = Parity(None, allowed, side, why=f"in float32 it {wide.outcome}")
            elif (way, batch) == (PLAIN, 1):
                parity = Parity(reference[1], allowed, side)
            else:
                done, why = attempt(partial(way_of, way, batch, reference[0]))
                parity = done or Parity(None, allowed, side, why=why)
            found[way, batch] = parity
    return found


def in_float32(way: Way) -> Way:
    """The same way with the precision of the plain one."""
    return replace(way, dtype=PLAIN.dtype)
