"""One row of a verdict's `gates`: every gate writes the same keys (docs/formats.md)."""

from __future__ import annotations

from typing import Any

from qa.stats import Interval
from qa.stats.decide import Outcome

Row = dict[str, Any]
PASSING = ("IMPROVED", "PASS", "PASS-DRIFT")
EMPTY: Row = {
    "gate": "", "metric": "", "state": "", "why": "", "role": "", "counts": True,
    "estimate": None, "low": None, "high": None,
    "margin": None, "margin_relative": None, "margin_why": "", "limit": None,
    "method": "", "sd": None, "count": 0, "missing": 0,
    "p": None, "p_holm": None, "q": None, "needs": None,
    "unit": "", "better": None, "candidate": None, "baseline": None,
    "worst": [], "warning": "", "waiver": None,
}  # fmt: skip


def row(gate: str, metric: str, outcome: Outcome, **known: Any) -> Row:
    """A row with everything that is known; the rest says that it does not apply."""
    strange = sorted(set(known) - set(EMPTY))
    if strange:
        raise TypeError(f"a row has no {', '.join(strange)}")
    named = {"gate": gate, "metric": metric, **_said(outcome)}
    return {**EMPTY, "worst": [], **named, **known}


def numbers(interval: Interval | None) -> Row:
    """An interval as a row has it."""
    if interval is None:
        return {"estimate": None, "low": None, "high": None, "sd": None, "count": 0}
    return {
        "estimate": interval.mean + 0.0,  # -0.0 would show
        "low": None if interval.low is None else interval.low + 0.0,
        "high": None if interval.high is None else interval.high + 0.0,
        "sd": interval.sd,
        "count": interval.count,
        "method": interval.method,
        "p": interval.p_worse,
    }


def changed(found: Row, outcome: Outcome, **known: Any) -> Row:
    """The same row with another outcome."""
    return {**found, **_said(outcome), **known}


def _said(outcome: Outcome) -> Row:
    return {"state": outcome.state, "why": outcome.why, "needs": outcome.needs}
