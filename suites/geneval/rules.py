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
from numpy.typing import NDArray

from qa.errors import QaError, UsageError
from suites.geneval.detector import COLOURS
from suites.geneval.score import Result, scores

Boxes = NDArray[np.floating]
"""[k,5]: x1, y1, x2, y2, score"""
ColoursOf = Callable[[str, Sequence[int]], Sequence[str]]
"""(class, places in its boxes) → the colour of each; asked only where a colour decides."""
RELATIONS = ("left of", "right of", "above", "below")
TOUCHING = 1e-3
"""Pixels left of an offset below which there is no relation."""


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
    """Judge a picture by a row of the prompt file (`check_row`); boxes in any order."""
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


def check_row(row: Any) -> None:
    """ValueError, with the reason, for what is no row of a prompt file."""
    if not isinstance(row, dict) or not isinstance(row.get("tag"), str):
        raise ValueError("a row is an object with a tag")
    if not isinstance(row.get("include"), list) or not isinstance(row.get("exclude", []), list):
        raise ValueError("include is a list of clauses, and so is exclude")
    for place, clause in enumerate(row["include"]):
        _check_clause(clause)
        if not isinstance(clause.get("color", ""), str):
            raise ValueError(f"{clause['color']!r} is no colour")
        if "position" in clause:
            _check_position(clause["position"], place)
    for clause in row.get("exclude", []):
        _check_clause(clause)


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


def _check_clause(clause: Any) -> None:
    if not isinstance(clause, dict) or not isinstance(clause.get("class"), str):
        raise ValueError("a clause is an object with a class")
    count = clause.get("count")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"the count of {clause['class']} is {count!r}, not a whole number from 1")


def _check_position(position: Any, place: int) -> None:
    if not isinstance(position, list) or len(position) != 2 or position[0] not in RELATIONS:
        raise ValueError(f"a position is [one of {', '.join(RELATIONS)}; place of the target]")
    if position[1] not in range(place):
        raise ValueError(f"a position's target is an earlier clause, not {position[1]!r}")


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
    for _, judgement in judged:
        print(json.dumps({"correct": judgement.correct, "reason": judgement.reason}))
    results = [Result(row["tag"], row.get("prompt", ""), made.correct) for row, made in judged]
    print(json.dumps(scores(results)))
    return 0


def _judged(file: Path) -> Iterator[tuple[dict[str, Any], Judgement]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read {file}.", f"{error}.", "check the path") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row, boxes, colours = _parsed(json.loads(line))
            yield row, judge(row, boxes, colours)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{file}, line {number} cannot be judged.",
                f"{str(error).removesuffix('.')}.",
                'write {"metadata": {…}, "detections": {class: [[x1,y1,x2,y2,score], …]}, '
                '"colors": {class: [colour, …]}}',
            ) from error


def _parsed(line: Any) -> tuple[dict[str, Any], dict[str, Boxes], ColoursOf]:
    """A line's row, boxes and colours; ValueError, with the reason, for what does not fit."""
    if not isinstance(line, dict) or not isinstance(line.get("detections"), dict):
        raise ValueError("it is no object with metadata and detections")
    row, colours = line.get("metadata"), line.get("colors") or {}
    check_row(row)
    boxes = {cls: _boxes(cls, found) for cls, found in line["detections"].items()}

    def colours_of(cls: str, places: Sequence[int]) -> list[str]:
        if not isinstance(colours, dict) or len(colours.get(cls, ())) != len(boxes[cls]):
            raise ValueError(f"colors has no colour for each of the {len(boxes[cls])} {cls}")
        return [colours[cls][place] for place in places]

    return row, boxes, colours_of


def _boxes(cls: str, found: Any) -> Boxes:
    if not isinstance(found, list) or any(not isinstance(b, list) or len(b) != 5 for b in found):
        raise ValueError(f"the detections of {cls} are no list of [x1, y1, x2, y2, score]")
    try:
        boxes = np.array(found, np.float64).reshape(-1, 5)
    except (TypeError, ValueError):
        boxes = np.array([np.nan])
    if not np.isfinite(boxes).all():
        raise ValueError(f"the detections of {cls} hold something that is no finite number")
    return boxes


if __name__ == "__main__":
    sys.exit(main())
