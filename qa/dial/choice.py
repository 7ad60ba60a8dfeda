"""The choice: the front of what can be had, one setting from it, and its confirmation.

    front     no other setting has less harm (of the first fidelity metric) and more plausibility
    pick      of the settings that keep every limit the most plausible one; where several are
              equally so, the one of fewer steps, then of less sigma
    confirm   on pictures that the pick did not see: every limit is kept, by the same rule, and
              the setting is not less plausible than the reference

Why a second half: the best of k settings that are all alike looks better than they are by E[max] of
k errors, and its true plausibility is what any of them has. On fresh pictures its lead is gone, and
in half of all cases it is behind the reference: then it is refused. A limit that a lucky setting
kept by its luck is refused by its gate with 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qa.dial.judged import Terms, Tried, case_of, limits_of, run_of
from qa.gates.compared import Compared, compare
from qa.gates.rows import Row, numbers, row
from qa.results import Results
from qa.stats import CONFIDENCE, pictures_until
from qa.stats.decide import Outcome

CONFIRMED = "CONFIRMED"
EXIT_CODES = {CONFIRMED: 0, "FAIL": 3, "INCONCLUSIVE": 4, "INVALID": 5}
WORST_FIRST = ("FAIL", "INVALID", "INCONCLUSIVE")
PLAUSIBILITY = "plausibility"


@dataclass(frozen=True)
class Confirmation:
    """What the other half says about the picked setting."""

    rows: Sequence[Row]
    """The limits, then plausibility (gate `plausibility`)."""
    pictures: int
    reference: str
    """Folder name of its run."""
    picked: str
    before: int = 0
    """Other settings of this decoder that were tried on these pictures before."""

    @property
    def state(self) -> str:
        """CONFIRMED, or the worst state of a row."""
        states = {found["state"] for found in self.rows}
        return next((state for state in WORST_FIRST if state in states), CONFIRMED)

    @property
    def needs(self) -> int | None:
        """Pictures of this half that would settle it; None if it is settled or none is known."""
        return _needs(self.rows) if self.state == "INCONCLUSIVE" else None


@dataclass(frozen=True)
class Found:
    """All that a dial found out."""

    settings: Sequence[Tried]
    """The reference first."""
    picked: Tried | None
    confirmation: Confirmation | None

    @property
    def state(self) -> str:
        """CONFIRMED, or why nothing is."""
        return (
            none_feasible(self.settings) if self.confirmation is None else self.confirmation.state
        )


def front(settings: Sequence[Tried], terms: Terms) -> set[str]:
    """Names of the settings that no other one beats in both."""
    places = {
        tried.name: (harm, -tried.worth)
        for tried in settings
        if tried.knobs is not None
        and (harm := tried.values[terms.first]["harm"]) is not None
        and math.isfinite(tried.worth)
    }
    return {
        name
        for name, (harm, loss) in places.items()
        if not any(
            other != (harm, loss) and other[0] <= harm and other[1] <= loss
            for other in places.values()
        )
    }


def pick(settings: Sequence[Tried]) -> Tried | None:
    """The most plausible setting that keeps every limit, or None where none does."""

    def order(tried: Tried) -> tuple[float, float, float]:
        knobs = tried.knobs
        assert knobs is not None
        return (-tried.worth, math.inf if knobs.steps is None else knobs.steps, knobs.sigma)

    able = [tried for tried in settings if tried.knobs is not None and tried.feasible]
    return min(able, key=order, default=None)


def confirm(picked: Results, reference: Results, terms: Terms, before: int = 0) -> Confirmation:
    """The picked setting against the reference, on the half that the pick did not see."""
    case = case_of(picked, reference, terms)
    found = compare(terms.plausibility, case)
    outcome = _not_worse(found, case.alpha)
    plausibility = row(
        PLAUSIBILITY, terms.plausibility, outcome, **numbers(found.harm), missing=found.missing,
        unit=case.unit(terms.plausibility), better=case.better[terms.plausibility],
        candidate=found.candidate, baseline=found.baseline,
    )  # fmt: skip
    rows = [*limits_of(case), plausibility]
    return Confirmation(rows, len(picked.samples), run_of(reference), run_of(picked), before)


def _not_worse(found: Compared, alpha: float) -> Outcome:
    """Plausibility was what the setting was picked for: it must still be there."""
    harm = found.harm
    if harm is None or found.missing:
        return Outcome("INVALID", found.why or "nothing was compared")
    if harm.low is None or harm.high is None:
        return Outcome("INCONCLUSIVE", f"no interval: {found.why or 'too few pictures'}")
    if harm.mean <= 0:
        if harm.high < 0:
            return Outcome("IMPROVED", "more plausible than the reference")
        return Outcome("PASS", "not less plausible than the reference")
    if harm.low > 0 and (harm.p_worse or 0) > alpha:
        why = f"exchanging the arms' pictures gives as much in {harm.p_worse:.2g} of all cases"
        return Outcome("INCONCLUSIVE", f"less plausible here, and {why}")
    if harm.low > 0:
        return Outcome("FAIL", "less plausible than the reference")
    needs = pictures_until(harm, lambda low, _: low > 0, CONFIDENCE)
    return Outcome("INCONCLUSIVE", "less plausible here, and it could be chance", needs)


def none_feasible(settings: Sequence[Tried]) -> str:
    """What it means that nothing was picked: FAIL only where every setting provably fails."""
    states = {_worst(tried) for tried in settings if tried.knobs is not None}
    return next((s for s in ("INCONCLUSIVE", "INVALID", "FAIL") if s in states), "INVALID")


def needs_to_pick(settings: Sequence[Tried]) -> int | None:
    """Pictures of the selection half with which some setting would keep its limits, as it looks.

    The fewest that one of them needs; None where no setting is only INCONCLUSIVE, or none is known.
    """
    open_ones = [t for t in settings if t.knobs is not None and _worst(t) == "INCONCLUSIVE"]
    return min(filter(None, (_needs(tried.limits) for tried in open_ones)), default=None)


def _worst(tried: Tried) -> str:
    states = {found["state"] for found in tried.limits}
    return next((state for state in WORST_FIRST if state in states), "INVALID")


def _needs(rows: Sequence[Row]) -> int | None:
    """Pictures that settle every row that is INCONCLUSIVE; None if one says no number."""
    needs = [found["needs"] for found in rows if found["state"] == "INCONCLUSIVE"]
    return max(needs) if needs and None not in needs else None
