"""What only all pictures of a run have together: the values of the set metrics.

Features were kept while the pictures were in memory (`qa.features.stored`); here they are read in
order of the samples' ids, so that a value does not depend on who measured which picture when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qa.features import stored
from qa.groups import units
from qa.roles import SetMetric
from qa.store import RunFolder
from qa.types import FeatureSet, ReferenceMoments


def set_rows(
    run: RunFolder,
    metrics: Mapping[str, SetMetric],
    samples: Iterable[str],
    gaps: Mapping[str, tuple[str, str]],
    seeds: Sequence[int],
    groups: Mapping[str, str],
) -> list[dict[str, Any]]:
    """One row for each set metric: its value with an interval, or why there is none.

    A single picture without features takes the value away: a set with a gap is another set. `gaps`
    are those of `qa.reduce.reduce`. `groups` names the group of those samples that have one: they
    count as one picture.
    """
    if not metrics:
        return []
    unit = units(samples, groups)
    return [_set_row(run, name, metrics[name], gaps, seeds, unit) for name in sorted(metrics)]


def _set_row(
    run: RunFolder,
    name: str,
    metric: SetMetric,
    gaps: Mapping[str, tuple[str, str]],
    seeds: Sequence[int],
    unit: Mapping[str, str],
) -> dict[str, Any]:
    row = {"metric": name, "value": None, "low": None, "high": None, "rows": 0, "pictures": 0}
    mark = metric.features.id
    gap = gaps.get(mark)
    try:
        if gap is not None:
            raise ValueError(f"{gap[0]!r}: {gap[1]}")
        candidate = stored.candidates(run, mark, unit, seeds)
        found = metric(candidate, _reference(run, name, metric, unit))
    except ValueError as error:
        return row | {"why": str(error)}
    return row | vars(found) | {"why": ""}


def _reference(
    run: RunFolder, name: str, metric: SetMetric, unit: Mapping[str, str]
) -> FeatureSet | ReferenceMoments:
    """What a set metric compares with: a set of its own, or the suite's references."""
    own = metric.reference()
    if own is None:  # an earlier run in this folder may have had some
        stored.set_file(run, name).unlink(missing_ok=True)
    else:
        stored.write_set(run, name, own)
        return own
    return stored.references(run, metric.features.id, unit)
