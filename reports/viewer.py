"""The viewer of a run: every picture at full resolution, each only when it is looked at.

    ""                       the list of pictures, worst first, as in the report's table
    picture/PLACE/SEED       one picture: its stage, its values, what panels noted
    picture/PLACE/SEED/NAME.png   reference, candidate, baseline1, …, error, map1, …

PLACE counts the run's samples from 0, as samples.json lists them. Pictures are sent as they are
stored; maps are coloured here, pixel for pixel. What has been measured is read once, at the start.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

from qa import maps as stored
from qa.store import RunFolder
from reports import maps, page, stage
from reports.listing import Listing, Row, listing
from reports.panels import words
from reports.pictures import RAMP, Array, Inlined, error, heat, read, worst_window
from reports.remarks import notes
from reports.serving import HTML, PNG, Answer, inside
from reports.stage import Figure, Window

SCRIPTS = ("report.js", "panzoom.min.js", "stage.js", "view.js")
STYLES = ("report.css", "stage.css", "view.css")
REFERENCE, CANDIDATE, ERROR = "reference", "candidate", "error"
ADDRESS = re.compile(r"picture/([0-9]{1,9})/([0-9]{1,9})(?:/([a-z]+[0-9]*)\.png)?")
LEVELS = np.arange(256, dtype=np.uint8)[None]
"""[1,256]: a picture of every level, to ask which colour it has."""


@dataclass(frozen=True)
class Shown:
    """One picture at one seed, as the stage shows it."""

    figures: tuple[Figure, ...]
    window: Window | None
    error: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Viewer:
    """Answers the addresses of one run, beside it of the runs that it is compared with."""

    run: RunFolder
    bases: tuple[RunFolder, ...]
    listing: Listing
    seen: tuple[Any, ...] = field(repr=False)
    """State of the run's files when they were read."""

    def __call__(self, address: str) -> Answer | None:
        """None for an address that names nothing."""
        if not address:
            return self._page()
        found = ADDRESS.fullmatch(address)
        if found is None:
            return None
        place, seed = int(found[1]), int(found[2])
        if place >= len(self.listing.samples) or seed >= self.listing.seeds:
            return None
        return self._image(place, seed, found[3]) if found[3] else self._picture(place, seed)

    def _page(self) -> Answer:
        framed = page.frame(SCRIPTS, STYLES, images="'self'")
        policy = f"{framed.pop('policy')}; connect-src 'self'"
        text = _environment().get_template("view.html.j2").render(
            name=self.run.name,
            bases=[base.name for base in self.bases],
            listing=self.listing,
            policy=policy,
            **framed,
        )
        return Answer(text.encode(), HTML, policy)

    def _picture(self, place: int, seed: int) -> Answer:
        sample = self.listing.samples[place]
        text = _environment().get_template("_view.html.j2").render(
            entry=self.listing.entry(place),
            seed=seed,
            seeds=self.listing.seeds,
            shown=self._shown(place, seed),
            bases=self.bases,
            listing=self.listing,
            lines=self.listing.lines(sample["id"], seed),
            panels=notes(self.run, sample["id"], seed),
        )
        return Answer(text.encode(), HTML)

    def _image(self, place: int, seed: int, name: str) -> Answer | None:
        """A stored picture, or a map drawn of some."""
        sample = self.listing.samples[place]["id"]
        files = self._files(sample, seed)
        if name in files:
            found = files[name]
            return None if found is None else Answer(found.read_bytes(), PNG)
        if name == ERROR:
            levels = _error(files)
            return None if levels is None else Answer(_png(levels, heat(LEVELS)), PNG)
        for key, _, known in self._maps(sample, seed):
            if key == name:
                return Answer(_png(known.levels, maps.colours(LEVELS)), PNG)
        return None

    def _files(self, sample: str, seed: int) -> dict[str, Path | None]:
        """Name → stored picture, or None if there is none. No link leads out of its run folder."""
        arms = {CANDIDATE: self.run}
        arms |= {f"baseline{number}": base for number, base in enumerate(self.bases, 1)}
        found = {REFERENCE: inside(self.run.path, self.run.reference_file(sample))}
        for name, arm in arms.items():
            found[name] = inside(arm.path, arm.picture_file(sample, seed))
        for number, shared in enumerate(self.listing.shared, 1):
            if sample not in shared:
                found[f"baseline{number}"] = None
        return found

    def _maps(self, sample: str, seed: int) -> Iterator[tuple[str, str, stored.Map]]:
        """(name, metric, map) of each stored map that is whole."""
        for number, (metric, facts) in enumerate(sorted(self.listing.facts.items()), 1):
            if inside(self.run.path, self.run.map_file(sample, seed, metric)):
                found = stored.read(self.run, sample, seed, metric, str(facts.get("fingerprint")))
                if found is not None:
                    yield f"map{number}", metric, found

    def _shown(self, place: int, seed: int) -> Shown:
        sample = self.listing.samples[place]["id"]
        files = self._files(sample, seed)
        sizes = {name: None if file is None else _size(file) for name, file in files.items()}
        levels = _error(files)
        figures = [
            self._figure(place, seed, name, size) for name, size in sizes.items() if size is not None
        ]
        window, said = None, ""
        if levels is not None:
            box = worst_window(levels)
            window = Window(box, stage.frame(box, levels), (), 0)
            said = f"mean {levels.mean():.1f}, largest {levels.max()}"
            figures.append(self._figure(place, seed, ERROR, levels.shape[::-1]))
        for name, metric, found in self._maps(sample, seed):
            figures.append(self._map(place, seed, name, metric, found))
        return Shown(tuple(figures), window, said, tuple(self._notes(sample, seed, sizes)))

    def _figure(self, place: int, seed: int, name: str, size: Sequence[int]) -> Figure:
        """A pane of a stored picture (W,H), or of the error between two."""
        kind, number = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
        title = kind.capitalize() + (f" {number}" if len(self.bases) > 1 and number else "")
        title += f", seed {seed}" if kind != REFERENCE else ""
        scale = None
        if name == ERROR:
            title, scale = "Absolute error", stage.ERROR
        address = f"picture/{place}/{seed}/{name}.png"
        alt = f"{title}: {self.listing.samples[place]['id']}"
        return Figure(kind, title, Inlined(address, *size), alt, address, scale)

    def _map(self, place: int, seed: int, name: str, metric: str, found: stored.Map) -> Figure:
        title = f"{metric}: mean {found.mean:.3g}, largest {found.largest:.3g}"
        address = f"picture/{place}/{seed}/{name}.png"
        height, width = found.levels.shape
        alt = f"Map of {self.listing.samples[place]['id']}, {title}"
        scale = maps.scale(metric, found.full)
        return Figure("map", title, Inlined(address, width, height), alt, address, scale)
