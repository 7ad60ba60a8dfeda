"""Arms of a comparison without pictures: tables of scores, runs with a record, whole cases."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from qa.baseline import Approved
from qa.gates import use_case
from qa.gates.case import Case
from qa.gates.margins import Margin
from qa.gates.use_case import UseCase
from qa.results import Results

TODAY = date(2026, 6, 1)
MARGINS = {"psnr": Margin(0.2)}


def arm(
    shift: float = 0.0, spread: float = 0.05, pictures: int = 24, seeds: int = 2, **values: Any
):
    """PSNR around 30 dB: a value per picture shared by all arms, minus `shift`, plus noise."""
    rng = np.random.default_rng(abs(hash((shift, spread, values.get("draw", 0)))))
    base = np.random.default_rng(1).normal(30, 3, pictures)
    rows = [
        {"sample": f"p{i:02d}", "seed": s, "metric": "psnr", "why": "",
         "value": base[i] - shift + rng.normal(0, spread)}
        for i, s in itertools.product(range(pictures), range(seeds))
    ]  # fmt: skip
    return Results("arm", pd.DataFrame(rows), values.get("record", {}), values.get("digests", {}))


def edited(results: Results, **changes: object) -> Results:
    """One value of p03, seed 1, changed."""
    frame = results.scores.copy()
    mask = (frame["sample"] == "p03") & (frame["seed"] == 1)
    for column, value in changes.items():
        frame.loc[mask, column] = value
    return Results(results.name, frame, results.record, results.digests)


def scored(values: Mapping[str, Sequence[Sequence[float]]], **known: Any) -> Results:
    """An arm of these values: metric → [pictures][seeds]."""
    rows = [
        {"sample": f"p{i:03d}", "seed": s, "metric": metric, "value": value, "why": ""}
        for metric, table in values.items()
        for i, seeds in enumerate(table)
        for s, value in enumerate(seeds)
    ]
    return Results("arm", pd.DataFrame(rows), known.pop("record", {}), known.pop("digests", {}),
                   **known)  # fmt: skip


def shifted(harm: Mapping[str, Sequence[float]]) -> tuple[Results, Results]:
    """Candidate and baseline of one seed whose harm by metric is this, picture by picture.

    Metrics are PSNR-like: higher is better, 30 in the baseline.
    """
    baseline = {metric: [[30.0]] * len(values) for metric, values in harm.items()}
    candidate = {metric: [[30.0 - value] for value in values] for metric, values in harm.items()}
    return scored(candidate), scored(baseline)


def around(mean: float, sd: float, count: int) -> list[float]:
    """`count` numbers (even) of exactly this mean and standard deviation (n-1)."""
    step = sd * np.sqrt((count - 1) / count)
    return [mean + step, mean - step] * (count // 2)


def case(
    candidate: Results,
    baseline: Results | Approved | None,
    rules: UseCase | Mapping[str, Margin] = MARGINS,
    **known: Any,
) -> Case:
    """What a gate is given; every metric is better when higher unless `better` says more."""
    use = rules if isinstance(rules, UseCase) else use_case.of(rules)
    against = Approved(baseline) if isinstance(baseline, Results) else baseline
    names = {*use.margins, *use.breakage, *candidate.metrics}
    better = dict.fromkeys(names, "higher") | known.pop("better", {})
    return Case(candidate, against, use, known.pop("policy", "pr"), known.pop("confidence", 0.9),
                better, known.pop("today", TODAY), **known)  # fmt: skip
