"""Time the Fréchet distance against the two usual ways and keep what was measured.

    OMP_NUM_THREADS=2 python scripts/time_frechet.py        (half an hour, most of it not ours)

From features float32 [n,d] to the number, on the CPU:

    ours     qa.sets.frechet, both sets from scratch
    eigvals  np.cov of both, then scipy.linalg.eigvals of their product
    sqrtm    np.cov of both, then scipy.linalg.sqrtm of their product

The ways take turns in every round, so that a machine that slows down slows all of them, and ratios
are taken within a round. Ours runs several times a round; its median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg

from qa.record import environment
from qa.sets.frechet import Frechet
from qa.sets.rows import Array, Values

RESULT = Path(__file__).parent.parent / "docs" / "measurements" / "frechet-cpu.json"
SHAPES = ((256, 2048), (5000, 2048))
REPEATS = 5
"""Runs of ours in a round."""


def main() -> None:
    """Measure, keep the numbers, print the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cases = [measure(n, d, options.rounds) for n, d in SHAPES]
    described = environment({})
    result = {
        "what": "Fréchet distance from float32 features to the number, normal features with "
        "standard deviations 1/√i",
        "cases": cases,
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "cpu": described["cpu"],
        "versions": {key: described["versions"][key] for key in ("numpy", "scipy")},
        "python": described["python"],
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(section(result))


def measure(n: int, d: int, rounds: int) -> dict:
    """Seconds and value of each way for two sets of n rows, round by round."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, d + 1) ** -0.5
    x, y = ((rng.normal(size=(n, d)) * spread).astype(np.float32) for _ in "xy")
    ways: dict[str, Callable[[Values, Values], float]] = {
        "ours": lambda x, y: Frechet(y)(x),
        "eigvals": by_eigvals,
        "sqrtm": by_sqrtm,
    }
    ways["ours"](x, y)  # once to warm up
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values = {}
    for _ in range(rounds):
        for name, way in ways.items():
            times = []
            for _ in range(REPEATS if name == "ours" else 1):
                start = time.perf_counter()
                values[name] = way(x, y)
                times.append(time.perf_counter() - start)
            seconds[name].append(statistics.median(times))
    return {"n": n, "d": d, "seconds": seconds, "values": values}


def by_eigvals(x: Values, y: Values) -> float:
    """As torchmetrics and torch-fidelity compute it."""
    rest, product = _parts(x, y)
    roots = np.sqrt(scipy.linalg.eigvals(product).astype(complex))
    return rest - 2 * float(roots.real.sum())


def by_sqrtm(x: Values, y: Values) -> float:
    """As clean-fid and pytorch-fid compute it."""
    rest, product = _parts(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the product is singular for n ≤ d
        root = scipy.linalg.sqrtm(product)
    return rest - 2 * float(np.trace(root).real)


def section(result: dict) -> str:
    """The part of docs/performance.md for a result of `main`."""
    rows = "\n".join(_row(case) for case in result["cases"])
    versions = result["versions"]
    return f"""## Fréchet distance on a CPU

`OMP_NUM_THREADS={result["threads"]} python scripts/time_frechet.py` → \
`docs/measurements/{RESULT.name}`: {result["what"]}.
{result["cpu"]["model"]}, {result["threads"]} threads, numpy {versions["numpy"]}, scipy \
{versions["scipy"]}. Medians and, in brackets, the smallest and largest of the rounds; the last
column is the largest difference between the three values.

| n, d | ours, s | eigvals, s | sqrtm, s | eigvals / ours | sqrtm / ours | values differ by |
|---|---|---|---|---|---|---|
{rows}
"""


def _parts(x: Values, y: Values) -> tuple[float, Array]:
    """All but the common term, and the product of the covariances."""
    s, t = (np.cov(part.astype(np.float64), rowvar=False) for part in (x, y))
    shift = x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)
    return float(shift @ shift + np.trace(s) + np.trace(t)), s @ t


def _row(case: dict) -> str:
    seconds, values = case["seconds"], case["values"].values()
    ratios = [
        [slow / fast for slow, fast in zip(seconds[name], seconds["ours"], strict=True)]
        for name in ("eigvals", "sqrtm")
    ]
    return (
        f"| {case['n']}, {case['d']} | {_spread(seconds['ours'], '.2f')} | "
        f"{_spread(seconds['eigvals'], '.0f')} | {_spread(seconds['sqrtm'], '.0f')} | "
        f"{_spread(ratios[0], '.0f')} | {_spread(ratios[1], '.0f')} | "
        f"{max(values) - min(values):.1g} |"
    )


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


if __name__ == "__main__":
    main()
