"""Time a whole run beside the decoding and scoring in it, each in a process of its own.

    python scripts/time_overhead.py [--rounds 5] [--threads 2] [--decoders vae_mini pid_mini]

`harness` is `qa run`: configuration, plan, decodes, scores, PNG files, tables, verdict, report and
MLflow. `alone` is the loop that a script would hold: read a picture, encode it, decode four seeds,
round to 8 bits, measure the same metrics; nothing is written. Both take the default metrics and the
pictures of suite=mini, in turns, and must find the same values or nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "overhead-cpu.json"
DECODERS = ("vae_mini", "pid_mini")
SEEDS = 4
SAME = 1e-6
"""Largest relative difference of a metric's mean: threads split sums in other places."""


def main() -> None:
    """Measure in turns, compare, keep the numbers, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoders", nargs="+", default=DECODERS, choices=DECODERS)
    parser.add_argument("--limit", type=int, help="the first pictures only; nothing is kept")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)  # what a fresh process is told
    options = parser.parse_args()
    if options.only:
        variant, decoder = options.only
        print(json.dumps(VARIANTS[variant](decoder, options.limit)))
        return
    result = rounds(options)
    if options.limit is None:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def rounds(options: argparse.Namespace) -> dict[str, Any]:
    """Every decoder in both variants, in turns."""
    from qa.record import environment

    rows: dict[str, dict[str, list[Any]]] = {}
    for decoder in options.decoders:
        rows[decoder] = {variant: [] for variant in VARIANTS}
        for turn in range(options.rounds):
            for variant in list(VARIANTS)[:: 1 if turn % 2 else -1]:
                rows[decoder][variant].append(fresh(variant, decoder, options))
        check(decoder, rows[decoder])
    described = environment({})
    return {
        "rows": rows,
        "threads": options.threads,
        "cpu": described["cpu"],
        "versions": {"torch": described["versions"]["torch"]},
    }


def fresh(variant: str, decoder: str, options: argparse.Namespace) -> dict[str, Any]:
    """One variant in a process of its own, and that process's time from start to end."""
    command = [sys.executable, __file__, "--only", variant, decoder]
    command += [] if options.limit is None else [f"--limit={options.limit}"]
    env = os.environ | {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    start, used = time.perf_counter(), _children()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, cwd=folder, env=env
        )
    seconds, used = time.perf_counter() - start, _children() - used
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"seconds": seconds, "cpu_seconds": used}


def check(decoder: str, rows: dict[str, list[Any]]) -> None:
    """Both variants found as many values, and the same; SystemExit if not."""
    first, *others = (row["found"] for variant in rows.values() for row in variant)
    for other in others:
        if {name: count for name, (count, _) in other.items()} != {
            name: count for name, (count, _) in first.items()
        }:
            raise SystemExit(f"{decoder}: {first} is not {other}, so nothing is kept")
        for name, (_, mean) in first.items():
            if not abs(other[name][1] / mean - 1) <= SAME:
                raise SystemExit(f"{decoder}: {name} differs: {mean}, {other[name][1]}")


def harness(decoder: str, limit: int | None) -> dict[str, Any]:
    """`qa run` as the command does it, and the time of its loop."""
    from qa.config import compose
    from qa.job import prepare
    from qa.run import conclude, measure

    asked = [f"decoder={decoder}", f"seeds={SEEDS}", "device=cpu"]
    asked += [] if limit is None else [f"limit={limit}"]
    job = prepare(compose(asked))
    start, worked = time.perf_counter(), time.process_time()
    measure(job)
    loop, worked = time.perf_counter() - start, time.process_time() - worked
    finished = conclude(job)
    values = finished.scores.groupby("metric")["value"]
    return {"found": values.agg(["count", "mean"]).T.to_dict("list"), **_times(loop, worked)}


