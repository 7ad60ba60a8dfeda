"""A review of toy runs: pictures whose colour tells the arm, real pairs and catch trials."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from qa.record import sample_row
from qa.review.plan import (
    ANYTIME,
    DEFECT,
    IDENTICAL,
    Arm,
    Pair,
    Plan,
    Question,
    ReviewFolder,
    named,
)
from qa.store import RunFolder
from qa.types import Sample, TextRegion

NAMES = {"A": "zanzibar_run", "B": "yellowknife_base", "C": "xanadu_base"}
"""Names of the arms, which no page may show."""
COLOURS = {"A": (200, 60, 60), "B": (60, 60, 200), "C": (60, 200, 60)}
GREY = (128, 128, 128)
"""Of the references."""
SPOT = (24, 40)
"""Where arms differ most: across and down, the start of 64x64 pixels."""
SAMPLES = 8


def picture(colour: Sequence[int], number: int, size: int, spot: int = 0) -> bytes:
    """A PNG around a colour, with noise of its own, and a square at SPOT that is so much darker."""
    noise = np.random.default_rng(number).integers(-9, 10, (size, size, 1))
    pixels = np.asarray(colour) + noise
    across, down = SPOT
    pixels[down : down + 64, across : across + 64] -= spot
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def arm(folder: Path, letter: str, size: int = 160) -> RunFolder:
    """A run folder with one picture of each sample, and its reference; of size 0 without them."""
    run = RunFolder(folder / NAMES[letter])
    rows = []
    for number in range(SAMPLES):
        name = f"sample_{number}"
        if size:
            made = picture(COLOURS[letter], number, size, spot=10 * (letter == "A"))
            run.write_picture(run.picture_file(name, 0), made)
            run.write_picture(run.reference_file(name), picture(GREY, number, size))
        words = (TextRegion("OPEN", (0, 0, 9, 9)), TextRegion("<b>DAILY", (0, 9, 9, 9)))
        rows.append(
            sample_row(Sample(name, prompt=f"a red bicycle {number}", regions=words), size, size)
        )
    run.write_samples(rows)
    return run


def pair(number: int, first: str = "A", second: str = "B", catch: str = "") -> Pair:
    """A pair of one of the samples, of weight 1; of a catch trial the arm is `first`."""
    same = catch != ""
    return Pair(
        number=number,
        sample=f"sample_{number % SAMPLES}",
        seed=0,
        first=first,
        second=first if same else second,
        digests=("1" * 64, ("1" if same else "2") * 64),
        unit=f"sample_{number % SAMPLES}",
        weight=1.0,
        chosen="catch" if same else "random",
        catch=catch,
    )


def plan(pairs: Sequence[Pair], letters: str = "AB", **changes: object) -> Plan:
    """A plan over these pairs, drawn at random alone, each once."""
    known: dict[str, object] = {
        "question": Question("overall", "Which picture is better?"),
        "arms": tuple(Arm(letter, NAMES[letter], letter * 64) for letter in letters),
        "margin": 0.1, "margin_why": "visible", "confidence": 0.95, "rule": ANYTIME, "raters": 1,
        "lapses": 0.1, "shares": {"harm": 0.0, "margin": 0.0, "random": 1.0}, "seed": 7,
        "pictures": SAMPLES, "left_out": {}, "pairs": tuple(pairs),
        "draws": tuple(one.number for one in pairs if not one.catch),
    }  # fmt: skip
    return Plan(**known | changes)  # type: ignore[arg-type]


def mixed(count: int) -> list[Pair]:
    """Pairs of which every fifth is a catch trial, of both kinds in turn."""
    kinds = {4: IDENTICAL, 9: DEFECT}
    return [pair(number, catch=kinds.get(number % 10, "")) for number in range(count)]


def review(
    folder: Path, registered: Plan, size: int = 160
) -> tuple[RunFolder, Mapping[str, RunFolder], ReviewFolder]:
    """Run, arms by letter, and the folder of the registered review."""
    arms = {one.letter: arm(folder, one.letter, size) for one in registered.arms}
    found = named(arms["A"], "toy")
    found.register(registered)
    return arms["A"], arms, found
