"""Scores recorded answers.  `python -m suites.dpg.score --questions CSV --answers CSV`

    --rule RULE       ella_cascade (default), dsg_raw or none
    --compat MODE     fixed (default), official_bugs, or names of bugs joined by +
    --system NAME     which of several generators in the file; by default the one with most items
    --ranks N         processes of the official script, for the bug mixed_ranks
    --complete        an item without a score is a failure (exit code 5)

Prints JSON: `score` in [0,1], categories, subsets, what was dropped and why (docs/dpg.md).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from qa.errors import QaError, UsageError
from suites.dpg import questions, recorded
from suites.dpg.rules import CASCADE, FIXED, RULES, bugs
from suites.dpg.tally import subsets, tally

INVALID = 5


def score(
    csv: Path,
    answers: Path,
    rule: str = CASCADE,
    compat: str = FIXED,
    system: str | None = None,
    ranks: int = 1,
) -> dict[str, Any]:
    """What the command prints."""
    if ranks < 1:
        raise UsageError(f"--ranks {ranks} cannot work.", "There is at least one process.")
    on = bugs(compat)
    asked, told = questions.read(csv, on), recorded.read(answers)
    name, chosen = told.choose(system)
    given = chosen.answers()
    result = tally(asked, given, rule, on, ranks)
    known = {(item.id, q.id): q.text for item in asked.items.values() for q in item.questions}
    reworded = [1 for item, q, text in chosen.wordings if known.get((item, q), text) != text]
    return result | {
        "subsets": subsets(asked, given, chosen.subsets, rule, on),
        "system": name,
        "systems": {each: len(held.texts) for each, held in told.systems.items()},
        "questions": {
            "items": len(asked.items),
            "questions": sum(len(item.questions) for item in asked.items.values()),
            "remarks": dict(asked.remarks),
            "other_wording": len(reworded),
        },
        "answers": {**_counts(chosen, known), "sha256": told.sha256},
    }


def _counts(chosen: recorded.System, known: Collection[tuple[str, int]]) -> dict[str, int]:
    """How many answers there are, and of what kind."""
    said = [
        ((item, question), text)
        for item, panels in chosen.texts.items()
        for panel in panels
        for question, text in panel.items()
    ]
    return {
        "answers": len(said),
        "without_question": sum(asked not in known for asked, _ in said),
        "yes": int(sum(recorded.exact(text) for _, text in said)),
        "neither": sum(text.strip().lower() not in ("yes", "no") for _, text in said),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.dpg.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--questions", type=Path, required=True, metavar="CSV")
    parser.add_argument("--answers", type=Path, required=True, metavar="CSV")
    parser.add_argument("--rule", choices=RULES, default=CASCADE)
    parser.add_argument("--compat", default=FIXED, metavar="MODE")
    parser.add_argument("--system", metavar="NAME")
    parser.add_argument("--ranks", type=int, default=1, metavar="N")
    parser.add_argument("--complete", action="store_true")
    given = parser.parse_args(arguments)
    try:
        found = score(
            given.questions, given.answers, given.rule, given.compat, given.system, given.ranks
        )
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(found, indent=2, allow_nan=False))
    return INVALID if given.complete and not found["complete"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
