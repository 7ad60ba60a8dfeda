"""Which pictures of a very large run a page lists; what it counts and plots still has all.

    up to LISTED pictures    all of them
    more                     those that the verdict names, then the worst WORST, then NEAR that lie
                             closest to the margin that decides, the best BEST, and others by lot
                             until there are LISTED

Ranks are those of the table (`harm.table`), but reckoned for all pictures at once, metric by
metric: a million rows of it would not fit in memory. A report shows less of each kind than is
listed here, so its tables and groups are what they would be if all pictures were listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from qa.results import Results
from qa.store import RunFolder
from reports.harm import Column, deciding
from reports.scatter import Pairs, drawn_by_lot

LISTED = 5000
"""Pictures that a page lists at most."""
WORST, NEAR, BEST = 2500, 1000, 500

Array = np.ndarray


@dataclass(frozen=True)
class Values:
    """One metric of all pictures, in order of their ids: means over seeds, NaN for none."""

    ours: Array
    """float64 [N]"""
    theirs: Array
    """float64 [N]; all NaN without a baseline."""
    aside: Array
    """bool [N]: the metric does not apply to the picture."""

    def pairs(self, ids: Sequence[str]) -> Pairs:
        """The pictures to which the metric applies, of all ids [N]."""
        if not self.aside.any():
            return Pairs(ids, self.theirs, self.ours)
        places = np.flatnonzero(~self.aside)
        return Pairs([ids[place] for place in places], self.theirs[places], self.ours[places])


@dataclass(frozen=True)
class Whole:
    """All pictures of a run with more than `LISTED` of them."""

    ids: Sequence[str]
    """Sorted."""
    values: Mapping[str, Values]
    """By metric."""
    listed: Sequence[str]
    """Ids of the pictures that a page lists, sorted."""
    said: str
    """Which they are, in a sentence."""

    def pairs(self, metric: str) -> Pairs:
        """One metric of all pictures to which it applies."""
        return self.values[metric].pairs(self.ids)


def arm(run: RunFolder, ids: Iterable[str]) -> Results:
    """Scores of some of a run's pictures, read one metric at a time."""
    return Results(run.name, None, run.record(), dict.fromkeys(ids), stored=run, cut=True)


def whole(
    verdict: Mapping[str, Any],
    columns: Sequence[Column],
    ours: Results,
    theirs: Results | None,
    metrics: Collection[str] | None = None,
) -> Whole | None:
    """What is to be listed of a run, against a baseline if there is one; None for all of it.

    `metrics` are those in which the baseline is compared, if not all.
    """
    ids = ours.samples
    if len(ids) <= LISTED:
        return None
    values = {}
    for metric in (column.metric for column in columns):
        other = theirs if metrics is None or metric in metrics else None
        values[metric] = compared(metric, ids, ours, other)
    chosen: dict[int, None] = {}
    parts = []
    for said, most, order in _kinds(verdict, columns, ids, values):
        new = [place for place in order if place not in chosen][: min(most, LISTED - len(chosen))]
        chosen |= dict.fromkeys(new)
        parts += [f"{len(new):,} {said}"] if new else []
    listed = [ids[place] for place in sorted(chosen)]
    sentence = f"{len(listed):,} of {len(ids):,} pictures are listed: {', '.join(parts)}."
    return Whole(ids, values, listed, sentence)


def compared(metric: str, ids: Sequence[str], ours: Results, theirs: Results | None) -> Values:
    """One metric of these pictures in both arms."""
    own = ours.by_picture(metric)
    aside = ~np.asarray(_at(own.notna(), ids, False), bool) & _absent(own.index, ids)
    other = None if theirs is None else _at(theirs.by_picture(metric), ids, np.nan)
    none = np.full(len(ids), np.nan)
    return Values(_at(own, ids, np.nan), none if other is None else other, aside)


def harms(values: Values, better: str) -> Array:
    """Harm of every picture, positive = worse; NaN where it is not known. float64 [N]"""
    if not better:
        return np.full(len(values.ours), np.nan)
    apart: Array = values.theirs - values.ours
    return apart if better == "higher" else -apart


def _at(series: Any, ids: Sequence[str], none: Any) -> Array:
    """A series by sample at these ids."""
    if series.index.tolist() != list(ids):
        series = series.reindex(ids, fill_value=none)
    found: Array = series.to_numpy()
    return found


def _absent(index: Any, ids: Sequence[str]) -> Array:
    """bool [N]: which ids an index does not have."""
    if len(index) == len(ids):
        return np.zeros(len(ids), bool)
    known = set(index)
    return np.array([name not in known for name in ids])


def _kinds(
    verdict: Mapping[str, Any],
    columns: Sequence[Column],
    ids: Sequence[str],
    values: Mapping[str, Values],
) -> list[tuple[str, int, list[int]]]:
    """What each kind is called, how many are wanted, and places of pictures, those first."""
    places = {name: place for place, name in enumerate(ids)}
    named = [places[name] for name in _named(verdict) if name in places]
    ranked, missing = _ranked(columns, values, len(ids))
    best = [place for place in ranked[::-1][: BEST + LISTED].tolist() if not missing[place]]
    found = [("that the verdict names", LISTED, named)]
    found.append(("worst", WORST, ranked[:LISTED].tolist()))
    gate = deciding(verdict["gates"], columns)
    if gate is not None:
        column = next(column for column in columns if column.metric == gate["metric"])
        apart = np.abs(harms(values[column.metric], column.better) / gate["margin"] - 1)
        near = [int(place) for place in np.argsort(apart, kind="stable")[: NEAR + LISTED]
                if np.isfinite(apart[place])]  # fmt: skip
        found.append((f"nearest to the margin of {column.metric}", NEAR, near))
    lot = drawn_by_lot(ids, str(verdict["candidate"].get("plan") or ""), 2 * LISTED)
    found.append(("best", BEST, best))
    found.append(("others by lot", LISTED, [places[name] for name in lot]))
    return found


def _ranked(
    columns: Sequence[Column], values: Mapping[str, Values], count: int
) -> tuple[Array, Array]:
    """Places of all pictures in the table's order, worst first; which lack a value. [N] each

    Harms that the verdict alone knows change no place here: their pictures are listed before.
    """
    missing, worst, lead = np.zeros(count, bool), np.full(count, np.nan), np.zeros(count)
    for number, column in enumerate(columns):
        known = values[column.metric]
        missing |= np.isnan(known.ours) & ~known.aside
        if column.gated:
            worst = np.fmax(worst, harms(known, column.better) / column.scale)
        if number == 0:
            sign = 1 if column.better == "higher" else -1
            lead = np.where(np.isnan(known.ours), 0, sign * known.ours)
    kind = np.where(missing, 0, np.where(np.isnan(worst), 2, 1))
    order = np.lexsort((lead, -np.nan_to_num(worst), kind))  # the last key comes first
    return order, missing


def _named(verdict: Mapping[str, Any]) -> dict[str, None]:
    """Ids of the pictures that the verdict's gates name: each gate's worst, then each's next."""
    turns = zip_longest(*(gate.get("worst") or () for gate in verdict["gates"]))
    return dict.fromkeys(entry["sample"] for turn in turns for entry in turn if entry)
