"""Which way a metric is better: as its facts say, as the harness knows, or as somebody says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from qa.errors import UsageError
from qa.metrics.facts import direction
from qa.results import Results


def directions(
    arms: Sequence[Results], given: Mapping[str, str], gated: Collection[str]
) -> dict[str, str]:
    """Metric → `higher` or `lower`; only gated metrics of two arms must have a direction.

    UsageError for a direction that contradicts what is known, or of a metric nobody has.
    """
    found: dict[str, str] = {}
    present = {name for arm in arms for name in arm.metrics}
    for metric, way in given.items():
        if way not in {"higher", "lower"}:
            raise UsageError(f"{metric}={way} is no direction.", "It is either higher or lower.")
        if metric not in present:
            raise UsageError(f"No arm has a metric {metric}.", f"There are {_list(present)}.")
    for metric in sorted({*gated, *present}):
        stored = [arm.record.get("facts", {}).get(metric, {}).get("better") for arm in arms]
        known = next(filter(None, stored), None) or direction(metric)
        if known and given.get(metric, known) != known:
            raise UsageError(
                f"{metric} is better when {known}.", "", f"leave --better {metric} out"
            )
        known = known or given.get(metric)
        if known:
            found[metric] = known
        elif metric not in present:
            raise UsageError(f"No arm has a metric {metric}.", f"There are {_list(present)}.")
        elif metric in gated and len(arms) > 1:
            raise UsageError(
                f"Which way is {metric} better?",
                "The harness does not know this metric, so it cannot tell harm from gain.",
                f"add --better {metric}=higher or --better {metric}=lower",
            )
    return found


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
