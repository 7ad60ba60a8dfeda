"""One self-contained HTML page for a run: the verdict first, its evidence below.

    run folder ──► verdict, record, samples, scores, pictures ──► Page ──► report.html

The page needs no network, and what it prints cannot act (`reports.page`). Equal run folders give
equal bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from qa import cost as costs
from qa import files, outcomes, tables
from qa.store import RunFolder
from reports import cards, harm, page, panels, spread, wording
from reports.forest import forest
from reports.pictures import FULL, RAMP, THUMBNAIL, WINDOW, Inlined, Inliner, read
from reports.slices import split

if TYPE_CHECKING:
    import pandas as pd

MAX_PICTURES = 60
"""Pictures inside the file; all others are links into the run folder."""
MAX_CARDS = 5
MAX_THUMBNAILS = 24
MAX_COLUMNS = 6
MAX_FAILURES = 200


@dataclass(frozen=True)
class Line:
    """One picture of the per-picture table, ready to print."""

    row: harm.Row
    sample: Mapping[str, Any]
    thumbnail: Inlined | None
    links: tuple[cards.Link, ...]


def write(
    run: RunFolder | str | Path,
    baseline: RunFolder | str | Path | None = None,
    out: Path | None = None,
) -> Path:
    """Write the page of a run folder that has been judged; returns its path.

    The baseline's run folder adds its pictures and the harm of every picture. Without `out` it is
    the folder's own `report.html`; elsewhere it links to the pictures from there.
    """
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if baseline is not None and not isinstance(baseline, RunFolder):
        baseline = RunFolder.open(baseline)
    file = run.report_file if out is None else out
    files.write_bytes(file, render(run, baseline, file.parent).encode())
    return file


def render(run: RunFolder, baseline: RunFolder | None = None, home: Path | None = None) -> str:
    """The page as text; its links start from `home`, which is the run folder if not given."""
    verdict, record = run.verdict(), run.record()
    others, blocks = split(verdict["gates"])
    gates = wording.by_severity(others)
    samples = {row["id"]: row for row in run.samples()}
    columns = harm.columns(verdict, MAX_COLUMNS)
    cells = _cells(run, baseline, verdict, columns)
    rows = harm.table(sorted(samples), cells, columns)
    picked = harm.picks(verdict["gates"], rows, columns, MAX_CARDS)
    seeds = int(record.get("seeds") or verdict["candidate"].get("seeds") or 0)
    spreads = spread.spreads(run, (pick.sample for pick in picked), seeds)
    album = cards.Album(
        run, baseline, Inliner(MAX_PICTURES), seeds, _whys(verdict), home or run.path,
        spreads if spread.drawn(spreads) else {},
    )  # fmt: skip
    shown = [
        album.card(pick, samples[pick.sample], cells.get((pick.sample, pick.metric)))
        for pick in picked
    ]
    template = _environment().get_template("report.html.j2")
    return template.render(
        verdict=verdict,
        record=record,
        facts=record.get("facts") or {},
        name=run.name,
        gates=gates,
        **_judged(verdict, gates),
        slices=[(block, forest([gate for _, gate in block.rows])) for block in blocks],
        columns=columns,
        digits=_digits(verdict),
        lines=[_line(row, samples[row.sample], album, place) for place, row in enumerate(rows)],
        cards=shown,
        panels=_panels(run, baseline, verdict, record),
        failures=verdict["failures"][:MAX_FAILURES],
        cost=_cost(run),
        command=shlex.join(map(str, record.get("command") or ())),
        spread_said=spread.sentence(spreads, seeds),
        with_baseline=baseline is not None,
        **page.frame("report.js", "report.css"),
    )


def _judged(verdict: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page says about gates, beside their rows."""
    remarks = [pair for pair in wording.footnotes(verdict) if pair[0] in ("waived", "warning")]
    drift = (verdict.get("drift") or {}).items()
    return {
        "gate_of": {gate["metric"]: gate for gate in reversed(gates) if harm.paired(gate)},
        "aside": not all(map(outcomes.counts, gates)),
        "forest": forest([gate for gate in gates if _drawn(gate)]),
        "remarks": remarks,
        "waivers": any(kind == "waived" for kind, _ in remarks),
        "spent": sorted((name, row) for name, row in drift if row.get("spent")),
    }


def _drawn(gate: Mapping[str, Any]) -> bool:
    """Whether a gate has numbers for the forest plot; a level of reproducibility has none."""
    return gate.get("estimate") is not None or gate.get("margin") is not None


def _cells(
    run: RunFolder,
    baseline: RunFolder | None,
    verdict: Mapping[str, Any],
    columns: Sequence[harm.Column],
) -> harm.Cells:
    better = {column.metric: column.better for column in columns if column.better}
    ours = harm.per_picture(_scores(run), better)
    if baseline is None:
        return harm.with_known_harm(ours, verdict["gates"])
    return harm.with_harm(ours, harm.per_picture(_scores(baseline), better), better)


def _panels(
    run: RunFolder,
    baseline: RunFolder | None,
    verdict: Mapping[str, Any],
    record: Mapping[str, Any],
) -> list[panels.Section]:
    if not run.panels_file.is_file():
        return []
    columns = harm.columns(verdict, None)
    return panels.sections(run, record, _cells(run, baseline, verdict, columns), columns)


def _scores(run: RunFolder) -> pd.DataFrame:
    """A run's scores; an empty table where a run ended before it had any."""
    if run.scores_file.is_file():
        return run.scores()
    import pandas as pd

    return pd.DataFrame(columns=list(tables.SCORES))


def _cost(run: RunFolder) -> list[dict[str, Any]]:
    """What the decodes cost; nothing where a run ended before it had any."""
    return costs.rows(run.decoded()) if run.decoded_file.is_file() else []


def _line(row: harm.Row, sample: Mapping[str, Any], album: cards.Album, place: int) -> Line:
    links = album.links(row.sample)
    thumbnail = None
    if place < MAX_THUMBNAILS and links:
        worst = next((cell.seed for cell in row.cells if cell.seed is not None), None)
        chosen = next((link for link in links if link.seed == worst), links[-1])
        thumbnail = album.inliner.put(read(chosen.file), THUMBNAIL)
    return Line(row, sample, thumbnail, links)


def _whys(verdict: Mapping[str, Any]) -> dict[tuple[str, int], str]:
    return {(row["sample"], row["seed"]): row.get("why") or "" for row in verdict["failures"]}


def _digits(verdict: Mapping[str, Any]) -> dict[str, int]:
    """Digits after the point for each metric's values."""
    digits = {row["metric"]: wording.metric_digits(row) for row in verdict["metrics"]}
    return digits | {
        gate["metric"]: wording.gate_digits(gate) for gate in verdict["gates"] if harm.paired(gate)
    }


def _environment() -> Environment:
    environment = page.environment()
    environment.filters.update(words=panels.words)
    environment.globals.update(
        ramp=RAMP,
        full=FULL,
        window=WINDOW,
        spread=spread,
        look=wording.look,
        sort_key=_sort_key,
    )
    return environment


def _sort_key(cell: harm.Cell, column: harm.Column) -> float | str:
    """Grows as the picture gets worse; missing is worst, spelled as the script reads it."""
    if cell.value is None:
        return "-Infinity" if cell.aside else "Infinity"
    return harm.worse(cell.value, column.better) if cell.harm is None else cell.harm
