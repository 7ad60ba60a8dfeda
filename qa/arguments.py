"""What the `qa` command understands: one function for each command's options."""

from __future__ import annotations

import argparse
from typing import Any

from qa import __version__


def parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of `qa`; `options.action` names the command that was given."""
    top = argparse.ArgumentParser(
        prog="qa", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"decoder-qa {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _run(commands)
    _latents(commands)
    _judge(commands)
    report = commands.add_parser("report", help="write report.html of a run folder")
    report.add_argument("run", metavar="RUN")
    report.add_argument("--baseline", metavar="BASE", help="also show this run's pictures")
    report.set_defaults(action="report")
    export = commands.add_parser("export", help="copy a run folder to MLflow")
    export.add_argument("run", metavar="RUN")
    export.add_argument("--uri", help="tracking URI (default: the run's own)")
    export.set_defaults(action="export")
    _baseline(commands)
    _assets(commands)
    doctor = commands.add_parser("doctor", help="what works on this machine")
    doctor.set_defaults(action="doctor")
    demo = commands.add_parser("demo", help="the first five minutes, without a download")
    demo.set_defaults(action="demo")
    return top


def _run(commands: Any) -> None:
    command = commands.add_parser(
        "run",
        help="measure a decoder on a suite and judge it",
        description="Overrides are Hydra's: key=value, group=choice, ~group.item. See conf/.",
    )
    _configured(command, "print the plan and its cost")
    command.add_argument("--json", action="store_true", help="print the verdict document")
    command.set_defaults(action="run")


def _latents(commands: Any) -> None:
    command = commands.add_parser(
        "latents",
        help="store latents of a diffusion model stopped early, or of pictures",
        description="pipeline=NAME capture=[24,x0], or decoder=NAME sigmas=[0,0.2]. "
        "See docs/latents.md.",
    )
    _configured(command, "print what would be made")
    command.set_defaults(action="latents")


def _configured(command: argparse.ArgumentParser, dry_run: str) -> None:
    """Options of a command that has a configuration; `dry_run` is that option's help."""
    command.add_argument("overrides", nargs="*", metavar="key=value")
    command.add_argument("--dry-run", action="store_true", help=dry_run)
    command.add_argument("--cfg", action="store_true", help="print the resolved configuration")
    command.add_argument("--config-dir", metavar="DIR", help="a folder of your own conf groups")


def _judge(commands: Any) -> None:
    command = commands.add_parser("judge", help="judge stored scores")
    command.add_argument("run", metavar="RUN", help="run folder, or .csv/.parquet of scores")
    command.add_argument("--baseline", metavar="BASE", help="default: the suite's promoted run")
    command.add_argument("--margin", action="append", default=[], metavar="METRIC=VALUE")
    command.add_argument("--better", action="append", default=[], metavar="METRIC=higher|lower")
    command.add_argument("--use-case", help="margins to use (default: the run's own, or photo)")
    command.add_argument("--save", action="store_true", help="keep the verdict in the run folder")
    command.add_argument("--json", action="store_true", help="print the verdict document")
    command.set_defaults(action="judge")


def _baseline(commands: Any) -> None:
    command = commands.add_parser("baseline", help="which run is the measure for a suite")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    promote = actions.add_parser("promote", help="make a run its suite's baseline")
    promote.add_argument("run", metavar="RUN")
    promote.add_argument("--reason", default="")
    promote.set_defaults(action="promote")
    show = actions.add_parser("show", help="all baselines")
    show.add_argument("--json", action="store_true")
    show.set_defaults(action="show")
    why = actions.add_parser("why", help="why a run is the baseline of SUITE")
    why.add_argument("suite", metavar="SUITE")
    why.set_defaults(action="why")
    for action in (promote, show, why):
        action.add_argument("--baselines", default="baselines", metavar="DIR")


def _assets(commands: Any) -> None:
    command = commands.add_parser("assets", help="weights and prompt files")
    command.add_argument("what", choices=("list", "fetch", "verify"))
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--json", action="store_true")
    command.set_defaults(action="assets")
