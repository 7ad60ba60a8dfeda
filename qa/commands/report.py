"""`qa report`: a judged run as a page for people, or as a document for a CI system."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from qa.files import sha256, write_bytes
from qa.store import RunFolder

FORMATS = ("html", "md", "json", "junit")


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
    out = Path(options.out) if options.out else None
    if options.format == "html":
        # By name: reports stand on qa, qa does not know them.
        print(import_module("reports.html").write(folder, _pictures(options, folder), out))
        return 0
    text = _text(options.format, folder)
    if out is None:
        print(text, end="")
    else:
        write_bytes(out, text.encode())
        print(out)
    return 0


def _text(form: str, folder: RunFolder) -> str:
    verdict = folder.verdict()
    if form == "json":
        return json.dumps(verdict, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if form == "junit":
        return str(import_module("reports.junit").render(verdict, folder.record()))
    stamp = sha256(folder.verdict_file)
    return str(import_module("reports.markdown").render(verdict, folder.record(), stamp))


def _pictures(options: argparse.Namespace, folder: RunFolder) -> RunFolder | None:
    """The run whose pictures stand beside: the one given, or the baseline of the verdict."""
    from qa import baseline

    if options.baseline:
        return RunFolder.open(options.baseline)
    compared = folder.verdict()["baseline"] or {}
    found = baseline.for_run(folder)
    if found is None or found.results.record.get("plan") != compared.get("plan"):
        return None
    return found.results.folder
