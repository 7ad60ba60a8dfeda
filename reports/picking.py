"""Which pictures a report shows large, and which seed of each.

The run asks too, before there is a report: it draws maps of these pictures (`qa.maps`). The answer
follows from the run's own verdict and scores; a baseline's run folder changes no part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qa.scores import no_scores
from qa.store import RunFolder
from reports import choosing, harm
from reports.choosing import Whole
from reports.scatter import Pairs

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
    samples: Mapping[str, Mapping[str, Any]]
    """Of the rows, by id."""
    tags: Mapping[str, int]
    """Tag → how many pictures of the run have it."""
    total: int
    """Pictures of the run; there are fewer rows where `whole` is not None."""
    whole: Whole | None = None

    def cell(self, pick: harm.Pick) -> harm.Cell | None:
        """The picture's values in the metric that it was picked for."""
        return self.cells.get((pick.sample, pick.metric))

    def pairs(self, metric: str) -> Pairs:
        """Values of all pictures, where the rows are not of all."""
        assert self.whole is not None
        return self.whole.pairs(metric)


def picking(run: RunFolder, baseline: RunFolder | None = None) -> Picking:
    """Of a run that was judged. The baseline's run folder adds the harm of every picture."""
    verdict = run.verdict()
    columns = harm.columns(verdict, MAX_COLUMNS)
    ids, tags = [], Counter[str]()
    for row in run.each_sample():
        ids.append(row["id"])
        tags.update(set(filter(None, row.get("tags", ()))))
    ids.sort()
    other = None if baseline is None else choosing.arm(baseline, ids)
    large = choosing.whole(verdict, columns, choosing.arm(run, ids), other)
    listed = ids if large is None else large.listed
    found = cells(run, baseline, verdict, columns, listed)
    theirs = {} if baseline is None else values(baseline, columns, listed)
    rows = harm.table(listed, found, columns)
    picks = harm.picks(verdict["gates"], rows, columns, MAX_CARDS)
    known = set(listed)
    samples = {row["id"]: row for row in run.each_sample() if row["id"] in known}
    return Picking(columns, found, rows, picks, theirs, samples, tags, len(ids), large)


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
    samples: Collection[str],
) -> harm.Cells:
    """Values of these pictures, with their harm where that is known.

    In these metrics, and in those of which the verdict names pictures.
    """
    named = [
        str(entry.get("metric") or gate["metric"])
        for gate in verdict["gates"]
        for entry in gate.get("worst") or ()
    ]
    theirs = {} if baseline is None else values(baseline, columns, samples, named)
    return _with_harm(values(run, columns, samples, named), theirs, verdict, columns)


def values(
    run: RunFolder,
    columns: Sequence[harm.Column],
    samples: Collection[str],
    more: Iterable[str] = (),
) -> harm.Cells:
    """Values of these pictures in one arm; `more` are metrics beside the columns."""
    metrics = dict.fromkeys([*(column.metric for column in columns), *more])
    return harm.per_picture(scores_of(run, metrics, samples), _better(columns))


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


def scores_of(run: RunFolder, metrics: Iterable[str], samples: Collection[str]) -> pd.DataFrame:
    """A run's scores of some metrics and pictures; none where it ended before it had any."""
    import pandas as pd

    if not run.scores_folder.path.is_dir():
        return no_scores()
    parts = [run.scores_folder.of(name, samples).assign(metric=name) for name in metrics]
    known = [part for part in parts if len(part)]
    return pd.concat(known, ignore_index=True) if known else no_scores()
