"""Time writing and opening reports of a large run: 1,000 pictures, 8 seeds, 3 decoders.

    python scripts/time_report.py [--pictures 1000] [--seeds 8] [--rounds 3] [--keep FOLDER]

Three run folders with PNG files of 512x512 and eight metrics are made first (not timed). Then, each
in a process of its own: `qa report` of one run with its baseline's pictures, and `qa compare` of
all three. Both pages are opened in headless Chromium, from its start of loading to the first frame
after the load event. Scores are drawn; pictures are 40 different ones, linked under many names.
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
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "report-cpu.json"
METRICS = {
    "psnr": ("higher", "dB", 30.0, 2.0), "ssim": ("higher", "", 0.9, 0.03),
    "gmsd": ("lower", "", 0.05, 0.01), "lpips_alex": ("lower", "", 0.1, 0.03),
    "dists": ("lower", "", 0.1, 0.02), "flip": ("lower", "", 0.08, 0.02),
    "hf_energy": ("higher", "", 0.6, 0.1), "niqe": ("lower", "", 4.0, 0.5),
}  # fmt: skip
"""Metric → better, unit, mean, spread between pictures. Margins are those of use_case=photo."""
ARMS = {"worse": -0.3, "base": 0.0, "other": 0.1}
"""Arm → how many spreads better than the baseline its pictures are."""
SIDE, DIFFERENT = 512, 40
TAGS = ("photo", "drawing", "document", "face", "night")


def main() -> None:
    """Make the runs, write and open the pages in turns, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", help="make the runs in this folder, and leave them there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        runs = {name: made(folder / name, name, options) for name in ARMS}
        judge(runs)
        result = measured(runs, options)
    if (options.pictures, options.seeds) == (1000, 8):
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def made(folder: Path, arm: str, options: argparse.Namespace) -> Any:
    """A run folder as `qa run` leaves it, without a verdict."""
    from qa import files, tables
    from qa.config import compose
    from qa.record import sample_row
    from qa.scores import PART
    from qa.store import RunFolder
    from qa.types import Sample

    run = RunFolder(folder)
    names = [f"picture {number:04d}" for number in range(options.pictures)]
    pool = _pool(folder.parent / "pool")
    for number, name in enumerate(names):
        reference = run.reference_file(name)
        reference.parent.mkdir(parents=True, exist_ok=True)
        os.link(pool[number % DIFFERENT][0], reference)
        for seed in range(options.seeds):
            os.link(pool[number % DIFFERENT][1 + seed % 2], run.picture_file(name, seed))
    samples = [
        Sample(name, sha256=files.digest(name), prompt=f"a picture of number {number}",
               tags=(TAGS[number % len(TAGS)],))
        for number, name in enumerate(names)
    ]  # fmt: skip
    run.write_samples(sample_row(sample, SIDE, SIDE) for sample in samples)
    with run.scores_folder.anew() as scores:
        for row in _scores(names, options.seeds, ARMS[arm]):
            scores.add(row["metric"], [row[column] for column in PART])
    decoded = [
        {"sample": name, "seed": seed, "file": "x.png", "digest": None, "clipped": 0,
         "seconds": 0.25, "peak_bytes": None, "why": "", "note": "", "warm": True, "tokens": None,
         "noise": None}
        for name in names for seed in range(options.seeds)
    ]  # fmt: skip
    tables.write(run.decoded_file, decoded, tables.DECODED)
    files.write_json(run.sets_file, [])
    files.write_json(run.record_file, _record(arm, options))
    run.config_file.write_text(compose(["gate=[regression,slices]"]).resolved())
    return run


