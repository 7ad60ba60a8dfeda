"""The results of one arm of a comparison: a run folder, or any table of scores.

A table is in memory whole. Of a run only what the last metric asked for needs is: a million
pictures with twenty metrics would not fit.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import tables
from qa.documents import strange
from qa.errors import UsageError
from qa.features import stored as features
from qa.groups import means, units
from qa.scores import PART, SCORES, no_scores
from qa.sets.frechet import Moments
from qa.sets.statistics import target
from qa.stats.interval import LARGEST
from qa.store import RunFolder
from qa.types import NOT_APPLICABLE, FeatureSet

if TYPE_CHECKING:
    import pandas as pd

EXACT = 2**53
"""From here on a float, as which a table may hold a seed, skips whole numbers."""


@dataclass(frozen=True)
class Results:
    """What one arm of a comparison brings along."""

    name: str
    scores: pd.DataFrame | None
    """Of a table: columns sample, seed, metric, value, why; one row each, no duplicates. None for a
    run: `rows` reads one metric of it at a time."""
    record: Mapping[str, Any]
    """record.json, or {} for a table made elsewhere."""
    digests: Mapping[str, str | None]
    """Sample → SHA-256 of its reference; {} for a table."""
    folder: RunFolder | None = None
    """Where its pictures are, if it is a run."""
    failures: tuple[dict[str, Any], ...] = ()
    """Pictures that are not there: sample, seed, why."""
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Set metric → its row (qa.aggregate)."""
    stored: RunFolder | None = None
    """Where the features of set metrics lie: the run, or a baseline's copy of it."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Sample → its group, of those that have one (`qa.groups`)."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """Sample → its first tag, of those that have one."""
    cut: bool = False
    """Whether samples were left out (`qa.gates.comparable.restricted`)."""
    _latest: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Metric → rows and table of the run, of the metric that was asked for last; arms that are cut
    out of one run share it."""

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics, scheduled or found, sorted."""
        found = self._parts if self.scores is None else self.scores["metric"].unique()
        return sorted({*self.record.get("facts", {}), *found})

    @property
    def samples(self) -> list[str]:
        """Ids of all samples, planned or found, sorted."""
        if self.scores is None:
            return sorted(self.digests)
        return sorted({*self.digests, *self.scores["sample"].unique()})

    @property
    def seeds(self) -> list[int]:
        """Seed indices that every sample was to have, sorted; for a table, those in it."""
        if "seeds" in self.record:
            return list(range(int(self.record["seeds"])))
        return [] if self.scores is None else sorted(map(int, self.scores["seed"].unique()))

    def describe(self) -> dict[str, Any]:
        """The arm as the verdict document names it."""
        keys = ("suite", "decoder", "plan", "licence")
        return {
            "name": self.name,
            **{key: self.record.get(key) for key in keys},
            "notes": list(self.record.get("notes") or ()),
            "pictures": len(self.samples),
            "seeds": len(self.seeds),
            "limited": bool(self.record.get("limited", False)),
        }

    def feature_sets(self, metric: str) -> tuple[FeatureSet, FeatureSet | Moments]:
        """Rows of a set metric's candidates and references, or the moments of these.

        ValueError says what is not there.
        """
        mark = self.record.get("facts", {}).get(metric, {}).get("protocol", {}).get("features")
        if self.stored is None or mark is None:
            raise ValueError(f"{self.name} holds no features of {metric}")
        unit = units(self.samples, self.groups)
        candidates = features.candidates(self.stored, mark, unit, self.seeds)
        own = features.read_set(self.stored, metric)
        if own is None:
            own = features.references(self.stored, mark, unit)
        return candidates, target(own)

    def by_group(self, metric: str) -> pd.Series:
        """Mean over seeds and groups by unit (`qa.groups`): what statistics count."""
        return means(self.by_picture(metric), units(self.samples, self.groups))

    def by_picture(self, metric: str) -> pd.Series:
        """Mean over seeds by sample, for all samples; NaN as soon as one seed has no value.

        A failed seed is not averaged away, nor one that was planned and has no row.
        """
        return self.by_seed(metric).mean(axis=1, skipna=False)

    def by_seed(self, metric: str) -> pd.DataFrame:
        """Values by sample (rows) and seed (columns), for all of both; NaN for none.

        Samples to which the metric does not apply are left out.
        """
        if self.scores is None:
            table = self._read(metric)[1]
        else:
            table = self.rows(metric).pivot(index="sample", columns="seed", values="value")
        seeds = sorted({*self.seeds, *map(int, table.columns)})
        aside = self.inapplicable(metric)
        samples = [name for name in self.samples if name not in aside]
        return table.reindex(index=_index(samples), columns=seeds)

    def rows(self, metric: str) -> pd.DataFrame:
        """Columns sample, seed, value, why of one metric; QaError where a run's are damaged."""
        if self.scores is not None:
            return self.scores[self.scores["metric"] == metric]
        rows = self._read(metric)[0]
        return rows[rows["sample"].isin(list(self.digests))] if self.cut else rows

    def inapplicable(self, metric: str) -> frozenset[str]:
        """Samples that say at every seed that the metric does not apply to them."""
        rows = self.rows(metric)
        rows = rows[rows["value"].isna()]
        told = [str(why).startswith(NOT_APPLICABLE) for why in rows["why"]]
        counts = rows.loc[told, "sample"].value_counts()
        return frozenset(map(str, counts[counts >= len(self.seeds)].index))

    @property
    def _parts(self) -> list[str]:
        return [] if self.stored is None else list(self.stored.scores_folder.parts())

    def _read(self, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows of the run, and the values by sample and seed; kept until another is asked for."""
        if metric not in self._latest:
            self._latest.clear()
            self._latest[metric] = self._from_run(metric)
        return self._latest[metric]

    def _from_run(self, metric: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        if self.stored is None:
            rows = no_scores()
        else:
            file = self.stored.scores_folder.path
            rows = _checked(self.stored.scores_folder.of(metric).assign(metric=metric), file)
        rows = rows[list(PART)]
        table = rows.pivot(index="sample", columns="seed", values="value")
        found, samples = table.index.to_numpy(object).tolist(), self.samples
        if found == samples:
            found = samples  # the same texts, not once more
        elif self.stored and not self.cut and (unlisted := set(found) - set(samples)):
            why = f"It has scores of {min(unlisted)!r}, which the run does not list."
            raise strange(self.stored.scores_folder.path, why)
        return rows, table.set_axis(_index(found))


def _index(samples: list[str]) -> pd.Index:
    """Ids as Python's own texts: they are looked up one by one, and both arms share them."""
    import pandas as pd

    return pd.Index(samples, dtype=object, name="sample")


def load(path: str | Path) -> Results:
    """A run folder, or a CSV or Parquet table with columns sample, seed, metric, value [, why]."""
    path = Path(path)
    if not path.exists():
        raise UsageError(
            f"{path} does not exist.",
            "Expected a run folder, or a .csv or .parquet table of scores.",
            "check the path; `ls runs` shows the runs made here",
        )
    if path.suffix.lower() in {".csv", ".parquet"}:
        return Results(path.stem, _table(path), {}, {})
    folder = RunFolder.open(path)
    record = folder.record()
    if not record.get("finished"):
        raise UsageError(
            f"{path} is not finished.",
            "Its record says what is to be measured, its tables may hold what was measured before.",
            "give the command again that started it: it continues",
        )
    digests, groups, slices = _listed(folder)
    # Not the folder's name: equal plans must give equal verdicts wherever they were carried out.
    name = record.get("name", folder.name)
    decoded = tables.arrow(folder.decoded_file, ("sample", "seed", "file", "why"))
    lost = decoded.filter(decoded["file"].is_null()).select(("sample", "seed", "why"))
    folder.scores_folder.parts()  # damaged ones are refused before anything is judged
    sets = {row["metric"]: row for row in folder.sets()}
    return Results(
        name, None, record, digests, folder, tuple(lost.to_pylist()), sets, folder, groups, slices
    )


def _listed(run: RunFolder) -> tuple[dict[str, str | None], dict[str, str], dict[str, str]]:
    """Digests, groups and first tags of a run's samples, as `Results` has them."""
    digests: dict[str, str | None] = {}
    groups, slices = dict[str, str](), dict[str, str]()
    for row in run.each_sample():
        name = sys.intern(row["id"])  # two runs of one suite share their texts
        if "sha256" not in row:
            raise strange(run.samples_file, f"{name!r} has no sha256.")
        digests[name] = row["sha256"] and sys.intern(row["sha256"])
        if row.get("group"):
            groups[name] = sys.intern(row["group"])
        for tag in (row.get("tags") or ())[:1]:
            slices[name] = sys.intern(tag)
    return digests, groups, slices


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            # Ids stay text: 0001 is no number and NA is a name.
            text = {"sample": str, "metric": str, "why": str}
            blank = {"value": ["", "nan", "NaN"], "seed": [""]}
            frame = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=blank)
        else:
            frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not a readable table.", f"{error}.", "write it again"
        ) from error
    absent = [column for column in SCORES[:4] if column not in frame.columns]
    if absent:
        raise UsageError(
            f"{path} has no column {', '.join(absent)}.",
            f"It has {', '.join(map(str, frame.columns))}.",
            "a table of scores needs sample, seed, metric, value",
        )
    return _checked(frame, path)


