"""Cost: may the candidate be slower, or want more memory?

    latency_median   median over pictures of seconds(candidate) / seconds(baseline), minus 1
    latency_p95      95th percentile of seconds over pictures, candidate / baseline, minus 1
    memory           largest peak of device memory, candidate / baseline, minus 1

Seconds are those of warm decodes (the first of each size in a process costs more), as geometric
means over a picture's seeds. Their intervals come from drawing pictures again, in pairs
(percentile bootstrap, Efron 1979): they know how pictures differ, and nothing about what else ran
on the machine that day. Peak memory is one number an arm, without an interval.

Times of different machines say nothing about decoders. Where the hardware or the environment class
differs, or nothing was timed, the rows are INVALID; under `policy=pr` they then do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qa.environment import differences
from qa.errors import QaError
from qa.gates.case import Case
from qa.gates.comparable import classes_of, environment_of
from qa.gates.margins import Margin
from qa.gates.rows import Row, numbers, row
from qa.results import Results
from qa.stats import Interval
from qa.stats.decide import Outcome, non_inferiority

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Seconds = NDArray[np.float64]

REPLICATES = 2000
LEAST = 20
"""Pictures below which the interval errs too often: of 12 (8, 2) pictures the one of the 95th
percentile in 11 % (16 %, 27 %) of all cases instead of 5 % (lognormal times)."""
COLUMNS = ("sample", "file", "seconds", "peak_bytes", "warm")
HARDWARE = ("model", "count", "name", "memory_bytes")


class Cost:
    """Two rows for latency and one for memory, where the use case has a margin for them."""

    name = "cost"
    compares = True

    def __call__(self, case: Case) -> list[Row]:
        """Rows for the costs that have a margin; none for memory that neither arm could read."""
        why = unlike(case.candidate, case.baseline)
        tables = [_decoded(arm, case) for arm in (case.candidate, case.baseline)]
        if not why and any(table is None for table in tables):
            why = "an arm holds no decode times"
        if not why:
            why = _lost(case)
        rows = []
        if "latency" in case.use.cost:
            margin = case.use.cost["latency"]
            if why or tables[0] is None or tables[1] is None:
                rows += [_row(m, margin, Outcome("INVALID", why), case) for m in LATENCY]
            else:
                rows += _latency(tables[0], tables[1], margin, case)
        if "memory" in case.use.cost:
            rows += _memory(tables, why, case.use.cost["memory"], case)
        return rows


def _row(metric: str, margin: Margin, outcome: Outcome, case: Case, **known: Any) -> Row:
    """`margin` is relative, and so is the harm."""
    return row(
        Cost.name,
        metric,
        outcome,
        counts=case.release or outcome.state != "INVALID",
        margin=margin.value,
        margin_relative=margin.value,
        margin_why=margin.why,
        better="lower",
        **known,
    )


def _latency(ours: pd.DataFrame, theirs: pd.DataFrame, margin: Margin, case: Case) -> list[Row]:
    import numpy as np

    pairs = np.stack(_paired(ours, theirs))
    rows = []
    for metric, statistic in LATENCY.items():
        if pairs.shape[1] < 2:
            why = "fewer than two pictures were decoded warm in both arms"
            rows.append(_row(metric, margin, Outcome("INVALID", why), case))
            continue
        harm = _bootstrap(pairs, statistic, case.confidence)
        outcome = non_inferiority(harm, 0, margin.value, case.confidence)
        if pairs.shape[1] < LEAST:
            why = f"{pairs.shape[1]} pictures were decoded warm in both arms; {LEAST} can tell"
            outcome = Outcome("INCONCLUSIVE", why, LEAST)
        quantile = 0.5 if metric == "latency_median" else 0.95
        values = (float(np.quantile(arm, quantile)) for arm in pairs)
        known = dict(zip(("candidate", "baseline"), values, strict=True))
        rows.append(_row(metric, margin, outcome, case, unit="s", **numbers(harm), **known))
    return rows


def _paired(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[Seconds, Seconds]:
    """Warm seconds of the pictures that both arms decoded warm, in order of their ids."""
    first, other = (_warm(table) for table in (ours, theirs))
    both = sorted({*first} & {*other})
    import numpy as np

    one, two = (np.array([found[name] for name in both]) for found in (first, other))
    return one, two


def _warm(table: pd.DataFrame) -> dict[str, float]:
    """Geometric mean over a picture's warm decodes, by sample."""
    made = table[table["file"].notna() & table["warm"].astype(bool) & (table["seconds"] > 0)]
    return {
        str(sample): math.exp(math.fsum(map(math.log, sorted(rows))) / len(rows))
        for sample, rows in made.groupby("sample")["seconds"]
    }


