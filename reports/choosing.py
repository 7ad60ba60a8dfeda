"""Which pictures of a very large run a page lists; what it counts and plots still has all.

    up to LISTED pictures    all of them
    more                     the worst WORST, then NEAR that lie closest to the margin that decides,
                             the best BEST, and others by lot until there are LISTED

Ranks are those of the table (`harm.table`), but reckoned for all pictures at once, metric by
metric: a million rows of it would not fit in memory. A report shows less of each kind than is
listed here, so its tables and groups are what they would be if all pictures were listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qa.results import Results
from qa.store import RunFolder
from reports.harm import Column, deciding, paired
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
    verdict: Mapping[str, Any], columns: Sequence[Column], ours: Results, theirs: Results | None
) -> Whole | None:
    """What is to be listed of a run, against a baseline if there is one; None for all of it."""
    ids = ours.samples
    if len(ids) <= LISTED:
        return None
    values = {column.metric: compared(column.metric, ids, ours, theirs) for column in columns}
    kinds = _kinds(verdict, columns, ids, values)
    chosen: dict[int, None] = dict.fromkeys(_named(verdict, ids))
    parts = []
    for said, most, order in kinds:
        new = [place for place in order if place not in chosen][: min(most, LISTED - len(chosen))]
        chosen |= dict.fromkeys(new)
        parts += [f"{len(new):,} {said}"] if new else []
    listed = [ids[place] for place in sorted(chosen)]
    named = LISTED - sum(int(part.split()[0].replace(",", "")) for part in parts)
    told = [f"{named:,} that the verdict names"] * (named > 0) + parts
    sentence = f"{len(listed):,} of {len(ids):,} pictures are listed: {', '.join(told)}."
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
    ranked, missing = _ranked(verdict, columns, ids, values)
    best = [place for place in ranked[::-1][: BEST + LISTED].tolist() if not missing[place]]
    found = [("worst", WORST, ranked[:LISTED].tolist())]
    gate = deciding(verdict["gates"], columns)
    if gate is not None:
        column = next(column for column in columns if column.metric == gate["metric"])
        apart = np.abs(harms(values[column.metric], column.better) / gate["margin"] - 1)
        near = [int(place) for place in np.argsort(apart, kind="stable")[: NEAR + LISTED]
                if np.isfinite(apart[place])]  # fmt: skip
        found.append((f"nearest to the margin of {column.metric}", NEAR, near))
    places = {name: place for place, name in enumerate(ids)}
    lot = drawn_by_lot(ids, str(verdict["candidate"].get("plan") or ""), 2 * LISTED)
    found.append(("best", BEST, best))
    found.append(("others by lot", LISTED, [places[name] for name in lot]))
    return found


def _ranked(
    verdict: Mapping[str, Any],
    columns: Sequence[Column],
    ids: Sequence[str],
    values: Mapping[str, Values],
) -> tuple[Array, Array]:
    """Places of all pictures in the table's order, worst first; which lack a value. [N] each"""
    count = len(ids)
    missing, worst, lead = np.zeros(count, bool), np.full(count, np.nan), np.zeros(count)
    for number, column in enumerate(columns):
        known = values[column.metric]
        missing |= np.isnan(known.ours) & ~known.aside
        if column.gated:
            worst = np.fmax(worst, _known(known, column, verdict, ids) / column.scale)
        if number == 0:
            sign = 1 if column.better == "higher" else -1
            lead = np.where(np.isnan(known.ours), 0, sign * known.ours)
    kind = np.where(missing, 0, np.where(np.isnan(worst), 2, 1))
    order = np.lexsort((lead, -np.nan_to_num(worst), kind))  # the last key comes first
    return order, missing


def _known(values: Values, column: Column, verdict: Mapping[str, Any], ids: Sequence[str]) -> Array:
    """Harm of every picture; without a baseline, of those that the verdict names. float64 [N]"""
    found = harms(values, column.better)
    if np.isnan(values.theirs).all():
        for gate in verdict["gates"]:
            if paired(gate) and gate["metric"] == column.metric:
                for entry in gate.get("worst") or ():
                    place = int(np.searchsorted(ids, entry["sample"]))
                    if place < len(ids) and ids[place] == entry["sample"]:
                        found[place] = entry["harm"]
    return found


def _named(verdict: Mapping[str, Any], ids: Sequence[str]) -> list[int]:
    """Places of the pictures that the verdict's gates name."""
    named = {entry["sample"] for gate in verdict["gates"] for entry in gate.get("worst") or ()}
    return [place for place, name in enumerate(ids) if name in named]
