"""What a suite's baselines measured, one after the other: what a report shows as their trend.

    object.json   metrics   its own means, with intervals, as its verdict had them
                  before    the same of the baselines before it, the oldest first

Each object repeats what its predecessor knew: folders of earlier objects may be gone, or lie in
MLflow, and the trend is still there. Objects of earlier versions know nothing of it; the trend then
begins with their successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 20
"""Baselines that an object tells of at most; older ones are left out."""
KEPT = ("mean", "low", "high", "fingerprint")
TOLD = ("plan", "suite_digest", "promoted", "why")


def measured(verdict: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Metric → mean, low, high and fingerprint, of every metric that a verdict has a mean of."""
    rows = [row for row in verdict.get("metrics", ()) if row["mean"] is not None]
    return {row["metric"]: {key: row[key] for key in KEPT} for row in rows}


def up_to(content: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The baselines up to this one, the oldest first.

    Each with `content`, `run` (its name), `plan`, `suite_digest`, `promoted`, `why`, `anchor`
    (whether it was frozen as one) and `metrics`.
    """
    before = list(entry.get("before", ()))
    if "metrics" not in entry:
        return before
    itself = {
        "content": content,
        "run": entry["name"],
        **{key: entry[key] for key in TOLD},
        "anchor": entry["anchor"] is None,
        "metrics": entry["metrics"],
    }
    return [*before, itself][-MOST:]
