"""How reports say things: states, numbers with the digits they deserve, text that cannot trick.

A number shows as many digits as its uncertainty and its margin deserve: 1.08 [0.91, 1.25], not
1.0812745.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from qa.outcomes import counts, label, standing

MISSING = "–"
MAX_DECIMALS = 6
LEAST, MOST = 3, 5
"""How many digits of a mean count, at least and at most."""
SEVERITY = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS-DRIFT", "PASS", "IMPROVED")

# Controls, bidirectional overrides, invisible spaces, halves of surrogate pairs and what no XML may
# hold. Joiners stay: emoji and several scripts need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ud800-\udfff\ufffe\uffff]"
)

BREAKS = re.compile(r"(?<=_)(?=.)|(?<=.)(?=\[)", re.DOTALL)
"""Where a name may continue on the next line, besides its spaces: after `_`, before `[`."""


def visible(text: str) -> str:
    """Text in which characters that reorder, hide or break what is shown appear as <U+XXXX>."""
    return _UNSEEN.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


def decimals(*scales: float | None) -> int:
    """Digits after the point that resolve every positive scale.

    Two digits of a scale that begins with 1 or 2, else one: steps of 4 to 33 % of the scale.
    """
    known = [s for s in scales if s is not None and s > 0 and math.isfinite(s)]
    powers = [math.floor(math.log10(s)) for s in known]
    digits = [(s < 3 * 10**power) - power for s, power in zip(known, powers, strict=True)]
    return min(MAX_DECIMALS, max(0, *digits)) if digits else 3


def number(value: float | None, digits: int = 3) -> str:
    """A value with so many digits after the point; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= 10_000_000:
        return f"{value:.3e}"
    return f"{value:z.{digits}f}"


def mean(value: float | None, digits: int = 3) -> str:
    """A mean beside its harm: the same digits, but no more than five that count."""
    return number(value, min(digits, _significant(value, MOST)))


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """`[low, high]`, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def duration(seconds: float | None) -> str:
    """Roughly how long: `40 s`, `12 min`, `3.5 h`; a dash where it is not known."""
    if seconds is None:
        return MISSING
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def confidence(verdict: Mapping[str, Any]) -> str:
    """Of the verdict's intervals, e.g. `90 %`."""
    return f"{100 * (verdict.get('confidence') or 0.9):.3g} %"


def bound(gate: Mapping[str, Any], digits: int) -> str:
    """What the harm is compared with: the margin, or the limit of a threshold."""
    if gate.get("limit") is None:
        return number(gate.get("margin"), digits)
    return f"{'≤' if gate.get('better') == 'lower' else '≥'} {number(gate['limit'], digits)}"


def gate_digits(gate: Mapping[str, Any]) -> int:
    """Digits for all numbers of one gate: its interval decides, and its margin.

    A harm far below its margin is not worth more than one digit beyond the margin's own.
    """
    margin = gate.get("margin")
    digits = decimals(half_width(gate), margin)
    return min(digits, decimals(margin) + 1) if margin else digits


def metric_digits(row: Mapping[str, Any]) -> int:
    """Digits for a metric's mean and interval: what the interval deserves, three to five in all."""
    digits, value = decimals(half_width(row)), row.get("mean")
    return min(max(digits, _significant(value, LEAST)), _significant(value, MOST), MAX_DECIMALS)


def half_width(row: Mapping[str, Any]) -> float | None:
    """Half of a row's interval, or None where it has none."""
    low, high = row.get("low"), row.get("high")
    return None if low is None or high is None else (high - low) / 2


def scale(gate: Mapping[str, Any]) -> float:
    """What one unit of a gate's harm is compared with: its margin, else the size of its harm."""
    margin = gate.get("margin")
    if margin:
        return float(margin)
    sizes = [abs(gate[key]) for key in ("estimate", "low", "high") if gate.get(key) is not None]
    return max(sizes, default=0.0) or 1.0


def by_severity(gates: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Gates that count come first, then the worst state, then the largest harm for its margin."""

    def key(gate: Mapping[str, Any]) -> tuple[bool, int, float]:
        state = gate["state"]
        rank = SEVERITY.index(state) if state in SEVERITY else len(SEVERITY)
        estimate = gate.get("estimate")
        harm = math.inf if estimate is None else -estimate / scale(gate)
        return not counts(gate), rank, harm

    return sorted(gates, key=key)


def footnotes(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a reader has to know beside the rows: (kind, sentence).

    Kinds: look, drift, waived, note, warning.
    """
    found = [("look", look(verdict["look"]))] if verdict.get("look") else []
    found += [("drift", line) for line in drift(verdict)]
    for gate in verdict["gates"]:
        if gate.get("waiver"):
            found.append(("waived", f"{label(gate)} {gate['state']}, {standing(gate)}"))
        elif standing(gate) == "does not count":
            why = f": {gate['why']}" if gate.get("why") else ""
            found.append(("note", f"{label(gate)} {gate['state']} does not count{why}"))
    return [*found, *(("warning", str(line)) for line in verdict.get("warnings") or ())]


def look(found: Mapping[str, Any]) -> str:
    """Which part of a run that may be extended was judged, and how strictly."""
    earlier = [f"{row['pictures']} pictures {row['state']}" for row in found.get("history") or ()]
    return (
        f"{found['number']} of {found['of']}: {found['pictures']} of {found['planned']} pictures, "
        f"one-sided alpha {found['alpha']:.3g} ({found['spent']:.3g} spent so far)"
        + (f"; before: {', '.join(earlier)}" if earlier else "")
    )


def drift(verdict: Mapping[str, Any]) -> list[str]:
    """How much of each drift budget is spent against the anchor, a metric a line."""
    units = {gate.get("metric"): gate.get("unit") for gate in verdict["gates"]}
    found = []
    for metric, row in sorted((verdict.get("drift") or {}).items()):
        if row.get("spent"):
            digits = decimals(row.get("budget"), abs(row["spent"]))
            unit = f" {units[metric]}" if units.get(metric) else ""
            spent, budget = number(row["spent"], digits), number(row.get("budget"), digits)
            found.append(f"{metric} {spent} of {budget}{unit} spent")
    return found


def sentence(verdict: Mapping[str, Any]) -> str:
    """The verdict's one sentence, without its state in front."""
    summary, state = str(verdict.get("summary") or ""), str(verdict["state"])
    return summary.removeprefix(state).lstrip(" :") if summary.startswith(state) else summary


def _significant(value: float | None, count: int) -> int:
    """Digits after the point that show so many significant digits of a value."""
    if not value or not math.isfinite(value):
        return 3
    return max(0, count - 1 - math.floor(math.log10(abs(value))))
