"""What every statistic of sets does with its rows: check them and walk over them in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Values = NDArray[np.floating[Any]]
Measure = Callable[[Values], float]
"""A statistic bound to its reference: candidate [n,d] → value."""

BLOCK = 1024
"""Rows at a time: matrices between two sets are [BLOCK,m], never [n,m]."""


def checked(values: ArrayLike, least: int = 2, width: int | None = None) -> Array:
    """values [n,d] → float64 [n,d]. ValueError below `least` rows, for NaN, or for d ≠ width."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"features must be [n,d], got {list(rows.shape)}")
    if len(rows) < least:
        raise ValueError(f"there are {len(rows)} rows; this statistic needs at least {least}")
    if width is not None and rows.shape[1] != width:
        raise ValueError(f"the candidate has {rows.shape[1]} features and the reference {width}")
    broken = int(np.count_nonzero(~np.isfinite(rows).all(axis=1)))
    if broken:
        raise ValueError(f"{broken} of {len(rows)} rows hold NaN or infinity")
    return rows


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most BLOCK rows that cover 0..count-1."""
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))
