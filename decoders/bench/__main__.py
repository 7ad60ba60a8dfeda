"""Measure decoders on this device: `python -m decoders.bench`, what `qa bench` runs.

Needs torch and what the systems need: triton for kernels, safetensors for the small networks,
diffusers for flux_vae. Tables go to stdout, progress to stderr, numbers to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields

from decoders.bench import table
from decoders.bench.run import Options, only, run
from decoders.bench.systems import SYSTEMS
from decoders.bench.ways import AXES
from qa.errors import QaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; the exit code."""
    told = vars(_parser().parse_args(arguments))
    if told["only"] is not None:
        print(json.dumps(only(json.loads(told["only"]))))
        return 0
    given = {field.name: told[field.name] for field in fields(Options)}
    try:
        document, code = run(Options(**given), _say)
    except QaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table.text(document))
    return code


def _say(done: int, rows: int, what: str) -> None:
    print(f"{done}/{rows} {what}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m decoders.bench",
        description="What is left out is chosen for the device.",
    )
    parser.add_argument("--systems", nargs="*", help=f"{', '.join(SYSTEMS)}; none with no name")
    parser.add_argument("--sizes", nargs="+", type=int, help="sides of the pictures")
    parser.add_argument("--batch", nargs="+", type=int, default=[1])
    for axis, values in AXES.items():
        parser.add_argument(f"--{axis}", nargs="+", choices=values)
    parser.add_argument("--no-operations", dest="operations", action="store_false")
    parser.add_argument("--rounds", type=int, help="3 to 20, by time, where it is left out")
    parser.add_argument("--profile", action="store_true", help="say where time goes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", help="file that the numbers are merged into")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # what a fresh process is told
    return parser


if __name__ == "__main__":
    sys.exit(main())
