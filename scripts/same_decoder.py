"""A/A: judge a decoder against itself, with other seeds, and count false alarms.

    python scripts/same_decoder.py [--suites 200]        (five minutes on two cores)

vae_mini decodes drawn pictures whose latents carry noise (sigma 0.2), in a real run of eight seeds.
Each suite takes 50 of the pictures, and for each of them four of its seeds as the candidate and the
other four as the baseline, at random: nothing differs, so every FAIL is false. Noise belongs to a
picture and seed, so seeds of different pictures may be split independently. The margin is next to
nothing: then "worse" and FAIL are the same, and their share has to be the gates' 5 %.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa.gates.margins import Margin
from qa.judge import judge
from qa.results import Results
from qa.stats import clopper_pearson

RESULT = Path(__file__).parent.parent / "docs" / "measurements" / "same-decoder.json"
SEEDS, SIGMA, POOL, PICTURES = 8, 0.2, 240, 50
METRICS = ("psnr", "ssim", "gmsd")
SIDE = 96
TINY = 1e-9


def main() -> None:
    """Measure, keep the counts, print the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scores = decoded(Path(folder), POOL)
    result = {
        "suites": options.suites, "pool": POOL, "pictures": PICTURES, "seeds": SEEDS // 2,
        "sigma": SIGMA, "false": false_alarms(scores, options.suites),
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def decoded(work: Path, pool: int) -> pd.DataFrame:
    """Scores of a real run on `pool` drawn pictures."""
    from PIL import Image

    from qa import drawings
    from qa.run import evaluate

    kinds = ("page", "sign", "chart", "shapes", "texture")
    (work / "pictures").mkdir()
    for index in range(pool):
        drawn = drawings.draw(kinds[index % len(kinds)], drawings.EVALUATION_SEEDS + 1000 + index)
        cut = drawn.image[80 : 80 + SIDE, 80 : 80 + SIDE]
        Image.fromarray(cut).save(work / "pictures" / f"{index:04d}.png")
    run = evaluate(
        "decoder=vae_mini", "suite=folder", f"suite.path={work / 'pictures'}", f"seeds={SEEDS}",
        f"knobs.sigma={SIGMA}", f"metric=[{','.join(METRICS)}]", "baseline=none", "tracking=none",
        "report=null", "device=cpu", f"out={work / 'run'}",
    )  # fmt: skip
    return run.scores


def false_alarms(scores: pd.DataFrame, suites: int) -> dict[str, int]:
    """Metric → suites that FAIL."""
    rng = np.random.default_rng(0)
    samples = scores["sample"].unique()
    found = dict.fromkeys(METRICS, 0)
    for _ in range(suites):
        chosen = rng.choice(samples, PICTURES, replace=False)
        halves = {name: rng.permutation(SEEDS) for name in chosen}
        arms = [_arm(scores, halves, part) for part in (0, 1)]
        for metric in METRICS:
            state = judge(*arms, {metric: Margin(TINY)})["state"]
            found[metric] += state == "FAIL"
    return found


def _arm(scores: pd.DataFrame, halves: dict[str, np.ndarray], part: int) -> Results:
    """Half of each picture's seeds, numbered from 0."""
    size = SEEDS // 2
    place = {
        (name, int(seed)): index
        for name, order in halves.items()
        for index, seed in enumerate(order[part * size : (part + 1) * size])
    }
    keys = list(zip(scores["sample"], scores["seed"].astype(int), strict=True))
    kept = scores[[key in place for key in keys]].copy()
    kept["seed"] = [place[key] for key in keys if key in place]
    return Results(("candidate", "baseline")[part], kept, {}, {})


def section(result: dict[str, Any]) -> str:
    """The page's section."""
    suites = result["suites"]
    lines = []
    for metric, false in result["false"].items():
        low, high = clopper_pearson(false, suites, 0.95)
        share = f"{100 * false / suites:.1f}"
        lines.append(f"| {metric} | {false} | {share} | {100 * low:.1f} to {100 * high:.1f} |")
    table = "\n".join(lines)
    return f"""## A decoder against itself

`python scripts/same_decoder.py` → `docs/measurements/same-decoder.json`: vae_mini at sigma
{result["sigma"]}, {suites} suites of {result["pictures"]} from {result["pool"]} pictures, and of
each of them {result["seeds"]} seeds against {result["seeds"]} others, drawn at random.

| metric | FAIL | % | 95 % interval (Clopper and Pearson) |
|---|---|---|---|
{table}
"""


if __name__ == "__main__":
    main()
