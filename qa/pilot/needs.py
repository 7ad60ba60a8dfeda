"""What a pilot says about the size of a gate: its spread, and the pictures each margin needs.

    harm of picture i, seed s   h = sign · (baseline − candidate) = μ + A_i + E_is
    sb² = Var A (between pictures)      sw² = Var E (between seeds of one picture)
    ICC = sb² / (sb² + sw²)             design effect 1 + (S−1) ICC
    smallest margin at N, S  = (z_{1−α} + z_power) √((sb² + sw²/S) / N)
    pictures for a margin m  = (z_{1−α} + z_power)² (sb² + sw²/S) / m²

(qa.stats.planning.) The smallest margin is the smallest true harm that is found with that power,
and by symmetry the smallest margin at which an unchanged decoder passes so often. A gate that asks
for less is a coin toss: it is refused, or marked `underpowered` and can then not pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from qa import groups
from qa.errors import UsageError
from qa.gates.pairs import share_unit
from qa.gates.use_case import UseCase
from qa.pilot import harm as shares
from qa.results import Results
from qa.stats import (
    CONFIDENCE,
    Components,
    best_seeds,
    mde,
    pictures_for,
    zero_events_needed,
)
from qa.stats.shares import added

SCHEMA = "decoder-qa/plan/1"
POWERS = (0.8, 0.9)
LEAST_PICTURES, LEAST_SEEDS = 30, 2
ALPHA = (1 - CONFIDENCE) / 2
ALONE = (
    "There is no baseline, so these are spreads of the values themselves, not of the harm. What "
    "both arms share cancels in a comparison, which usually needs far fewer pictures; two arms "
    "that share nothing would need twice as many. Measure a second decoder and plan against it."
)


@dataclass(frozen=True)
class Size:
    """The size that a gate will have, and what further pictures cost."""

    pictures: int | None = None
    """N of the gate; None: as many as the pilot has."""
    seeds: tuple[int, ...] = ()
    """Seed counts to plan for, the gate's own first; () for the pilot's."""
    picture_cost: float = 1.0
    """What one more picture costs beside its decodes (loading, encoding), in decodes."""


@dataclass(frozen=True)
class Need:
    """What one margin needs. Everything below `margin_why` is None where `why` says why."""

    metric: str
    role: str
    """`primary` decides, `secondary` is shown."""
    unit: str
    margin: float | None
    """In the metric's unit."""
    margin_why: str
    pictures: int = 0
    """Pictures with a harm for every seed."""
    seeds: int = 0
    lost: int = 0
    """Pictures left out because a seed has no value in one of the arms."""
    between: float | None = None
    """sb, standard deviation between pictures."""
    within: float | None = None
    """sw, standard deviation between seeds of one picture; None for one seed."""
    icc: float | None = None
    design_effect: float | None = None
    smallest: float | None = None
    """Smallest margin at the planned size, with a power of 80 %."""
    needed: Mapping[int, tuple[int | None, ...]] = field(default_factory=dict)
    """Seeds → pictures for a power of 80 % and of 90 %; None: more than a million."""
    best_seeds: int | None = None
    why: str = ""

    @property
    def underpowered(self) -> bool:
        """Whether the planned size cannot resolve the margin."""
        if self.smallest is None or self.margin is None:
            return False
        return self.smallest > self.margin


@dataclass(frozen=True)
class Pilot:
    """One run as a pilot, against a baseline or alone."""

    candidate: Results
    baseline: Results | None
    use: UseCase
    pictures: int
    """N of the planned gate."""
    seeds: tuple[int, ...]
    """Seed counts that were planned for; S of the gate is the first."""
    needs: tuple[Need, ...]
    warnings: tuple[str, ...]

    @property
    def underpowered(self) -> list[Need]:
        """Primary metrics whose margin the planned size cannot resolve."""
        return [need for need in self.needs if need.underpowered and need.role == "primary"]

    def document(self) -> dict[str, Any]:
        """Everything as plain values, for `--json` and reports."""
        return {
            "schema": SCHEMA,
            "candidate": self.candidate.describe(),
            "baseline": None if self.baseline is None else self.baseline.describe(),
            "use_case": self.use.name,
            "pictures": self.pictures,
            "seeds": list(self.seeds),
            "alpha": ALPHA,
            "powers": list(POWERS),
            "metrics": [
                asdict(need)
                | {"needed": {str(seeds): list(found) for seeds, found in need.needed.items()}}
                | {"underpowered": need.underpowered}
                for need in self.needs
            ],
            "tail": _tail(self.use),
            "warnings": list(self.warnings),
        }


