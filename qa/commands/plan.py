"""`qa plan`: how many pictures and seeds each margin needs, from a pilot."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.errors import UsageError
from qa.files import write_bytes

if TYPE_CHECKING:
    from qa.gates.use_case import UseCase
    from qa.pilot import Pilot
    from qa.results import Results


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "plan",
        help="pictures and seeds that each margin needs, from a pilot",
        description="The pilot is a run over a few dozen pictures and its baseline. "
        "See docs/planning.md.",
    )
    command.add_argument("run", metavar="RUN", help="run folder, or .csv/.parquet of scores")
    command.add_argument("--baseline", metavar="BASE", help="default: the suite's promoted run")
    command.add_argument(
        "--use-case", metavar="NAME", help="margins: a name or a YAML file (default: the run's own)"
    )
    command.add_argument("--pictures", type=_positive, metavar="N", help="size of the gate to come")
    command.add_argument(
        "--seeds",
        type=_counts,
        default=(),
        metavar="S,S,...",
        help="seed counts to plan for, the gate's own first (default: the pilot's)",
    )
    command.add_argument(
        "--picture-cost",
        type=_cost,
        default=1.0,
        metavar="DECODES",
        help="what one more picture costs beside its decodes (default: 1 decode)",
    )
    command.add_argument("--write", metavar="FILE", help="write a use case with these margins")
    command.add_argument(
        "--allow-underpowered",
        action="store_true",
        help="write margins that the planned size cannot resolve, marked: they can not pass",
    )
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    command.set_defaults(do=_plan)


def _plan(options: argparse.Namespace) -> int:
    from qa.pilot import Size, plan
    from qa.results import load

    candidate = load(options.run)
    size = Size(options.pictures, options.seeds, options.picture_cost)
    pilot = plan(candidate, _against(options, candidate), _use_case(options, candidate), size)
    if options.json:
        print(json.dumps(pilot.document(), indent=1, sort_keys=True, ensure_ascii=False))
    else:
        from rich.console import Console

        # By name: reports stand on qa, qa does not know them.
        Console().print(import_module("reports.planning").table(pilot.document()))
    if options.write:
        _write(pilot, Path(options.write), options.allow_underpowered, quiet=options.json)
    return 0


def _against(options: argparse.Namespace, candidate: Results) -> Results | None:
    """The baseline given, or the promoted run of the suite; None where there is neither."""
    from qa import baseline
    from qa.results import load

    if options.baseline is not None:
        return load(options.baseline)
    if candidate.folder is None:
        return None
    found = baseline.for_run(candidate.folder)
    return None if found is None else found.results


def _use_case(options: argparse.Namespace, candidate: Results) -> UseCase:
    from qa.gates import use_case

    if options.use_case:
        return use_case.load(options.use_case)
    if candidate.folder is None:
        return use_case.load("photo")
    own = candidate.folder.config().get("use_case")
    return use_case.from_config(own, candidate.record["use_case"])


def _write(pilot: Pilot, file: Path, allow_underpowered: bool, quiet: bool) -> None:
    import yaml

    from qa.pilot import use_case

    if file.suffix not in {".yaml", ".yml"}:
        raise UsageError(f"{file} is no YAML file.", "", "--write FOLDER/use_case/NAME.yaml")
    content = use_case(pilot, allow_underpowered)
    if file.exists():
        raise UsageError(
            f"{file} exists.",
            "It may hold reasons that somebody wrote.",
            "name another file, or remove it first",
        )
    head = "# Written by `qa plan`. Change a reason together with its number.\n"
    text = yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, width=10_000, allow_unicode=True
    )
    write_bytes(file, (head + text).encode())
    if not quiet:
        folder = file.resolve().parent
        how = f"--config-dir {folder.parent} use_case={file.stem}"
        use = f"qa run {how}" if folder.name == "use_case" else f"qa judge --use-case {file}"
        print(f"written {file}; use it: {use} …")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def _counts(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_positive(part) for part in text.split(",")))


def _cost(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no cost")
    return value
