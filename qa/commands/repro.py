"""`qa repro`: how far the same inputs give the same pictures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qa.commands.run import configured
from qa.terminal import progress_bar, warnings_as_lines

STYLES = {"PASS": "green", "FAIL": "bold red", "INVALID": "yellow", "SKIPPED": "dim"}


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "repro",
        help="how far the same inputs give the same pictures",
        description="Overrides are those of `qa run`, and levels, pictures, vary, repeats, "
        "against, run, store. See docs/reproducibility.md.",
    )
    configured(command, "print the levels that would be checked")
    command.add_argument("--json", action="store_true", help="print the contents of repro.json")
    command.set_defaults(do=_repro)


def _repro(options: argparse.Namespace) -> int:
    from qa.config import compose
    from qa.repro.check import check
    from qa.repro.options import ROOT, asked, variations
    from qa.repro.options import check as refuse
    from qa.repro.rows import CLAIMS

    config = compose(options.overrides, options.config_dir, ROOT)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    if options.dry_run:
        refuse(config)
        for level in asked(config.tree):
            print(f"{level}  {CLAIMS[level]}")
        for variation in variations(config.tree):
            print(f"    {variation.name}")
        return 0
    with warnings_as_lines(), progress_bar("levels") as progress:
        found = check(config, progress)
    if options.json:
        print(json.dumps(found.document, indent=1, sort_keys=True, ensure_ascii=False))
    else:
        show(found.document, found.folder)
    return found.exit_code


def show(document: Mapping[str, Any], folder: Path) -> None:
    """The levels as a table, and where two decodes part."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table("level", "verdict", "claim", "what was found", box=None, pad_edge=False)
    for level, row in document["levels"].items():
        name = f"{level}t" if level == "R4" and row["exact"] is False else level
        verdict = Text(row["verdict"], STYLES.get(row["verdict"], ""))
        table.add_row(name, verdict, row["claim"], Text(_found(row)))
    console.print(table)
    divergence = document["divergence"]
    if divergence:
        console.print(Text(_parted(divergence)))
    console.print(Text(f"reached {document['reached'] or 'none'}, in environment class "
                       f"{document['environment']['class']}"))  # fmt: skip
    console.print(Text(f"report  {folder / 'repro.json'}"))


def _found(row: Mapping[str, Any]) -> str:
    if row["why"] or row["verdict"] == "SKIPPED":
        return str(row["why"])
    return f"{'equal to the bit' if row['exact'] else 'holds'}: {row['compared']}"


def _parted(divergence: Mapping[str, Any]) -> str:
    """Where two decodes part, in two lines."""
    line = f"{divergence['level']}: {divergence['picture']} parts at {divergence['stage']}"
    if divergence["index"] is not None:
        line += (
            f" {divergence['shape']}, first at {divergence['index']}: {divergence['differing']} "
            f"values, up to {divergence['max_ulp']} ulp, {divergence['max_abs']:.3g}"
        )
    ulps = ", ".join(f"{distance} ulp: {count}" for distance, count in divergence["ulps"].items())
    maps = ", ".join(divergence["heatmaps"])
    return "\n    ".join(filter(None, (line, divergence["why"], ulps, maps and f"maps: {maps}")))
