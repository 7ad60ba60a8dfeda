"""The command line: a thin layer over functions that a notebook can call.

    qa run [key=value ...]      measure, judge, report, track
    qa latents [key=value ...]  store latents: of a diffusion model stopped early, or of pictures
    qa dial [key=value ...]     the setting of a decoder that suits a use case
    qa repro [key=value ...]    how far the same inputs give the same pictures
    qa bench [key=value ...]    how fast and in how much memory decoders run here
    qa judge RUN                judge stored scores again
    qa compare RUN BASE ...     several runs beside each other: verdicts, trade-offs, pictures
    qa plan RUN                 pictures and seeds that each margin needs, from a pilot
    qa report | export RUN      write a report; copy the run to MLflow
    qa view RUN [BASE ...]      every picture at full size, in the browser of this machine
    qa review RUN [BASE ...]    pairs of pictures compared blind, by people or by a model
    qa baseline promote RUN     make a run the measure for its suite; show, why, approve
    qa signoff RUN              record who decided to ship or hold it, if its verdict allows that
    qa assets list|fetch|verify weights and prompt files
    qa doctor                   what works on this machine
    qa demo                     the first five minutes

Results go to stdout, progress to stderr. Exit codes: 0 pass, 1 the harness broke, 2 usage,
3 a gate FAILED, 4 INCONCLUSIVE, 5 INVALID.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from qa import __version__
from qa.commands import (
    baseline,
    bench,
    compare,
    dial,
    judging,
    plan,
    report,
    repro,
    review,
    signoff,
    tools,
    view,
)
from qa.commands import run as running
from qa.errors import QaError
from qa.terminal import shown

INTERRUPTED = 130
COMMANDS = (
    running, dial, judging, compare, plan, report, view, review, baseline, signoff, repro, bench,
    tools,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `qa` command."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Carry out one command line; returns the exit code. User errors print without a traceback."""
    # OpenMP threads that spin while they wait starve the other stages of a run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest:
        # argparse takes positionals in one piece; overrides may stand on both sides of an option
        if not hasattr(options, "overrides") or any(word.startswith("-") for word in rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        options.overrides += rest
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character
    try:
        return int(options.do(options))
    except QaError as error:
        print(f"error: {shown(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped; give the same command again: what is finished is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `qa ... | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  the interpreter flushes it at exit
        return 1


def _parser() -> argparse.ArgumentParser:
    """The parser of `qa`; `options.do` carries a command out, `options.qa` a whole command line."""
    top = argparse.ArgumentParser(
        prog="qa", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"decoder-qa {__version__}")
    top.set_defaults(qa=run)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.arguments(commands)
    return top


if __name__ == "__main__":
    main()
