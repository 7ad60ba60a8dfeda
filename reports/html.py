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
from typing import Any

from jinja2 import Environment

from qa import files, outcomes
from qa.store import RunFolder
from reports import (
    cards,
    evidence,
    gallery,
    harm,
    maps,
    page,
    panels,
    reviews,
    scatter,
    spread,
    trend,
    wording,
)
from reports import dial as dials
from reports.forest import forest
from reports.front import front
from reports.picking import Picking, cells, picked, picking, scores_of, worst_seed
from reports.pictures import FULL, RAMP, THUMBNAIL, WINDOW, Inlined, Inliner, read
from reports.view import view

__all__ = ["picked", "render", "write"]  # a run asks which pictures are large: it draws their maps

MAX_PICTURES = 130
"""Pictures inside the file, beside the gallery's; all others are links into the run folder. Their
bytes are bounded too (`pictures.ROOM`)."""
MAX_THUMBNAILS = 24
MAX_LINES = 2000
"""Pictures of the table; the run's scores have all."""
MAX_FAILURES = 200
MAX_STOPPING = 3
SCRIPTS = ("report.js", "panzoom.min.js", "stage.js", "gallery.js")
STYLES = ("report.css", "stage.css", "gallery.css", "plots.css", "dial.css")


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
    history: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the page of a run folder that has been judged; returns its path.

    The baseline's run folder adds its pictures and the harm of every picture, its `history`
    (`qa.baseline.Approved`) the trend. Without `out` it is the folder's own `report.html`;
    elsewhere it links to the pictures from there.
    """
    run = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if baseline is not None and not isinstance(baseline, RunFolder):
        baseline = RunFolder.open(baseline)
    file = run.report_file if out is None else out
    files.write_bytes(file, render(run, baseline, file.parent, history).encode())
    return file


def render(
    run: RunFolder,
    baseline: RunFolder | None = None,
    home: Path | None = None,
    history: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page as text; its links start from `home`, which is the run folder if not given."""
    seen = view(run, baseline)
    verdict, record, gates = seen.verdict, seen.record, seen.gates
    found = picking(run, baseline)
    seeds = int(record.get("seeds") or verdict["candidate"].get("seeds") or 0)
    spreads = spread.spreads(run, (pick.sample for pick in found.picks), seeds)
    album = cards.Album(
        run, baseline, Inliner(MAX_PICTURES), seeds, _whys(verdict), home or run.path,
        spreads if spread.drawn(spreads) else {},
    )  # fmt: skip
    shown = _cards(run, record, found, album)
    template = _environment().get_template("report.html.j2")
    return template.render(
        view=seen,
        verdict=verdict,
        record=record,
        facts=record.get("facts") or {},
        name=run.name,
        gates=gates,
        **_judged(verdict, gates),
        **_dialled(run),
        slices=[(block, forest([gate for _, gate in block.rows])) for block in seen.slices],
        columns=found.columns,
        digits=harm.digits(verdict),
        lines=[
            _line(row, found.samples[row.sample], album, place)
            for place, row in enumerate(found.rows[:MAX_LINES])
        ],
        total=found.total,
        listed="" if found.whole is None else found.whole.said,
        gallery=gallery.gallery(
            verdict, found.rows, found.columns, found.samples, album, found.tags
        ),
        scatters=_scatters(verdict, found),
        trends=trend.trends(verdict, record, history),
        cards=shown,
        panels=_panels(run, baseline, found, record),
        failures=verdict["failures"][:MAX_FAILURES],
        cost=seen.cost,
        command=shlex.join(map(str, record.get("command") or ())),
        spread_said=spread.sentence(spreads, seeds),
        with_baseline=baseline is not None,
        **page.frame(SCRIPTS, STYLES),
    )


def _cards(
    run: RunFolder,
    record: Mapping[str, Any],
    found: Picking,
    album: cards.Album,
) -> list[cards.Card]:
    """The pictures that are shown large, with maps of metrics and the values of each seed."""
    facts = record.get("facts") or {}
    shown = []
    for pick in found.picks:
        cell = found.cell(pick)
        seed = worst_seed(run, pick.sample, cell, album.seeds)
        scores = scores_of(run, [pick.metric], [pick.sample])
        values = cards.values_of_seeds(scores, pick)
        drawn = maps.shown(run, pick.sample, seed, facts)
        shown.append(album.card(pick, found.samples[pick.sample], cell, values, drawn))
    return shown


