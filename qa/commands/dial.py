"""`qa dial`: the setting of a decoder that suits a use case, tried, picked and confirmed."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qa.commands.run import configured
from qa.terminal import progress_bar, warnings_as_lines

if TYPE_CHECKING:
    from qa.dial.find import Opened


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "dial",
        help="the setting of a decoder that suits a use case",
        description="Overrides are those of `qa run`, and settings.*, search, trials, measure, "
        "page. See docs/dial.md.",
    )
    configured(command, "print the settings that would be tried, and the limits")
    command.add_argument("--json", action="store_true", help="print the contents of dial.json")
    command.set_defaults(do=_dial)


def _dial(options: argparse.Namespace) -> int:
    from qa.dial.find import find, opened
    from qa.dial.options import composed

    config = composed(options.overrides, options.config_dir)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    with warnings_as_lines():
        ready = opened(config)
        if options.dry_run:
            print(plan_lines(ready))
            return 0
        with progress_bar(config.choices["decoder"]) as progress:
            found = find(ready, progress)
    if options.json:
        print(json.dumps(found.document, indent=1, sort_keys=True, ensure_ascii=False))
        return found.exit_code
    from rich.console import Console

    # By name: reports stand on qa, qa does not know them.
    Console().print(import_module("reports.dial").table(found.document))
    print(f"report  {found.page or found.folder}")
    return found.exit_code


def plan_lines(ready: Opened) -> str:
    """What would be tried, on what, and by which limits."""
    from qa.dial.settings import name_of

    terms, tree, seeds = ready.terms, ready.config.tree, ready.job.plan.seeds
    grid = ready.grid if tree.search == "grid" else []
    search = f"optuna, {tree.trials} trials among {len(ready.grid)}" if not grid else "grid"
    lines = [
        f"plan  {ready.tries} settings ({search}) × {ready.half} pictures × {seeds} seeds = "
        f"{ready.tries * ready.half * seeds} decodes, then 2 settings on the other half",
        *(f"      {name_of(knobs)}" for knobs in grid),
        "kept  " + ", ".join(_limit(metric, ready) for metric in terms.use.primary),
        f"best  {terms.plausibility}",
    ]
    return "\n".join(lines)


def _limit(metric: str, ready: Opened) -> str:
    margin = ready.terms.use.margins[metric]
    return f"{metric} {f'{100 * margin.value:g} %' if margin.relative else f'{margin.value:g}'}"
