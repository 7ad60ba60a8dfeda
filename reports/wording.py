"""How reports say things: states, numbers with the digits they deserve, text that cannot trick.

A number shows as many digits as its uncertainty and its margin deserve: 1.08 [0.91, 1.25], not
1.0812745.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

MISSING = "–"
MAX_DECIMALS = 6
LEAST, MOST = 3, 5
"""How many digits of a mean count, at least and at most."""
SEVERITY = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")

# Controls, bidirectional overrides, invisible spaces and halves of surrogate pairs. Joiners stay:
# emoji and several scripts need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


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


def gate_digits(gate: Mapping[str, Any]) -> int:
    """Digits for all numbers of one gate: its interval and its margin decide."""
    return decimals(half_width(gate), gate.get("margin"))


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
    """Gates, worst state first and within a state the largest harm for its margin first."""

    def key(gate: Mapping[str, Any]) -> tuple[int, float]:
        state = gate["state"]
        rank = SEVERITY.index(state) if state in SEVERITY else len(SEVERITY)
        estimate = gate.get("estimate")
        return rank, math.inf if estimate is None else -estimate / scale(gate)

    return sorted(gates, key=key)


def sentence(verdict: Mapping[str, Any]) -> str:
    """The verdict's one sentence, without its state in front."""
    summary, state = str(verdict.get("summary") or ""), str(verdict["state"])
    return summary.removeprefix(state).lstrip(" :") if summary.startswith(state) else summary


def _significant(value: float | None, count: int) -> int:
    """Digits after the point that show so many significant digits of a value."""
    if not value or not math.isfinite(value):
        return 3
    return max(0, count - 1 - math.floor(math.log10(abs(value))))
