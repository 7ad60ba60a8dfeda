"""Samples that are not independent of each other, and what an interval then counts.

Four pictures of one prompt succeed and fail together. A suite says so by giving them one group
(`Sample.group`), and every statistic averages over a group before it counts anything, as it does
over the seeds of a picture. A sample without a group stands for itself.

    unit of a sample = the first sample of its group, in order of ids
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def units(samples: Iterable[str], groups: Mapping[str, str]) -> dict[str, str]:
    """Sample → its unit. `groups` names the group of those that have one."""
    first: dict[str, str] = {}
    return {
        name: first.setdefault(groups[name], name) if groups.get(name) else name
        for name in sorted(samples)
    }


def means(values: pd.Series, unit: Mapping[str, str]) -> pd.Series:
    """Values by sample → their means by unit; NaN as soon as a sample of it has none."""
    owners = [unit[str(name)] for name in values.index]
    if owners == list(values.index):
        return values
    return values.groupby(owners).agg(lambda found: found.mean(skipna=False))


def rows(values: pd.DataFrame, unit: Mapping[str, str]) -> NDArray[np.float64]:
    """Values by sample and seed → [units, all seeds of all its samples], short rows NaN-filled."""
    import numpy as np

    found: dict[str, list[float]] = {}
    for name, seeds in zip(values.index, values.to_numpy(np.float64), strict=True):
        found.setdefault(unit[str(name)], []).extend(seeds)
    width = max(map(len, found.values()), default=0)
    filled = [row + [np.nan] * (width - len(row)) for row in found.values()]
    return np.array(filled, np.float64).reshape(len(found), width)
