"""Strengths of several arms from comparisons of two at a time.

    P(i is preferred to j) = 1 / (1 + exp(s_j - s_i)),   Σ s = 0

Bradley and Terry, Biometrika 39, 1952; a tie is half a win for each. Newton's method on the
log-likelihood, which is concave. Errors are clustered by picture: H⁺ (Σ_g u_g u_gᵀ) H⁺ with the
scores u_g of a picture's comparisons (Liang and Zeger, Biometrika 73, 1986).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from qa.stats.interval import CONFIDENCE, Array, t_quantile

ROUNDS = 100
CLOSE = 1e-12


@dataclass(frozen=True)
class Duel:
    """One comparison of two arms."""

    picture: Hashable
    first: str
    second: str
    score: float
    """1: the first is preferred, 0: the second, 1/2: a tie."""
    weight: float = 1.0


@dataclass(frozen=True)
class Strength:
    """An arm's log-strength around the mean of all, with its interval."""

    arm: str
    value: float
    low: float
    high: float


def bradley_terry(duels: Sequence[Duel], confidence: float = CONFIDENCE) -> list[Strength]:
    """Strengths, largest first.

    ValueError where they have no finite value: an arm, or a group of arms, that won or lost every
    comparison with all others, or was never compared with them; and for fewer than two pictures,
    which would give no interval.
    """
    if len({duel.picture for duel in duels}) < 2:
        raise ValueError("no interval: there are fewer than two pictures")
    arms = sorted({arm for duel in duels for arm in (duel.first, duel.second)})
    place = {arm: number for number, arm in enumerate(arms)}
    first = np.array([place[duel.first] for duel in duels])
    second = np.array([place[duel.second] for duel in duels])
    score, weight = (np.array([getattr(d, n) for d in duels]) for n in ("score", "weight"))
    wins = np.zeros((len(arms), len(arms)))
    np.add.at(wins, (first, second), weight * score)
    np.add.at(wins, (second, first), weight * (1 - score))
    apart = _apart(wins)
    if len(arms) < 2 or apart:
        names = ", ".join(arms[number] for number in apart) or "one arm alone"
        raise ValueError(f"no finite strength: {names} won, lost or met none of the others")
    strengths, curvature = _fitted(wins)
    chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
    gradient = np.zeros((len(duels), len(arms)))
    rows = np.arange(len(duels))
    gradient[rows, first] = weight * (score - chance)
    gradient[rows, second] = -weight * (score - chance)
    sums: dict[Hashable, Array] = {}
    for duel, row in zip(duels, gradient, strict=True):
        sums[duel.picture] = sums.get(duel.picture, 0) + row
    scores, inverse = np.array(list(sums.values())), np.linalg.pinv(curvature)
    groups = len(scores)
    spread = inverse @ (scores.T @ scores) @ inverse * groups / (groups - 1)
    errors = np.sqrt(np.maximum(np.diag(spread), 0))  # equal answers leave a rounding below 0
    half = t_quantile((1 + confidence) / 2, groups - 1) * errors
    found = [
        Strength(arm, float(s), float(s - h), float(s + h))
        for arm, s, h in zip(arms, strengths, half, strict=True)
    ]
    return sorted(found, key=lambda entry: (-entry.value, entry.arm))


def _fitted(wins: Array) -> tuple[Array, Array]:
    """Strengths [K], and the information matrix there [K,K]."""
    games, strengths = wins + wins.T, np.zeros(len(wins))
    for _ in range(ROUNDS):
        chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
        slope = (wins - games * chance).sum(axis=1)
        mixed = games * chance * (1 - chance)
        curvature = np.diag(mixed.sum(axis=1)) - mixed
        step = np.linalg.pinv(curvature) @ slope
        # A full step may overshoot where one arm wins nearly always.
        strengths = strengths + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < CLOSE:
            break
    return strengths - strengths.mean(), curvature


def _apart(wins: Array) -> list[int]:
    """Arms from or to which no chain of wins leads to arm 0; [] where strengths are finite."""
    reach = (wins > 0) | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins)):
        reach = reach | ((reach.astype(int) @ reach.astype(int)) > 0)
    return [number for number in range(len(wins)) if not (reach[0, number] and reach[number, 0])]