def plan(
    candidate: Results, baseline: Results | None, use: UseCase, size: Size | None = None
) -> Pilot:
    """What every margin of the use case needs, as far as the pilot measured it.

    UsageError where it measured none of them, or shares no picture with its baseline.
    """
    size = size or Size()
    if size.pictures is not None and size.pictures < 2:
        raise UsageError(
            "1 picture gives no interval.", "A gate needs two at least.", "--pictures 48"
        )
    warnings = []
    if baseline is not None and _same(candidate, baseline):
        warnings.append("The baseline is this very run: harm is zero everywhere and tells nothing.")
        baseline = None
    if baseline is None:
        warnings.append(ALONE)
    samples, seeds = shares.shared(candidate, baseline)
    known = len(set(groups.units(samples, candidate.groups).values()))
    size = Size(size.pictures or known, size.seeds or (len(seeds),), size.picture_cost)
    use = use.measured({*candidate.metrics, *(baseline.metrics if baseline else ())})
    if not use.margins:
        raise UsageError(
            "There is nothing to plan.",
            f"None of {', '.join(candidate.metrics) or 'no metric'} has a margin.",
            "choose a use case with margins for them: --use-case NAME or FILE.yaml",
        )
    ordered = [*use.primary, *use.secondary]
    needs = tuple(_need(name, use, candidate, baseline, size) for name in ordered)
    warned = (*warnings, *_doubts(needs))
    return Pilot(candidate, baseline, use, size.pictures or 0, size.seeds, needs, warned)


def _need(
    metric: str, use: UseCase, candidate: Results, baseline: Results | None, size: Size
) -> Need:
    facts = shares.facts(metric, candidate, baseline)
    asked = use.margins[metric]
    role = "primary" if metric in use.primary else "secondary"
    arm = baseline or candidate
    means = arm.by_group(metric).dropna()
    margin = asked.at(float(means.mean()) if len(means) else None)
    head = Need(metric, role, str(facts.get("unit", "")), margin, asked.why)
    if facts.get("of") == "set":
        return _blank(head, "one value for all pictures: its interval says what it resolves")
    strange = shares.mismatch(metric, candidate, baseline)
    harm = None if strange else shares.harm(metric, facts, candidate, baseline)
    if harm is None:
        return _blank(head, strange or "one of the two runs does not have it")
    whole = harm.dropna()
    parts = shares.components(whole, candidate)
    if parts is None:
        return _blank(head, f"{len(whole)} pictures have all values; two are the least")
    unit = share_unit(metric, candidate, *([baseline] if baseline else ()))
    parts = parts if unit is None else replace(parts, added=added(unit))
    return _sized(head, parts, len(harm) - len(whole), size)


def _sized(head: Need, parts: Components, lost: int, size: Size) -> Need:
    margin = head.margin
    needed = {}
    if margin is not None:
        for seeds in size.seeds:
            numbers = (pictures_for(parts, margin, seeds, ALPHA, power) for power in POWERS)
            needed[seeds] = tuple(numbers)
    return Need(
        head.metric, head.role, head.unit, margin, head.margin_why,
        parts.pictures, parts.seeds, lost,
        between=parts.between**0.5,
        within=parts.within**0.5 if parts.seeds > 1 else None,
        icc=parts.icc,
        design_effect=parts.design_effect,
        smallest=mde(parts, size.pictures or parts.pictures, size.seeds[0], ALPHA, POWERS[0]),
        needed=needed,
        best_seeds=best_seeds(parts, size.picture_cost) if parts.seeds > 1 else None,
        why="" if margin is not None else "the baseline's value gives no relative margin",
    )  # fmt: skip


def _blank(head: Need, why: str) -> Need:
    return Need(head.metric, head.role, head.unit, head.margin, head.margin_why, why=why)


def _same(candidate: Results, baseline: Results) -> bool:
    plan = candidate.record.get("plan")
    return plan is not None and plan == baseline.record.get("plan")


def _doubts(needs: Sequence[Need]) -> list[str]:
    """What makes the figures less sure than they look."""
    found = []
    pictures = min((need.pictures for need in needs if need.pictures), default=0)
    seeds = min((need.seeds for need in needs if need.pictures), default=0)
    if pictures < LEAST_PICTURES or seeds < LEAST_SEEDS:
        found.append(
            f"A pilot wants {LEAST_PICTURES} pictures × {LEAST_SEEDS} seeds at least; this one has "
            f"{pictures} × {seeds}, so the figures are rough"
            + ("." if seeds >= LEAST_SEEDS else ", and the spread of seeds is not known.")
        )
    for need in needs:
        if need.lost:
            found.append(f"{need.metric}: {need.lost} pictures lack a value and were left out.")
        if need.between == 0 and not need.within and need.pictures:
            found.append(f"{need.metric}: no picture differs, so its spread is not known.")
    return found


def _tail(use: UseCase) -> dict[str, Any] | None:
    """How many pictures the tail gate needs when none is broken."""
    if use.catastrophe is None:
        return None
    rate = use.catastrophe.value
    return {"rate": rate, "needed": zero_events_needed(rate, CONFIDENCE)}
