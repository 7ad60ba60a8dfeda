"""Time what suites add to a run beside their networks, on one core.

    QA_ASSETS=DIR OMP_NUM_THREADS=1 python scripts/time_suites.py [--rounds 5]

GenEval's rules on all 553 official prompts with four pictures each. Detections are made from the
prompts, half of them with a fault, and among a crowd of others (a hundred boxes of other classes in
every picture, as many as a detector gives): as a function, and as `python -m suites.geneval.rules`
with start, reading and writing. Values are checked before any time counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "suites-cpu.json"
PICTURES = 4
CROWD = 100

Case = tuple[Mapping[str, Any], dict[str, list[list[float]]], dict[str, list[str]], bool]
"""A picture: its row, boxes and colours by class, and whether it is correct."""


def main() -> None:
    """Measure, keep the numbers, print the page's section."""
    from qa.record import environment

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    described = environment({})
    result = {
        "geneval": geneval(pictures(rows()), options.rounds),
        "cpu": described["cpu"],
        "python": described["python"],
        "versions": {"numpy": described["versions"]["numpy"]},
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def rows() -> tuple[dict[str, Any], ...]:
    """The official prompts."""
    from suites.geneval.prompts import read

    return read("official").rows


def pictures(asked: tuple[dict[str, Any], ...]) -> list[Case]:
    """Four pictures of each row, two of them with a fault."""
    # Behind the packages: folders of the same names lie in tests/.
    sys.path += [str(ROOT), str(ROOT / "tests")]
    from geneval_oracle import seen

    made: list[Case] = []
    for number, row in enumerate(asked):
        for take in range(PICTURES):
            boxes, colours = seen(row, fault=take >= PICTURES // 2)
            asked_for = {clause["class"] for clause in row["include"]}
            around = crowd(asked_for, PICTURES * number + take)
            lists = {cls: found.astype(float).tolist() for cls, found in boxes.items()}
            made.append((row, lists | around, colours, take < PICTURES // 2))
    return made


def crowd(asked_for: set[str], seed: int) -> dict[str, list[list[float]]]:
    """Boxes of classes that nobody asked for."""
    from suites.geneval.detector import CLASSES

    rng = np.random.default_rng(seed)
    others = [cls for cls in CLASSES if cls not in asked_for]
    found: dict[str, list[list[float]]] = {}
    for place in rng.integers(len(others), size=CROWD):
        x, y, width, height, score = rng.random(5)
        box = [1000 * x, 1000 * y, 1000 * (x + width), 1000 * (y + height), score]
        found.setdefault(others[place], []).append(list(map(float, box)))
    return found


def geneval(made: list[Case], rounds: int) -> dict[str, Any]:
    """Seconds of both ways for all pictures, round by round."""
    expected = [right for *_, right in made]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.jsonl"
        file.write_text("".join(map(_line, made)))
        ways: dict[str, Callable[[], list[bool]]] = {
            "rules": partial(by_rules, made),
            "command": partial(by_command, file),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                found = way()
                seconds[name].append(time.perf_counter() - start)
                if found != expected:
                    raise SystemExit(f"{name}: a picture was judged wrongly; no time is kept")
    return {"prompts": len(made) // PICTURES, "pictures": len(made), "crowd": CROWD,
            "seconds": seconds}  # fmt: skip


def by_rules(made: list[Case]) -> list[bool]:
    """Every picture judged in this process."""
    from suites.geneval.rules import judge

    return [_judged(judge, case) for case in made]


def by_command(file: Path) -> list[bool]:
    """The same by the command."""
    done = subprocess.run(
        [sys.executable, "-m", "suites.geneval.rules", str(file)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [json.loads(line)["correct"] for line in done.stdout.splitlines()[:-1]]


def section(result: dict[str, Any]) -> str:
    """The part of docs/performance.md for a result of `main`."""
    told = result["geneval"]
    each = 1e3 / told["pictures"]
    lines = "\n".join(
        f"| {name} | {_spread(seconds)} | {each * statistics.median(seconds):.2f} |"
        for name, seconds in told["seconds"].items()
    )
    return f"""## GenEval's rules on a CPU

`OMP_NUM_THREADS=1 python scripts/time_suites.py` → `docs/measurements/{RESULT.name}`: \
{told["prompts"]} prompts, {told["pictures"]} pictures,
{told["crowd"]} boxes of other classes in each, no detector; `command` with start, reading and
writing. Every picture is judged rightly. {result["cpu"]["model"]}, numpy \
{result["versions"]["numpy"]}. Medians and, in brackets, the
smallest and largest of {len(told["seconds"]["rules"])} rounds.

| | seconds | ms for a picture |
|---|---|---|
{lines}
"""


def _judged(judge: Callable[..., Any], case: Case) -> bool:
    row, boxes, colours, _ = case
    arrays = {cls: np.array(found) for cls, found in boxes.items()}
    named = lambda cls, places: [colours[cls][place] for place in places]  # noqa: E731
    return bool(judge(row, arrays, named).correct)


def _line(case: Case) -> str:
    row, boxes, colours, _ = case
    return json.dumps({"metadata": row, "detections": boxes, "colors": colours}) + "\n"


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} [{min(seconds):.2f}, {max(seconds):.2f}]"


if __name__ == "__main__":
    main()