def _checked(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Types set, values that cannot be reckoned with made missing, duplicates refused."""
    import numpy as np
    import pandas as pd

    frame = frame.copy(deep=False) if "why" in frame.columns else frame.assign(why="")
    why = frame["why"].astype(object)  # of any type, categories too
    frame["why"] = why.where(why.notna(), "").astype(str)
    for column in ("sample", "metric"):
        if (frame[column].isna() | (frame[column].astype(str) == "")).any():
            raise UsageError(f"{path} has rows without a {column}.", "", "name it in every row")
    try:
        frame = frame.astype({"sample": str, "metric": str})
        seeds = pd.to_numeric(frame["seed"])
        if (seeds % 1 != 0).any():
            raise ValueError(f"a seed is {seeds[seeds % 1 != 0].iloc[0]}")
        if (seeds.abs() >= EXACT).any():
            raise ValueError(f"a seed is {seeds[seeds.abs() >= EXACT].iloc[0]}, beyond 2**53")
        frame["seed"] = seeds.astype(int)
        frame["value"] = pd.to_numeric(frame["value"]).astype(float)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path} holds something that is no number.",
            f"{error}.",
            "seed must be whole, value a number or empty",
        ) from error
    size = frame["value"].abs()
    frame.loc[size > LARGEST, "why"] = f"the value is beyond {LARGEST:g}"
    frame.loc[np.isinf(size), "why"] = "the value is infinite"
    frame.loc[size > LARGEST, "value"] = np.nan
    twice = frame.duplicated(["sample", "seed", "metric"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise UsageError(
            f"{path} has several rows for {row['sample']!r}, seed {row['seed']}, {row['metric']}.",
            "A value that is given twice cannot be paired.",
            "keep one row for each sample, seed and metric",
        )
    return frame[list(SCORES)]