def alone(decoder: str, limit: int | None) -> dict[str, Any]:
    """The same pictures and values by a plain loop, and its time."""
    import torch

    from qa import images
    from qa.metrics.engine import Engine
    from qa.metrics.gmsd import GMSD
    from qa.metrics.psnr import PSNR
    from qa.metrics.ssim import SSIM, MultiScaleSSIM
    from qa.requests import requests
    from qa.types import Knobs
    from suites.mini import Mini

    encoder, system = SYSTEMS[decoder]()
    names = {"psnr": PSNR, "ssim": SSIM, "ms_ssim": MultiScaleSSIM, "gmsd": GMSD}
    engine = Engine({name: metric() for name, metric in names.items()})
    samples = sorted(Mini().samples(), key=lambda sample: sample.id)[:limit]
    found: dict[str, list[float]] = {name: [] for name in names}
    start, worked = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        for sample in samples:
            picture = images.read(sample.image)
            asked = requests(sample, picture, range(SEEDS), system, encoder, Knobs())
            decoded = [images.quantise(pixels).picture for pixels in system.decode(asked)]
            for name, values in engine.measure(torch.stack(decoded), picture, "").values.items():
                found[name] += values
    loop, worked = time.perf_counter() - start, time.process_time() - worked
    counted = {name: [len(values), statistics.fmean(values)] for name, values in found.items()}
    return {"found": counted, **_times(loop, worked)}


def _times(loop: float, worked: float) -> dict[str, float]:
    return {"loop": loop, "loop_cpu": worked}


def _vae_mini() -> tuple[Any, Any]:
    from decoders.vae import VAEDecoder, VAEEncoder

    return VAEEncoder("MiniVAE", "mini", device="cpu"), VAEDecoder("MiniVAE", "mini", device="cpu")


def _pid_mini() -> tuple[Any, Any]:
    from decoders.mini.pid import PiDMini
    from decoders.reduced import Reduced
    from decoders.vae import VAEEncoder

    return Reduced(VAEEncoder("MiniVAE", "mini", device="cpu"), 2), PiDMini(device="cpu")


SYSTEMS: dict[str, Callable[[], tuple[Any, Any]]] = {"vae_mini": _vae_mini, "pid_mini": _pid_mini}
VARIANTS: dict[str, Callable[[str, int | None], dict[str, Any]]] = {
    "alone": alone,
    "harness": harness,
}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def section(result: dict[str, Any]) -> str:
    """Its part of docs/performance.md."""
    lines = []
    for decoder, rows in result["rows"].items():
        for label, name in LABELS.items():
            values = [[row[name] for row in rows[variant]] for variant in VARIANTS]
            ratios = [late / early for early, late in zip(*values, strict=True)]
            cells = " | ".join(f"{statistics.median(column):.1f}" for column in values)
            spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
            lines.append(f"| {decoder}, {label} | {cells} | {spread} |")
    table, count = "\n".join(lines), len(next(iter(result["rows"].values()))["alone"])
    return f"""## A run beside its decodes and scores

`python scripts/time_overhead.py` → `docs/measurements/{RESULT.name}`: `qa run` with {SEEDS} seeds
on the 24 pictures of suite=mini with the default metrics, and a plain loop that decodes and scores
the same and writes nothing; each in a process of its own, in turns, equal values. "Process" is all
from its start to its end: configuration, verdict, report and MLflow on the one side, libraries on
both; "loop" is decoding and scoring with what the harness does beside it. Ratios are medians of
those within a round [least, most of {count}]; below 1 the harness is faster, since it decodes one
picture while it scores another.
{result["cpu"]["model"]}, {result["threads"]} threads, torch {result["versions"]["torch"]}.

| | alone, s | harness, s | harness / alone |
|---|---|---|---|
{table}
"""


LABELS = {
    "loop": "loop",
    "CPU time of the loop": "loop_cpu",
    "process": "seconds",
    "CPU time of the process": "cpu_seconds",
}


if __name__ == "__main__":
    main()
