"""`qa run` and `qa latents`: commands with a configuration."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from qa.terminal import plan_lines, print_verdict, progress_bar, warnings_as_lines


def arguments(commands: Any) -> None:
    """Add the parsers."""
    command = commands.add_parser(
        "run",
        help="measure a decoder on a suite and judge it",
        description="Overrides are Hydra's: key=value, group=choice, ~group.item. See conf/.",
    )
    configured(command, "print the plan and its cost")
    command.add_argument("--json", action="store_true", help="print the verdict document")
    command.set_defaults(do=_run)
    command = commands.add_parser(
        "latents",
        help="store latents of a diffusion model stopped early, or of pictures",
        description="pipeline=NAME capture=[24,x0], or decoder=NAME sigmas=[0,0.2]. "
        "See docs/latents.md.",
    )
    configured(command, "print what would be made")
    command.set_defaults(do=_latents)


def configured(command: argparse.ArgumentParser, dry_run: str) -> None:
    """Options of a command that has a configuration; `dry_run` is that option's help."""
    command.add_argument("overrides", nargs="*", metavar="key=value")
    command.add_argument("--dry-run", action="store_true", help=dry_run)
    command.add_argument("--cfg", action="store_true", help="print the resolved configuration")
    command.add_argument("--config-dir", metavar="DIR", help="a folder of your own conf groups")


def _run(options: argparse.Namespace) -> int:
    from qa.config import compose
    from qa.cost import COLUMNS
    from qa.cost import line as cost_line
    from qa.cost import rows as cost_rows
    from qa.job import cost, prepare
    from qa.run import conclude, measure

    config = compose(options.overrides, options.config_dir)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    with warnings_as_lines():
        job = prepare(config)
        planned = cost(job)
        if options.dry_run:
            print(json.dumps(planned, indent=1) if options.json else plan_lines(planned))
            return 0
        print(plan_lines(planned), file=sys.stderr)
        for name, why in job.unavailable.items():
            print(f"unavailable  {name}: {why}", file=sys.stderr)
        with progress_bar(config.choices["decoder"]) as progress:
            measure(job, progress)
        for line in getattr(job.executor, "told", tuple)():  # an executor of several workers
            print(line, file=sys.stderr)
        finished = conclude(job)
    print_verdict(finished.verdict, options.json)
    if not options.json:
        print(f"cost    {cost_line(cost_rows(finished.folder.decoded(COLUMNS)))}")
        if job.report is not None:
            print(f"report  {finished.folder.report_file}")
        if finished.tracked:
            print(f"mlflow  {finished.tracked}")
    return finished.exit_code


def _latents(options: argparse.Namespace) -> int:
    from qa.capture import ROOT, latents
    from qa.config import compose

    config = compose(options.overrides, options.config_dir, ROOT)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    with warnings_as_lines():
        return latents(config, dry_run=options.dry_run, bar=progress_bar)
