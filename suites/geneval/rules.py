"""GenEval's rules: what was detected in a picture → correct or not, and why not. Pure NumPy.

Of each class those detections count whose score is above 0.3 (0.9, for every class, where the tag
is `counting`), most confident first, at most 16. Then each clause of a prompt's row is asked:

    object    the n most confident of the class exist
    colour    n of these n have the colour; a further, rightly coloured one does not help
    position  every pair (one of these, one of the target's) stands in the relation
    exclude   fewer than n of the class were detected

A picture is correct if all hold. For the position of box A relative to B, with centres c and sizes
d, along each axis:

    o = c_A - c_B      r = sign(o) max(|o| - 0.1 (d_A + d_B), 0)      (dx, dy) = r / ‖o‖

    left of: dx < -1/2    right of: dx > 1/2    above: dy < -1/2    below: dy > 1/2

and none where both |r| < 0.001. Two relations can hold at once. ‖o‖ is of the offset before the
dead zone was taken off, so boxes side by side are apart where |o| > 0.2 (d_A + d_B).

These are the rules of github.com/djghosh13/geneval at af4902f2 with their quirks: every comparison
is strict, in the precision of the given boxes; the limit of 16 comes before overlaps are looked at;
overlaps are not looked at where `max_overlap` is 1, as it is; their area counts pixels inclusively;
a clause gives one reason; of equal scores the later detection comes first.

    python -m suites.geneval.rules FILE.jsonl

judges lines {"metadata": {…}, "detections": {class: [[x1,y1,x2,y2,score], …]}, "colors": {class:
[colour of each detection, …]}}: a line {"correct", "reason"} for each, then the scores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qa.errors import QaError, UsageError
from suites.geneval.detector import COLOURS
from suites.geneval.rows import RELATIONS, Boxes, Line, line_of
from suites.geneval.score import Result, scores

ColoursOf = Callable[[str, Sequence[int]], Sequence[str]]
"""(class, places in its boxes) → the colour of each; asked only where a colour decides."""
TOUCHING = 1e-3
"""Pixels left of an offset below which there is no relation."""
FORM = (
    '{"metadata": {…}, "detections": {class: [[x1,y1,x2,y2,score], …]}, '
    '"colors": {class: [colour, …]}}'
)


@dataclass(frozen=True)
class Options:
    """What the original lets its user set, with its defaults."""

    threshold: float = 0.3
    counting_threshold: float = 0.9
    max_objects: int = 16
    """Of one class in one picture."""
    max_overlap: float = 1.0
    """IoU from which the less confident of two goes; 1 keeps both."""
    position_threshold: float = 0.1


DEFAULTS = Options()


@dataclass(frozen=True)
class Judgement:
    """Of one picture."""

    correct: bool
    reason: str
    """A line for each clause that does not hold, or ""."""
    details: dict[str, list[list[float]]]
    """Class → the boxes that counted, most confident first."""


@dataclass(frozen=True)
class _Seen:
    """The detections of one picture that count."""

    boxes: Mapping[str, Boxes]
    places: Mapping[str, list[int]]
    """Class → places in `boxes`, most confident first."""
    colours: ColoursOf
    options: Options

    def top(self, clause: Mapping[str, Any]) -> list[int]:
        """Places of the most confident objects that an include clause is about."""
        return self.places.get(clause["class"], [])[: clause["count"]]


def judge(
    row: Mapping[str, Any],
    boxes: Mapping[str, Boxes],
    colours: ColoursOf,
    options: Options = DEFAULTS,
) -> Judgement:
    """Judge a picture by a row of the prompt file (`suites.geneval.rows`); boxes in any order."""
    counting = row["tag"] == "counting"
    threshold = options.counting_threshold if counting else options.threshold
    kept = {cls: _kept(found, threshold, options) for cls, found in boxes.items()}
    seen = _Seen(boxes, {cls: places for cls, places in kept.items() if places}, colours, options)
    reasons: list[str] = []
    targets: list[Boxes | None] = []
    for clause in row["include"]:
        fault = _fault(clause, seen, targets)
        reasons += [fault] if fault else []
        targets.append(None if fault else boxes[clause["class"]][seen.top(clause)])
    for clause in row.get("exclude", ()):
        cls, count = clause["class"], clause["count"]
        found = len(seen.places.get(cls, ()))
        if found >= count:
            reasons.append(f"expected {cls}<{count}, found {found}")
    details = {cls: boxes[cls][places].tolist() for cls, places in seen.places.items()}
    return Judgement(not reasons, "\n".join(reasons), details)


def relations(a: Boxes, b: Boxes, threshold: float = DEFAULTS.position_threshold) -> set[str]:
    """Where box `a` (x1, y1, x2, y2, …) is relative to `b`."""
    corners_a, corners_b = (np.asarray(box)[:4].reshape(2, 2) for box in (a, b))
    offset = corners_a.mean(axis=0) - corners_b.mean(axis=0)
    sizes = abs(corners_a[1] - corners_a[0]) + abs(corners_b[1] - corners_b[0])
    rest = np.sign(offset) * np.maximum(abs(offset) - threshold * sizes, 0)
    if (abs(rest) < TOUCHING).all():
        return set()
    dx, dy = rest / np.linalg.norm(offset)
    holds = (dx < -0.5, dx > 0.5, dy < -0.5, dy > 0.5)
    return {name for name, true in zip(RELATIONS, holds, strict=True) if true}


def iou(a: Boxes, b: Boxes) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2, …), both ends inclusive."""
    both = np.stack([np.asarray(box)[:4] for box in (a, b)])
    shared = _area(np.concatenate([both[:, :2].max(axis=0), both[:, 2:].min(axis=0)]))
    union = _area(both[0]) + _area(both[1]) - shared
    return shared / union if union else 0.0


