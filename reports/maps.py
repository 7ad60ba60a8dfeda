"""Maps of metrics beside the worst pictures: read from the run folder, and coloured.

The run drew them (`qa.maps`); a map that is damaged, or of another picture than the one that is
there now, is left out. The colour follows the value evenly from 0 to the metric's own `full`, the
same in every report; a value beyond it has the last colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qa import maps
from qa.store import RunFolder
from reports.pictures import painted
from reports.stage import Map, Scale

RAMP = (
    (10, 9, 27), (45, 42, 108), (111, 69, 179), (175, 111, 216), (218, 169, 239), (247, 233, 253),
)  # fmt: skip
"""Colours from 0 to `full`: other hues than those of the error map and of the spread, for the scale
is another one. Lightness rises evenly, so that grey, and every kind of colour blindness, shows it
too."""
GRADIENT = "metric"
"""Name of the page's gradient of these colours."""


def shown(
    run: RunFolder, sample: str, seed: int, facts: Mapping[str, Mapping[str, Any]]
) -> Iterator[Map]:
    """The stored maps of one picture, by metric; `facts` are those of the run's record."""
    for metric, known in sorted(facts.items()):
        found = maps.read(run, sample, seed, metric, str(known.get("fingerprint")))
        if found is not None:
            title = f"{metric}: mean {found.mean:.3g}, largest {found.largest:.3g}"
            alt = f"Map of {sample}, {title}"
            yield Map("map", title, alt, painted(found.levels, RAMP), scale(metric, found.full))


def scale(metric: str, full: float) -> Scale:
    """The colour scale of a metric's maps, 0 to `full`."""
    ends = [("0", 0.0, "start"), (f"{full / 2:g}", 50.0, "middle"), (f"≥ {full:g}", 100.0, "end")]
    return Scale(GRADIENT, f"Colour scale of {metric}: 0 to {full:g} and more", ends)
