"""A contact sheet: up to twelve of a run's worst pictures as reference | candidate, one PNG.

Which pictures: first the failures and the worst of every gate in turn (failed gates first), then
the worst of every metric in turn. Pictures are shown whole, shrunk to a tile if they are larger.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.images import inside
from qa.store import RunFolder
from qa.tracking.verdicts import SEVERITY

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

PICTURES = 12
COLUMNS = 3
TILE = 256
"""Side of a tile in pixels."""
LABEL = 18
GAP = 8
PAPER, INK, EMPTY = (255, 255, 255), (20, 20, 20), (225, 225, 225)


def contact_sheet(folder: RunFolder, pictures: int = PICTURES) -> bytes | None:
    """PNG of a run's worst pictures, or None for a run without any picture."""
    from PIL import Image, ImageDraw

    decoded = folder.decoded(("sample", "file"))
    samples = worst_samples(folder.verdict(), folder.scores_folder.of, pictures)
    if not samples or not decoded["file"].notna().any():
        return None
    rows = -(-len(samples) // COLUMNS)
    width, height = 2 * TILE + GAP, TILE + LABEL + GAP
    columns = min(COLUMNS, len(samples))
    canvas = Image.new("RGB", (columns * width + GAP, rows * height + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    for place, sample in enumerate(samples):
        x = GAP + place % COLUMNS * width
        y = GAP + place // COLUMNS * height
        # The built-in fallback font of Pillow knows ASCII only.
        label = sample.encode("ascii", "replace").decode()[-80:]
        draw.text((x, y), label, fill=INK)
        candidate = _candidate_file(folder, decoded, sample)
        for side, file in enumerate((folder.reference_file(sample), candidate)):
            found = None if file is None else inside(folder.path, file)
            _paste(canvas, _open(found), (x + side * TILE, y + LABEL))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def worst_samples(
    verdict: dict[str, Any], scores: Callable[[str], pd.DataFrame], count: int
) -> list[str]:
    """Ids of at most `count` samples, worst first; `scores` gives those of one metric."""
    gates = sorted(
        verdict.get("gates") or [],
        key=lambda gate: SEVERITY.index(gate["state"]) if gate["state"] in SEVERITY else 0,
    )
    failed = [row["sample"] for row in verdict.get("failures") or []]
    judged = [[row["sample"] for row in gate.get("worst") or []] for gate in gates]
    measured = [
        _ranked(scores(row["metric"]), row["better"], count)
        for row in verdict.get("metrics") or []
        if row.get("better") in ("higher", "lower")
    ]
    order = chain(_in_turn([failed, *judged]), _in_turn(measured))
    return list(dict.fromkeys(order))[:count]


def _ranked(scores: pd.DataFrame, better: str, count: int) -> list[str]:
    """The worst `count` samples that have a value of the metric, averaged over seeds."""
    found = scores[scores["value"].notna()]
    means = found.groupby("sample")["value"].mean().sort_index()
    ranked = means.sort_values(ascending=better == "higher", kind="stable")
    return [str(sample) for sample in ranked.index[:count]]


def _in_turn(lists: Iterable[Sequence[str]]) -> list[str]:
    """The first of each list, then the second of each, and so on."""
    return [item for turn in zip_longest(*lists) for item in turn if item is not None]


def _candidate_file(folder: RunFolder, decoded: pd.DataFrame, sample: str) -> Path | None:
    rows = decoded[(decoded["sample"] == sample) & decoded["file"].notna()]
    return folder.path / str(rows.iloc[0]["file"]) if len(rows) else None


def _open(file: Path | None) -> Image.Image | None:
    """A tile's picture, or None where the file is missing or damaged."""
    from PIL import Image

    if file is None:
        return None
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            shown = picture.convert("RGB")
    except (
        OSError, SyntaxError, ValueError, Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):  # fmt: skip
        return None
    shown.thumbnail((TILE, TILE), Image.Resampling.LANCZOS)
    return shown


def _paste(canvas: Image.Image, picture: Image.Image | None, corner: tuple[int, int]) -> None:
    from PIL import ImageDraw

    x, y = corner
    if picture is not None:
        canvas.paste(picture, (x + (TILE - picture.width) // 2, y))
        return
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((x, y, x + TILE - 1, y + TILE - 1), fill=EMPTY)
    draw.text((x + TILE // 2 - 30, y + TILE // 2), "no picture", fill=INK)
