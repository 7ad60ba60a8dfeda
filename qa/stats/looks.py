"""Looking more than once: the level of each look, so that all together err at α.

Testing at 5 % after N, 2N and 4N pictures gives 11 % false alarms. With the share of
information t_k = n_k / n_K at look k, the statistics Z_k are jointly normal with
Cov(Z_j, Z_k) = √(t_j / t_k) for j <= k, and the boundaries

    pocock            Z_k >= c             (Biometrika 64, 1977): decides early when harm is large
    obrien-fleming    Z_k >= c / √t_k      (O'Brien and Fleming, Biometrics 35, 1979): hardly gives
                                           anything away; the last look has nearly the whole α

get the c for which P(any Z_k crosses) = α. That probability is integrated look by look over the
Brownian motion S_k = √t_k Z_k (Armitage, McPherson and Rowe, J. R. Statist. Soc. A 132, 1969),
with Gauss-Legendre nodes below each boundary.

**Several metrics at several looks.** A level α_k divided by m does not spend α/m: its boundary lies
too low, and the family of 6 errs in 5.4 % at 3 looks of Pocock, in 6 % at 20. Holm's step with n
metrics left compares with the level that look k has where all looks together spend α/n (Ye, Li, Liu
and Yao, Statistics in Medicine 32, 2013); `price` is α_k over that level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from qa.stats.interval import Array, z_above

Scheme = Literal["pocock", "obrien-fleming"]
NODES = 200
FAR = 9.0
"""Standard deviations below which nothing is left of the law (1e-19)."""


def spending(looks: Sequence[int], scheme: Scheme, alpha: float = 0.05) -> list[float]:
    """Nominal one-sided level of each look; `looks` are pictures in all, increasing.

    One look has the whole α. ValueError for looks that do not increase, or another scheme.
    """
    if not looks or list(looks) != sorted(set(looks)) or looks[0] < 1:
        raise ValueError(f"looks are numbers of pictures that increase; these are {list(looks)}")
    if scheme not in {"pocock", "obrien-fleming"}:
        raise ValueError(f"a scheme is pocock or obrien-fleming, not {scheme!r}")
    return list(_levels(tuple(looks), scheme, alpha))


@lru_cache(maxsize=64)
def _levels(looks: tuple[int, ...], scheme: Scheme, alpha: float) -> tuple[float, ...]:
    from scipy.optimize import brentq

    if len(looks) == 1:
        return (alpha,)
    times = np.asarray(looks, dtype=np.float64) / looks[-1]
    shape = np.ones(len(looks)) if scheme == "pocock" else times**-0.5
    end = brentq(lambda end: crossing(end * shape, times) - alpha, 0.0, FAR, xtol=1e-14)
    return tuple(float(z_above(end * factor)) for factor in shape)


def price(
    looks: Sequence[int], scheme: Scheme, place: int, among: int, alpha: float = 0.05
) -> float:
    """The level of the look at `place` (from 0) over its level where `among` metrics share α."""
    whole, part = (spending(looks, scheme, level)[place] for level in (alpha, alpha / among))
    return whole / part if part else math.inf


def crossing(boundary: Any, times: Any) -> float:
    """P(Z_k >= boundary_k for some k) at the shares of information `times` (the last is 1)."""
    from scipy.special import ndtr

    ends = np.asarray(boundary) * np.sqrt(times)
    nodes, weights = _below(float(ends[0]), float(times[0]))
    density = _normal(nodes / math.sqrt(times[0])) / math.sqrt(times[0])
    crossed = float(z_above(boundary[0]))
    for place in range(1, len(ends)):
        step = math.sqrt(times[place] - times[place - 1])
        mass = weights * density
        crossed += float(mass @ ndtr((nodes - ends[place]) / step))
        onward, weights = _below(float(ends[place]), float(times[place]))
        density = _normal((onward[:, None] - nodes) / step) @ mass / step
        nodes = onward
    return crossed


def _below(end: float, time: float) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights from far below up to `end`, in units of S."""
    nodes, weights = _gauss_legendre()
    far = min(-FAR * math.sqrt(time), end - FAR * math.sqrt(time))
    half = (end - far) / 2
    return far + half * (nodes + 1), half * weights


@lru_cache(maxsize=1)
def _gauss_legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights


def _normal(z: Array) -> Array:
    density: Array = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return density
