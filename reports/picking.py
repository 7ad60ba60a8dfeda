"""Which pictures a report shows large, and which seed of each.

The run asks too, before there is a report: it draws maps of these pictures (`qa.maps`). The answer
follows from the run's own verdict and scores; a baseline's run folder changes no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qa import tables
from qa.store import RunFolder
from reports import harm

if TYPE_CHECKING:
    import pandas as pd

MAX_CARDS = 5
MAX_COLUMNS = 6


@dataclass(frozen=True)
class Picking:
    """The per-picture table, and the pictures of it that are shown large, the worst first."""

    columns: Sequence[harm.Column]
    cells: harm.Cells
    rows: Sequence[harm.Row]
    picks: Sequence[harm.Pick]
    theirs: harm.Cells
    """The baseline's own values, where its run folder is at hand."""

    def cell(self, pick: harm.Pick) -> harm.Cell | None:
        """The picture's values in the metric that it was picked for."""
        return self.cells.get((pick.sample, pick.metric))


def picking(run: RunFolder, baseline: RunFolder | None = None) -> Picking:
    """Of a run that was judged. The baseline's run folder adds the harm of every picture."""
    verdict = run.verdict()
    columns = harm.columns(verdict, MAX_COLUMNS)
    theirs = {} if baseline is None else values(baseline, columns)
    found = _with_harm(values(run, columns), theirs, verdict, columns)
    rows = harm.table(sorted(row["id"] for row in run.samples()), found, columns)
    picks = harm.picks(verdict["gates"], rows, columns, MAX_CARDS)
    return Picking(columns, found, rows, picks, theirs)


def picked(run: RunFolder) -> list[tuple[str, int]]:
    """Sample and seed of each picture that is shown large, the worst first."""
    found, seeds = picking(run), int(run.record().get("seeds") or 0)
    return [
        (pick.sample, worst_seed(run, pick.sample, found.cell(pick), seeds)) for pick in found.picks
    ]


def worst_seed(run: RunFolder, sample: str, cell: harm.Cell | None, seeds: int) -> int:
    """The worst seed, or the first that has a picture."""
    if cell is not None and cell.seed is not None:
        return cell.seed
    return next((k for k in range(seeds) if run.picture_file(sample, k).is_file()), 0)


def cells(
    run: RunFolder,
    baseline: RunFolder | None,
    verdict: Mapping[str, Any],
    columns: Sequence[harm.Column],
) -> harm.Cells:
    """Values of every picture in these metrics, with its harm where that is known."""
    theirs = {} if baseline is None else values(baseline, columns)
    return _with_harm(values(run, columns), theirs, verdict, columns)


def values(run: RunFolder, columns: Sequence[harm.Column]) -> harm.Cells:
    """Values of every picture of one arm."""
    return harm.per_picture(scores_of(run), _better(columns))


def _with_harm(
    ours: harm.Cells,
    theirs: harm.Cells,
    verdict: Mapping[str, Any],
    columns: Sequence[harm.Column],
) -> harm.Cells:
    if theirs:
        return harm.with_harm(ours, theirs, _better(columns))
    return harm.with_known_harm(ours, verdict["gates"])


def _better(columns: Sequence[harm.Column]) -> dict[str, str]:
    return {column.metric: column.better for column in columns if column.better}


def scores_of(run: RunFolder) -> pd.DataFrame:
    """A run's scores; an empty table where a run ended before it had any."""
    if run.scores_file.is_file():
        return run.scores()
    import pandas as pd

    return pd.DataFrame(columns=list(tables.SCORES))
