"""The two pictures of a pair as raters get to see them: stored files, or one with a defect planted.

A planted defect is stripes over a part of the picture that nobody overlooks. It measures whether
somebody looks at all, not how good their eyes are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

from PIL import Image

from qa.errors import QaError
from qa.images import inside
from qa.review.plan import DEFECT, Pair, Plan
from qa.store import RunFolder

FIRST, SECOND = "first", "second"
LARGEST = 8192 * 8192
"""Pixels of a picture that is opened: a small file can claim any number."""
PART = 3
"""The defect covers one of PART x PART fields of the picture."""
STRIPES = 8
"""Pairs of stripes in that field."""


def png(plan: Plan, runs: Mapping[str, RunFolder], pair: Pair, which: str) -> bytes:
    """A pair's first or second picture as a PNG; `runs` are the arms' folders by letter.

    QaError for a file that is missing, damaged or too large.
    """
    run = runs[pair.first if which == FIRST else pair.second]
    found = inside(run.path, run.picture_file(pair.sample, pair.seed))
    try:
        if found is None:
            raise FileNotFoundError("there is no such file")
        data = found.read_bytes()
        if which == SECOND and pair.catch == DEFECT:
            return _striped(data, f"{plan.seed}|{pair.number}")
        return data
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        name = f"seed {pair.seed} of {pair.sample!r}"
        raise QaError(
            f"The picture of {name} cannot be shown.",
            f"{error}.",
            f"bring the pictures of {run.path} back, or decode them again",
        ) from error


def _striped(data: bytes, lot: str) -> bytes:
    """The picture with black and white stripes over one field of it, chosen by lot."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
        if opened.width * opened.height > LARGEST:
            raise ValueError(f"it claims {opened.width} x {opened.height} pixels")
        image = opened.convert("RGB")
    width, height = (max(1, side // PART) for side in image.size)
    place = hashlib.blake2b(lot.encode(), digest_size=2).digest()
    left, top = (part % PART * side for part, side in zip(place, (width, height), strict=True))
    high = max(1, height // (2 * STRIPES))
    for row in range(0, height, high):
        colour = (255, 255, 255) if row // high % 2 else (0, 0, 0)
        image.paste(colour, (left, top + row, left + width, top + min(row + high, height)))
    buffer = io.BytesIO()
    image.save(buffer, "png", compress_level=1)
    return buffer.getvalue()
