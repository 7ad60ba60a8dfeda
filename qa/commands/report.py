"""`qa report`: a judged run as a page for people, or as a document for a CI system."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from qa.errors import QaError
from qa.files import write_bytes
from qa.store import RunFolder

FORMATS = ("html", "md", "json", "junit")
PARTS = ("state", "exit_code", "gates", "candidate", "baseline")
"""What every form of a report shows of a verdict."""


def arguments(commands: Any) -> None:
    """Add the parser."""
    report = commands.add_parser(
        "report",
        help="the verdict of a run folder as HTML, Markdown, JSON or JUnit XML",
        description="Shows what was judged and judges nothing: it ends with 0 after any verdict.",
    )
    report.add_argument("run", metavar="RUN")
    report.add_argument("--baseline", metavar="BASE", help="also show this run's pictures (html)")
    report.add_argument("--format", choices=FORMATS, default="html", help="default: html")
    report.add_argument(
        "--out", metavar="FILE", help="default: report.html in the run folder; stdout for others"
    )
    report.set_defaults(do=_report)


def _report(options: argparse.Namespace) -> int:
    folder = RunFolder.open(options.run)
    folder.verdict(PARTS)
    out = Path(options.out) if options.out else None
    baseline, history = compared(folder, options.baseline)
    if options.format == "html":
        # By name: reports stand on qa, qa does not know them.
        print(import_module("reports.html").write(folder, baseline, out, history))
        return 0
    text = _text(options.format, folder, baseline)
    if out is None:
        print(text, end="")
    else:
        write_bytes(out, text.encode())
        print(out)
    return 0


def _text(form: str, folder: RunFolder, baseline: RunFolder | None) -> str:
    view = import_module("reports.view").view(folder, baseline)
    if form == "json":
        return json.dumps(view.document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    name = "junit" if form == "junit" else "markdown"
    return str(import_module(f"reports.{name}").render(view))


def compared(folder: RunFolder, given: str | None = None) -> tuple[RunFolder | None, Any]:
    """The run that a report shows beside this one, and the history of baselines up to it.

    That is the run folder `given`, or the one that the verdict compares with: as promoted, or
    beside this run, where it is still there.
    """
    from qa.baseline.objects import pictures_of

    if given:
        return RunFolder.open(given), ()
    arm = folder.verdict().get("baseline") or {}
    entry, history = _promoted(folder)
    if entry and entry["plan"] == arm.get("plan"):
        return pictures_of(entry) or _beside(folder, arm), history
    return _beside(folder, arm), history


def _promoted(folder: RunFolder) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """The baseline of the run's suite and its history, as far as they are on this machine.

    From here, or from where the run lies. A report asks no store: it may be somebody else's run.
    """
    from qa import baseline

    try:
        named = str(folder.config()["baselines"])
        places = (named, folder.path.resolve().parent.parent / named)
        found = (baseline.at_hand(folder, place) for place in places)
        return next(filter(None, found), ({}, ()))
    except (QaError, KeyError):  # what was judged can be shown without the other arm
        return {}, ()


def _beside(folder: RunFolder, arm: Mapping[str, Any]) -> RunFolder | None:
    """The run folder of an arm of the verdict next to this one, if it holds the same run."""
    if not arm.get("name") or not arm.get("plan"):
        return None
    near = RunFolder(folder.path.resolve().parent / Path(str(arm["name"])).name)
    try:
        return near if near.record().get("plan") == arm["plan"] else None
    except QaError:  # there is no such run, or it is damaged
        return None
