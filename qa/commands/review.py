"""`qa review`: pairs of pictures compared blind, by people in a browser or by a model."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import webbrowser
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from qa.commands.registering import registered
from qa.commands.report import compared
from qa.commands.view import port
from qa.errors import QaError, UsageError
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
    pairs: int = 400
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
    command.add_argument(
        "--json", action="store_true", help="print results, or what a model said, as JSON"
    )
    command.add_argument("--port", type=port, default=0, help="default: any free one")
    command.add_argument("--no-open", action="store_true", help="only print the address")
    command.add_argument("--cfg", action="store_true", help="print the resolved configuration")
    command.add_argument("--config-dir", metavar="DIR", help="a folder of your own conf groups")
    command.set_defaults(do=_review)


def _review(options: argparse.Namespace) -> int:
    run = RunFolder.open(options.run)
    words = [word for word in options.overrides if "=" in word]
    bases = [RunFolder.open(word) for word in options.overrides if "=" not in word]
    if options.results:
        return _print(run, bases, reviews(run), options.json)
    config = _composed(words, options.config_dir)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    bases = bases or _own(run)
    arms = dict(zip(ascii_uppercase, [run, *bases], strict=False))
    with warnings_as_lines():
        judge = _judge(config)
        folders = registered(config, run, bases, several=judge is not None)
        for folder in folders:
            _check(folder, arms)
        for folder in folders:
            if judge is None:
                _serve(arms, folder, options)
            else:
                _ask(arms, folder, judge, bool(config.tree.all_pairs))
    return _tell(run, folders) if judge is None else _print(run, bases, folders, options.json)


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


def _check(folder: ReviewFolder, arms: Mapping[str, RunFolder]) -> None:
    """UsageError where a picture that is to be shown is gone, or not the one of the plan."""
    from qa.baseline.cited import others
    from qa.review.pictures import missing

    plan = folder.plan()
    for letter, run in arms.items():
        if differ := others(plan, letter, run):
            raise UsageError(
                f"{len(differ)} of the pictures of {run.path} are not those that {folder.path} "
                "was registered with.",
                f"The first one is {differ[0]}.",
                "bring the run back as it was, or begin another review: name=NAME",
            )
    if gone := missing(plan, arms):
        raise UsageError(
            f"{len(gone)} of the pictures that {folder.path} shows are not there.",
            f"The first one is {gone[0]}.",
            "bring them back, or decode them again with the command of that run",
        )


def _serve(
    arms: Mapping[str, RunFolder], folder: ReviewFolder, options: argparse.Namespace
) -> None:
    # By name: reports stand on qa, qa does not know them.
    site = import_module("reports.review").site(arms["A"], arms, folder)
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


def _ask(arms: Mapping[str, RunFolder], folder: ReviewFolder, judge: Any, all_pairs: bool) -> None:
    from qa.review.model import ask

    plan = folder.plan()
    with progress_bar(plan.question.name) as progress:
        told = ask(folder, plan, arms, judge, progress, all_pairs=all_pairs)
    for line in str(told).splitlines():  # it quotes what a server said
        print(shown(line), file=sys.stderr)


def _tell(run: RunFolder, folders: Sequence[ReviewFolder]) -> int:
    """How many pairs people have answered, and nothing of what they said: they may go on."""
    from qa.review.tally import tally

    for review in map(tally, folders):
        voice = next((one for one in review["voices"] if not one["model"]), None)
        if voice is None:
            print("nobody has answered yet")
            continue
        for rater in voice["raters"]:
            print(shown(f"{rater['name']}  {rater['answers']} of {_asked(review)} pairs answered"))
        own = [rate for rate in voice["rates"] if rate["first"] == review["arms"][0]["letter"]]
        enough = all(rate["state"] != "INCONCLUSIVE" for rate in own)
        whole = voice["drawn"] == review["draws"]
        rest = "all draws are answered, and cannot tell" if whole else "not enough yet"
        print("enough pairs were seen" if enough else rest)
        print(f"results  qa review {run.path} --results")
    return 0


def _print(
    run: RunFolder, bases: Sequence[RunFolder], folders: Sequence[ReviewFolder], as_json: bool
) -> int:
    from qa.review.tally import tally

    found = [tally(folder) for folder in folders]
    if as_json:
        print(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False))
        return 0
    found = [review for review in found if review["voices"]]
    if not found:
        print("nobody has answered yet")
        return 0
    from rich.console import Console

    Console().print(_table(found))
    promoted = _promoted(run)
    for step in dict.fromkeys(_step(run, bases, review, promoted) for review in found):
        print(shown(step))
    return 0


def _table(found: Sequence[Mapping[str, Any]]) -> Any:
    """A line for each voice, and pair of arms where there are several."""
    from rich.table import Table
    from rich.text import Text

    heads = ("question", "by", "pairs", "win rate", "margin", "so far")
    table = Table(*heads, box=None, pad_edge=False)
    times = Counter(review["question"]["name"] for review in found)
    for review in found:
        several = len(review["arms"]) > 2
        question = review["question"]["name"]
        question += f"/{review['name']}" if times[question] > 1 else ""
        for voice in review["voices"]:
            for rate in voice["rates"]:
                arms = f", {rate['first']} over {rate['second']}" if several else ""
                cells = (
                    question + arms, voice["name"],
                    f"{voice['answered']} of {_asked(review)}", _rate(review, voice, rate),
                    f"{review['margin']:g}", rate["state"],
                )  # fmt: skip
                table.add_row(*(Text(shown(cell)) for cell in cells))
    return table


def _asked(review: Mapping[str, Any]) -> int:
    """Pairs that somebody is asked, without catch trials."""
    return int(review["pairs"] - review["alike"])


def _rate(review: Mapping[str, Any], voice: Mapping[str, Any], rate: Mapping[str, Any]) -> str:
    from qa.baseline.cited import awaited

    if awaited(review, voice) or None in (rate["rate"], rate["low"], rate["high"]):
        return "–"
    return f"{rate['rate']:.2f} [{rate['low']:.2f}, {rate['high']:.2f}]"


def _promoted(run: RunFolder) -> str:
    """Plan of the run that `qa judge RUN` compares with by itself; "" where there is none here."""
    from qa import baseline

    try:
        found = baseline.at_hand(run, str(run.config()["baselines"]))
    except (QaError, KeyError):  # `qa judge` says what is wrong
        return ""
    return str(found[0]["plan"]) if found else ""


def _step(
    run: RunFolder, bases: Sequence[RunFolder], review: Mapping[str, Any], promoted: str
) -> str:
    """The command by which a verdict takes a review up: it compares with the review's base."""
    arms = review["arms"][1:]
    if promoted in [arm["plan"] for arm in arms]:
        return f"judge  qa judge {run.path} --save"
    near = RunFolder(run.path.parent / Path(arms[0]["name"]).name)
    for base in (*bases, near):
        with suppress(QaError):  # there is no such run beside this one, or it is damaged
            if base.record().get("plan") == arms[0]["plan"]:
                return f"judge  qa judge {run.path} --save --baseline {base.path}"
    return f"judge  qa judge {run.path} --save --baseline BASE, where BASE is {arms[0]['name']}"