def _pool(folder: Path) -> list[list[Path]]:
    """References with two pictures each: smooth, with grain, and a block that is wrong."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
        for number in range(DIFFERENT):
            waves = [np.sin(x * (5 + number + c) + y * (9 - number % 7)) for c in range(3)]
            clean = 128 + 90 * np.stack(waves, 2)
            for variant in range(3):
                grain = rng.normal(0, 3 * variant, clean.shape)
                noisy = clean + grain
                if variant:
                    noisy[40 * variant : 40 * variant + 60, 100:180] += 60
                levels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
                Image.fromarray(levels).save(folder / f"{number:02d}-{variant}.png")
    return [[folder / f"{number:02d}-{v}.png" for v in range(3)] for number in range(DIFFERENT)]


def _scores(names: list[str], seeds: int, better: float) -> list[dict[str, Any]]:
    """Pictures differ alike in all arms; each arm and seed has an offset and noise of its own."""
    rows = []
    for metric, (direction, _, mean, spread) in METRICS.items():
        shared = np.random.default_rng(1).normal(0, spread, (len(names), 1))
        own = np.random.default_rng(2 + int(100 * better + 50))
        sign = 1 if direction == "higher" else -1
        values = mean + shared + own.normal(0, spread / 5, (len(names), seeds))
        values += sign * better * spread
        rows += [
            {"sample": name, "seed": seed, "metric": metric, "value": float(values[k, seed]),
             "why": ""}
            for k, name in enumerate(names) for seed in range(seeds)
        ]  # fmt: skip
    return rows


def _record(arm: str, options: argparse.Namespace) -> dict[str, Any]:
    from qa import files

    facts = {
        name: {"name": name, "better": better, "unit": unit, "source": "drawn", "licence": "MIT",
               "protocol": {}, "paired": True, "of": "picture", "fingerprint": files.digest(name)}
        for name, (better, unit, *_) in METRICS.items()
    }  # fmt: skip
    return {
        "schema": "decoder-qa/record/1", "name": arm, "suite": "drawn", "decoder": arm,
        "use_case": "photo", "plan": files.digest(arm), "suite_digest": files.digest("suite"),
        "decoder_digest": files.digest(["weights", arm]), "seeds": options.seeds,
        "pictures": options.pictures, "limited": False, "licence": "Apache-2.0", "facts": facts,
        "knobs": {}, "unavailable": {}, "numerics": {}, "environment": {"class": "drawn"},
        "panels": {}, "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T01:00:00+00:00", "command": ["qa", "run", f"decoder={arm}"],
    }  # fmt: skip


def judge(runs: dict[str, Any]) -> None:
    """Every arm against the baseline."""
    for run in runs.values():
        _write(["judge", str(run.path), "--baseline", str(runs["base"].path), "--save"])


def measured(runs: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Both pages, written and opened in turns."""
    from qa.record import environment

    worse, base, other = (str(run.path) for run in runs.values())
    pages = {
        "report": (["report", worse, "--baseline", base], runs["worse"].report_file),
        "compare": (["compare", worse, base, other], runs["worse"].path / "compare.html"),
    }
    rows: dict[str, Any] = {name: {"write": [], "open": []} for name in pages}
    for _ in range(options.rounds):
        for name, (words, file) in pages.items():
            rows[name]["write"].append(_write(words))
            rows[name]["open"].append(_open(file))
            rows[name]["megabytes"] = file.stat().st_size / 1e6
    described = environment({})
    return {
        "rows": rows, "pictures": options.pictures, "seeds": options.seeds, "arms": len(runs),
        "peak_gb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,
        "cpu": described["cpu"],
    }  # fmt: skip


def _write(words: list[str]) -> float:
    """Seconds of a process from start to end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "qa.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3, 4, 5):
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


def _open(file: Path) -> float:
    """Seconds until a new browser's page has loaded and drawn."""
    sys.path.append(str(ROOT / "tests"))
    from browsers import chromium

    with chromium() as browser:
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(file.resolve().as_uri())
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")
        return time.perf_counter() - start


def section(result: dict[str, Any]) -> str:
    """How the measurement reads in docs/performance.md."""
    lines = [
        "## Reports of a large run\n",
        f"`python scripts/time_report.py` → `docs/measurements/{RESULT.name}`: "
        f"{result['pictures']:,} pictures × {result['seeds']} seeds × {result['arms']} decoders, "
        f"PNG files of {SIDE}x{SIDE}, {len(METRICS)} metrics. Seconds of a whole process that "
        "writes the page, and from the start of loading it in headless Chromium to its first "
        "frame; median [least, most]. Processes took at most "
        f"{result['peak_gb']:.1f} GB.\n"
        f"{result['cpu']['model']}, {result['cpu']['count']} threads.\n",
        "| | write, s | open, s | MB |",
        "|---|---|---|---|",
    ]
    names = {"report": "`qa report` with its baseline", "compare": "`qa compare` of three runs"}
    for name, row in result["rows"].items():
        cells = [_spread(row[key]) for key in ("write", "open")]
        lines.append(f"| {names[name]} | {' | '.join(cells)} | {row['megabytes']:.1f} |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


if __name__ == "__main__":
    main()
