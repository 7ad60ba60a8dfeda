"""`qa compare`: a run judged against several others, side by side."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import trust
from qa.commands.judging import gates, rules
from qa.errors import UsageError

if TYPE_CHECKING:
    from qa.results import Results


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "compare",
        help="judge a run against several others, side by side",
        description="Judges RUN against each BASE, as `qa judge RUN --baseline BASE` does, and "
        "ends with the worst of these verdicts. trust=[MODULE] among the names lets RUN's own "
        "gates come from your module. See docs/compare.md.",
    )
    command.add_argument("run", metavar="RUN", help="run folder, or .csv/.parquet of scores")
    command.add_argument("bases", metavar="BASE", nargs="+", help="what it is compared with")
    command.add_argument("--use-case", help="margins to use: a name, or a YAML file (default: "
                         "RUN's own, or photo)")  # fmt: skip
    command.add_argument("--policy", choices=("pr", "release"), help="default: RUN's own, or pr")
    command.add_argument(
        "--out", metavar="FILE", help="the page (default: compare.html in RUN, if it is a folder)"
    )
    command.add_argument(
        "--json", action="store_true", help="print the document; a page only where --out names it"
    )
    command.set_defaults(do=_compare)


def _compare(options: argparse.Namespace) -> int:
    names, places = trust.split([options.run, *options.bases])
    trust.admit(names)
    arms = _loaded(places)
    document = compared(arms, options.use_case, options.policy)
    # By name: reports stand on qa, qa does not know them.
    reports = import_module("reports.compare")
    page = _page(options, arms[0])
    if page is not None:
        reports.write(document, arms, page)
    if options.json:
        print(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
        return int(document["exit_code"])
    from rich.console import Console

    Console().print(reports.table(document))
    if page is not None:
        print(f"report  {page}")
    return int(document["exit_code"])


def compared(
    arms: Sequence[Results], use_case: str | None = None, policy: str | None = None
) -> dict[str, Any]:
    """The document of `qa.comparison`, by the first arm's own use case, gates and policy."""
    from qa.comparison import document
    from qa.judge import judge

    candidate, *others = arms
    own = {} if candidate.folder is None else candidate.folder.config()
    terms = [rules(candidate, base, own, use_case) for base in others]
    asked = policy or str(own.get("policy", "pr"))
    verdicts = [
        judge(candidate, base, use, gates=gates(own), policy=asked)
        for base, use in zip(others, terms, strict=True)
    ]
    return document(arms, verdicts, terms[0])


def _loaded(paths: Sequence[str]) -> list[Results]:
    from qa.comparison import LETTERS
    from qa.results import load

    if len(paths) > len(LETTERS):
        raise UsageError(
            f"{len(paths)} arms are too many.",
            f"They are called by letters, of which there are {len(LETTERS)}.",
            "compare fewer at a time",
        )
    places = [Path(path).resolve() for path in paths]
    twice = [path for n, path in enumerate(paths) if places[n] in places[:n]]
    if twice:
        raise UsageError(
            f"{twice[0]} is there twice.",
            "Compared with itself, a run says nothing.",
            "name each run once",
        )
    return [load(path) for path in paths]


def _page(options: argparse.Namespace, candidate: Results) -> Path | None:
    if options.out:
        return Path(options.out)
    if options.json or candidate.folder is None:
        return None
    return candidate.folder.path / "compare.html"
