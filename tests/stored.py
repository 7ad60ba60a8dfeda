"""Scores of a run folder written again, as a run writes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from qa import tables
from qa.store import RunFolder


def put_scores(run: RunFolder, frame: pd.DataFrame) -> None:
    """Replace a run's scores by these rows (sample, seed, metric, value, why)."""
    with run.new_scores() as scores:
        rows = frame.sort_values(["sample", "seed"]).astype(object)
        for row in rows.where(rows.notna(), None).to_dict("records"):
            scores.add(row["metric"], [row[column] for column in tables.PART])


def part(run: RunFolder, metric: str = "psnr") -> Path:
    """The first file of a metric's scores."""
    return tables.part(run.scores_folder, metric, 0)
