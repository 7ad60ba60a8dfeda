"""Maps of metrics: where a run's worst pictures differ from their references.

    pictures that the report picks ──► metric.map ──► maps/<sample>/seed<k>.<metric>.png

A report never sees a metric, so the run draws the maps, after judging, and the report reads them. A
map is a grey PNG of its picture's size: level round(255 min(v, full) / full), halves to even, with
`full` fixed for a metric (`qa.traits.Mapped`). Its text says what the levels stand for, and from
which files and by which protocol they were drawn: a map of anything else is stale and counts as
none. Reading needs no torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qa import images
from qa.errors import said
from qa.files import canonical, digest, sha256, write_bytes
from qa.metrics.facts import fingerprint
from qa.panels import AnyMetric
from qa.store import RunFolder
from qa.traits import Mapped, has_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 5
"""Pictures of a run that have maps: drawing one takes as long as scoring it, and a map of
4096x4096 up to 10 MB."""
SCHEMA = "decoder-qa/map/1"
"""Also the keyword of the PNG's text."""


@dataclass(frozen=True)
class Map:
    """Where one picture differs from its reference, as one metric sees it."""

    levels: NDArray[np.uint8]
    """[H,W]; 255 stands for `full` and more."""
    full: float
    mean: float
    """Of the metric's own values, before they were rounded to levels."""
    largest: float


def picked(report: Callable[..., Any], run: RunFolder) -> Sequence[tuple[str, int]]:
    """Sample and seed of the pictures that a report shows large, worst first.

    A report says so by a function `picked(run)` beside it, in its module; one that has none shows
    no maps.
    """
    asked = getattr(sys.modules.get(report.__module__), "picked", None)
    return [] if asked is None else asked(run)


def draw(
    run: RunFolder, metrics: Mapping[str, AnyMetric], pictures: Sequence[tuple[str, int]]
) -> None:
    """Draw the maps of the first `MOST` pictures that are not there yet.

    Pictures that failed or have no reference have none. What else goes wrong is a warning: a map
    decides nothing.
    """
    for sample, seed in pictures[:MOST]:
        if _pair(run, sample, seed) is None:
            continue
        for name, metric in metrics.items():
            try:
                if has_map(metric):
                    _draw(run, sample, seed, name, metric)
            except Exception as error:
                text = f"No map of {name} for {sample}, seed {seed}: {said(error)}"
                warnings.warn(text, RuntimeWarning, stacklevel=2)


def read(run: RunFolder, sample: str, seed: int, metric: str, protocol: str) -> Map | None:
    """The stored map of a picture, by the metric's fingerprint; None if none, damaged or stale."""
    from PIL import Image

    file = images.inside(run.path, run.map_file(sample, seed, metric))
    if file is None:
        return None
    try:
        with Image.open(file, formats=["PNG"]) as image:
            levels = np.asarray(image)
            told = json.loads(image.info[SCHEMA])
        found = Map(levels, *(float(told[name]) for name in ("full", "mean", "largest")))
        drawn_from = _sources(run, sample, seed, protocol, found.full)
    except Exception:  # a broken PNG surfaces as almost anything, and no map is all that it means
        return None
    whole = image.mode == "L" and told.get("levels") == _content(levels)
    return found if whole and told.get("from") == drawn_from else None


def _draw(run: RunFolder, sample: str, seed: int, name: str, metric: Mapped) -> None:
    protocol = fingerprint(metric.facts)
    old = read(run, sample, seed, name, protocol)
    if old is not None and old.full == metric.full:
        return
    if not metric.full > 0:
        raise ValueError(f"its colour scale ends at {metric.full}")
    sources = _sources(run, sample, seed, protocol, float(metric.full))  # as they are before
    picture = images.read(run.picture_file(sample, seed))
    values = metric.map(picture, images.read(run.reference_file(sample))).numpy()
    if values.shape != tuple(picture.shape[1:]):
        raise ValueError(f"its map is {list(values.shape)}, not one value a pixel")
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("its map has values that are not finite, or below 0")
    found = _rounded(values.astype(np.float64), float(metric.full))
    write_bytes(run.map_file(sample, seed, name), _png(found, sources))


def _rounded(values: NDArray[np.float64], full: float) -> Map:
    levels = np.rint(images.LEVELS * np.minimum(values, full) / full).astype(np.uint8)
    return Map(levels, full, float(values.mean()), float(values.max()))


def _png(found: Map, sources: str) -> bytes:
    """Grey PNG; equal maps give equal bytes."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text, buffer = PngInfo(), io.BytesIO()
    told = {"full": found.full, "mean": found.mean, "largest": found.largest, "from": sources}
    text.add_text(SCHEMA, canonical({**told, "levels": _content(found.levels)}))
    Image.fromarray(found.levels).save(buffer, "png", pnginfo=text)
    return buffer.getvalue()


def _sources(run: RunFolder, sample: str, seed: int, protocol: str, full: float) -> str:
    """Digest of all that a map follows from; ValueError where a picture is gone."""
    files = _pair(run, sample, seed)
    if files is None:
        raise ValueError("a picture is missing, or lies outside of the run")
    return digest([*map(sha256, files), protocol, full])


def _pair(run: RunFolder, sample: str, seed: int) -> tuple[Path, Path] | None:
    """A picture and its reference; None where one is no file of the run folder."""
    picture = images.inside(run.path, run.picture_file(sample, seed))
    reference = images.inside(run.path, run.reference_file(sample))
    return None if picture is None or reference is None else (picture, reference)


def _content(levels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(levels.tobytes()).hexdigest()
