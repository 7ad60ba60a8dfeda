"""`qa demo`: the first five minutes, without a download, an account or a GPU.

Three runs of the built-in suite: the baseline, the same weights in bfloat16, and a planted defect
(a picture moved by one pixel). The demo succeeds if the gates tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable

from qa import baseline
from qa.config import compose
from qa.errors import QaError
from qa.job import prepare

Command = Callable[[list[str]], int]
FAIL = 3
REASON = "demo"


def demo(command: Command) -> int:
    """Run it; `command` carries out one `qa` command line and returns its exit code.

    Returns 0 if everything ran and the planted defect was rejected. Raises QaError otherwise. A
    baseline that the user promoted for this suite is neither used nor replaced.
    """
    print("1  the baseline: vae_mini, a small trained autoencoder that ships with this package\n")
    good = ["decoder=vae_mini", "baseline=none"]
    _say(command, ["run", *good])
    job = prepare(compose(good))
    measure = str(job.folder.path)
    free = _is_free(job.suite, job.plan.digest)
    if free:
        _say(command, ["baseline", "promote", measure, "--reason", REASON, "--by", "demo"])
    against = [] if free else [f"baseline={measure}"]
    print("\n2  a candidate: the same weights computed in bfloat16\n")
    candidate = _say(command, ["run", "decoder=vae_mini", "decoder.dtype=bfloat16", *against])
    print("\n3  a planted defect: every picture moved by one pixel\n")
    defect = _say(command, ["run", "decoder=shifted", *against])
    if defect != FAIL:
        raise QaError(
            f"The planted defect was not rejected (exit {defect}, expected {FAIL}).",
            "A gate that passes it is broken.",
            "qa doctor",
        )
    print(f"\nThe planted defect FAILED, as it should; bfloat16 ended with exit {candidate}.")
    print("now try  qa run decoder=flat")
    return 0


def _is_free(suite: str, plan: str) -> bool:
    """Whether the suite has no baseline, or only what this very demo promoted before."""
    named = [entry for entry in baseline.show() if entry["suite"] == suite]
    return all((entry.get("why"), entry.get("plan")) == (REASON, plan) for entry in named)


def _say(command: Command, arguments: list[str]) -> int:
    print(f"$ qa {' '.join(arguments)}", flush=True)
    code = command(arguments)
    if code not in (0, FAIL, 4):
        raise QaError(f"`qa {' '.join(arguments)}` ended with exit {code}.", "", "qa doctor")
    return code
