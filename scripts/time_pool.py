"""Time two Ray workers against one on the same work, in turns.

    python scripts/time_pool.py [--rounds 3] [--decoder pid_mini] [--pictures 64] [--seeds 2]

Decodes are single-threaded (`numerics.threads=1`), so a worker is a core, but for the thread that
scores and writes while the next picture is decoded. Throughput is taken from the first finished
unit to the last: what a long run sees. The seconds of the whole command, with Ray's start and the
loading of weights in every worker, stand beside it. All runs must give the same verdict, to the
byte, as `executor=local`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "docs" / "measurements" / "pool-cpu.json"
WORKERS = (1, 2)


def main() -> None:
    """Measure in turns, compare, keep the numbers, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decoder", default="pid_mini")
    parser.add_argument("--pictures", type=int, default=64, help="drawn pages")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    result = measured(options)
    if options == parser.parse_args([]):  # other sizes are for trying out
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(section(result))


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Both sizes of the pool, in turns."""
    from qa.record import environment

    rows: dict[int, list[dict[str, float]]] = {count: [] for count in WORKERS}
    cpu = environment({})["cpu"]["model"]
    with tempfile.TemporaryDirectory(prefix="decoder-qa-pool-") as name:
        os.chdir(name)
        timed(options, "local", ())
        whole = Path("local", "verdict.json").read_bytes()
        for turn in range(options.rounds):
            for count in WORKERS if turn % 2 == 0 else WORKERS[::-1]:
                out = f"pool-{turn}-{count}"
                pool = ("executor=ray", "executor.address=local", f"executor.workers={count}")
                rows[count].append(timed(options, out, pool))
                if Path(out, "verdict.json").read_bytes() != whole:
                    sys.exit(f"{out}: another verdict than executor=local")
                print(out, rows[count][-1], flush=True)
    about = {"decoder": options.decoder, "pictures": options.pictures, "seeds": options.seeds}
    return {**about, "rows": {str(k): v for k, v in rows.items()}, "cpu": cpu}


def timed(options: argparse.Namespace, out: str, more: tuple[str, ...]) -> dict[str, float]:
    """One run: seconds of the command, and pictures a second between its first and last unit."""
    words = [
        sys.executable, "-m", "qa.cli", "run", f"decoder={options.decoder}", "suite=legibility",
        f"limit={options.pictures}", f"seeds={options.seeds}", "metric=[psnr,gmsd]",
        "gate=[regression]", "numerics.threads=1", "report=null", "tracking=none", f"out={out}",
        *more,
    ]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode in {1, 2}:
        sys.exit(done.stderr[-2000:])
    times = sorted(file.stat().st_mtime for file in Path(out, "units").glob("*/*.json"))
    pictures = (len(times) - 1) * options.seeds
    return {"seconds": seconds, "rate": pictures / (times[-1] - times[0])}


def section(result: dict[str, Any]) -> str:
    """The part of the page about scale that this measurement fills."""
    one, two = (result["rows"][str(count)] for count in WORKERS)
    ratios = [b["rate"] / a["rate"] for a, b in zip(one, two, strict=True)]
    lines = [
        "## Two workers against one",
        "",
        f"`python scripts/time_pool.py`: `executor=ray`, {result['decoder']} with one thread, "
        f"{result['pictures']} drawn pages of suite=legibility at {result['seeds']} seeds, PSNR "
        "and GMSD, in turns. Pictures a second from the first finished unit to the last; verdicts "
        f"equal those of `executor=local` to the byte. Median [least, most] of {len(one)}. "
        f"{result['cpu']}.",
        "",
        "| workers | pictures/s | seconds of the whole command |",
        "|---|---|---|",
        *(f"| {count} | {_spread(rows, 'rate', 2)} | {_spread(rows, 'seconds', 0)} |"
          for count, rows in zip(WORKERS, (one, two), strict=True)),
        "",
        f"Throughput: {statistics.median(ratios):.2f}x [{min(ratios):.2f}, {max(ratios):.2f}].",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _spread(rows: list[dict[str, float]], key: str, digits: int) -> str:
    values = [row[key] for row in rows]
    middle = statistics.median(values)
    return f"{middle:.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


if __name__ == "__main__":
    main()
