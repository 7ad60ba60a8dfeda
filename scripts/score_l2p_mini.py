"""What the shipped l2p_mini draws, by the rules of GenEval, beside the control with other prompts.

    python scripts/score_l2p_mini.py [--pictures 4]        (a quarter of an hour on one core)

Two real runs, `suite=figures` and the same `shuffled`. Scores and intervals of both go into the
card's `decoders/mini/l2p_mini.json`, with the outcome of each prompt's first picture, so that a
test can draw some of them again. the tables of `l2p_mini.md` are filled in from there.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent.parent / "decoders" / "mini" / "l2p_mini.json"
CARD = RESULT.with_suffix(".md")
FIRST = "/0000"
"""How the sample of a prompt's first picture ends."""


def main() -> None:
    """Measure, keep the scores, fill in the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=4, help="of each prompt")
    parser.add_argument("--card", action="store_true", help="fill in the card, measure nothing")
    options = parser.parse_args()
    known = json.loads(RESULT.read_text())
    if not options.card:
        with tempfile.TemporaryDirectory() as folder:
            known |= measure(Path(folder), f"suite.pictures={options.pictures}")
        RESULT.write_text(json.dumps({**known, "pictures": options.pictures}, indent=2) + "\n")
    CARD.write_text(filled(CARD.read_text(encoding="utf-8"), known), encoding="utf-8")
    print(drawn(known))


def measure(work: Path, *more: str) -> dict[str, Any]:
    """`figures` and `shuffled`: scores by tag, intervals, and how the first pictures came out."""
    return {"figures": scores(work, *more), "shuffled": scores(work, "suite.shuffled=true", *more)}


def scores(work: Path, *more: str) -> dict[str, Any]:
    """One run's scores; `first` has a 1 or 0 for each prompt, in order."""
    from qa.run import evaluate

    run = evaluate(
        "decoder=l2p_mini", "suite=figures", "device=cpu", "baseline=none", "tracking=none",
        f"out={work / f'run{len(list(work.iterdir()))}'}", *more,
    )  # fmt: skip
    (panel,) = run.folder.panels().values()
    rows = run.scores.sort_values("sample")
    first = rows[rows["sample"].str.endswith(FIRST)]["value"]
    outcome = "".join(str(int(value)) for value in first)
    return {**{key: panel[key] for key in ("overall", "tags", "intervals")}, "first": outcome}


def filled(text: str, known: Mapping[str, Any]) -> str:
    """The card's text with every table of numbers as `known` has it; ValueError if one is gone."""
    for table in (weights(known), losses(known), drawn(known)):
        head = re.escape(table.splitlines()[0])
        text, found = re.subn(rf"^{head}\n(\|.*\n)+", f"{table}\n", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{found} tables begin with {table.splitlines()[0]!r}, not one")
    return text


def weights(known: Mapping[str, Any]) -> str:
    """What the file is."""
    return _table(
        ("the weights", ""),
        ("SHA-256", f"`{known['sha256']}`"),
        ("steps", f"{known['steps']:,} of a run planned for {known['recipe']['steps']:,}"),
        ("minutes", f"{known['minutes']:,.0f}"),
    )


def losses(known: Mapping[str, Any]) -> str:
    """Losses on held-out drawings."""
    rows = ((tag, f"{loss:.4f}") for tag, loss in known["held_out"].items())
    return _table(("tag", "loss"), *rows)


def drawn(known: Mapping[str, Any]) -> str:
    """Scores and 90 % intervals of both runs; nothing but the head before they were measured."""
    head = ("tag", "as asked", "90 %", "as another prompt asks", "90 %")
    if "figures" not in known:
        return _table(head)
    return _table(head, *(_row(tag, known) for tag in known["figures"]["intervals"]))


def _row(tag: str, known: Mapping[str, Any]) -> list[str]:
    cells = [tag]
    for part in (known["figures"], known["shuffled"]):
        score, ends = part["tags"].get(tag, part["overall"]), part["intervals"][tag]
        cells += [f"{score:.2f}", f"{ends['low']:.2f} to {ends['high']:.2f}"]
    return cells


def _table(head: Sequence[str], *rows: Sequence[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
