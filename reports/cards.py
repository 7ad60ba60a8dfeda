"""What the report shows of one picture: a stage of panes, and the worst place in every seed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qa.store import RunFolder
from reports import stage
from reports.harm import Cell, Pick
from reports.picking import worst_seed
from reports.pictures import WHOLE, WINDOW, Array, Inliner, error, heat, read, worst_window
from reports.spread import Spread
from reports.stage import Figure, Map, Seeds, Tile, Window

if TYPE_CHECKING:
    import pandas as pd

MOST_SEEDS = 8
"""Seeds whose worst windows, or small pictures, are shown."""
SMALL = 128
"""Longest side of a seed's whole picture, in pixels."""
UNREADABLE = "file missing or damaged"
NO_ROOM = "no room in this file"


@dataclass(frozen=True)
class Link:
    """A picture file of the run folder, as the page addresses it."""

    text: str
    href: str
    file: Path
    seed: int | None


@dataclass(frozen=True)
class Card:
    """Everything about one of the worst pictures."""

    pick: Pick
    sample: Mapping[str, Any]
    cell: Cell | None
    figures: tuple[Figure, ...]
    window: Window | None
    error: str
    note: str
    seeds: Seeds | None = None
    """In place of a window that cannot be compared."""


@dataclass(frozen=True)
class Shot:
    """The pictures uint8 [H,W,3] of one sample at one seed, as far as they are there."""

    sample: str
    seed: int
    reference: Array | None
    candidate: Array | None
    baseline: Array | None


