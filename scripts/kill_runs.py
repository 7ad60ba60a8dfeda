"""Kill runs at random moments and resume them: is the verdict still the same, to the byte?

    python scripts/kill_runs.py [--kills 50] [--pool-kills 20] [--units 200] [--seed 1]

Each run is a `qa run` of 200 drawn pictures against a baseline. It is killed with SIGKILL at a
moment drawn evenly over the time from its first unit to its end, and then resumed by the same
command. `--kills` of them kill the one process of `executor=local`; `--pool-kills` kill, with
`executor=ray` and two workers, in turns the driver and one of the workers (whose driver goes on by
itself). A run that ended before the kill is repeated with another moment, and counted.

Compared with a run that nobody disturbed: bytes of verdict.json and of every file of scores/, and
digest, noise and place of every picture. As a control the same comparison is made with a run of
another decoder, in which it has to find the differences.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "kills-cpu.json"
SIDE = 64
COLUMNS = ["sample", "seed", "file", "digest", "clipped", "noise", "why"]
SIZES = ("kills", "pool_kills", "units")
"""What must not be smaller than by default for a result to be kept."""
PATIENCE = 300
"""Seconds after which a run that neither ends nor begins is an error."""
PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = ["qa.run", "torchmetrics", "diffusers", "qa.executors.cluster"]
"""Every run is a process of its own, that has imported what takes seconds before it begins."""


def main() -> None:
    """Kill, resume, compare, keep the numbers, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pool-kills", type=int, default=10)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    result = killed(options)
    if all(getattr(options, name) >= parser.get_default(name) for name in SIZES):
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))
    if not all(row["equal"] == row["killed"] for row in result["kinds"].values()):
        sys.exit("a resumed run differs")


def killed(options: argparse.Namespace) -> dict[str, Any]:
    """Every kind of kill, so often."""
    from qa.record import environment

    moments = random.Random(options.seed)
    PROCESSES.set_forkserver_preload(PRELOADED)
    cpu = environment({})["cpu"]["model"]
    with tempfile.TemporaryDirectory(prefix="decoder-qa-kills-") as name:
        os.chdir(name)  # for good: this script does nothing else
        draw(Path("pictures"), options.units)
        carried_out(command("base", "vae_mini"))
        carried_out(command("undisturbed", "vae_mini_bicubic", "baseline=base"))
        carried_out(command("other", "blurred", "baseline=base"))
        whole = told(Path("undisturbed"), options.units)
        if told(Path("other"), options.units) == whole:
            sys.exit("the comparison does not tell other pictures apart")
        each = options.pool_kills // 2
        pool = ("executor=ray", "executor.address=local", "executor.workers=2")
        kinds = {
            "driver, executor=local": series("one", options.kills, (), False, moments, whole),
            "driver, executor=ray": series("two", each, pool, False, moments, whole),
            "worker, executor=ray": series("three", each, pool, True, moments, whole),
        }
    return {"units": options.units, "kinds": kinds, "cpu": cpu}


def draw(folder: Path, count: int) -> None:
    """`count` different small pictures of coarse and fine structure."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        coarse = generator.integers(0, 256, (SIDE // 8, SIDE // 8, 3)).astype(np.uint8)
        picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        grain = generator.normal(0, 6, (SIDE, SIDE, 3))
        pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"p{index:03d}.png")


def command(out: str, decoder: str, *more: str) -> list[str]:
    """One run as words of the command `qa`."""
    return [
        "run", f"decoder={decoder}", "suite=folder",
        "suite.path=pictures", "suite.name=kills", "seeds=1", "numerics.threads=1",
        "metric=[psnr,ssim]", "report=null", "tracking=none", f"out={out}", *more,
    ]  # fmt: skip


def qa(words: list[str]) -> None:
    """What a process of its own does: the command, with no output but errors."""
    from qa.cli import main as command_line

    with open(os.devnull, "w") as nothing, open("errors.txt", "w") as errors:
        os.dup2(nothing.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        sys.exit(command_line(words))


def started(words: list[str]) -> Any:
    """A run at work."""
    process = PROCESSES.Process(target=qa, args=(words,))
    process.start()
    return process


def ended(process: Any) -> None:
    """Wait for the end of a run; the verdict's exit code is none of our business, an error is."""
    process.join(PATIENCE)
    if process.exitcode in {None, 1, 2}:
        sys.exit(Path("errors.txt").read_text()[-2000:])


