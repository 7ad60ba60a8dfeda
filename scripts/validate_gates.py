"""Simulate how often the gates' rules err, and keep the figures.

    OMP_NUM_THREADS=1 python scripts/validate_gates.py [--only "grid t3"]   (an hour on two cores)

The experiments are those of `qa.stats.validation`, where the truth is known, and of set metrics
with a known distance. `--only` redoes what starts with these words and keeps everything else; the
figures depend on neither the order nor the number of workers. Then write the page:

    python scripts/validation.py
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import validate_page
import validate_sets

from qa.stats import spending, validation
from qa.stats.simulation import SHAPES

RESULT = Path(__file__).parent.parent / "docs" / "measurements" / "validation.json"
PICTURES = (24, 50, 100, 300, 1000)
SEEDS = (1, 2, 4, 8)
ICCS = (0.0, 0.3, 0.6, 0.9)
SUITES = 20_000
CLOSER = 5
"""Times as many for a cell with a bar: chance alone must not carry it over (5 % ± 0.07 points)."""
LOOKS = (100, 200, 400)
RATES = ((0.98, 0.02), (0.9, 0.05), (0.6, 0.05))
"""Rate of the baseline, margin."""
SHARES = tuple(
    (rate, margin, clustered)
    for rate in (0.0, 0.01)
    for margin in (0.0025, 0.005, 0.02)
    for clustered in (False, True)
)
"""Share of wrong words in the baseline, margin, whether errors come in clusters."""
SHARED = (24, 50, 100, 200)
"""Pictures of them."""
SET_SUITES = 400

section = validate_page.section


def main() -> None:
    """Simulate, keep the figures, print the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="what a name starts with, e.g. 'grid t3 100'")
    parser.add_argument("--suites", type=int, default=SUITES)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start nothing later")
    parser.add_argument("--missing", action="store_true", help="keep figures of as many suites")
    options = parser.parse_args()
    result = json.loads(RESULT.read_text()) if RESULT.is_file() else {"suites": options.suites}
    known = result.get("figures", {}) if result["suites"] == options.suites else {}
    every = experiments(options.suites)
    chosen = {
        name: one
        for name, one in every.items()
        if name.startswith(options.only) and not (options.missing and name in known)
    }
    RESULT.parent.mkdir(exist_ok=True)
    for name, figures in measured(chosen, options.workers, options.seconds):
        known[name] = figures
        kept = {name: known[name] for name in every if name in known}
        RESULT.write_text(written({"suites": options.suites, "figures": kept}))
    print(section(json.loads(RESULT.read_text())))


def measured(
    chosen: dict[str, Callable[[], Any]], workers: int, seconds: float
) -> Iterator[tuple[str, list[float]]]:
    """Name and figures of what was started within so many seconds, as they come in."""
    end = time.monotonic() + seconds
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_within, end, one): name for name, one in chosen.items()}
        for future in as_completed(waiting):
            if future.result() is not None:
                yield waiting[future], list(future.result())


def _within(end: float, one: Callable[[], Any]) -> Any:
    """The figures; None if the time is over. The clock is the machine's, not the process's."""
    return one() if time.monotonic() < end else None


def experiments(suites: int) -> dict[str, Callable[[], Any]]:
    """Every experiment by its name: what it is, then its settings."""
    found: dict[str, Callable[[], Any]] = {}
    for shape in SHAPES:
        for pictures in PICTURES:
            for seeds in SEEDS:
                for icc in ICCS:
                    many = suites * (CLOSER if validation.bar(shape, pictures) else 1)
                    found[f"grid {shape} {pictures} {seeds} {icc}"] = partial(
                        validation.grid, shape, pictures, seeds, icc, many
                    )
    for how in ("per row", "Student", "unbalanced"):
        for shape in SHAPES:
            for pictures in PICTURES:
                found[f"{how} {shape} {pictures}"] = partial(
                    validation.grid, shape, pictures, 4, 0.6, suites, how
                )
    for rate, margin in RATES:
        for seeds in (1, 4):
            for pictures in PICTURES:
                for how in ("gate", "Student"):
                    found[f"rate {rate} {margin} {seeds} {pictures} {how}"] = partial(
                        validation.rates, rate, margin, pictures, seeds, suites, how
                    )
    for rate, margin, clustered in SHARES:
        for pictures in SHARED:
            for how in ("gate", "mean"):
                name = f"share {rate} {margin} {'clustered' if clustered else 'even'} {pictures}"
                found[f"{name} {how}"] = partial(
                    validation.shares, rate, margin, clustered, pictures, suites, how
                )
    for shape in SHAPES[:3]:
        for pictures in PICTURES:
            found[f"power {shape} {pictures}"] = partial(
                validation.power, shape, pictures, 4, 0.6, suites
            )
    for metrics in (1, 2, 4, 6, 8):
        for correlation in (0.0, 0.5, 0.9):
            found[f"family {metrics} {correlation}"] = partial(
                validation.family, metrics, correlation, suites
            )
    for metrics in (2, 4, 6):
        for correlation in (0.0, 0.5):
            found[f"drift {metrics} {correlation}"] = partial(
                validation.drift, metrics, correlation, suites
            )
    for name, levels in plans().items():
        for shape in SHAPES[:3]:
            found[f"looks {shape} {name}"] = partial(
                validation.extension, LOOKS, levels, shape, suites
            )
    return found | validate_sets.experiments(SET_SUITES)


def plans() -> dict[str, list[float]]:
    """Levels of the looks by the name of their scheme."""
    schemes = {scheme: spending(LOOKS, scheme) for scheme in ("pocock", "obrien-fleming")}
    return {"0.05 each": [0.05] * len(LOOKS), **schemes}


def written(result: dict[str, Any]) -> str:
    """JSON with a line for each experiment."""
    figures = result["figures"].items()
    lines = (f"  {json.dumps(name)}: {json.dumps(_short(values))}" for name, values in figures)
    head = json.dumps({key: value for key, value in result.items() if key != "figures"}, indent=1)
    return head[:-2] + ',\n "figures": {\n' + ",\n".join(lines) + "\n }\n}\n"


def _short(values: list[float]) -> list[float]:
    return [float(np.format_float_positional(v, 6, fractional=False)) for v in values]


if __name__ == "__main__":
    main()
