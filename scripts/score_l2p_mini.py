"""What the shipped l2p_mini draws, by the rules of GenEval, beside the control with other prompts.

    python scripts/score_l2p_mini.py [--pictures 4]        (a quarter of an hour on one core)

Two real runs, `suite=figures` and the same `shuffled`. Scores and intervals of both go into the
card (`mini_cards`), with the outcome of each prompt's first picture, so that a test can draw some
of them again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mini_cards import Numbers, main, table, weights

FIRST = "/0000"
"""How the sample of a prompt's first picture ends."""


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


def tables(known: Numbers) -> list[str]:
    """Those of the card."""
    planned = f" of a run planned for {known['recipe']['steps']:,}"
    return [weights(known, planned), losses(known), drawn(known)]


def losses(known: Numbers) -> str:
    """Losses on held-out drawings."""
    rows = ((tag, f"{loss:.4f}") for tag, loss in known["held_out"].items())
    return table(("tag", "loss"), *rows)


def drawn(known: Numbers) -> str:
    """Scores and 90 % intervals of both runs; nothing but the head before they were measured."""
    head = ("tag", "as asked", "90 %", "as another prompt asks", "90 %")
    if "figures" not in known:
        return table(head)
    return table(head, *(_row(tag, known) for tag in known["figures"]["intervals"]))


def _row(tag: str, known: Numbers) -> list[str]:
    cells = [tag]
    for part in (known["figures"], known["shuffled"]):
        score, ends = part["tags"].get(tag, part["overall"]), part["intervals"][tag]
        cells += [f"{score:.2f}", f"{ends['low']:.2f} to {ends['high']:.2f}"]
    return cells


if __name__ == "__main__":
    main(__doc__, "l2p_mini", ("pictures", 4), measure, tables)