def carried_out(words: list[str]) -> None:
    """Run to the end."""
    ended(started(words))


def told(run: Path, units: int) -> dict[str, str]:
    """Digests of what must not depend on how a run went. Exits where a unit is lost or doubled."""
    from qa.store import RunFolder

    folder = RunFolder.open(run)
    table = folder.decoded()
    files = [file for file in run.rglob("*.json") if file.parent.parent.name == "units"]
    if len(table) != units or table.duplicated(["sample", "seed"]).any() or len(files) != units:
        sys.exit(f"{run}: {len(table)} pictures and {len(files)} results of {units} units")
    parts = [run / "verdict.json", *sorted((run / "scores").rglob("*.parquet"))]
    found = {str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest() for p in parts}
    rows = table[COLUMNS].to_csv(index=False)
    return found | {"pictures": hashlib.sha256(rows.encode()).hexdigest()}


def series(
    name: str, count: int, more: tuple[str, ...], worker: bool, moments: random.Random,
    whole: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    """Kill and resume `count` runs; how many were equal, and how far they were."""
    words = command(name, "vae_mini_bicubic", "baseline=base", *more)
    length, equal, done, early, shares = span(words, name), 0, 0, 0, []
    units = sum(1 for _ in Path("pictures").iterdir())
    while done < count:
        shutil.rmtree(name, ignore_errors=True)
        hit, finished = kill(words, name, moments.uniform(0, length), worker)
        if not hit:
            early += 1
            continue
        if not worker:  # without one of its workers a run comes to its end by itself
            carried_out(words)
        same = told(Path(name), units) == whole
        done, equal = done + 1, equal + same
        shares.append(finished / units)
        print(f"{name}: {done} of {count}, killed at {finished} units, {same=}", flush=True)
    return {"killed": done, "equal": equal, "ended before": early, "finished": sorted(shares)}


def span(words: list[str], name: str) -> float:
    """Seconds from the first unit to the end of a run that nobody disturbs."""
    process = started(words)
    first = begun(process, name)
    ended(process)
    return time.monotonic() - first


def begun(process: Any, name: str) -> float:
    """Wait for the first unit; when it was there."""
    limit = time.monotonic() + PATIENCE
    while not any(Path(name, "units").glob("*/*.json")):
        if not process.is_alive() or time.monotonic() > limit:
            sys.exit(f"a run did not begin: {Path('errors.txt').read_text()[-2000:]}")
        time.sleep(0.005)
    return time.monotonic()


def kill(words: list[str], name: str, after: float, worker: bool) -> tuple[bool, int]:
    """Start a run and kill it, or one of its workers, so many seconds after its first unit.

    Whether there was something to kill, and how many units were finished then.
    """
    process = started(words)
    begun(process, name)
    time.sleep(after)
    finished = sum(1 for _ in Path(name, "units").glob("*/*.json"))
    victims = [process.pid] if not worker else seats(process.pid)
    alive = bool(process.is_alive() and victims)
    if alive:
        os.kill(victims[finished % len(victims)], signal.SIGKILL)
    if worker:
        ended(process)
    process.join(PATIENCE)
    return alive, finished


def seats(driver: int) -> list[int]:
    """Processes of the workers of a driver that has a cluster of its own."""
    try:
        children = psutil.Process(driver).children(recursive=True)
        return [c.pid for c in children if "Seat" in " ".join(c.cmdline())]
    except psutil.Error:
        return []


def section(result: dict[str, Any]) -> str:
    """The part of the page about scale that this measurement fills."""
    lines = [
        "## Runs that were killed",
        "",
        f"`python scripts/kill_runs.py`: `qa run` of {result['units']} pictures against a "
        "baseline, killed with SIGKILL at a moment drawn evenly between its first unit and its "
        "end, then resumed by the same command; a killed worker's run goes on by itself first. "
        "Equal: bytes of verdict.json and of all scores, digest and noise of every picture, and no "
        "unit lost or counted twice. A run of another decoder is found to differ.",
        "",
        "| killed | runs | equal | units finished at the kill, least / median / most |",
        "|---|---|---|---|",
    ]
    for kind, row in result["kinds"].items():
        if not row["killed"]:
            continue
        ends = row["finished"]
        least, middle, most = (round(100 * ends[i]) for i in (0, len(ends) // 2, -1))
        lines.append(
            f"| {kind} | {row['killed']} | {row['equal']} | {least} % / {middle} % / {most} % |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
