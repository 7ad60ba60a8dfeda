"""What the decodes of a run cost, from its table of decoded pictures.

Seconds are the decoder's alone, synchronised with the device: no reading, scoring or writing. They
are a call's seconds divided by its pictures. Cost stays out of the verdict document, because two
runs of one plan differ in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


COLUMNS = ("file", "seconds", "peak_bytes", "warm", "tokens")
"""What `rows` reads of a run's table of decoded pictures."""


def rows(decoded: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for each measure: metric, value (or None, then `why`), unit, better, count.

    `decoded` has the `COLUMNS` of `qa.types.Decoded`. Warm seconds leave out the first call of a
    process for each size. A failed decode has no cost of its own and is not counted.
    """
    made = decoded[decoded["file"].notna()]
    seconds, warm = made["seconds"], made["seconds"][made["warm"].astype(bool)]
    peaks, tokens = made["peak_bytes"].dropna(), made["tokens"].dropna()
    total, nothing = float(seconds.sum()), "nothing was decoded"
    return [
        _row("seconds_median", seconds.median(), "s", "lower", len(seconds), nothing),
        _row("seconds_p95", seconds.quantile(0.95), "s", "lower", len(seconds), nothing),
        _row("seconds_warm", warm.median(), "s", "lower", len(warm), "every picture was a first"),
        _row("pictures_per_second", len(made) / (total or 1), "1/s", "higher",
             len(made) if total else 0, nothing),
        _row("peak_bytes", peaks.max(), "bytes", "lower", len(peaks), "the device does not tell"),
        _row("tokens", tokens.median(), "", "lower", len(tokens), "the decoder does not tell"),
    ]  # fmt: skip


def line(found: list[dict[str, Any]]) -> str:
    """The known ones in one line: `0.31 s a picture (median; 95 %: 0.4), 3.2 pictures/s`."""
    value = {row["metric"]: row["value"] for row in found if row["value"] is not None}
    if "seconds_median" not in value:
        return "nothing was decoded"
    rate, peak = value.get("pictures_per_second"), value.get("peak_bytes")
    parts = [
        f"{value['seconds_median']:.3g} s a picture (95 % within {value['seconds_p95']:.3g}",
        f", warm {value['seconds_warm']:.3g})" if "seconds_warm" in value else ")",
        f", {rate:.3g} pictures/s" if rate else "",
        f", {peak / 2**30:.2f} GiB peak" if peak else "",
        f", {value['tokens']:.0f} tokens" if "tokens" in value else "",
    ]
    return "".join(parts)


def _row(metric: str, value: Any, unit: str, better: str, count: int, why: str) -> dict[str, Any]:
    known: Mapping[str, Any] = {"value": float(value), "why": ""} if count else {
        "value": None, "why": why,
    }  # fmt: skip
    return {"metric": metric, "unit": unit, "better": better, "count": count, **known}
