"""How much worse is still acceptable: a number, and the reason for that number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qa.baseline.eligibility import BY_HAND
from qa.errors import UsageError
from qa.stats.interval import LARGEST


@dataclass(frozen=True)
class Margin:
    """The largest harm that may pass, in the metric's unit, and why that much."""

    value: float
    why: str = ""
    relative: bool = False
    """`value` is a share of the baseline's value instead."""
    underpowered: bool = False
    """Written although no number of pictures at hand can resolve it: it can FAIL, never pass."""

    def __post_init__(self) -> None:
        if not 0 < self.value <= LARGEST:
            raise UsageError(
                f"A margin of {self.value} cannot be met.",
                "It is the largest harm that may pass, so it must be positive, and at most "
                f"{LARGEST:g}.",
                "give a positive number, e.g. --margin psnr=0.2",
            )

    def at(self, baseline: float | None) -> float | None:
        """The margin in the metric's unit, at a baseline's value; None where that gives none.

        The baseline's value is taken as it is: its own uncertainty is not counted.
        """
        if not self.relative:
            return self.value
        found = None if baseline is None else self.value * abs(baseline)
        return found if found and math.isfinite(found) else None


def from_config(margins: Mapping[str, Any]) -> dict[str, Margin]:
    """`{metric: {margin: 0.2, why: "…"}}`, `{relative: 0.03}` or `{metric: 0.2}`, as in YAML."""
    return {str(metric): _margin(str(metric), entry) for metric, entry in margins.items()}


def _margin(metric: str, entry: Any) -> Margin:
    given = dict(entry) if isinstance(entry, Mapping) else {"margin": entry}
    kinds = [key for key in ("margin", "relative") if key in given]
    known = {"margin", "relative", "why", "underpowered"}
    marked = given.get("underpowered", False)
    told = len(kinds) == 1 and not set(given) - known and isinstance(marked, bool)
    if not told or not number(given[kinds[0]]):
        raise UsageError(
            f"The margin of {metric} is not understood: {given}.",
            "It has margin (a number, in the metric's unit) or relative (a share of the "
            "baseline's value), and may have why (a text) and underpowered (true or false).",
            f"e.g. use_case.margins.{metric}.margin=0.2",
        )
    return Margin(
        float(given[kinds[0]]),
        str(given.get("why", "")),
        relative=kinds[0] == "relative",
        underpowered=marked,
    )


def parse(pairs: Sequence[str]) -> dict[str, Margin]:
    """`["psnr=0.2", "patch_fid=3%", ...]` as the command line gives them."""
    counts = Counter(pair.partition("=")[0] for pair in pairs)
    twice = [metric for metric, count in counts.items() if count > 1]
    if twice:
        raise UsageError(f"--margin {twice[0]} is given twice.", "", "give each metric one margin")
    found = {}
    for pair in pairs:
        metric, _, value = pair.partition("=")
        share = value.endswith("%")
        try:
            if not metric:
                raise ValueError("no metric is named")
            size = float(value.removesuffix("%")) / (100 if share else 1)
        except ValueError as error:
            raise UsageError(
                f"--margin {pair} is not understood.",
                "",
                "write --margin METRIC=VALUE, or METRIC=3% for a share of the baseline's value",
            ) from error
        found[metric] = Margin(size, BY_HAND, relative=share)
    return found


def number(value: object) -> bool:
    """Whether a YAML value is a number to reckon with: `true`, `.inf` and 1e101 are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST <= value <= LARGEST
