"""`qa demo`: the first five minutes, without a download, an account or a GPU.

Three runs of the built-in suite: the baseline, the same weights in bfloat16, and a planted defect
(a picture moved by one pixel). The demo succeeds if the gates tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qa.errors import QaError
from qa.store import read_json

Command = Callable[[list[str]], int]
FAIL = 3


def demo(command: Command) -> int:
    """Run it; `command` carries out one `qa` command line and returns its exit code.

    Returns 0 if everything ran and the planted defect was rejected. Raises QaError otherwise.
    """
    runs, baselines = "runs", "baselines"
    print("1  the baseline: vae_mini, a small trained autoencoder that ships with this package\n")
    _say(command, ["run", "decoder=vae_mini", "baseline=none"])
    _say(command, ["baseline", "promote", _latest(runs, "vae_mini"), "--reason", "demo"])
    print("\n2  a candidate: the same weights computed in bfloat16\n")
    candidate = _say(command, ["run", "decoder=vae_mini", "decoder.dtype=bfloat16"])
    print("\n3  a planted defect: every picture moved by one pixel\n")
    defect = _say(command, ["run", "decoder=shifted"])
    if defect != FAIL:
        raise QaError(
            f"The planted defect was not rejected (exit {defect}, expected {FAIL}).",
            "A gate that passes it is broken.",
            "qa doctor",
        )
    print(f"\nThe planted defect FAILED, as it should; bfloat16 ended with exit {candidate}.")
    print(f"baseline  {baselines}/mini.json   now try: qa run decoder=flat")
    return 0


def _say(command: Command, arguments: list[str]) -> int:
    print(f"$ qa {' '.join(arguments)}", flush=True)
    code = command(arguments)
    if code not in (0, FAIL, 4):
        raise QaError(f"`qa {' '.join(arguments)}` ended with exit {code}.", "", "qa doctor")
    return code


def _latest(runs: str, decoder: str) -> str:
    """The built-in suite's run of a decoder that was started last."""
    found = [
        (read_json(file)["started"], str(file.parent))
        for file in Path(runs).glob(f"mini-{decoder}-*/record.json")
    ]
    return max(found)[1]