@dataclass(frozen=True)
class Album:
    """Finds a run's pictures and makes cards of them."""

    run: RunFolder
    baseline: RunFolder | None
    inliner: Inliner
    seeds: int
    whys: Mapping[tuple[str, int], str]
    """(sample, seed) → why there is no picture."""
    home: Path
    """The folder that the page lies in: links start there."""
    spreads: Mapping[str, Spread]
    """Sample → where its seeds differ, if that is to be shown."""

    def links(self, sample: str) -> tuple[Link, ...]:
        """The sample's picture files that exist: the reference, then every seed."""
        found = [self._link("reference", self.run.reference_file(sample), None)]
        for seed in range(self.seeds):
            found.append(self._link(f"seed {seed}", self.run.picture_file(sample, seed), seed))
        return tuple(link for link in found if link.file.is_file())

    def card(
        self,
        pick: Pick,
        sample: Mapping[str, Any],
        cell: Cell | None,
        values: Mapping[int, float] | None = None,
        maps: Iterable[Map] = (),
    ) -> Card:
        """Reference, candidate, baseline and maps of the worst seed; the worst window of all.

        `values` of the picked metric, seed → value, stand below the windows; `maps` of the worst
        seed, beside its error, become panes of their own. Without a reference of the same size
        there is no error, and whole pictures of the seeds stand in place of the windows.
        """
        shot = self._shot(pick.sample, worst_seed(self.run, pick.sample, cell, self.seeds))
        levels = error(shot.candidate, shot.reference)
        drawn = [*self._own_maps(shot, levels), *maps]
        return Card(
            pick,
            sample,
            cell,
            tuple([*self._photographs(shot), *self._drawn(drawn)]),
            None if levels is None else self._window(shot, levels, values or {}),
            "" if levels is None else f"mean {levels.mean():.1f}, largest {levels.max()}",
            self._note(shot),
            self._seeds(shot, values or {}) if levels is None else None,
        )

    def _link(self, text: str, file: Path, seed: int | None) -> Link:
        return Link(text, quote(Path(os.path.relpath(file, self.home)).as_posix()), file, seed)

    def _shot(self, sample: str, seed: int) -> Shot:
        base = self.baseline
        return Shot(
            sample,
            seed,
            read(self.run.path, self.run.reference_file(sample)),
            read(self.run.path, self.run.picture_file(sample, seed)),
            read(base.path, base.picture_file(sample, seed)) if base else None,
        )

    def _photographs(self, shot: Shot) -> Iterator[Figure]:
        """Figures of the pictures themselves; the baseline's file may lie on another machine."""
        own = self.run.picture_file(shot.sample, shot.seed)
        for kind, title, picture, file in (
            ("reference", "Reference", shot.reference, self.run.reference_file(shot.sample)),
            ("candidate", f"Candidate, seed {shot.seed}", shot.candidate, own),
            ("baseline", f"Baseline, seed {shot.seed}", shot.baseline, None),
        ):
            inlined = self.inliner.put(picture, WHOLE)
            if inlined is not None:
                href = None if file is None else self._link("", file, None).href
                yield Figure(kind, title, inlined, f"{title}: {shot.sample}", href)

    def _own_maps(self, shot: Shot, levels: Array | None) -> Iterator[Map]:
        """The maps that need nothing but the stored pictures: error, and spread over the seeds."""
        if levels is not None:
            said = f"mean {levels.mean():.1f}, largest {levels.max()}"
            alt = f"Absolute error map of {shot.sample}: {said}"
            yield Map("error", "Absolute error", alt, heat(levels), stage.ERROR)
        spread = self.spreads.get(shot.sample)
        if spread is not None:
            part = f" of {self.seeds}" if spread.seeds < self.seeds else ""
            said = f"mean {spread.mean:.1f}, largest {spread.largest:.0f} levels"
            title = f"Spread over {spread.seeds}{part} seeds: {said}"
            yield Map("spread", title, f"{title}: {shot.sample}", spread.colours, stage.SPREAD)

    def _drawn(self, maps: Iterable[Map]) -> Iterator[Figure]:
        for one in maps:
            inlined = self.inliner.put(one.colours)
            if inlined is not None:
                yield Figure(one.kind, one.title, inlined, one.alt, scale=one.scale)

    def _window(self, shot: Shot, levels: Array, values: Mapping[int, float]) -> Window:
        box = worst_window(levels)

        def tile(kind: str, title: str, picture: Array | None, seed: int | None = None) -> Tile:
            cut, why = None, UNREADABLE
            if picture is not None and picture.shape[:2] != levels.shape:
                why = f"another size: {_size(picture)}"
            elif picture is not None:
                cut, why = self.inliner.put(box.cut(picture), WINDOW, exact=True), NO_ROOM
            alt = f"Worst window, {title}: {shot.sample}"
            value = values.get(-1 if seed is None else seed)
            return Tile(kind, title, cut, alt, seed, value, why)

        tiles = [tile("reference", "Reference", shot.reference)]
        if shot.baseline is not None:
            tiles.append(tile("baseline", f"Baseline, seed {shot.seed}", shot.baseline))
        tiles.append(tile("error", "Absolute error", heat(levels, max(levels.shape))))
        shown = _shown(self.seeds, shot.seed)
        for seed in shown:
            kind = "candidate" if seed == shot.seed else ""
            tiles.append(tile(kind, f"Seed {seed}", self._of_seed(shot, seed), seed))
        return Window(box, stage.frame(box, levels), tuple(tiles), self.seeds - len(shown))

    def _seeds(self, shot: Shot, values: Mapping[int, float]) -> Seeds | None:
        """Small pictures of several seeds; None where there is no other picture to see."""
        shown, tiles = _shown(self.seeds, shot.seed), []
        for seed in shown:
            picture = self._of_seed(shot, seed)
            small = self.inliner.put(picture, SMALL)
            kind = "candidate" if seed == shot.seed else ""
            alt = f"Seed {seed}: {shot.sample}"
            why = UNREADABLE if picture is None else NO_ROOM
            tiles.append(Tile(kind, f"Seed {seed}", small, alt, seed, values.get(seed), why))
        others = any(tile.picture for tile in tiles if not tile.kind)
        return Seeds(tuple(tiles), self.seeds - len(shown)) if others else None

    def _of_seed(self, shot: Shot, seed: int) -> Array | None:
        if seed == shot.seed:
            return shot.candidate
        return read(self.run.path, self.run.picture_file(shot.sample, seed))

    def _note(self, shot: Shot) -> str:
        """What cannot be compared, and why."""
        found = [self._lack(shot)]
        base, own = shot.baseline, shot.candidate
        if base is not None and own is not None and base.shape != own.shape:
            found.append(
                f"The baseline has another size: {_size(base)}, the candidate {_size(own)}."
            )
        return " ".join(filter(None, found))

    def _lack(self, shot: Shot) -> str:
        if shot.candidate is None:
            why = self.whys.get((shot.sample, shot.seed)) or "its file is missing or damaged"
            return f"There is no picture of seed {shot.seed}: {why}"
        if shot.reference is None:
            return "There is no reference picture to compare with."
        if shot.reference.shape != shot.candidate.shape:
            sizes = _size(shot.reference), _size(shot.candidate)
            return f"The sizes differ: reference {sizes[0]}, candidate {sizes[1]}."
        return ""


def values_of_seeds(scores: pd.DataFrame, pick: Pick) -> dict[int, float]:
    """Seed → value of the picked metric on the picked sample, where there is one."""
    chosen = scores[(scores["sample"] == pick.sample) & (scores["metric"] == pick.metric)]
    known = chosen.dropna(subset="value")
    return dict(zip(known["seed"].tolist(), known["value"].tolist(), strict=True))


def _size(picture: Array) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"


def _shown(seeds: int, worst: int) -> Sequence[int]:
    """At most `MOST_SEEDS` seeds; the worst is one of them."""
    if seeds <= MOST_SEEDS or worst < MOST_SEEDS:
        return range(min(seeds, MOST_SEEDS))
    return [*range(MOST_SEEDS - 1), worst]
