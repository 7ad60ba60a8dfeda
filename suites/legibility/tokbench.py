"""TokBench (arXiv 2505.18142): its annotations as a suite, and the numbers of its logs.

    python -m suites.legibility.tokbench LOG.json …      every log's numbers, as JSON

An annotation file is a list of pictures with their words:

    [{"file_name": "img_1.jpg", "height": 960, "width": 1280,
      "annotations": [{"rec": "Tiredness", "bbox": [38, 43, 920, 215], "ratio": 0.1}]}]

`bbox` is (x0, y0, x1, y1), end exclusive, or four corners, of which the upright box around them is
taken. A log has, for each method and setting (256, 512, 1024), the words expected and read:

    T-ACC   share of r = e, case included        T-NED   mean of 1 - d / max(len(e), len(r))

of all words, and as the mean of three buckets of `ratio`, the mean width of a character over the
picture's width (not a glyph's height); words below the first edge are in no bucket.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qa.errors import QaError, UsageError
from qa.files import read_json, sha256
from qa.types import Sample, TextRegion
from suites.legibility.words import kind, ned

EDGES: Mapping[str, tuple[float, ...]] = {
    "256": (0.02, 0.03, 0.04, 1),
    "512": (0.01, 0.02, 0.03, 1),
    "1024": (0.005, 0.01, 0.02, 1),
}
"""Buckets of `ratio` for each setting: [first, second), …"""


class TokBench:
    """A suite of the pictures in `images` and the words of `annotations`."""

    def __init__(
        self, annotations: str | Path, images: str | Path, name: str | None = None
    ) -> None:
        self._annotations, self._images = Path(annotations), Path(images)
        self.name = name or self._annotations.stem
        for key, path in (("annotations", self._annotations), ("images", self._images)):
            if not path.exists():
                raise UsageError(
                    f"suite.{key}={path} does not exist.",
                    "TokBench needs its annotation file and the folder of its pictures.",
                    "suite.annotations=FILE.json suite.images=DIR",
                )

    def samples(self) -> Sequence[Sample]:
        """A sample for each picture, sorted by id; one that is not there has a problem."""
        rows = read_json(self._annotations)
        try:
            found = [self._sample(row) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{self._annotations} is no annotation file of TokBench ({error}).",
                "",
                'each entry has "file_name" and "annotations" of "rec" and "bbox"',
            ) from error
        return sorted(found, key=lambda sample: sample.id)

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        name, file = str(row["file_name"]), self._images / str(row["file_name"])
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name!r} leads out of the folder of pictures")
        regions = tuple(
            TextRegion(str(word["rec"]), box(word["bbox"])) for word in row["annotations"]
        )
        words = [{"kind": kind(region.text)} for region in regions]
        problem = None if file.is_file() else f"{name}: the file does not exist"
        digest = None if problem else sha256(file)
        return Sample(name, file, digest, None, regions, problem=problem, asks={"words": words})


def box(given: Sequence[Any]) -> tuple[int, int, int, int]:
    """Two or four corners → (x0, y0, x1, y1), cut to whole pixels, end exclusive.

    ValueError for one without a pixel.
    """
    corners = given if isinstance(given[0], Sequence) else [given[:2], given[2:4]]
    xs, ys = ([int(corner[axis]) for corner in corners] for axis in (0, 1))
    found = min(xs), min(ys), max(xs), max(ys)
    if found[0] == found[2] or found[1] == found[3]:
        raise ValueError(f"the box {list(given)} is empty")
    return found


def scores(log: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A log → its numbers by method and setting, computed from the texts alone."""
    return {
        method: {setting: _scores(part, setting) for setting, part in settings.items()}
        for method, settings in log.items()
    }


def _scores(part: Mapping[str, Any], setting: str) -> dict[str, Any]:
    words = [word for picture in part["details"].values() for word in picture["results"]]
    rows = [
        (word["ratio"], float(word["gt"] == word["pred"]), ned(word["gt"], word["pred"]))
        for word in words
    ]
    edges = EDGES.get(setting.split("_")[-1], (0.0, 1.0))
    buckets = [[row for row in rows if low <= row[0] < high] for low, high in pairwise(edges)]
    found: dict[str, Any] = {"words": len(rows)}
    for place, key in ((1, "accuracy"), (2, "ned")):
        means = [_mean([row[place] for row in bucket]) for bucket in buckets]
        known = [mean for mean in means if mean is not None]
        found[key] = {
            "all": _mean([row[place] for row in rows]),
            "buckets": means,
            "mean of buckets": _mean(known) if len(known) == len(means) else None,
        }
    return found


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _scores_in(file: Path) -> dict[str, dict[str, Any]]:
    """`scores` of a file; UsageError where it is not there or no log."""
    fix = "name a log that TokBench wrote"
    try:
        return scores(read_json(file))
    except QaError as error:
        raise UsageError(error.what, error.why, fix) from error
    except (AttributeError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}."
        raise UsageError(f"{file} is not a log of TokBench.", why, fix) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m suites.legibility.tokbench")
    parser.add_argument("logs", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        found = {file.stem: _scores_in(file) for file in options.logs}
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
