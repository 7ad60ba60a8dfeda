"""Figures of PiD's paper, for the rows that are of the same size and run the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOURCE = "arXiv 2605.23902, table 3: one picture on an H100, PyTorch 2.11"
SECONDS: Mapping[int, Mapping[str, float]] = {
    256: {"compile": 0.0365, "eager": 0.2722},
    512: {"compile": 0.0453, "eager": 0.2793},
    1024: {"compile": 0.0884, "eager": 0.2116},
    2048: {"compile": 0.4460, "eager": 0.7970},
    4096: {"compile": 3.7546, "eager": 4.7634},
}
"""PiD, four steps in bfloat16, by side and way of running the steps."""
PEAK: Mapping[str, Mapping[int, float | None]] = {
    "pid_v1": {256: 10.3e9, 512: 10.3e9, 1024: 10.9e9, 2048: 13.0e9, 4096: 22.5e9},
    "flux_vae": {256: 0.4e9, 512: 0.8e9, 1024: 2.4e9, 2048: 16.7e9, 4096: None},
}
"""Peak bytes by side, PiD's with compile; None: out of memory on 80 GB. The autoencoder's precision
is not said; its rows in bfloat16 are what is compared."""


def beside(row: Mapping[str, Any]) -> str:
    """What is published for a row's size and way, or ""."""
    peaks, side = PEAK.get(row["system"], {}), row["side"]
    comparable = row["batch"] == 1 and row["kernels"] == "torch" and row["memory"] == "untiled"
    if not comparable or row["dtype"] != "bfloat16" or side not in peaks:
        return ""
    peak = peaks[side]
    words = ["out of memory" if peak is None else f"{peak / 1e9:.1f} GB"]
    if row["system"] == "pid_v1":
        if row["steps"] not in SECONDS[side]:
            return ""
        seconds = f"{1000 * SECONDS[side][row['steps']]:.1f} ms"
        words = [seconds] if row["steps"] == "eager" else [seconds, *words]
    return ", ".join(words)