def _median_ratio(pairs: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.median(pairs[0] / pairs[1])) - 1


def _p95_ratio(pairs: NDArray[np.float64]) -> float:
    import numpy as np

    ours, theirs = np.quantile(pairs, 0.95, axis=1)
    return float(ours / theirs) - 1


LATENCY: Mapping[str, Callable[[Any], float]] = {
    "latency_median": _median_ratio,
    "latency_p95": _p95_ratio,
}


def _bootstrap(
    pairs: NDArray[np.float64], statistic: Callable[[Any], float], confidence: float
) -> Interval:
    """Percentile interval over pictures drawn again; `pairs` [2,N]."""
    import numpy as np

    count = pairs.shape[1]
    draws = np.random.default_rng(0)
    found = np.array(
        [statistic(pairs[:, draws.integers(0, count, count)]) for _ in range(REPLICATES)]
    )
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    sd = float(found.std(ddof=1)) * math.sqrt(count)
    return Interval(statistic(pairs), float(low), float(high), sd, count, "bootstrap")


def _memory(tables: list[pd.DataFrame | None], why: str, margin: Margin, case: Case) -> list[Row]:
    peaks = [None if table is None else _peak(table) for table in tables]
    if not why and peaks == [None, None]:
        return []  # the device does not tell, in either arm
    ours, theirs = peaks
    if why or not ours or not theirs:
        outcome = Outcome("INVALID", why or "one arm's device does not tell its peak memory")
        return [_row("memory", margin, outcome, case, unit="bytes")]
    harm = ours / theirs - 1
    exact = Interval(harm, harm, harm, 0.0, 1, "one value an arm")
    outcome = non_inferiority(exact, 0, margin.value, case.confidence)
    known = {"candidate": ours, "baseline": theirs, "unit": "bytes"}
    return [_row("memory", margin, outcome, case, **numbers(exact), **known)]


def _peak(table: pd.DataFrame) -> float | None:
    peaks = table["peak_bytes"].dropna()
    return float(peaks.max()) if len(peaks) else None


def _decoded(results: Results, case: Case) -> pd.DataFrame | None:
    """The arm's table of decodes, of the candidate's pictures; None where there is none."""
    if results.stored is None:
        return None
    try:
        table = results.stored.decoded(COLUMNS)
    except QaError:
        return None
    return table[table["sample"].isin(case.candidate.samples)]


def unlike(candidate: Results, baseline: Results) -> str:
    """Why the arms' times may not be compared; empty if they may."""
    classes = [environment_of(arm) for arm in (candidate, baseline)]
    if None in classes:
        return "an arm does not say where it was measured"
    if any(len(classes_of(arm)) > 1 for arm in (candidate, baseline)):
        return "an arm was measured in several environment classes"
    if classes[0] != classes[1]:
        return f"measured in environment class {classes[0]} against {classes[1]}"
    other = differences(*(_hardware(arm) for arm in (candidate, baseline)))
    return f"measured on other hardware ({'; '.join(other)})" if other else ""


def _lost(case: Case) -> str:
    """Which pictures have no decode to time: failing on the slow ones is not fast."""
    lost = [*case.candidate.failures, *case.baseline.failures]
    if not lost:
        return ""
    return f"{len(lost)} pictures are missing, e.g. {lost[0]['sample']!r}: {lost[0]['why']}"


def _hardware(results: Results) -> dict[str, Any]:
    """What of a machine decides its speed: model and size of processor and GPU."""
    environment = results.record.get("environment") or {}
    return {
        part: {
            key: value for key, value in (environment.get(part) or {}).items() if key in HARDWARE
        }
        for part in ("cpu", "gpu")
    }
