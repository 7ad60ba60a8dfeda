"""Time the reading of words and keep what was measured.

    python scripts/time_words.py        (a minute or two)

The panel of legibility on drawn pages of every cap height, each against the same page moved by a
pixel, in one thread: every word is cut out and read twice, on the reference and on the picture,
judged and noted. Loading the reader is not part of it. Processor time, which other work on the
machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qa.record import environment
from qa.types import Sample
from suites.legibility.pages import CAPS, Page, draw_page
from suites.legibility.panel import Legibility
from suites.legibility.rapid import RapidOCR

RESULT = Path(__file__).parent.parent / "docs" / "measurements" / "words-cpu.json"
PAGES = 2
"""For each cap height."""
PROMISED = 40
"""Milliseconds a word on one core, at most."""


def main() -> None:
    """Measure, keep the numbers, print the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    reader, described = RapidOCR(), environment({})
    result = {
        "what": f"{PAGES} drawn pages of each cap height against the same pages moved by a pixel, "
        "one thread",
        "reader": reader.label,
        "milliseconds": measure(Legibility(reader), options.rounds),
        "cpu": described["cpu"],
        "python": described["python"],
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(section(result))


def measure(panel: Legibility, rounds: int, caps: Sequence[int] = CAPS) -> dict[str, list[float]]:
    """Cap height → milliseconds a word, read twice, of each round."""
    pages = {cap: [draw_page(cap, number) for number in range(PAGES)] for cap in caps}
    _once(panel, pages[caps[0]])  # once to warm up
    return {str(cap): [_once(panel, drawn) for _ in range(rounds)] for cap, drawn in pages.items()}


def section(result: dict) -> str:
    """The part of docs/performance.md for a result of `main`."""
    times = result["milliseconds"]
    rows = "\n".join(
        f"| {cap} | {statistics.median(found):.0f} [{min(found):.0f}, {max(found):.0f}] | "
        f"{statistics.median(found) / 2:.0f} |"
        for cap, found in times.items()
    )
    most = max(statistics.median(found) for found in times.values())
    kept = "within" if most <= PROMISED else "above"
    rounds = len(next(iter(times.values())))
    return f"""## Reading words on a CPU

`python scripts/time_words.py` → `docs/measurements/{RESULT.name}`: {result["what"]}.
{result["cpu"]["model"]}, {result["reader"]}.

A word is read twice, on the reference and on the picture, in at most {most:.0f} ms of one core's \
time: {kept} the
{PROMISED} that are promised.

| cap height, px | ms a word, median [least, most] of {rounds} | ms a reading |
|---|---|---|
{rows}
"""


def _once(panel: Legibility, pages: Sequence[Page]) -> float:
    """Milliseconds of processor time a word."""
    start = time.process_time()
    for page in pages:
        moved = np.roll(page.image, 1, axis=1)
        panel(Sample("page", regions=page.texts), _picture(moved)[None], _picture(page.image))
    return 1000 * (time.process_time() - start) / sum(len(page.texts) for page in pages)


def _picture(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


if __name__ == "__main__":
    main()
