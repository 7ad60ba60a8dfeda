"""Maximum mean discrepancy of two sets of feature rows x [n,d] and y [m,d]: KID and CMMD.

    MMD² = mean k(x,x') + mean k(y,y') - 2 mean k(x,y)                 (Gretton et al. 2012, eq. 3)

KID (Bińkowski et al. 2018, section 4): k(x,y) = (x·y/d + 1)³, and the first two means run over
pairs of *different* rows, so the estimate is unbiased and may be negative. Published values are
means over 100 random subsets of 1000 rows; here all pairs are used, which has the same expectation,
less noise and no seed. Its standard error is that of the delete-one jackknife of both sets, which
follows from the row sums of the three kernel matrices: with X = Σ_{i≠j} k(x_i,x_j), r_i row i of it
and c_i = Σ_j k(x_i,y_j), leaving out row i gives

    (X - 2 r_i) / ((n-1)(n-2)) + (as before) - 2 (Σ c - c_i) / ((n-1) m)

It treats all rows as independent, those of the reference, too, and is the spread over draws of both
sets (`kid_interval`). For several rows of one picture, and for candidates that are copies of the
references, whose sampling errors cancel, use `qa.sets.intervals`.

CMMD (Jayasumana et al. 2024, section 4): rows of unit length (CLIP embeddings), Gaussian
k(x,y) = exp(-|x-y|² / 2σ²) with σ = 10, all pairs, a row with itself included, times 1000: a biased
estimate, never negative and 0 for equal sets. On unit rows |x-y|² = 2 - 2 x·y. The code sums
k - 1, which leaves MMD² as it is and keeps the digits that k ≈ 1 would lose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qa.sets.rows import Array, Values, blocks, checked
from qa.stats import CONFIDENCE, t_quantile
from qa.types import Estimate, FeatureSet

CMMD_SCALE = 1000.0

Kernel = Callable[[Array], Array]
"""Inner products → kernel values."""


class Discrepancy(NamedTuple):
    """A KID and how well these rows determine it."""

    value: float
    error: float
    """Standard error, rows being independent."""


class KID:
    """Kernel distance to a reference [m,d], m ≥ 3: candidate [n,d], n ≥ 3 → value, unbiased."""

    def __init__(self, reference: Values) -> None:
        self._y = checked(reference, least=3)
        self._yy = _sums_within(self._y)

    def __call__(self, candidate: Values) -> float:
        """ValueError below 3 rows, for NaN, or for another number of features."""
        return self.estimate(candidate).value

    def estimate(self, candidate: Values) -> Discrepancy:
        """The value with its standard error."""
        y = self._y
        x = checked(candidate, least=3, width=y.shape[1])
        xx, yy = _sums_within(x), self._yy
        xy, yx = _sums(x, y, _cubic(y.shape[1]))
        within_x, within_y = _mean_pair(xx.sum(), len(x)), _mean_pair(yy.sum(), len(y))
        value = within_x + within_y - 2 * xy.sum() / xy.size / yx.size
        variance = _jackknife(xx, xy, len(y)) + _jackknife(yy, yx, len(x))
        return Discrepancy(float(value), math.sqrt(variance))


def kid_interval(
    candidate: FeatureSet, reference: FeatureSet, confidence: float = CONFIDENCE
) -> Estimate:
    """KID ± t(n-1) standard errors; n is the candidate's number of rows.

    ValueError where a picture has several rows, which are not independent, and where there is no
    value.
    """
    for name, part in (("candidate", candidate), ("reference", reference)):
        count = len(np.unique(part.pictures))
        if count < len(part.values):
            raise ValueError(
                f"the {name}'s {len(part.values)} rows are of {count} pictures; KID's variance "
                "holds for one row a picture: seeds=1 and views=whole, or interval=jackknife"
            )
    found, n = KID(reference.values).estimate(candidate.values), len(candidate.values)
    half = t_quantile((1 + confidence) / 2, n - 1) * found.error
    return Estimate(found.value, found.value - half, found.value + half, n, n)


class CMMD:
    """CMMD to a reference [m,d] of embeddings: candidate [n,d] → value ≥ 0.

    Rows are scaled to unit length here; a row of zeros has no direction and is a ValueError.
    """

    def __init__(self, reference: Values, sigma: float = 10.0) -> None:
        self._kernel: Kernel = lambda products: np.expm1((products - 1) / sigma**2)
        self._y = _unit(checked(reference))
        self._yy = self._mean(self._y, self._y)

    def __call__(self, candidate: Values) -> float:
        """ValueError below 2 rows, for NaN, zeros, or another number of features."""
        x = _unit(checked(candidate, width=self._y.shape[1]))
        if np.array_equal(x, self._y):
            return 0.0
        value = self._mean(x, x) + self._yy - 2 * self._mean(x, self._y)
        return max(0.0, CMMD_SCALE * value)

    def _mean(self, x: Array, y: Array) -> float:
        rows, _ = _sums(x, y, self._kernel)
        return float(rows.sum()) / len(x) / len(y)


def _cubic(width: int) -> Kernel:
    def kernel(products: Array) -> Array:
        base = products / width + 1
        return base * base * base

    return kernel


def _sums(x: Array, y: Array, kernel: Kernel) -> tuple[Array, Array]:
    """Σ_j k(x_i,y_j) [n] and Σ_i k(x_i,y_j) [m], in blocks of rows of x."""
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for block in blocks(len(x)):
        values = kernel(x[block] @ y.T)
        rows[block] = values.sum(axis=1)
        columns += values.sum(axis=0)
    return rows, columns


def _sums_within(x: Array) -> Array:
    """r_i = Σ_{j≠i} k(x_i,x_j) [n] of KID's kernel."""
    kernel = _cubic(x.shape[1])
    rows, _ = _sums(x, x, kernel)
    own: Array = kernel(np.einsum("ij,ij->i", x, x))
    return rows - own


def _mean_pair(total: float, count: int) -> float:
    return total / count / (count - 1)


def _jackknife(within: Array, across: Array, others: int) -> float:
    """Variance of KID due to one set: its row sums within and across, and the other's size."""
    n = len(within)
    left_out = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    left_out -= 2 * (across.sum() - across) / ((n - 1) * others)
    return float((n - 1) * left_out.var())


def _unit(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    zero = int(np.count_nonzero(lengths == 0))
    if zero:
        raise ValueError(f"{zero} of {len(rows)} embeddings are zero and have no direction")
    unit: Array = rows / lengths
    return unit
