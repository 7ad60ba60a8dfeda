"""A use case written from a pilot: its margins, each with what the pilot showed about it."""

from __future__ import annotations

from typing import Any

from qa.errors import UsageError
from qa.gates.margins import Margin
from qa.pilot.needs import Need, Pilot


def use_case(pilot: Pilot, allow_underpowered: bool = False) -> dict[str, Any]:
    """The pilot's use case as YAML has it (`qa.gates.use_case` reads it).

    UsageError, naming the metrics, where a primary margin is smaller than the planned size can
    resolve, unless that is allowed: it is then marked, and its gate can not pass.
    """
    if pilot.baseline is None:
        raise UsageError(
            "A run alone is no pilot for margins.",
            "Without a baseline nobody knows how much the harm varies.",
            "qa plan RUN --baseline BASE --write FILE",
        )
    weak = pilot.underpowered
    if weak and not allow_underpowered:
        raise UsageError(
            f"{pilot.pictures} pictures × {pilot.seeds[0]} seeds cannot resolve "
            f"{', '.join(_told(need, pilot) for need in weak)}.",
            "A gate with such a margin would often stop an unchanged decoder.",
            "plan for more pictures (--pictures N), take a larger margin, or add "
            "--allow-underpowered: the gate can then FAIL but not pass",
        )
    return _written(pilot, {need.metric for need in weak})


def _told(need: Need, pilot: Pilot) -> str:
    (first, _) = need.needed[pilot.seeds[0]]
    return (
        f"{need.metric} (margin {need.margin:.3g}, smallest {need.smallest:.3g}; "
        f"{_number(first)} for 80 %)"
    )


def _number(pictures: int | None) -> str:
    return "no feasible number of pictures" if pictures is None else f"{pictures} pictures"


def _written(pilot: Pilot, weak: set[str]) -> dict[str, Any]:
    use, needs = pilot.use, {need.metric: need for need in pilot.needs}
    arms = [arm.describe() for arm in (pilot.candidate, pilot.baseline) if arm is not None]
    names = " against ".join(str(arm["decoder"] or arm["name"]) for arm in arms)
    found: dict[str, Any] = {
        "description": f"{use.name or 'margins given by hand'}, planned from {names}",
        "primary": list(use.primary),
        "margins": {
            metric: _entry(margin, _evidence(needs[metric], pilot), metric in weak)
            for metric, margin in use.margins.items()
        },
    }
    if use.breakage:
        found["breakage"] = {m: {"harm": e.value, "why": e.why} for m, e in use.breakage.items()}
    if use.catastrophe:
        found["catastrophe"] = {"rate": use.catastrophe.value, "why": use.catastrophe.why}
    if use.cost:
        found["cost"] = {name: _entry(margin, "") for name, margin in use.cost.items()}
    if use.dial:
        limits = [metric for metric in use.dial.fidelity if metric in use.margins]
        if limits:  # those that this file has margins for
            found["dial"] = {"fidelity": limits, "plausibility": list(use.dial.plausibility)}
    if use.review:
        margin = use.review.margin
        found["review"] = {
            "questions": list(use.review.questions), "margin": margin.value, "why": margin.why,
        }  # fmt: skip
    return {**found, "drift": {"budget": use.budget}}


def _entry(margin: Margin, evidence: str, weak: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "relative" if margin.relative else "margin": margin.value,
        "why": "; ".join(filter(None, (margin.why, evidence))),
    }
    return found | ({"underpowered": True} if weak else {})


def _evidence(need: Need, pilot: Pilot) -> str:
    if need.smallest is None:
        return f"not in the pilot: {need.why}"
    first = need.needed.get(pilot.seeds[0])
    told = "".join(
        f"; {_number(pictures)} for {share} %"
        for share, pictures in zip((80, 90), first or (), strict=False)
    )
    return (
        f"pilot of {need.pictures} x {need.seeds}: {pilot.pictures} x {pilot.seeds[0]} resolve "
        f"{need.smallest:.3g}{told}"
    )
