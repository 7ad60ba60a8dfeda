"""What the scripts share that measure a small network and fill in its card.

A card lies beside the weights in decoders/mini: NAME.json has its numbers, NAME.md says them to
people. Every table of numbers there is found by its head and written anew from NAME.json.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "decoders" / "mini"
Numbers = Mapping[str, Any]
"""What NAME.json holds."""


def main(
    about: str,
    name: str,
    many: tuple[str, int],
    measure: Callable[[Path, str], dict[str, Any]],
    tables: Callable[[Numbers], list[str]],
) -> None:
    """The command of a script: measure, keep the numbers, fill in the card of NAME.

    `many` is an option of the suite and its default, ("pages", 16). `measure` gets a folder for
    runs and that option as an override; what it returns is added to the numbers.
    """
    option, default = many
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument(f"--{option}", dest="many", type=int, default=default, help="of each kind")
    parser.add_argument("--card", action="store_true", help="fill in the card, measure nothing")
    options = parser.parse_args()
    numbers, card = (FOLDER / f"{name}{end}" for end in (".json", ".md"))
    known = json.loads(numbers.read_text())
    if not options.card:
        with tempfile.TemporaryDirectory() as folder:
            known |= measure(Path(folder), f"suite.{option}={options.many}")
        known[option] = options.many
        numbers.write_text(json.dumps(known, indent=2) + "\n")
    found = tables(known)
    card.write_text(filled(card.read_text(encoding="utf-8"), found), encoding="utf-8")
    print("\n\n".join(found))


def filled(text: str, tables: Iterable[str]) -> str:
    """The card's text with these tables for those of the same heads; ValueError if one is gone."""
    for new in tables:
        head = new.splitlines()[0]
        old = rf"^{re.escape(head)}\n(\|.*\n)+"
        text, found = re.subn(old, f"{new}\n", text, flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{found} tables begin with {head!r}, not one")
    return text


def weights(known: Numbers, planned: str = "") -> str:
    """What the file is; `planned` goes on after its steps."""
    return table(
        ("the weights", ""),
        ("SHA-256", f"`{known['sha256']}`"),
        ("steps", f"{known['steps']:,}{planned}"),
        ("minutes", f"{known['minutes']:,.0f}"),
    )


def table(head: Sequence[str], *rows: Sequence[str]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
