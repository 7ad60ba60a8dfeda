"""`qa export`, `qa assets`, `qa doctor` and `qa demo`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from qa.commands.report import PARTS
from qa.errors import UsageError
from qa.store import RunFolder
from qa.terminal import asset_row, print_assets


def arguments(commands: Any) -> None:
    """Add the parsers."""
    export = commands.add_parser("export", help="copy a run folder to MLflow")
    export.add_argument("run", metavar="RUN")
    export.add_argument("--uri", help="tracking URI (default: the run's own)")
    export.set_defaults(do=_export)
    assets = commands.add_parser("assets", help="weights and prompt files")
    assets.add_argument("what", choices=("list", "fetch", "verify"))
    assets.add_argument("names", nargs="*", metavar="NAME")
    assets.add_argument("--json", action="store_true")
    assets.set_defaults(do=_assets)
    doctor = commands.add_parser("doctor", help="what works on this machine")
    doctor.add_argument("--json", action="store_true")
    doctor.set_defaults(do=_doctor)
    demo = commands.add_parser("demo", help="the first five minutes, without a download")
    demo.set_defaults(do=_demo)


def _export(options: argparse.Namespace) -> int:
    from qa.tracking import MLflow

    folder = RunFolder.open(options.run)
    asked = folder.config().get("tracking") or {}
    if folder.verdict_file.is_file():
        folder.verdict(PARTS)
    chosen = {key: str(asked[key]) for key in ("uri", "experiment") if asked.get(key)}
    if options.uri:
        chosen["uri"] = options.uri
    tracker = MLflow(**chosen)
    if not options.uri:
        tracker.check_named(folder)
    print(tracker.export(folder.path))
    return 0


def _assets(options: argparse.Namespace) -> int:
    from qa import assets

    if options.what == "fetch":
        if not options.names:
            raise UsageError("Which assets?", "", "qa assets fetch NAME ...; `qa assets list`")
        for name in options.names:
            print(f"{name}  {assets.fetch(name)}")
        return 0
    found = assets.verify(options.names or None)
    if options.json:
        print(json.dumps([asset_row(status) for status in found], indent=1))
    else:
        print_assets(found)
    bad = [s for s in found if s.state == "damaged" or (options.names and s.state == "missing")]
    return 1 if options.what == "verify" and bad else 0


def _doctor(options: argparse.Namespace) -> int:
    from qa.doctor import examine

    return examine(options.json)


def _demo(options: argparse.Namespace) -> int:
    from qa.demo import demo

    return demo(options.qa)
