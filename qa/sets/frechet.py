"""Fréchet distance of two sets of feature rows, without a matrix square root.

    FD = |mx - my|² + Tr Sx + Tr Sy - 2 Tr (Sx Sy)^½            (Dowson and Landau 1982, eq. 16)

with means m and unbiased covariances S (divisor n-1) of rows x [n,d] and y [m,d]. Let A and B be
any matrices with AᵀA = Sx and BᵀB = Sy. Sx Sy = AᵀA BᵀB has the eigenvalues of (ABᵀ)(ABᵀ)ᵀ, hence

    Tr (Sx Sy)^½ = sum of the singular values of ABᵀ = sum of √λ(B Sx Bᵀ)

which needs no square root of a matrix that is not symmetric, and has no imaginary part:

* a set of n ≤ d rows is its own factor, A = (x - mx) / √(n-1), and ABᵀ is small: singular values;
* a set of more rows has the Cholesky factor of S, or, where S is singular, the one of its
  eigenvectors. Two such sets take the eigenvalues of the symmetric B Sx Bᵀ, [d,d].

No matrix larger than [d,d] is factored. Singular values keep all digits. An eigenvalue that should
be 0 comes out near 1e-16 of the largest, so its root is wrong by 1e-8 of the largest: the distance
of two sets of more than d rows is exact to about that times the number of dead features.

The distance is a square and cannot be negative; rounding below 0 is cut off. Sets with equal
moments, bit for bit, are at 0 exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from qa.errors import UsageError
from qa.sets.rows import Array, Values, checked
from qa.untrusted import arrays

ASYMMETRY = 1e-6
"""How far a stored covariance may be from symmetric and from positive, of its largest value."""
LARGEST = 2**29
"""Bytes of a stored covariance: that of 8192 features as float64."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set of rows: all that the Fréchet distance knows of it.

    Build it with `of`, `given` or `read`. What is expensive is computed when first asked for and
    kept, so one object serves as the reference of many candidates.
    """

    mean: Array
    """[d]"""
    thin: Array | None
    """(x - m) / √(n-1), [n,d], for n ≤ d rows, otherwise None."""
    wide: Array | None
    """The covariance [d,d] where there are more rows, or where it was given."""

    @staticmethod
    def of(values: Values) -> Moments:
        """Moments of rows [n,d]. ValueError below 2 rows, or for NaN."""
        rows = checked(values)
        mean = rows.mean(axis=0)
        thin = rows - mean
        thin /= math.sqrt(len(rows) - 1)
        if len(rows) <= rows.shape[1]:
            return Moments(mean, thin, None)
        return Moments(mean, None, thin.T @ thin)

    @staticmethod
    def given(mean: ArrayLike, covariance: ArrayLike) -> Moments:
        """Moments that somebody else computed: [d] and [d,d], ValueError if they cannot be that."""
        mu, sigma = (np.asarray(part, dtype=np.float64) for part in (mean, covariance))
        if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
            raise ValueError(f"mean {list(mu.shape)} and covariance {list(sigma.shape)} do not fit")
        if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
            raise ValueError("the stored mean or covariance holds NaN or infinity")
        if np.abs(sigma - sigma.T).max() > ASYMMETRY * np.abs(sigma).max():
            raise ValueError("the stored covariance is not symmetric")
        return Moments(mu, None, (sigma + sigma.T) / 2)

    @staticmethod
    def read(path: Path) -> Moments:
        """Moments from an .npz file with `mu` and `sigma`, as reference statistics are published.

        UsageError where the file holds something else.
        """
        try:
            return Moments.given(*arrays(path, ("mu", "sigma"), LARGEST))
        except Exception as error:  # a damaged archive fails in any way whatever
            raise UsageError(
                f"{path} holds no mean and covariance.",
                f"{type(error).__name__}: {error}.",
                "name an .npz file with the arrays mu [d] and sigma [d,d]",
            ) from error

    @cached_property
    def covariance(self) -> Array:
        """S, [d,d]."""
        if self.wide is not None:
            return self.wide
        assert self.thin is not None
        product: Array = self.thin.T @ self.thin
        return product

    @cached_property
    def factor(self) -> Array:
        """B [r,d] with BᵀB = S and r ≤ d."""
        return self.thin if self.thin is not None else _factor(self.covariance)

    @cached_property
    def trace(self) -> float:
        """Tr S."""
        if self.thin is not None:
            return float(np.vdot(self.thin, self.thin))
        return float(np.trace(self.covariance))

    def equals(self, other: Moments) -> bool:
        """Whether both are equal bit for bit (and not merely up to rounding)."""
        mine, theirs = (self.thin, self.wide), (other.thin, other.wide)
        return np.array_equal(self.mean, other.mean) and all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip(mine, theirs, strict=True)
        )


class Frechet:
    """Fréchet distance to a reference [m,d], or to its moments: candidate [n,d] → value ≥ 0."""

    def __init__(self, reference: Values | Moments) -> None:
        self.reference = reference if isinstance(reference, Moments) else Moments.of(reference)

    def __call__(self, candidate: Values) -> float:
        """ValueError below 2 rows, for NaN, or for another number of features."""
        width = len(self.reference.mean)
        return distance(Moments.of(checked(candidate, width=width)), self.reference)


def distance(x: Moments, y: Moments) -> float:
    """FD, at least 0. Symmetric up to rounding; y is the one whose factor is computed and kept."""
    if len(x.mean) != len(y.mean):
        raise ValueError(f"the sets have {len(x.mean)} and {len(y.mean)} features")
    if x.equals(y):
        return 0.0
    if x.thin is None and y.thin is None:
        eigenvalues = np.linalg.eigvalsh(y.factor @ x.covariance @ y.factor.T)
        common = float(np.sqrt(np.clip(eigenvalues, 0, None)).sum())
    else:
        common = float(np.linalg.svd(x.factor @ y.factor.T, compute_uv=False).sum())
    shift = x.mean - y.mean
    return max(0.0, float(shift @ shift) + x.trace + y.trace - 2 * common)


def _factor(covariance: Array) -> Array:
    try:
        upper: Array = np.linalg.cholesky(covariance).T.astype(np.float64, copy=False)
    except np.linalg.LinAlgError:  # singular: features that are constant or repeat each other
        values, vectors = np.linalg.eigh(covariance)
        if values[0] < -ASYMMETRY * max(values[-1], 0.0):
            raise ValueError(
                f"the covariance has the eigenvalue {values[0]:.3g}; none can be negative"
            ) from None
        alive = values > 0
        root: Array = np.sqrt(values[alive])[:, None] * vectors[:, alive].T
        return root
    return upper
