"""The gallery: small pictures of the worst, some near the margin, the best, and some by lot.

    worst     as the table of all pictures ranks them; anything missing comes first
    near      harm closest to the margin of the gate that decides: of the gates that count, the
              first as the page lists them (the worst state, then the largest harm for its margin)
    best      the table's order from its end; nothing that has something missing
    random    by lot; the plan's digest is the seed, so that equal runs show equal pictures

A group has at most half of the pictures, so that the worst are not the best as well. A picture may
be in several groups; it is inlined once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reports.cards import Album, Link
from reports.harm import Cell, Column, Row, deciding, paired
from reports.pictures import Array, Inlined, Inliner, read
from reports.scatter import drawn_by_lot

MOST = 24
"""Pictures of a group at most."""
SIDE = 160
"""Longest side of a picture here, in pixels."""
READERS = 4
"""Files that are read at once; each is held in memory whole meanwhile."""
MAX_TAGS = 100
"""Tags to choose from: the most frequent ones."""
WORST, NEAR, BEST, RANDOM = "worst", "near", "best", "random"
NAMES = {WORST: "Worst", NEAR: "Near the margin", BEST: "Best", RANDOM: "Random"}

Ranks = dict[str, int]
"""Sample → its place in a group, from 1."""


@dataclass(frozen=True)
class Charge:
    """What a picture shows in one metric."""

    column: Column
    cell: Cell
    times: float | None
    """Harm in margins; None where there is no harm or no margin."""


@dataclass(frozen=True)
class Item:
    """One picture of the gallery."""

    sample: Mapping[str, Any]
    picture: Inlined | None
    link: Link | None
    """The file of the seed that is shown."""
    charges: tuple[Charge, ...]
    """The metric in which it is worst, and the one whose margin it is near."""
    ranks: Mapping[str, int]
    """Group → place in it."""
    why: str
    """What is missing, if anything."""


@dataclass(frozen=True)
class Group:
    """Some of the pictures, and by which rule."""

    key: str
    name: str
    count: int


@dataclass(frozen=True)
class Gallery:
    """All groups over one list of pictures."""

    groups: tuple[Group, ...]
    items: tuple[Item, ...]
    """In order of groups, each in its group's order."""
    decides: Mapping[str, Any] | None
    """The gate whose margin `near` means."""
    tags: tuple[tuple[str, int], ...]
    """Tag → how many pictures have it, by name."""


def gallery(
    verdict: Mapping[str, Any],
    rows: Sequence[Row],
    columns: Sequence[Column],
    samples: Mapping[str, Mapping[str, Any]],
    album: Album,
    tags: Mapping[str, int] | None = None,
) -> Gallery:
    """Choose pictures of a table's rows (`harm.table`) and read them.

    `tags` say how many pictures of the run have each tag; those of `samples` unless given.

    They do not count against the album's share of pictures: there are `MOST` a group at most.
    """
    gate = deciding(verdict["gates"], columns)
    groups = _groups(rows, columns, gate, str(verdict["candidate"].get("plan") or ""))
    margins = {g["metric"]: g.get("margin") for g in verdict["gates"] if paired(g)}
    known = {row.sample: row for row in rows}
    items = []
    for sample in dict.fromkeys(sample for ranks in groups.values() for sample in ranks):
        ranks = {key: found[sample] for key, found in groups.items() if sample in found}
        row = known[sample]
        charges = _charges(row, columns, margins, gate if NEAR in ranks else None)
        items.append(_item(row, samples[sample], charges, ranks, album))
    return Gallery(
        tuple(Group(key, NAMES[key], len(found)) for key, found in groups.items()),
        tuple(_with_pictures(items, album.run.path)),
        gate,
        _tags(tagged(samples.values()) if tags is None else tags),
    )


def _groups(
    rows: Sequence[Row], columns: Sequence[Column], gate: Mapping[str, Any] | None, plan: str
) -> dict[str, Ranks]:
    """Group → its pictures; a group without any is left out."""
    whole = [row.sample for row in rows if not row.missing]
    found = {
        WORST: [row.sample for row in rows],
        NEAR: [] if gate is None else _near(rows, columns, gate),
        BEST: whole[::-1],
        RANDOM: drawn_by_lot((row.sample for row in rows), plan),
    }
    most = min(MOST, (len(rows) + 1) // 2)
    ranked = {
        key: {sample: place for place, sample in enumerate(samples[:most], 1)}
        for key, samples in found.items()
    }
    return {key: ranks for key, ranks in ranked.items() if ranks}


def _near(rows: Sequence[Row], columns: Sequence[Column], gate: Mapping[str, Any]) -> list[str]:
    place = next(i for i, column in enumerate(columns) if column.metric == gate["metric"])
    harms = {row.sample: row.cells[place].harm for row in rows}
    known = {sample: harm / gate["margin"] for sample, harm in harms.items() if harm is not None}
    return sorted(known, key=lambda sample: (abs(known[sample] - 1), sample))


def _charges(
    row: Row,
    columns: Sequence[Column],
    margins: Mapping[str, float | None],
    gate: Mapping[str, Any] | None,
) -> tuple[Charge, ...]:
    """In the gated metric with the largest harm for its margin, and in `gate`'s if there is one.

    Without harm in any of them: in the first metric. `margins` has every gated metric.
    """
    pairs = list(zip(columns, row.cells, strict=True))
    gated = [(column, cell) for column, cell in pairs if column.metric in margins]
    known = [pair for pair in gated if pair[1].harm is not None]
    lead = max(known, key=lambda pair: (pair[1].harm or 0) / pair[0].scale, default=None)
    named = [pair for pair in pairs if gate is not None and pair[0].metric == gate["metric"]]
    found: dict[str, Charge] = {}
    for column, cell in [*([lead] if lead else pairs[:1]), *named]:
        margin = margins.get(column.metric)
        times = cell.harm / margin if margin and cell.harm is not None else None
        found.setdefault(column.metric, Charge(column, cell, times))
    return tuple(found.values())


def _item(
    row: Row,
    sample: Mapping[str, Any],
    charges: tuple[Charge, ...],
    ranks: Mapping[str, int],
    album: Album,
) -> Item:
    links = [link for link in album.links(row.sample) if link.seed is not None]
    worst = next((charge.cell.seed for charge in charges if charge.cell.seed is not None), None)
    link = next((link for link in links if link.seed == worst), links[0] if links else None)
    lost = next((cell.why for cell in row.cells if cell.value is None and not cell.aside), "")
    return Item(sample, None, link, charges, ranks, lost)


def _with_pictures(items: Sequence[Item], run: Path) -> Iterator[Item]:
    """The same with what their files show; several are read at once, for large ones take long."""
    inliner = Inliner(MOST * len(NAMES))
    with ThreadPoolExecutor(READERS) as pool:
        for item, picture in zip(items, pool.map(partial(_small, run), items), strict=True):
            yield replace(item, picture=inliner.put(picture, SIDE))


def _small(run: Path, item: Item) -> Array | None:  # uint8 [h,w,3]
    picture = None if item.link is None else read(run, item.link.file)
    if picture is None:
        return None
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def tagged(samples: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Tag → how many samples have it."""
    return Counter(tag for row in samples for tag in dict.fromkeys(row["tags"]) if tag)


def _tags(counted: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    frequent = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_TAGS]
    return tuple(sorted(frequent))
