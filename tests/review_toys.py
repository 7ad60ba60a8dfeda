"""A review of toy runs: pictures whose colour tells the arm, real pairs and catch trials."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from qa.record import sample_row
from qa.review import pictures
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
SIZE = 160
"""Of a picture, where nothing else is said."""


def picture(colour: Sequence[int], number: int, size: int, spot: int = 0) -> bytes:
    """A PNG around a colour, with noise of its own, and a square at SPOT that is so much darker."""
    noise = np.random.default_rng(number).integers(-9, 10, (size, size, 1))
    pixels = np.asarray(colour) + noise
    across, down = SPOT
    pixels[down : down + 64, across : across + 64] -= spot
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def made(letter: str, sample: int, size: int) -> bytes:
    """The picture of an arm."""
    return picture(COLOURS[letter], sample, size, spot=10 * (letter == "A"))


def digest(data: bytes) -> str:
    """Of a PNG's values."""
    return pictures.digest(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@cache
def mark(letter: str, sample: int) -> str:
    """Digest of an arm's picture."""
    return digest(made(letter, sample, SIZE))


def arm(folder: Path, letter: str, size: int = SIZE) -> RunFolder:
    """A run folder with one picture of each sample, and its reference; of size 0 without them."""
    run = RunFolder(folder / NAMES[letter])
    rows = []
    for number in range(SAMPLES):
        name = f"sample_{number}"
        if size:
            run.write_picture(run.picture_file(name, 0), made(letter, number, size))
            run.write_picture(run.reference_file(name), picture(GREY, number, size))
        words = (TextRegion("OPEN", (0, 0, 9, 9)), TextRegion("<b>DAILY", (0, 9, 9, 9)))
        rows.append(
            sample_row(Sample(name, prompt=f"a red bicycle {number}", regions=words), size, size)
        )
    run.write_samples(rows)
    return run


def pair(number: int, first: str = "A", second: str = "B", catch: str = "") -> Pair:
    """A pair of one of the samples, of weight 1; of a catch trial the arm is `first`."""
    sample = number % SAMPLES
    second = first if catch else second
    return Pair(
        number=number,
        sample=f"sample_{sample}",
        seed=0,
        first=first,
        second=second,
        digests=(mark(first, sample), mark(second, sample)),
        unit=f"sample_{sample}",
        weight=1.0,
        chosen="catch" if catch else "random",
        catch=catch,
    )


def repainted(registered: Plan, runs: Mapping[str, RunFolder], number: int, **data: bytes) -> Plan:
    """The plan as it were if a pair's arms had other pictures, which are written: letter=PNG."""
    one = registered.pairs[number]
    for letter, png in data.items():
        runs[letter].write_picture(runs[letter].picture_file(one.sample, one.seed), png)
    both = zip((one.first, one.second), one.digests, strict=True)
    marks = [digest(data[letter]) if letter in data else known for letter, known in both]
    pairs = list(registered.pairs)
    pairs[number] = replace(one, digests=(marks[0], marks[1]))
    return replace(registered, pairs=tuple(pairs))


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
    folder: Path, registered: Plan, size: int = SIZE
) -> tuple[RunFolder, Mapping[str, RunFolder], ReviewFolder]:
    """Run, arms by letter, and the folder of the registered review."""
    arms = {one.letter: arm(folder, one.letter, size) for one in registered.arms}
    found = named(arms["A"], "toy")
    found.register(registered)
    return arms["A"], arms, found
