"""`qa demo`: the first five minutes, without a download, an account or a GPU.

Three runs of the built-in suite: the baseline, the same weights in bfloat16, and a planted defect
(a picture moved by one pixel). Two runs over drawn words: the same baseline, and another defect
(its pictures blurred). The demo succeeds if the gates tell all of them apart.
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
WORDS = ["suite=legibility", "suite.caps=[8,10]", "suite.pages=3", "seeds=1", "gate=[regression]"]
"""Six pages of small text, in two sizes."""


def demo(command: Command) -> int:
    """Run it; `command` carries out one `qa` command line and returns its exit code.

    Returns 0 if everything ran and the planted defects were rejected. Raises QaError otherwise. A
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
    _reject(command, ["run", "decoder=shifted", *against])
    print("\n4  small text: what a reader makes of drawn words, and of the same words blurred\n")
    clean = [*WORDS, "decoder=vae_mini", "baseline=none"]
    _say(command, ["run", *clean])
    words = f"baseline={prepare(compose(clean)).folder.path}"
    _reject(command, ["run", *WORDS, "decoder=blurred", "decoder.by=4", words])
    print(f"\nBoth planted defects FAILED, as they should; bfloat16 ended with exit {candidate}.")
    print("now try  qa run decoder=flat")
    return 0


def _is_free(suite: str, plan: str) -> bool:
    """Whether the suite has no baseline, or only what this very demo promoted before."""
    named = [entry for entry in baseline.show() if entry["suite"] == suite]
    return all((entry.get("why"), entry.get("plan")) == (REASON, plan) for entry in named)


def _reject(command: Command, arguments: list[str]) -> None:
    """Run a planted defect; QaError unless the gates reject it."""
    code = _say(command, arguments)
    if code != FAIL:
        raise QaError(
            f"The planted defect was not rejected (exit {code}, expected {FAIL}).",
            "A gate that passes it is broken.",
            "qa doctor",
        )


def _say(command: Command, arguments: list[str]) -> int:
    print(f"$ qa {' '.join(arguments)}", flush=True)
    code = command(arguments)
    if code not in (0, FAIL, 4):
        raise QaError(f"`qa {' '.join(arguments)}` ended with exit {code}.", "", "qa doctor")
    return code
