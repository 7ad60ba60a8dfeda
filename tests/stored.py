"""Scores of a run folder written again, as a run writes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from qa.scores import PART
from qa.store import RunFolder


def put_scores(run: RunFolder, frame: pd.DataFrame) -> None:
    """Replace a run's scores by these rows (sample, seed, metric, value, why)."""
    with run.scores_folder.anew() as scores:
        rows = frame.sort_values(["sample", "seed"]).astype(object)
        for row in rows.where(rows.notna(), None).to_dict("records"):
            scores.add(row["metric"], [row[column] for column in PART])


def part(run: RunFolder, metric: str = "psnr") -> Path:
    """The first file of a metric's scores."""
    return run.scores_folder.part_file(metric, 0)
