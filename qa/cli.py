"""The command line: a thin layer over functions that a notebook can call.

    qa run [key=value ...]      measure, judge, report, track
    qa latents [key=value ...]  store latents: of a diffusion model stopped early, or of pictures
    qa judge RUN                judge stored scores again
    qa report | export RUN      write the report; copy the run to MLflow
    qa baseline promote RUN     make a run the measure for its suite
    qa assets list|fetch|verify weights and prompt files
    qa doctor                   what works on this machine
    qa demo                     the first five minutes

Results go to stdout, progress to stderr. Exit codes: 0 pass, 1 the harness broke, 2 usage,
3 a gate FAILED, 4 INCONCLUSIVE, 5 INVALID.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from qa.arguments import parser as arguments_parser
from qa.errors import QaError, UsageError
from qa.files import write_json
from qa.store import RunFolder
from qa.terminal import (
    asset_row,
    plan_lines,
    print_assets,
    print_verdict,
    progress_bar,
    warnings_as_lines,
)

if TYPE_CHECKING:
    from qa.gates.margins import Margin
    from qa.results import Results

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `qa` command."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Carry out one command line; returns the exit code. User errors print without a traceback."""
    # OpenMP threads that spin while they wait starve the other stages of a run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = arguments_parser(__doc__)
    options, rest = parser.parse_known_args(arguments)
    if rest:
        # argparse takes positionals in one piece; overrides may stand on both sides of an option
        if options.action not in ("run", "latents") or any(word.startswith("-") for word in rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        options.overrides += rest
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character
    try:
        return ACTIONS[options.action](options)
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped; run the same command again: it continues", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `qa ... | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  the interpreter flushes it at exit
        return 1


def _run(options: argparse.Namespace) -> int:
    from qa.config import compose
    from qa.cost import line as cost_line
    from qa.cost import rows as cost_rows
    from qa.job import cost, prepare
    from qa.run import conclude, measure

    config = compose(options.overrides, options.config_dir)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    with warnings_as_lines():
        job = prepare(config)
        planned = cost(job)
        if options.dry_run:
            print(json.dumps(planned, indent=1) if options.json else plan_lines(planned))
            return 0
        print(plan_lines(planned), file=sys.stderr)
        for name, why in job.unavailable.items():
            print(f"unavailable  {name}: {why}", file=sys.stderr)
        with progress_bar(config.choices["decoder"]) as progress:
            measure(job, progress)
        finished = conclude(job)
    print_verdict(finished.verdict, options.json)
    if not options.json:
        print(f"cost    {cost_line(cost_rows(finished.folder.decoded()))}")
        if job.report is not None:
            print(f"report  {finished.folder.report_file}")
        if finished.tracked:
            print(f"mlflow  {finished.tracked}")
    return finished.exit_code


def _latents(options: argparse.Namespace) -> int:
    from qa.capture import ROOT, latents
    from qa.config import compose

    config = compose(options.overrides, options.config_dir, ROOT)
    if options.cfg:
        print(config.resolved(), end="")
        return 0
    with warnings_as_lines():
        return latents(config, dry_run=options.dry_run, bar=progress_bar)


def _judge(options: argparse.Namespace) -> int:
    from qa.judge import judge
    from qa.results import load

    candidate = load(options.run)
    baseline = _against(options, candidate)
    margins, chosen = _margins(options, candidate, baseline)
    better = dict(pair.partition("=")[::2] for pair in options.better)
    verdict = judge(candidate, baseline, margins, use_case=chosen, better=better)
    if options.save:
        write_json(RunFolder.open(options.run).verdict_file, verdict)
    print_verdict(verdict, options.json)
    return int(verdict["exit_code"])


def _against(options: argparse.Namespace, candidate: Results) -> Results:
    """What to judge against: the baseline given, or the promoted run of the candidate's suite."""
    from qa import baseline
    from qa.results import load

    if options.baseline is not None:
        return load(options.baseline)
    found = None
    if candidate.folder is not None:
        found = baseline.find(candidate.record["suite"], candidate.folder.config()["baselines"])
    if found is None:
        raise UsageError(
            "There is nothing to judge against.",
            "No --baseline was given and the suite has no promoted run.",
            "add --baseline RUN, or: qa baseline promote RUN",
        )
    return found


def _margins(
    options: argparse.Namespace, candidate: Results, baseline: Results
) -> tuple[dict[str, Margin], str | None]:
    """The margins to judge by, and the use case they come from.

    A run's own, or those of --use-case; --margin adds to them. A bare table is judged by the
    margins given with it, or by those of `photo` if there are none.
    """
    from qa.gates.margins import from_config, parse, use_case
    from qa.judge import applicable

    given = parse(options.margin)
    if options.use_case or (candidate.folder is None and not given):
        name = options.use_case or "photo"
        return applicable(use_case(name), candidate, baseline) | given, name
    if candidate.folder is None:
        return given, None
    own = from_config(candidate.folder.config()["use_case"]["margins"])
    return applicable(own, candidate, baseline) | given, candidate.record["use_case"]


def _report(options: argparse.Namespace) -> int:
    from qa import baseline

    folder = RunFolder.open(options.run)
    pictures = RunFolder.open(options.baseline) if options.baseline else None
    if pictures is None:
        compared = folder.verdict()["baseline"] or {}
        found = baseline.find(folder.record()["suite"], folder.config()["baselines"])
        if found is not None and found.record["plan"] == compared.get("plan"):
            pictures = found.folder
    # By name: reports stand on qa, qa does not know them.
    print(import_module("reports.html").write(folder, pictures))
    return 0


def _export(options: argparse.Namespace) -> int:
    from qa.tracking import MLflow

    folder = RunFolder.open(options.run)
    asked = folder.config().get("tracking") or {}
    chosen = {key: asked[key] for key in ("uri", "experiment") if asked.get(key)}
    if options.uri:
        chosen["uri"] = options.uri
    print(MLflow(**chosen).export(folder.path))
    return 0


def _promote(options: argparse.Namespace) -> int:
    from qa import baseline

    file = baseline.promote(RunFolder.open(options.run), options.baselines, options.reason)
    print(f"{file} names {options.run}; commit it to share the baseline")
    return 0


def _show(options: argparse.Namespace) -> int:
    from qa import baseline

    entries = baseline.show(options.baselines)
    if options.json:
        print(json.dumps(entries, indent=1))
    elif not entries:
        print(f"no baselines in {options.baselines}/")
    for entry in [] if options.json else entries:
        print(f"{entry['suite']:16} {entry['run']}  {entry['promoted']}  {entry['reason']}")
    return 0


def _why(options: argparse.Namespace) -> int:
    from qa import baseline

    print(baseline.why(options.suite, options.baselines))
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


def _doctor(_: argparse.Namespace) -> int:
    from qa.doctor import examine

    return examine()


def _demo(_: argparse.Namespace) -> int:
    from qa.demo import demo

    return demo(run)


ACTIONS = {
    "run": _run, "latents": _latents, "judge": _judge, "report": _report, "export": _export,
    "promote": _promote, "show": _show, "why": _why, "assets": _assets, "doctor": _doctor,
    "demo": _demo,
}  # fmt: skip
"""Name of a command in qa.arguments → what it does."""


if __name__ == "__main__":
    main()
