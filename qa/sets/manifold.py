"""Precision, recall, density and coverage: how two sets of rows x [n,d] and y [m,d] overlap.

Around every row of a set lies a ball that reaches to its k-th nearest other row of the same set;
the balls together stand for the set's manifold. With x the candidate and y the reference:

    precision  share of x inside some ball of y           (Kynkäänniemi et al. 2019, eq. 2, k = 3)
    recall     share of y inside some ball of x
    density    mean number of balls of y around an x, / k     (Naeem et al. 2020, eq. 3-4, k = 5)
    coverage   share of y whose ball holds some x

Precision and recall count the ball's surface (≤), as their authors' code does; density and
coverage do not (<), as the prdc package does not. All depend strongly on n, m and k: compare values
of equal n, m and k only. A set compared with itself has precision, recall and coverage 1 and
density 1 (k rows, its own included, lie strictly inside each ball), distinct distances assumed.

Squared distances come from |x|² + |y|² - 2 x·y, fast but with cancellation. Where one is within
rounding of the radius it is computed again as Σ (x-y)², which is the same number for the same two
rows wherever they stand, so a row on a surface is on it whatever the block or the order of rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa.sets.rows import Array, Values, blocks, checked

PAIRS = 2**22
"""Values at a time when distances are computed again."""

Indices = NDArray[np.intp]


class _Balls:
    """The balls of a set of rows [m,d], m > k + 1, each reaching to the k-th nearest other row."""

    def __init__(self, rows: Values, k: int) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.rows = checked(rows, least=k + 2)
        self._shift = self.rows.mean(axis=0)  # distances do not change, and cancellation shrinks
        self._near = self.rows - self._shift
        self._squares = _squares(self._near)
        self._radii = self._reach(k)

    def holding(self, points: Array, surface: bool) -> tuple[Array, Array]:
        """How many balls hold each point [n], and how many points each ball holds [m]."""
        per_point, per_ball = np.zeros(len(points)), np.zeros(len(self.rows))
        inside = np.less_equal if surface else np.less
        for block in blocks(len(points)):
            squared, slack = self._squared(points[block])
            i, j = np.nonzero(np.abs(squared - self._radii) <= slack)
            squared[i, j] = _exact(points[block], self.rows, i, j)
            found = inside(squared, self._radii)
            per_point[block] = found.sum(axis=1)
            per_ball += found.sum(axis=0)
        return per_point, per_ball

    def _reach(self, k: int) -> Array:
        """Squared distance of every row to its k-th nearest other row, [m]."""
        radii = np.empty(len(self.rows))
        for block in blocks(len(self.rows)):
            squared, _ = self._squared(self.rows[block])
            here = np.arange(len(squared))
            squared[here, block.start + here] = np.inf
            nearest = np.argpartition(squared, k - 1, axis=1)[:, :k]
            i, j = np.repeat(here, k), nearest.ravel()
            exact = _exact(self.rows[block], self.rows, i, j).reshape(-1, k)
            radii[block] = exact.max(axis=1)
        return radii

    def _squared(self, points: Array) -> tuple[Array, Array]:
        """Squared distances [b,m] of points [b,d] to all rows, and how far rounding may reach."""
        near = points - self._shift
        total = _squares(near)[:, None] + self._squares
        slack = 4 * points.shape[1] * np.finfo(np.float64).eps * total
        return total - 2 * near @ self._near.T, slack


class Precision:
    """Share of the candidate inside the reference's manifold: candidate [n,d] → [0, 1]."""

    def __init__(self, reference: Values, k: int = 3) -> None:
        self._balls = _Balls(reference, k)

    def __call__(self, candidate: Values) -> float:
        """ValueError below 2 rows, for NaN, or for another number of features."""
        x = checked(candidate, width=self._balls.rows.shape[1])
        per_point, _ = self._balls.holding(x, surface=True)
        return float((per_point > 0).mean())


class Recall:
    """Share of the reference inside the candidate's manifold: candidate [n,d], n > k+1 → [0, 1]."""

    def __init__(self, reference: Values, k: int = 3) -> None:
        self._y, self._k = checked(reference), k

    def __call__(self, candidate: Values) -> float:
        """ValueError for n ≤ k+1, for NaN, or for another number of features."""
        x = checked(candidate, width=self._y.shape[1])
        per_point, _ = _Balls(x, self._k).holding(self._y, surface=True)
        return float((per_point > 0).mean())


class Density:
    """Mean number of the reference's balls around a candidate, / k: candidate [n,d] → ≥ 0."""

    def __init__(self, reference: Values, k: int = 5) -> None:
        self._balls, self._k = _Balls(reference, k), k

    def __call__(self, candidate: Values) -> float:
        """ValueError below 2 rows, for NaN, or for another number of features."""
        x = checked(candidate, width=self._balls.rows.shape[1])
        per_point, _ = self._balls.holding(x, surface=False)
        return float(per_point.mean() / self._k)


class Coverage:
    """Share of the reference's balls that hold a candidate: candidate [n,d] → [0, 1]."""

    def __init__(self, reference: Values, k: int = 5) -> None:
        self._balls = _Balls(reference, k)

    def __call__(self, candidate: Values) -> float:
        """ValueError below 2 rows, for NaN, or for another number of features."""
        x = checked(candidate, width=self._balls.rows.shape[1])
        _, per_ball = self._balls.holding(x, surface=False)
        return float((per_ball > 0).mean())


def _squares(rows: Array) -> Array:
    squares: Array = np.einsum("ij,ij->i", rows, rows)
    return squares


def _exact(x: Array, y: Array, i: Indices, j: Indices) -> Array:
    """Σ (x_i - y_j)² for index pairs, [len(i)]."""
    found = np.empty(len(i))
    step = max(1, PAIRS // x.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        found[part] = _squares(x[i[part]] - y[j[part]])
    return found
