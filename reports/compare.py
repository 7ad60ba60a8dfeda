"""One self-contained HTML page for a comparison: verdicts first, then all arms side by side.

    document of qa.comparison, and each arm's scores and pictures ──► compare.html

The page decides nothing; equal documents and run folders give equal bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qa import files
from qa.comparison import SECONDS
from qa.results import Results
from qa.scores import no_scores
from reports import choosing, harm, page, wording
from reports.choosing import Whole
from reports.comparing import lines, table
from reports.forest import forest
from reports.pareto import plot
from reports.pictures import WHOLE, WINDOW, Array, Inliner, error, read, worst_window
from reports.scatter import Pairs, Scatter, scatters
from reports.slices import split
from reports.stage import Figure, Tile, Window, frame

__all__ = ["render", "table", "write"]

MAX_CASES = 6
"""Pictures that are shown large."""
MAX_COLUMNS = 6
MAX_SCATTERS = 2
"""Metrics whose pictures are drawn, for each baseline."""
MAX_PROBLEMS = 12
SCRIPTS = ("report.js", "panzoom.min.js", "stage.js")
STYLES = ("report.css", "stage.css", "plots.css", "dial.css", "compare.css")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Versus:
    """The first arm against one of the others."""

    arm: Row
    verdict: Row
    gates: Sequence[Row]
    """All but slices, the worst first."""
    forest: Any
    scatters: Sequence[Scatter]


@dataclass(frozen=True)
class Case:
    """One picture in every arm."""

    pick: harm.Pick
    sample: Row
    seed: int
    values: Sequence[tuple[str, harm.Cell]]
    """Letter → the picked metric's mean over seeds."""
    harm: float | None
    """Of these means, against the first baseline."""
    figures: tuple[Figure, ...]
    window: Window | None
    lost: Sequence[tuple[str, str]]
    """Letter → why it has no picture."""


def write(document: Row, arms: Sequence[Results], file: Path) -> Path:
    """Write the page; its links to the first arm's pictures start where it lies."""
    files.write_bytes(file, render(document, arms, file.parent).encode())
    return file


def render(document: Row, arms: Sequence[Results], home: Path) -> str:
    """The page as text; `arms` are those of the document, in its order."""
    columns = harm.columns(document["verdicts"][0], MAX_COLUMNS)
    rows = lines(document)
    large = choosing.whole(document["verdicts"][0], columns, arms[0], arms[1])
    samples = arms[0].samples if large is None else large.listed
    cells = [_cells(arm, columns, samples) for arm in arms]
    drawn = [_drawn(arms[0], arm, large) for arm in arms[1:]]
    pairs = zip(document["arms"][1:], document["verdicts"], cells[1:], drawn, strict=True)
    environment = page.environment()
    environment.globals.update(seconds=SECONDS, footnotes=wording.footnotes)
    return environment.get_template("compare.html.j2").render(
        document=document,
        name=arms[0].name,
        arms=document["arms"],
        called={arm["letter"]: _called(arm) for arm in document["arms"]},
        versus=[
            _versus(arm, verdict, columns, cells[0], *theirs) for arm, verdict, *theirs in pairs
        ],
        lines=rows,
        plots=[plot(entry) for entry in document["pareto"]],
        costs=_costs(document["arms"]),
        cases=list(_cases(document, arms, samples, columns, cells, home)),
        digits={row.name: row.digits for row in rows},
        most=MAX_PROBLEMS,
        **page.frame(SCRIPTS, STYLES),
    )


def _called(arm: Row) -> str:
    return f"{arm['letter']} {arm['decoder'] or arm['name']}"


def _versus(
    arm: Row,
    verdict: Row,
    columns: Sequence[harm.Column],
    ours: harm.Cells,
    theirs: harm.Cells,
    whole: Callable[[str], Pairs] | None,
) -> Versus:
    gates = wording.by_severity(split(verdict["gates"])[0])
    drawn = [gate for gate in gates if gate["estimate"] is not None or gate["margin"] is not None]
    points = () if arm["incomparable"] else scatters(verdict, columns, ours, theirs, whole)
    return Versus(arm, verdict, gates, forest(drawn), points[:MAX_SCATTERS])


def _drawn(ours: Results, theirs: Results, large: Whole | None) -> Callable[[str], Pairs] | None:
    """Values of all pictures in two arms by metric, where the cells are not of all."""
    if large is None:
        return None
    ids = large.ids

    def pairs(metric: str) -> Pairs:
        return choosing.compared(metric, ids, ours, theirs).pairs(ids)

    return pairs


def _cells(arm: Results, columns: Sequence[harm.Column], samples: Collection[str]) -> harm.Cells:
    import pandas as pd

    better = {column.metric: column.better for column in columns if column.better}
    known = set(samples)
    parts = [arm.rows(metric).assign(metric=metric) for metric in better]
    parts = [part[part["sample"].isin(known)] for part in parts if len(part)]
    return harm.per_picture(pd.concat(parts) if parts else no_scores(), better)


def _costs(arms: Sequence[Row]) -> list[tuple[Row, list[Row | None], float | None]]:
    """Each measure's facts, its row in every arm, and the best value among equal machines."""
    found = []
    known = [{row["metric"]: row for row in arm["cost"]} for arm in arms]
    for metric in dict.fromkeys(name for rows in known for name in rows):
        rows = [own.get(metric) for own in known]
        facts = next(row for row in rows if row is not None)
        able = {
            row["value"]
            for arm, row in zip(arms, rows, strict=True)
            if row is not None and row["value"] is not None and not arm["elsewhere"]
        }
        best = min(able, key=lambda value: harm.worse(value, facts["better"]), default=None)
        if any(row is not None and row["value"] is not None for row in rows):
            found.append((facts, rows, best if len(able) > 1 else None))
    return found


