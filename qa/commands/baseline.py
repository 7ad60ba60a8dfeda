"""`qa baseline`: which run is the measure for a suite, who approved it, and what is waived."""

from __future__ import annotations

import argparse
import json
from typing import Any

from qa.outcomes import citing
from qa.store import RunFolder


def arguments(commands: Any) -> None:
    """Add the parsers."""
    command = commands.add_parser("baseline", help="which run is the measure for a suite")
    actions = command.add_subparsers(required=True, metavar="ACTION")
    promote = actions.add_parser("promote", help="make a run its suite's baseline")
    promote.add_argument("run", metavar="RUN")
    promote.add_argument("--reason", default="", metavar="WHY")
    promote.add_argument("--until", metavar="DATE", help="last day on which it holds, YYYY-MM-DD")
    promote.add_argument(
        "--anchor", action="store_true", help="count drift from this run on (needs --reason)"
    )
    promote.add_argument(
        "--store", default="folder", metavar="PLACE", help="folder (default), mlflow, mlflow:URI"
    )
    promote.set_defaults(do=_promote)
    show = actions.add_parser("show", help="all baselines, waivers and drift")
    show.add_argument("--json", action="store_true")
    show.set_defaults(do=_show)
    why = actions.add_parser("why", help="why a run is the baseline of SUITE")
    why.add_argument("suite", metavar="SUITE")
    why.add_argument("--environment", metavar="CLASS", help="that a run of this class would get")
    why.set_defaults(do=_why)
    approve = actions.add_parser("approve", help="waive a gate until a day")
    approve.add_argument("suite", metavar="SUITE")
    approve.add_argument("--gate", required=True, help="regression/psnr, psnr for short, or tail")
    approve.add_argument("--reason", required=True, metavar="WHY")
    approve.add_argument("--until", required=True, metavar="DATE", help="YYYY-MM-DD")
    approve.add_argument(
        "--review", default="", metavar="RUN[:NAME]", help="the review of a run that it cites"
    )
    approve.set_defaults(do=_approve)
    for action in (promote, approve):
        action.add_argument("--by", metavar="NAME", help="who approves (default: git's user)")
    for action in (promote, show, why, approve):
        action.add_argument("--baselines", default="baselines", metavar="DIR")


def _promote(options: argparse.Namespace) -> int:
    from qa import baseline

    run = RunFolder.open(options.run)
    file = baseline.promote(
        run,
        options.baselines,
        by=options.by,
        reason=options.reason,
        until=options.until,
        anchor=options.anchor,
        store=options.store,
    )
    print(f"{file} names {options.run}; commit it to share the baseline")
    return 0


def _show(options: argparse.Namespace) -> int:
    from qa import baseline

    entries = baseline.show(options.baselines)
    if options.json:
        print(json.dumps(entries, indent=1))
        return 0
    for entry in entries:
        print(_shown(entry))
    if not entries:
        print(f"no baselines in {options.baselines}/")
    return 0


def _shown(entry: dict[str, Any]) -> str:
    """A baseline in a few lines."""
    head = f"{entry['suite']:16} {entry['environment']}  {entry['run']}"
    if entry["damage"]:
        return f"{head}  DAMAGED: {entry['damage']}"
    lines = [
        f"{head}  {entry['promoted']} by {entry['by']}: {entry['why'] or 'no reason was given'}"
        + _last_day(entry)
    ]
    if entry["drift"]:
        drift = ", ".join(f"{name} {harm:+.4g}" for name, harm in entry["drift"].items())
        lines.append(f"drift   {drift}, since {entry['anchor']['content'][:12]}")
    for waiver in entry["waivers"]:
        lines.append(
            f"waiver  {waiver['gate']} by {waiver['by']}: {waiver['why']}{_last_day(waiver)}"
            f"{citing(waiver.get('review'))}"
        )
    for tolerance in entry["tolerances"]:
        limits = ", ".join(f"{name} {value:g}" for name, value in tolerance["limits"].items())
        lines.append(f"tolerance  {' and '.join(tolerance['environments'])}: {limits}")
    return ("\n" + 17 * " ").join(lines)


def _last_day(entry: dict[str, Any]) -> str:
    if entry["until"] is None:
        return ""
    return f"; {'EXPIRED on' if entry['expired'] else 'until'} {entry['until']}"


def _why(options: argparse.Namespace) -> int:
    from qa import baseline

    print(baseline.why(options.suite, options.baselines, options.environment))
    return 0


def _approve(options: argparse.Namespace) -> int:
    from qa import baseline
    from qa.terminal import warnings_as_lines

    with warnings_as_lines():
        file = baseline.approve(
            options.suite,
            options.baselines,
            gate=options.gate,
            reason=options.reason,
            until=options.until,
            by=options.by,
            review=options.review,
        )
    print(f"{file} waives {options.gate} until {options.until}; commit it to share the decision")
    return 0
