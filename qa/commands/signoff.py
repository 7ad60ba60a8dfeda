"""`qa signoff`: who decided to ship or to hold a run, recorded beside its verdict."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qa.commands import admit, trusting
from qa.commands.report import compared
from qa.errors import QaError
from qa.outcomes import waived
from qa.store import RunFolder
from qa.terminal import shown, warnings_as_lines

if TYPE_CHECKING:
    from qa.signature import Signature

DECISIONS = ("ship", "ship-with-waivers", "hold")


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "signoff",
        help="record who decided to ship or hold a run",
        description="A decision that the verdict does not carry is refused with the verdict's exit "
        "code. See docs/signoff.md.",
    )
    command.add_argument("run", metavar="RUN")
    command.add_argument("--decision", required=True, choices=DECISIONS)
    command.add_argument("--by", metavar="NAME", help="who signs (default: git's user)")
    command.add_argument("--why", default="", metavar="TEXT", help="the reason; hold needs one")
    command.add_argument("--json", action="store_true", help="print the entry of signoff.json")
    trusting(command)
    command.set_defaults(do=_signoff)


def _signoff(options: argparse.Namespace) -> int:
    from qa.signoff import Refused, sign

    admit(options)
    folder = RunFolder.open(options.run)
    decision = options.decision.replace("-", " ").upper()
    try:
        signature = sign(folder, decision, by=options.by, why=options.why)
    except Refused as refusal:
        print(shown(f"refused: {refusal}"), file=sys.stderr)
        return refusal.exit_code
    with warnings_as_lines():
        report, tracked = _report_again(folder), _exported(folder)
    if options.json:
        print(json.dumps(signature.stored(), indent=1, sort_keys=True, ensure_ascii=False))
        return 0
    print(shown(_shown(signature)))
    print(f"record  {folder.signoff_file}")
    if report:
        print(f"report  {folder.report_file}")
    if tracked:
        print(f"mlflow  {tracked}")
    return 0


def _shown(signature: Signature) -> str:
    """A signature in a few lines."""
    lines = [f"{signature.decision}  signed by {signature.by}, {signature.date}"]
    if signature.why:
        lines.append(f"why     {signature.why}")
    lines += [f"waiver  {one['gate']} {waived(one)}" for one in signature.waivers]
    proposal = f"; its gates propose {signature.proposed}" if signature.decision == "HOLD" else ""
    return "\n".join([*lines, f"verdict {signature.state}, {signature.verdict}{proposal}"])


def _report_again(folder: RunFolder) -> bool:
    """Write the run's page anew where it has one: it shows who signed."""
    if not folder.report_file.is_file():
        return False
    try:
        pictures, history = compared(folder)
        # By name: reports stand on qa, qa does not know them.
        import_module("reports.html").write(folder, pictures, history=history)
    except QaError as error:
        warnings.warn(f"The report was not written again: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


def _exported(folder: RunFolder) -> str:
    """Copy the run to the tracker it was configured with; where it is, or ""."""
    from qa.config import build
    from qa.tracking import MLflow

    try:
        tracker = build(folder.config().get("tracking"), "tracking")
        if isinstance(tracker, MLflow):
            tracker.check_named(folder)
        return str(tracker.export(folder.path))
    except QaError as error:
        # The signature stands in the run folder; a tracker that is down does not take it back.
        warnings.warn(f"Not tracked: {error}", RuntimeWarning, stacklevel=2)
        return ""