def _cases(
    document: Row,
    arms: Sequence[Results],
    listed: Sequence[str],
    columns: Sequence[harm.Column],
    cells: Sequence[harm.Cells],
    home: Path,
) -> Iterator[Case]:
    """The pictures with the largest harm against the first baseline, in every arm."""
    if not any(arm.folder for arm in arms):
        return
    better = {column.metric: column.better for column in columns if column.better}
    ours = harm.with_harm(cells[0], cells[1], better)
    rows = harm.table(listed, ours, columns)
    picks = harm.picks(document["verdicts"][0]["gates"], rows, columns, MAX_CASES)
    wanted = {pick.sample for pick in picks}
    known = next(arm.folder.each_sample() for arm in arms if arm.folder)
    samples = {row["id"]: row for row in known if row["id"] in wanted}
    letters = [arm["letter"] for arm in document["arms"]]
    studio = Studio(document["arms"], arms, Inliner(2 * MAX_CASES * (len(arms) + 1)), home)
    for pick in picks:
        cell = ours.get((pick.sample, pick.metric))
        values = [
            (letter, own[pick.sample, pick.metric])
            for letter, own in zip(letters, cells, strict=True)
            if (pick.sample, pick.metric) in own
        ]
        seed = studio.seed(pick.sample, cell)
        sample = samples.get(pick.sample, {"id": pick.sample, "prompt": None})
        lost = None if cell is None else cell.harm
        yield Case(pick, sample, seed, values, lost, *studio.pictures(pick.sample, seed))


@dataclass(frozen=True)
class Pane:
    """One picture uint8 [H,W,3] of a case, before it is made smaller."""

    kind: str
    title: str
    picture: Array | None
    file: Path | None
    """What the page links to; other arms' folders may lie elsewhere when somebody reads it."""


@dataclass(frozen=True)
class Studio:
    """Finds the pictures of all arms and lays them side by side."""

    shown: Sequence[Row]
    arms: Sequence[Results]
    inliner: Inliner
    home: Path
    """The folder that the page lies in."""

    def seed(self, sample: str, cell: harm.Cell | None) -> int:
        """The first arm's worst seed, or the first that any arm has a picture of."""
        if cell is not None and cell.seed is not None:
            return cell.seed
        return next(
            (seed for seed in self.arms[0].seeds for arm in self.arms if _file(arm, sample, seed)),
            0,
        )

    def pictures(
        self, sample: str, seed: int
    ) -> tuple[tuple[Figure, ...], Window | None, list[tuple[str, str]]]:
        """Reference and arms at one seed, their worst window, and which arms have no picture."""
        panes = [self._reference(sample)]
        lost = []
        for row, arm in zip(self.shown, self.arms, strict=True):
            own, file = len(panes) == 1, _file(arm, sample, seed)
            run = arm.folder
            picture = None if run is None or file is None else read(run.path, file)
            if picture is None:
                lost.append((row["letter"], _why(arm, sample, seed)))
            kind = "candidate" if own else f"arm-{row['letter']}"
            panes.append(Pane(kind, f"{_called(row)}, seed {seed}", picture, file if own else None))
        return tuple(self._figures(sample, panes)), self._window(sample, panes), lost

    def _reference(self, sample: str) -> Pane:
        """Of the first arm that has one."""
        for arm in self.arms:
            file = None if arm.folder is None else arm.folder.reference_file(sample)
            if arm.folder is not None and file is not None and file.is_file():
                return Pane("reference", "Reference", read(arm.folder.path, file), file)
        return Pane("reference", "Reference", None, None)

    def _figures(self, sample: str, panes: Sequence[Pane]) -> Iterator[Figure]:
        for pane in panes:
            inlined = self.inliner.put(pane.picture, WHOLE)
            if inlined is not None:
                alt = f"{pane.title}: {sample}"
                yield Figure(pane.kind, pane.title, inlined, alt, self._link(pane.file))

    def _link(self, file: Path | None) -> str | None:
        return None if file is None else quote(Path(os.path.relpath(file, self.home)).as_posix())

    def _window(self, sample: str, panes: Sequence[Pane]) -> Window | None:
        """Where the first arm differs most from the reference, in every picture of that size."""
        reference, own, *_ = panes
        levels = error(own.picture, reference.picture)
        if levels is None:
            return None
        box = worst_window(levels)
        tiles = []
        for pane in panes:
            if pane.picture is not None and pane.picture.shape[:2] == levels.shape:
                inlined = self.inliner.put(box.cut(pane.picture), WINDOW, exact=True)
                alt = f"Worst window, {pane.title}: {sample}"
                tiles.append(Tile(pane.kind, pane.title, inlined, alt))
        return Window(box, frame(box, levels), tuple(tiles), 0)


def _file(arm: Results, sample: str, seed: int) -> Path | None:
    """A decoded picture's file, if it is there."""
    file = None if arm.folder is None else arm.folder.picture_file(sample, seed)
    return file if file is not None and file.is_file() else None


def _why(arm: Results, sample: str, seed: int) -> str:
    if arm.folder is None:
        return "a bare table has no pictures"
    told = (row["why"] for row in arm.failures if (row["sample"], row["seed"]) == (sample, seed))
    return next(told, "its file is missing or damaged")
