"""The results of one arm of a comparison: a run folder, or any table of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import tables
from qa.errors import UsageError
from qa.features import stored as features
from qa.groups import means, units
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
    scores: pd.DataFrame
    """Columns sample, seed, metric, value, why; one row each, no duplicates."""
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

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics, scheduled or found, sorted."""
        return sorted({*self.record.get("facts", {}), *self.scores["metric"].unique()})

    @property
    def samples(self) -> list[str]:
        """Ids of all samples, planned or found, sorted."""
        return sorted({*self.digests, *self.scores["sample"].unique()})

    @property
    def seeds(self) -> list[int]:
        """Seed indices that every sample was to have, sorted; for a table, those in it."""
        if "seeds" in self.record:
            return list(range(int(self.record["seeds"])))
        return sorted(map(int, self.scores["seed"].unique()))

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
        rows = self.scores[self.scores["metric"] == metric]
        table = rows.pivot(index="sample", columns="seed", values="value")
        seeds = sorted({*self.seeds, *map(int, self.scores["seed"].unique())})
        aside = self.inapplicable(metric)
        samples = [name for name in self.samples if name not in aside]
        return table.reindex(index=samples, columns=seeds)

    def inapplicable(self, metric: str) -> frozenset[str]:
        """Samples that say at every seed that the metric does not apply to them."""
        rows = self.scores[(self.scores["metric"] == metric) & self.scores["value"].isna()]
        told = [str(why).startswith(NOT_APPLICABLE) for why in rows["why"]]
        counts = rows.loc[told, "sample"].value_counts()
        return frozenset(map(str, counts[counts >= len(self.seeds)].index))


def load(path: str | Path) -> Results:
    """A run folder, or a CSV or Parquet table with columns sample, seed, metric, value [, why]."""
    path = Path(path)
    if path.suffix.lower() in {".csv", ".parquet"}:
        return Results(path.stem, _table(path), {}, {})
    if not path.exists():
        raise UsageError(
            f"{path} does not exist.",
            "Expected a run folder, or a .csv or .parquet table of scores.",
            "check the path; `ls runs` shows the runs made here",
        )
    folder = RunFolder.open(path)
    record = folder.record()
    if not record.get("finished"):
        raise UsageError(
            f"{path} is not finished.",
            "Its record says what is to be measured, its tables may hold what was measured before.",
            "give the command again that started it: it continues",
        )
    samples = folder.samples()
    digests = {row["id"]: row["sha256"] for row in samples}
    # Not the folder's name: equal plans must give equal verdicts wherever they were carried out.
    name = record.get("name", folder.name)
    decoded = folder.decoded()
    lost = decoded[decoded["file"].isna()]
    failures = tuple(
        {"sample": sample, "seed": int(seed), "why": why}
        for sample, seed, why in zip(lost["sample"], lost["seed"], lost["why"], strict=True)
    )
    scores = _checked(folder.scores(), path)
    sets = {row["metric"]: row for row in folder.sets()}
    groups = {row["id"]: row["group"] for row in samples if row.get("group")}
    slices = {row["id"]: row["tags"][0] for row in samples if row.get("tags")}
    return Results(name, scores, record, digests, folder, failures, sets, folder, groups, slices)


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
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist.", "", "check the path") from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not a readable table.", f"{error}.", "write it again"
        ) from error
    absent = [column for column in tables.SCORES[:4] if column not in frame.columns]
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

    frame = frame.copy()
    frame["why"] = _texts(frame["why"]) if "why" in frame.columns else ""
    for column in ("sample", "metric"):
        if (frame[column].isna() | (frame[column].astype(str) == "")).any():
            raise UsageError(f"{path} has rows without a {column}.", "", "name it in every row")
    try:
        frame["sample"] = frame["sample"].astype(str)
        frame["metric"] = frame["metric"].astype(str)
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
    return frame[list(tables.SCORES)]


def _texts(column: pd.Series) -> pd.Series:
    """Reasons as texts, "" for none; of any type, categories too."""
    return column.astype(object).where(column.notna(), "").astype(str)