def _scatters(verdict: Mapping[str, Any], found: Picking) -> tuple[scatter.Scatter, ...]:
    """Of all pictures, listed or not."""
    whole = None if found.whole is None else found.pairs
    if whole is not None and not found.theirs:
        return ()
    return scatter.scatters(verdict, found.columns, found.cells, found.theirs, whole)


def _dialled(run: RunFolder) -> dict[str, Any]:
    """The front of the dial that picked the run's setting, where that dial lies beside the run."""
    found = evidence.dial(run)
    if found is None or not found["fidelity"]:
        return {"dial": None}
    limit = found["fidelity"][0]
    drawn = front(found, limit["metric"], first=True)
    return {"dial": found, "dial_front": drawn, "dial_margin": dials.margin_in(limit)}


def _judged(verdict: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page says about gates, beside their rows."""
    kinds = ("waived", "note", "warning")
    remarks = [pair for pair in wording.footnotes(verdict) if pair[0] in kinds]
    drift = (verdict.get("drift") or {}).items()
    return {
        "gate_of": {gate["metric"]: gate for gate in reversed(gates) if harm.paired(gate)},
        "aside": not all(map(outcomes.counts, gates)),
        "forest": forest([gate for gate in gates if _drawn(gate)]),
        "remarks": remarks,
        "stopping": _stopping(verdict, gates),
        "waivers": any(kind == "waived" for kind, _ in remarks),
        "spent": sorted((name, row) for name, row in drift if row.get("spent")),
    }


def _stopping(
    verdict: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The gates that made the verdict what it is, where numbers say why; the worst of them."""
    state = verdict["state"]
    return [
        gate
        for gate in gates
        if state in outcomes.KINDS and gate["state"] == state and outcomes.counts(gate)
        and gate.get("estimate") is not None
    ][:MAX_STOPPING]  # fmt: skip


def _drawn(gate: Mapping[str, Any]) -> bool:
    """Whether a gate has numbers for the forest plot; a level of reproducibility has none."""
    return gate.get("estimate") is not None or gate.get("margin") is not None


def _panels(
    run: RunFolder,
    baseline: RunFolder | None,
    found: Picking,
    record: Mapping[str, Any],
) -> list[panels.Section]:
    """Of the pictures that are listed."""
    if not run.panels_file.is_file():
        return []
    verdict = run.verdict()
    columns = harm.columns(verdict, None)
    shown = cells(run, baseline, verdict, columns, found.samples)
    return panels.sections(run, record, shown, columns, list(found.samples))


def _line(row: harm.Row, sample: Mapping[str, Any], album: cards.Album, place: int) -> Line:
    links = album.links(row.sample)
    thumbnail = None
    if place < MAX_THUMBNAILS and links:
        worst = next((cell.seed for cell in row.cells if cell.seed is not None), None)
        chosen = next((link for link in links if link.seed == worst), links[-1])
        thumbnail = album.inliner.put(read(album.run.path, chosen.file), THUMBNAIL)
    return Line(row, sample, thumbnail, links)


def _whys(verdict: Mapping[str, Any]) -> dict[tuple[str, int], str]:
    return {(row["sample"], row["seed"]): row.get("why") or "" for row in verdict["failures"]}


def _environment() -> Environment:
    environment = page.environment()
    environment.filters.update(words=panels.words)
    environment.globals.update(
        ramps={"ramp": RAMP, "spread": spread.RAMP, "metric": maps.RAMP},
        full=FULL,
        window=WINDOW,
        spread=spread,
        reviews=reviews,
        look=wording.look,
        sort_key=_sort_key,
        harm=dials.harm_in,
    )
    return environment


def _sort_key(cell: harm.Cell, column: harm.Column) -> float | str:
    """Grows as the picture gets worse; missing is worst, spelled as the script reads it."""
    if cell.value is None:
        return "-Infinity" if cell.aside else "Infinity"
    return harm.worse(cell.value, column.better) if cell.harm is None else cell.harm