def _kept(found: Boxes, threshold: float, options: Options) -> list[int]:
    """Places of the detections of one class that count, most confident first."""
    scores, least = found[:, 4].tolist(), float(found.dtype.type(threshold))
    above = [place for place in reversed(range(len(scores))) if scores[place] > least]
    order = sorted(above, key=lambda place: -scores[place])[: options.max_objects]
    if options.max_overlap == 1:
        return order
    kept: list[int] = []
    for place in order:
        if all(iou(found[other], found[place]) < options.max_overlap for other in kept):
            kept.append(place)
    return kept


def _fault(clause: Mapping[str, Any], seen: _Seen, targets: Sequence[Boxes | None]) -> str:
    """Why an include clause does not hold, or ""; `targets` are objects of earlier clauses."""
    cls, count, top = clause["class"], clause["count"], seen.top(clause)
    if len(top) < count:
        return f"expected {cls}>={count}, found {len(top)}"
    if "color" in clause:
        wanted, found = clause["color"], list(seen.colours(cls, top))
        if found.count(wanted) < count:
            listed = ", ".join(f"{found.count(c)} {c}" for c in COLOURS if c in found)
            held = f"{found.count(wanted)} {wanted}"
            return f"expected {wanted} {cls}>={count}, found {held}; and {listed}"
    if "position" not in clause:
        return ""
    wanted, target = clause["position"][0], targets[clause["position"][1]]
    if target is None:
        return f"no target for {cls} to be {wanted}"
    for box in seen.boxes[cls][top]:
        for other in target:
            held = relations(box, other, seen.options.position_threshold)
            if wanted not in held:
                # The original joins a set, so its order is arbitrary.
                return f"expected {cls} {wanted} target, found {' and '.join(sorted(held))} target"
    return ""


def _area(box: Boxes) -> float:
    x1, y1, x2, y2 = map(float, box)
    return max(x2 - x1 + 1, 0) * max(y2 - y1 + 1, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a file of detections; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.geneval.rules", description="Judge detections by GenEval's rules."
    )
    parser.add_argument("file", type=Path, help="JSON lines: metadata, detections, colors")
    try:
        judged = list(_judged(parser.parse_args(arguments).file))
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    results = [Result(row["tag"], row.get("prompt", ""), made.correct) for row, made in judged]
    summary = scores(results)
    for _, judgement in judged:
        print(json.dumps({"correct": judgement.correct, "reason": judgement.reason}))
    print(json.dumps(summary))
    return 0


def _judged(file: Path) -> Iterator[tuple[dict[str, Any], Judgement]]:
    """Row and judgement of every line; UsageError, naming line and field, for the first misfit."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {file}.", f"{error}.", "check the path") from error
    written = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not written:
        raise UsageError(f"{file} holds no line to judge.", "", f"write {FORM}")
    for number, line in written:
        try:
            yield _judge_line(line_of(json.loads(line)))
        except (ValueError, RecursionError) as error:
            why = str(error).removesuffix(".")
            raise UsageError(
                f"{file}, line {number} cannot be judged: {why}.", "", f"write {FORM}"
            ) from error


def _judge_line(line: Line) -> tuple[dict[str, Any], Judgement]:
    def colours_of(cls: str, places: Sequence[int]) -> list[str]:
        if cls not in line.colours:
            raise ValueError(f"colors has nothing for {cls!r}, whose colour decides")
        return [line.colours[cls][place] for place in places]

    return line.row, judge(line.row, line.boxes, colours_of)


if __name__ == "__main__":
    sys.exit(main())
