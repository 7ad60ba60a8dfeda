"""`qa judge`: stored scores judged again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qa.commands import admit, trusting
from qa.errors import UsageError
from qa.files import write_json
from qa.store import RunFolder
from qa.terminal import print_verdict

if TYPE_CHECKING:
    from qa.baseline import Approved
    from qa.gates.margins import Margin
    from qa.gates.use_case import UseCase
    from qa.results import Results
    from qa.roles import Gate


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser("judge", help="judge stored scores")
    command.add_argument("run", metavar="RUN", help="run folder, or .csv/.parquet of scores")
    command.add_argument("--baseline", metavar="BASE", help="default: the suite's promoted run")
    command.add_argument("--baselines", metavar="DIR", help="where promoted runs are named")
    command.add_argument(
        "--margin", action="append", default=[], metavar="METRIC=VALUE",
        help="a primary metric's margin; 3%% is a share of the baseline's value",
    )  # fmt: skip
    command.add_argument("--better", action="append", default=[], metavar="METRIC=higher|lower")
    command.add_argument("--use-case", help="margins to use: a name, or a YAML file (default: the "
                         "run's own, or photo)")  # fmt: skip
    command.add_argument(
        "--policy", choices=("pr", "release"), help="default: the run's own, or pr"
    )
    command.add_argument("--save", action="store_true", help="keep the verdict in the run folder")
    command.add_argument("--json", action="store_true", help="print the verdict document")
    trusting(command)
    command.set_defaults(do=_judge)


def _judge(options: argparse.Namespace) -> int:
    from qa import looks
    from qa.gates.margins import parse
    from qa.judge import judge
    from qa.results import load

    admit(options)
    candidate = load(options.run)
    own = {} if candidate.folder is None else candidate.folder.config()
    against = _against(options, candidate)
    verdict = judge(
        candidate,
        against,
        rules(candidate, against.results, own, options.use_case, parse(options.margin)),
        gates=gates(own),
        policy=options.policy or str(own.get("policy", "pr")),
        better=dict(pair.partition("=")[::2] for pair in options.better),
    )
    if options.save:
        folder = RunFolder.open(options.run)
        looks.remember(folder, verdict)
        write_json(folder.verdict_file, verdict)
    print_verdict(verdict, options.json)
    return int(verdict["exit_code"])


def _against(options: argparse.Namespace, candidate: Results) -> Approved:
    """What to judge against: the baseline given, or the promoted run of the candidate's suite."""
    from qa import baseline
    from qa.results import load

    if options.baseline is not None:
        return baseline.Approved(load(options.baseline))
    found = None
    if candidate.folder is not None:
        found = baseline.for_run(candidate.folder, options.baselines)
    if found is None:
        raise UsageError(
            "There is nothing to judge against.",
            "No --baseline was given and the suite has no promoted run.",
            "add --baseline RUN, or: qa baseline promote RUN",
        )
    return found


def rules(
    candidate: Results,
    baseline: Results,
    own: Mapping[str, Any],
    named: str | None = None,
    given: Mapping[str, Margin] | None = None,
) -> UseCase:
    """The use case to judge by: a run's own, or the one named; margins given are primary in it.

    `own` is the run's configuration. A bare table is judged by the margins given with it, or by
    `photo` if there are none.
    """
    from qa.gates.use_case import from_config, load, of
    from qa.judge import applicable

    given = given or {}
    if named or (candidate.folder is None and not given):
        return applicable(load(named or "photo"), candidate, baseline).asking(given)
    if candidate.folder is None:
        return of(given)
    use = from_config(own.get("use_case"), candidate.record["use_case"])
    return applicable(use, candidate, baseline).asking(given)


def gates(own: Mapping[str, Any]) -> list[Gate] | None:
    """The gates that the run was configured with; None for a bare table and older runs."""
    if not own.get("gate"):
        return None
    from qa.config import build

    return [build(node, f"gate {name}") for name, node in own["gate"].items()]
