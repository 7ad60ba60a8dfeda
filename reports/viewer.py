"""The viewer of a run: every picture at full resolution, each only when it is looked at.

    ""                              the list of pictures, worst first, as in the report's table
    picture/PLACE/SEED              one picture: its stage, its values, what panels noted
    picture/PLACE/SEED/NAME.png     reference, candidate, baseline1, …, error, map1, …

PLACE counts the listed samples from 0, in order of ids. Stored pictures are sent as they
are; maps are coloured here, pixel for pixel. Values are read once, when the viewer starts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

from qa import maps as stored
from qa.images import inside
from qa.store import RunFolder
from reports import maps, noted, page, stage
from reports.listing import Listing, baseline, listing
from reports.panels import words
from reports.pictures import RAMP, Array, Inlined, error, heat, painted, read, size_of, worst_window
from reports.serving import HTML, PNG, Answer
from reports.stage import Figure, Scale, Window

SCRIPTS = ("report.js", "panzoom.min.js", "stage.js", "view.js")
STYLES = ("report.css", "stage.css", "view.css")
ADDRESS = re.compile(r"picture/([0-9]{1,9})/([0-9]{1,9})(?:/([a-z]+[0-9]*)\.png)?")
LEVELS = np.arange(256, dtype=np.uint8)[None]
"""[1,256]: a picture of every level, to ask which colour it has."""


@dataclass(frozen=True)
class Pane:
    """One picture of a sample at a seed, stored or drawn."""

    name: str
    """In its address."""
    kind: str
    title: str
    width: int
    height: int
    png: Callable[[], bytes]
    scale: Scale | None = None


@dataclass(frozen=True)
class Card:
    """One picture at one seed, as `_stage.html.j2` takes it."""

    figures: tuple[Figure, ...]
    window: Window | None
    error: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Viewer:
    """Answers the addresses of one run, and of the runs beside it."""

    run: RunFolder
    listing: Listing
    record: Mapping[str, Any]
    whys: Mapping[tuple[str, int], str]
    """(sample, seed) → why there is no picture."""
    written: tuple[float, ...]
    """When the files were written that the values are from."""

    @property
    def seeds(self) -> int:
        return max(1, int(self.record.get("seeds") or 0))

    def __call__(self, address: str) -> Answer | None:
        """None for an address that names nothing."""
        if not address:
            return self._page()
        found = ADDRESS.fullmatch(address)
        if found is None:
            return None
        place, seed, name = int(found[1]), int(found[2]), found[3]
        if place >= len(self.listing.samples) or seed >= self.seeds:
            return None
        if name is None:
            return self._picture(place, seed)
        sample = self.listing.samples[place]["id"]
        pane = next((pane for pane in self._panes(sample, seed) if pane.name == name), None)
        return None if pane is None else Answer(pane.png(), PNG)

    def _page(self) -> Answer:
        framed = page.frame(SCRIPTS, STYLES, images="'self' data:")
        framed["policy"] += "; connect-src 'self'"
        template = _environment().get_template("view.html.j2")
        text = template.render(name=self.run.name, listing=self.listing, **framed)
        return Answer(text.encode(), HTML, framed["policy"])

    def _picture(self, place: int, seed: int) -> Answer:
        sample = self.listing.samples[place]
        template = _environment().get_template("_view.html.j2")
        text = template.render(
            sample=sample,
            seed=seed,
            seeds=self.seeds,
            card=self._card(place, seed),
            lines=self.listing.lines(sample["id"], seed),
            heads=self.listing.heads,
            notes=noted.notes(self.run, sample["id"], seed),
        )
        return Answer(text.encode(), HTML)

    def _card(self, place: int, seed: int) -> Card:
        sample = self.listing.samples[place]["id"]
        panes = list(self._panes(sample, seed))
        levels = self._error(sample, seed)
        window, said = None, ""
        if levels is not None:
            box = worst_window(levels)
            window = Window(box, stage.frame(box, levels), (), 0)
            said = f"mean {levels.mean():.1f}, largest {levels.max()}"
        figures = tuple(_figure(pane, f"picture/{place}/{seed}/", sample) for pane in panes)
        return Card(figures, window, said, tuple(self._notes(sample, seed, panes)))

    def _panes(self, sample: str, seed: int) -> Iterator[Pane]:
        """What there is to see of a sample at a seed; all that has an address."""
        for name, title, folder, file in self._stored(sample, seed):
            size = size_of(folder.path, file)
            if size is not None:
                yield Pane(name, name.rstrip("0123456789"), title, *size, file.read_bytes)
        levels = self._error(sample, seed)
        if levels is not None:
            size, draw = levels.shape[::-1], partial(_png, levels, heat(LEVELS))
            yield Pane("error", "error", "Absolute error", *size, draw, stage.ERROR)
        yield from self._maps(sample, seed)

    def _stored(self, sample: str, seed: int) -> Iterator[tuple[str, str, RunFolder, Path]]:
        """(name, title, run, file) of each picture that a run may have."""
        yield "reference", "Reference", self.run, self.run.reference_file(sample)
        own = self.run.picture_file(sample, seed)
        yield "candidate", f"Candidate, seed {seed}", self.run, own
        for number, base in enumerate(self.listing.bases, 1):
            if sample in base.shared:
                title = baseline(number, len(self.listing.bases))
                file = base.run.picture_file(sample, seed)
                yield f"baseline{number}", f"{title}, seed {seed}", base.run, file

    def _error(self, sample: str, seed: int) -> Array | None:  # uint8 [H,W]
        files = self.run.picture_file(sample, seed), self.run.reference_file(sample)
        found = [inside(self.run.path, file) for file in files]
        if None in found:
            return None
        return _difference(self.run.path, *found, *map(_written, found))

    def _maps(self, sample: str, seed: int) -> Iterator[Pane]:
        facts = self.record.get("facts") or {}
        for number, (metric, known) in enumerate(sorted(facts.items()), 1):
            found = stored.read(self.run, sample, seed, metric, str(known.get("fingerprint")))
            if found is not None:
                title = f"{metric}: mean {found.mean:.3g}, largest {found.largest:.3g}"
                draw = partial(_png, found.levels, painted(LEVELS, maps.RAMP))
                size, scale = found.levels.shape[::-1], maps.scale(metric, found.full)
                yield Pane(f"map{number}", "map", title, *size, draw, scale)

    def _notes(self, sample: str, seed: int, panes: list[Pane]) -> Iterator[str]:
        """What is not there, and why."""
        there = {pane.name: (pane.width, pane.height) for pane in panes}
        if self.written != _stamps(self.run):
            yield "The run was written again since this viewer started: start it again."
        if "candidate" not in there:
            why = self.whys.get((sample, seed)) or "its file is missing or damaged"
            yield f"There is no picture of seed {seed}: {why}"
        if "reference" not in there:
            yield "There is no reference picture to compare with."
        elif "error" not in there and "candidate" in there:
            sizes = ["×".join(map(str, there[name])) for name in ("reference", "candidate")]
            said = f"reference {sizes[0]}, candidate {sizes[1]}"
            yield f"There is no error map: the sizes differ, or a file is damaged ({said})."
        for number, base in enumerate(self.listing.bases, 1):
            if f"baseline{number}" not in there:
                title = baseline(number, len(self.listing.bases))
                why = "no picture of this seed" if sample in base.shared else "not this picture"
                yield f"{title} has {why}."


def viewer(run: RunFolder, bases: tuple[RunFolder, ...] = ()) -> Viewer:
    """The viewer of a run that was measured, whether or not it was judged.

    UsageError for a run to compare with that has none of its pictures.
    """
    whys = {}
    if run.decoded_file.is_file():
        rows = run.decoded(("sample", "seed", "why"))
        lost = rows[rows["why"] != ""].itertuples(index=False)
        whys = {(row.sample, row.seed): row.why for row in lost}
    written = _stamps(run)  # before it is read: what changes meanwhile is noticed
    return Viewer(run, listing(run, bases), run.record(), whys, written)


def _figure(pane: Pane, folder: str, sample: str) -> Figure:
    address = f"{folder}{pane.name}.png"
    source = Inlined(address, pane.width, pane.height)
    return Figure(pane.kind, pane.title, source, f"{pane.title}: {sample}", address, pane.scale)


@lru_cache(maxsize=3)
def _difference(run: Path, candidate: Path, reference: Path, *_stamps: float) -> Array | None:
    """Error uint8 [H,W]; kept, for the map is asked for soon after the window was."""
    with ThreadPoolExecutor(2) as pool:
        return error(*pool.map(partial(read, run), (candidate, reference)))


def _png(levels: Array, colours: Array) -> bytes:
    """Levels uint8 [H,W] and the colours uint8 [1,256,3] of all levels → PNG with a palette."""
    image = Image.fromarray(levels)
    image.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def _written(file: Path) -> float:
    return file.stat().st_mtime_ns


def _stamps(run: RunFolder) -> tuple[float, ...]:
    files = (run.record_file, run.verdict_file, run.scores_folder.parts_file)
    return tuple(_written(file) for file in files if file.is_file())


@cache
def _environment() -> Environment:
    environment = page.environment()
    environment.filters.update(words=words)
    environment.globals.update(ramps={"ramp": RAMP, "metric": maps.RAMP}, baseline=baseline)
    return environment
