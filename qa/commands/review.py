"""`qa review`: pairs of pictures compared blind, by people in a browser or by a model."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qa.commands.registering import registered
from qa.commands.report import compared
from qa.commands.view import port
from qa.errors import UsageError
from qa.review.plan import ReviewFolder, reviews
from qa.store import RunFolder
from qa.terminal import progress_bar, shown, warnings_as_lines

if TYPE_CHECKING:
    from qa.config import Config


@dataclass
class ReviewSchema:
    """Every key of conf/review.yaml."""

    judge: dict[str, Any] | None = None
    question: str | None = None
    questions: dict[str, Any] = field(default_factory=dict)
    pairs: int = 200
    shares: dict[str, float] = field(default_factory=dict)
    margin: float | None = None
    rule: str = "anytime"
    confidence: float = 0.9
    raters: int = 1
    catch: float = 0.1
    lapses: float = 0.1
    seed: int = 0
    all_pairs: bool = False
    name: str | None = None


def arguments(commands: Any) -> None:
    """Add the parser."""
    command = commands.add_parser(
        "review",
        help="compare pictures blind, two at a time, by people or by a model",
        description="Serves pairs of RUN and BASE to this machine alone until Ctrl-C; with "
        "judge=mllm a model is asked instead. Answers stay in RUN; `qa judge RUN --save` then "
        "judges them. See docs/review.md and conf/review.yaml.",
    )
    command.add_argument("run", metavar="RUN")
    command.add_argument(
        "overrides", nargs="*", metavar="BASE|key=value",
        help="runs to compare with (default: its baseline), and settings",
    )  # fmt: skip
    command.add_argument("--results", action="store_true", help="only print what was answered")
    command.add_argument("--json", action="store_true", help="print results as JSON")
    command.add_argument("--port", type=port, default=0, help="default: any free one")
    command.add_argument("--no-open", action="store_true", help="only print the address")
    command.add_argument("--cfg", action="store_true", help="print the resolved configuration")
    command.add_argument("--config-dir", metavar="DIR", help="a folder of your own conf groups")
    command.set_defaults(do=_review)


def _review(options: argparse.Namespace) -> int:
    run = RunFolder.open(options.run)
    if options.results:
        return _print(reviews(run), options)
    words = [word for word in options.overrides if "=" in word]
    config = _composed(words, options.config_dir)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    bases = [RunFolder.open(word) for word in options.overrides if "=" not in word]
    bases = bases or _own(run)
    with warnings_as_lines():
        judge = _judge(config)
        folders = registered(config, run, bases, several=judge is not None)
        for folder in folders:
            if judge is None:
                _serve(run, bases, folder, options)
            else:
                _ask(run, bases, folder, judge, bool(config.tree.all_pairs))
    return _print(folders, options)


def _composed(words: Sequence[str], config_dir: str | None) -> Config:
    from qa.config import Root, compose, key_of

    keys = [key_of(word) for word in words]
    of_model = next((key for key in keys if key.startswith("judge.")), None)
    if of_model and "judge" not in keys:
        raise UsageError(f"People have no {of_model}.", "It is a model's.", "add judge=mllm")
    return compose(words, config_dir, Root("review", ReviewSchema, "qa review RUN"))


def _own(run: RunFolder) -> list[RunFolder]:
    """The baseline that the run was judged against."""
    found = compared(run)[0] if run.verdict_file.is_file() else None
    if found is None:
        raise UsageError(
            "There is nothing to compare with.",
            f"No BASE was given, and {run.path} was judged against no run whose pictures are here.",
            f"qa review {run.path} BASE",
        )
    return [found]


def _judge(config: Config) -> Any:
    """The model that is asked, or None where people are."""
    from qa.config import build

    node = config.group("judge")
    return None if node is None else build(node, "judge")


def _serve(
    run: RunFolder, bases: Sequence[RunFolder], folder: ReviewFolder, options: argparse.Namespace
) -> None:
    # By name: reports stand on qa, qa does not know them.
    site = import_module("reports.review").site(run, _letters(run, bases), folder)
    with import_module("reports.serving").Server(site, options.port, site.accept) as server:
        print(server.url, flush=True)
        print(f"asks this machine alone; answers go to {folder.answers}; Ctrl-C ends it",
              file=sys.stderr)  # fmt: skip
        if not options.no_open:
            # A browser in the terminal ends only when it is closed.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nended: every answer is kept", file=sys.stderr)


def _ask(
    run: RunFolder, bases: Sequence[RunFolder], folder: ReviewFolder, judge: Any, all_pairs: bool
) -> None:
    from qa.review.model import ask

    plan = folder.plan()
    with progress_bar(plan.question.name) as progress:
        told = ask(folder, plan, _letters(run, bases), judge, progress, all_pairs=all_pairs)
    for line in str(told).splitlines():  # it quotes what a server said
        print(shown(line), file=sys.stderr)


def _letters(run: RunFolder, bases: Sequence[RunFolder]) -> Mapping[str, RunFolder]:
    from string import ascii_uppercase

    return dict(zip(ascii_uppercase, [run, *bases], strict=False))


def _print(folders: Sequence[ReviewFolder], options: argparse.Namespace) -> int:
    from qa.review.tally import tally

    found = [tally(folder) for folder in folders]
    if options.json:
        print(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
        return 0
    if not any(one["voices"] for one in found):
        print("nobody has answered yet")
        return 0
    from rich.console import Console

    Console().print(_table(found))
    print(f"judge  qa judge {options.run} --save")
    return 0


def _table(found: Sequence[Mapping[str, Any]]) -> Any:
    """A line for each voice, and pair of arms where there are several."""
    from rich.table import Table
    from rich.text import Text

    heads = ("question", "by", "pairs", "win rate", "margin", "so far")
    table = Table(*heads, box=None, pad_edge=False)
    for review in found:
        several = len(review["arms"]) > 2
        for voice in review["voices"]:
            for rate in voice["rates"]:
                arms = f", {rate['first']} over {rate['second']}" if several else ""
                cells = (
                    review["question"]["name"] + arms, voice["name"],
                    f"{voice['answered']} of {review['pairs']}", _rate(rate),
                    f"{review['margin']:g}", rate["state"],
                )  # fmt: skip
                table.add_row(*(Text(shown(cell)) for cell in cells))
    return table


def _rate(rate: Mapping[str, Any]) -> str:
    if rate["rate"] is None or None in (rate["low"], rate["high"]):
        return "–"
    return f"{rate['rate']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"
