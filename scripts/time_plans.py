"""Time and memory of plans of ten thousand, a hundred thousand and a million units.

    python scripts/time_plans.py [--pictures 10000 100000 1000000] [--scratch FOLDER]

The decoder and the suite are stubs: nothing is decoded. The units of a run that measured four
metrics of one seed are planted: a file for each, not flushed to the disk one by one as a run does,
and one PNG that all of them name. Then each phase runs in a process of its own, which says how long
it took without its imports and how much memory it had at its peak with all of them. The scratch
folder takes about 6 GB for a million units and is removed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "plans-cpu.json"
SIZES = (10_000, 100_000, 1_000_000)
METRICS = {"psnr": (30.0, 3.0), "ssim": (0.9, 0.03), "gmsd": (0.05, 0.01), "flip": (0.08, 0.02)}
"""Metric → mean, spread between pictures."""
TAGS = ("photo", "drawing", "document", "face", "night")
PICTURE = "images/shared.png"
"""The file that every picture has in common."""
LIMIT = 2e9
"""Bytes that a phase may take."""
PHASES = {
    "plan": "list the samples, check them and make the plan",
    "resume": "find out that all units are there",
    "reduce": "write samples, decoded pictures and scores",
    "again": "the finished run's command again: all of the above",
    "judge": "load run and baseline, judge four metrics",
    "report": "write report.html with the baseline",
    "half": "find out which half of the units is missing",
}
"""Phase → what it does; in the order in which they run."""


class Suite:
    """Samples of drawn names; they share one small reference picture."""

    name = "planned"

    def __init__(self, pictures: int, reference: str) -> None:
        self.pictures, self.reference = pictures, Path(reference)

    def samples(self) -> list[Any]:
        """As a folder lists them: a name, a digest, a tag."""
        from qa.types import Sample

        return [
            Sample(
                f"folder/picture {number:07d}.png",
                self.reference,
                hashlib.sha256(str(number).encode()).hexdigest(),
                tags=(TAGS[number % len(TAGS)],),
            )
            for number in range(self.pictures)
        ]


class Stub:
    """A decoder that is never asked."""

    space = None
    knobs: frozenset[str] = frozenset()
    digest, licence = "stub", "none"

    def decode(self, requests: Sequence[Any]) -> list[Any]:
        """Nothing."""
        raise NotImplementedError


def main() -> None:
    """Measure every size, keep the numbers, print the page's section."""
    from qa.record import environment

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--scratch", help="where the run folders are made (default: temporary)")
    parser.add_argument("--phase", choices=[*PHASES, "plant", "base"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase:
        print(json.dumps(phase(options.phase, options.pictures[0], Path(options.scratch))))
        return
    sizes: dict[str, Any] = {}
    for pictures in options.pictures:
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            sizes[str(pictures)] = measured(pictures, Path(scratch))
        print(json.dumps({pictures: sizes[str(pictures)]}), file=sys.stderr)
    described = environment({})
    versions = {name: described["versions"].get(name) for name in ("torch", "numpy")}
    result = {
        "sizes": sizes, "cpu": described["cpu"], "python": described["python"],
        "versions": versions,
    }  # fmt: skip
    if tuple(options.pictures) == SIZES:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def measured(pictures: int, scratch: Path) -> dict[str, Any]:
    """Phase → seconds and bytes, of one size."""
    found: dict[str, Any] = {}
    for name in ("plan", "plant", "resume", "reduce", "again", "base", "judge", "report", "half"):
        words = [__file__, "--phase", name, "--pictures", str(pictures), "--scratch", str(scratch)]
        paths = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-4000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        print(name, told, file=sys.stderr)
        if name in PHASES:
            found[name] = told
    return found


def phase(name: str, pictures: int, scratch: Path) -> dict[str, float]:
    """Carry out one phase: what it needs first, then what is timed."""
    import torch  # every command of a run imports it

    assert torch.__version__
    steps: dict[str, Callable[[int, Path], Iterator[None]]] = {
        "plan": plan, "plant": plant, "resume": resume, "half": half, "reduce": reduce,
        "again": again, "base": base, "judge": judged, "report": report,
    }  # fmt: skip
    step = steps[name](pictures, scratch)
    next(step)
    start = time.perf_counter()
    for _ in step:
        pass
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "bytes": peak}


def _job(pictures: int, scratch: Path) -> Any:
    from qa.config import compose
    from qa.job import prepare

    conf, reference = scratch / "conf", scratch / "reference.png"
    if not conf.is_dir():
        import numpy as np
        from PIL import Image

        scratch.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(reference)
        parts = {
            "suite": f"suite:\n  _target_: time_plans.Suite\n  pictures: {pictures}\n"
            f"  reference: {json.dumps(str(reference))}\n",
            "decoder": "decoder:\n  _target_: time_plans.Stub\nencoder: null\n",
        }
        for group, text in parts.items():
            (conf / group).mkdir(parents=True)
            (conf / group / "stub.yaml").write_text(f"# @package _global_\n{text}")
    words = [
        "suite=stub", "decoder=stub", f"metric=[{','.join(METRICS)}]", "seeds=1", "baseline=none",
        "tracking=none", "report=null", f"out={scratch / 'run'}", "gate=[regression]",
        "trust=[time_plans]",
    ]  # fmt: skip
    return prepare(compose(words, conf))


def plan(pictures: int, scratch: Path) -> Iterator[None]:
    """List the samples and plan."""
    _job(2, scratch / "small")  # what is imported on the way is not timed
    yield
    job = _job(pictures, scratch)
    assert len(job.plan.units) == pictures


def plant(pictures: int, scratch: Path) -> Iterator[None]:
    """The files of a run whose units are finished."""
    import numpy as np
    from PIL import Image

    from qa.documents import sealed

    yield
    job = _job(pictures, scratch)
    folder, marks = job.folder, job.worker.scorer.marks(job.plan.units[0].sample)
    for begin in range(256):
        folder.unit_file(f"{begin:02x}").parent.mkdir(parents=True)
    shared = folder.path / PICTURE
    shared.parent.mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(shared)
    sizes = {PICTURE: shared.stat().st_size}
    values = np.random.default_rng(0).normal(size=(pictures, len(METRICS)))
    for unit, row in zip(job.plan.units, values.tolist(), strict=True):
        known = {"sample": unit.sample.id, "seed": 0, "why": ""}
        made = {
            "file": PICTURE, "digest": unit.sample.sha256, "clipped": 3, "seconds": 0.25,
            "peak_bytes": None, "note": "", "warm": True, "tokens": None, "noise": None,
        }  # fmt: skip
        scores = [
            {**known, "metric": metric, "value": mean + spread * value}
            for (metric, (mean, spread)), value in zip(METRICS.items(), row, strict=True)
        ]
        told = {
            "unit": unit.id, "decoded": [known | made], "scores": scores, "fingerprints": marks,
            "features": {}, "sizes": sizes,
        }  # fmt: skip
        with open(folder.unit_file(unit.id), "wb") as file:
            file.write(sealed(told))


def resume(pictures: int, scratch: Path) -> Iterator[None]:
    """Look at every unit, as a run that continues does."""
    job = _job(pictures, scratch)
    assert job.worker
    yield
    assert all(job.worker.complete(unit) for unit in job.plan.units)


def half(pictures: int, scratch: Path) -> Iterator[None]:
    """The same where every other unit has no file."""
    job = _job(pictures, scratch)
    for unit in job.plan.units[::2]:
        job.folder.unit_file(unit.id).unlink()
    yield
    left = [unit for unit in job.plan.units if not job.worker.complete(unit)]
    assert len(left) == -(-pictures // 2)


def reduce(pictures: int, scratch: Path) -> Iterator[None]:
    """What follows the last unit."""
    from qa.record import sample_row
    from qa.reduce import reduce

    job = _job(pictures, scratch)
    yield
    job.folder.write_samples(sample_row(unit.sample, 16, 16) for unit in job.plan.units)
    reduce(job.folder, [unit.id for unit in job.plan.units], METRICS)


def again(pictures: int, scratch: Path) -> Iterator[None]:
    """`qa run` of what is finished, but for the verdict."""
    from qa.run import measure

    _job(2, scratch / "small")
    yield
    measure(_job(pictures, scratch))


def base(pictures: int, scratch: Path) -> Iterator[None]:
    """A run of another decoder, with other values."""
    import numpy as np

    from qa.files import digest, write_json
    from qa.store import RunFolder

    yield
    run, other = RunFolder(scratch / "run"), RunFolder(scratch / "base")
    other.path.mkdir()
    for file in (run.config_file, run.samples_file, run.decoded_file, run.sets_file):
        shutil.copyfile(file, other.path / file.name)
    write_json(other.record_file, run.record() | {"plan": digest("base"), "name": "base"})
    rng = np.random.default_rng(1)
    with other.scores_folder.anew() as scores:
        for metric, (_, spread) in METRICS.items():
            table = run.scores_folder.of(metric)
            moved = table["value"] + rng.normal(0, spread / 5, len(table))
            for sample, value in zip(table["sample"], moved, strict=True):
                scores.add(metric, (sample, 0, float(value), ""))


def judged(pictures: int, scratch: Path) -> Iterator[None]:
    """A verdict against the baseline."""
    from qa import judge
    from qa.files import write_json
    from qa.gates.margins import Margin
    from qa.results import load
    from qa.store import RunFolder

    margins = {name: Margin(spread / 10) for name, (_, spread) in METRICS.items()}
    yield
    ours, theirs = load(scratch / "run"), load(scratch / "base")
    verdict = judge.judge(ours, theirs, margins)
    assert verdict["metrics"][0]["count"] == pictures, verdict["problems"]
    write_json(RunFolder(scratch / "run").verdict_file, verdict)


def report(pictures: int, scratch: Path) -> Iterator[None]:
    """The page of the run."""
    from reports import html

    yield
    file = html.write(scratch / "run", scratch / "base")
    assert f"{pictures:,}" in file.read_text(encoding="utf-8") or pictures <= 5000


def section(result: dict[str, Any]) -> str:
    """How the measurement reads in docs/performance.md."""
    sizes = result["sizes"]
    heads = [f"{int(size):,}" for size in sizes]
    worst = max(row["bytes"] for found in sizes.values() for row in found.values())
    kept = "within" if worst <= LIMIT else "above"
    lines = [
        "## Plans of a million units\n",
        f"`python scripts/time_plans.py` → `docs/measurements/{RESULT.name}`: a stub decoder, "
        f"{len(METRICS)} metrics, one seed; finished units are planted, with one PNG for all. "
        "Every phase is a process of its own: seconds without imports, and in brackets seconds for "
        "100,000 units; then the peak of its resident memory with all imports, PyTorch's among "
        f"them. The largest is {worst / 1e9:.2f} GB, {kept} the {LIMIT / 1e9:.0f} GB that are "
        "allowed.\n",
        f"{result['cpu']['model']}, {result['cpu']['count']} threads.\n",
        f"| | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for name, said in PHASES.items():
        cells = [_cell(int(size), found[name]) for size, found in sizes.items()]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(pictures: int, row: dict[str, float]) -> str:
    each = row["seconds"] / pictures * 100_000
    return f"{row['seconds']:.1f} s ({each:.1f}), {row['bytes'] / 1e9:.2f} GB"


if __name__ == "__main__":
    main()
