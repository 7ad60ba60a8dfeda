"""The two pictures of a pair as raters get to see them: stored files, or one with a defect planted.

A picture is shown only if its values are those that were registered: an answer is about them. A
planted defect is stripes over a part of the picture that nobody overlooks. It measures whether
somebody looks at all, not how good their eyes are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qa.errors import QaError
from qa.images import inside
from qa.review.plan import DEFECT, Pair, Plan
from qa.store import RunFolder

Levels = NDArray[np.uint8]
"""Of a picture, [H,W,3]."""
FIRST, SECOND = "first", "second"
LARGEST = 8192 * 8192
"""Pixels of a picture that is opened: a small file can claim any number."""
PART = 3
"""The defect covers one of PART x PART fields of the picture."""
STRIPES = 8
"""Pairs of stripes in that field."""


def png(plan: Plan, runs: Mapping[str, RunFolder], pair: Pair, which: str) -> bytes:
    """A pair's first or second picture as a PNG; `runs` are the arms' folders by letter.

    QaError for a file that is missing, damaged or too large, or is not the picture of the plan.
    """
    data, stored = _registered(runs, pair, which)
    if not _planted(pair, which):
        return data
    buffer = io.BytesIO()
    Image.fromarray(_striped(plan, pair, stored)).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def levels(plan: Plan, runs: Mapping[str, RunFolder], pair: Pair, which: str) -> Levels:
    """The values of what `png` gives, uint8 [H,W,3]. QaError as there."""
    _, stored = _registered(runs, pair, which)
    return _striped(plan, pair, stored) if _planted(pair, which) else stored


def reference(plan: Plan, runs: Mapping[str, RunFolder], pair: Pair) -> Levels:
    """The reference of a pair's sample, uint8 [H,W,3]. QaError for a file that cannot be shown."""
    run = runs[plan.arms[0].letter]
    name = f"reference of {pair.sample!r}"
    return _opened(run, run.reference_file(pair.sample), name)[1]


def missing(plan: Plan, runs: Mapping[str, RunFolder]) -> list[Path]:
    """The files that raters are to see and that are not there, in the order of the plan."""
    own, files = runs[plan.arms[0].letter], dict[Path, RunFolder]()
    for pair in plan.asked:
        for run in (runs[pair.first], runs[pair.second]):
            files[run.picture_file(pair.sample, pair.seed)] = run
        if "reference" in plan.question.shows:
            files[own.reference_file(pair.sample)] = own
    return [file for file, run in files.items() if inside(run.path, file) is None]


def digest(values: Levels) -> str:
    """What `qa.images.digest` gives for a picture [H,W,3]; without torch, which no page loads."""
    planes = values.transpose(2, 0, 1)
    shape = "x".join(map(str, planes.shape))
    return hashlib.sha256(shape.encode() + planes.tobytes()).hexdigest()


def _planted(pair: Pair, which: str) -> bool:
    return which == SECOND and pair.catch == DEFECT


def _registered(runs: Mapping[str, RunFolder], pair: Pair, which: str) -> tuple[bytes, Levels]:
    """A pair's picture as it is stored: PNG and values, which are those of the plan."""
    place = (FIRST, SECOND).index(which)
    run = runs[(pair.first, pair.second)[place]]
    name = f"picture of seed {pair.seed} of {pair.sample!r}"
    data, values = _opened(run, run.picture_file(pair.sample, pair.seed), name)
    if digest(values) != pair.digests[place]:
        raise QaError(
            f"The {name} in {run.path} is not the picture that was registered.",
            "Answers to it would be about another picture than the plan's.",
            f"bring the pictures of {run.path} back, or begin another review: name=NAME",
        )
    return data, values


def _opened(run: RunFolder, file: Path, name: str) -> tuple[bytes, Levels]:
    """A picture of a run: its PNG and values. QaError that names it if it cannot be shown."""
    found = inside(run.path, file)
    try:
        if found is None:
            raise FileNotFoundError("there is no such file")
        data = found.read_bytes()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            if opened.width * opened.height > LARGEST:
                raise ValueError(f"it claims {opened.width} x {opened.height} pixels")
            return data, np.array(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise QaError(
            f"The {name} cannot be shown.",
            f"{error}.",
            f"bring the pictures of {run.path} back, or decode them again",
        ) from error


def _striped(plan: Plan, pair: Pair, values: Levels) -> Levels:
    """The picture with black and white stripes over one field of it, chosen by lot."""
    found = values.copy()
    height, width = (max(1, side // PART) for side in values.shape[:2])
    lot = f"{plan.seed}|{pair.number}".encode()
    place = hashlib.blake2b(lot, digest_size=2).digest()
    left, top = (part % PART * side for part, side in zip(place, (width, height), strict=True))
    high = max(1, height // (2 * STRIPES))
    for row in range(0, height, high):
        end = top + min(row + high, height)
        found[top + row : end, left : left + width] = 255 if row // high % 2 else 0
    return found
