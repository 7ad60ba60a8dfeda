"""FID∞: the Fréchet distance extrapolated to infinitely many candidate rows.

The Fréchet distance of n rows is too large by about C/n, with C depending on the candidate, so two
candidates can change places as n grows. FID∞ is the intercept of an ordinary least squares line
through (1/n', FD of n' of the rows) for several n' (Chong and Forsyth 2020, algorithm 1).

Sizes: POINTS = 15, evenly spaced from min(5000, ⌈n/2⌉) to n, rounded, duplicates dropped; for
n ≥ 10000 those are the paper's 5000..n. Each is a random subset without replacement, drawn from the
seed; the last one is the whole set. At least LEAST = 16 rows are needed, for which the sizes are
8..16. The bias follows C/n only for n well above the number of features that vary: below it the
intercept is still far too large, and is good for nothing but a diagnosis.

Only the candidate's bias is removed. A reference of few rows keeps its own; published moments of
50000 rows have next to none. The intercept may be negative and is not cut off: it would be biased.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa.sets.frechet import Frechet, Moments
from qa.sets.rows import Values, checked

POINTS = 15
FIRST = 5000
LEAST = 16


class FIDInfinity:
    """FID∞ to a reference [m,d], or to its moments: candidate [n,d], n ≥ 16 → value."""

    def __init__(self, reference: Values | Moments, seed: int = 0) -> None:
        self._frechet = Frechet(reference)
        self._seed = seed

    def __call__(self, candidate: Values) -> float:
        """ValueError below 16 rows, for NaN, or for another number of features."""
        rows = checked(candidate, least=LEAST)
        rng = np.random.default_rng(self._seed)
        counts = sizes(len(rows))
        found = [self._frechet(rows[np.sort(rng.permutation(len(rows))[:n])]) for n in counts]
        u = 1 / counts - (1 / counts).mean()
        slope = float(u @ found) / float(u @ u)
        return float(np.mean(found)) - slope * float((1 / counts).mean())


def sizes(count: int) -> NDArray[np.int64]:
    """The subset sizes for `count` rows, ascending, at most 15, the last one `count`."""
    first = min(FIRST, -(-count // 2))
    return np.unique(np.rint(np.linspace(first, count, POINTS)).astype(np.int64))
