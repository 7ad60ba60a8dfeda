"""`qa demo`: the first five minutes, without a download, an account or a GPU.

A classical and a generative decoder get the same latents of drawn pages. The generative one is
judged against the other, a planted defect against it, and the dial is asked which of its settings
suits documents and which creative work:

    latents ─┬─ vae_mini, then bicubic interpolation    the baseline
             ├─ pid_mini, 4 seeds                       the candidate
             ├─ pid_mini, moved by one pixel            the planted defect
             └─ pid_mini at several settings            the dial, for two use cases

The demo succeeds if everything ran and the gates rejected the planted defect. What they say of
pid_mini is what they find: it is a small network with limits that its card names.
"""

from __future__ import annotations

from collections.abc import Callable

from qa import baseline
from qa.config import compose
from qa.errors import QaError
from qa.job import prepare

Command = Callable[[list[str]], int]
FAIL, INCONCLUSIVE = 3, 4
REASON = "demo"
WORDS = ["suite=legibility", "suite.caps=[12,16,24]", "suite.words=12"]
PAGES = [*WORDS, "suite.pages=6"]
"""Eighteen pages of words, in three sizes."""
MEASURED = ["metric=[psnr,gmsd,hf_energy,legibility]", "gate=[regression,preference]"]
CLASSICAL = ["decoder=vae_mini_bicubic", "decoder.upsampler.scale=2"]
DIALLED = [
    "metric=[psnr,gmsd,lowres_psnr,hf_energy,legibility]", "metric.lowres_psnr.by=2",
    "knobs.steps=2", "settings.steps=[1,2,4]", "settings.sigma=[0]", "suite.pages=8", "seeds=2",
]  # fmt: skip
"""More pages, two seeds. Two steps are nearest to the original: others are compared with them.

For documents nothing but these may be picked: so few pages cannot show that other strokes lose no
words. Creative work does not ask for words, and gets the finer detail of four.
"""


def demo(command: Command) -> int:
    """Run it; `command` carries out one `qa` command line and returns its exit code.

    Returns 0 if everything ran and the planted defect was rejected. Raises QaError otherwise. A
    baseline that the user promoted for this suite is neither used nor replaced.
    """
    print("1  the baseline: vae_mini at half the size, made larger by bicubic interpolation\n")
    classical = [*PAGES, *MEASURED, *CLASSICAL, "baseline=none"]
    _say(command, ["run", *classical])
    job = prepare(compose(classical))
    measure = str(job.folder.path)
    free = _is_free(job.suite, job.plan.digest)
    if free:
        _say(command, ["baseline", "promote", measure, "--reason", REASON, "--by", "demo"])
    against = [] if free else [f"baseline={measure}"]
    print("\n2  the candidate: pid_mini, a small PiD, draws the same latents from noise; 4 seeds\n")
    generative = [*PAGES, *MEASURED, "decoder=pid_mini"]
    candidate = _say(command, ["run", *generative, *against])
    print("\n3  a planted defect: the candidate's pictures moved by one pixel\n")
    today = f"baseline={prepare(compose([*generative, *against])).folder.path}"
    _reject(command, ["run", *PAGES, *MEASURED, "decoder=pid_mini_shifted", today])
    print("\n4  the dial: which setting for documents, which for creative work\n")
    for use_case in ("document", "creative"):
        asked = [f"use_case={use_case}", "decoder=pid_mini", *WORDS, *DIALLED]
        _say(command, ["dial", *asked])
    states = {0: "passed", FAIL: "FAILED, as its report says why", INCONCLUSIVE: "is open"}
    print(f"\nThe planted defect FAILED, as it should; the candidate itself {states[candidate]}.")
    print("now try  qa run decoder=pid_mini   and   qa run suite=figures decoder=l2p_mini")
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
    if code not in (0, FAIL, INCONCLUSIVE):
        raise QaError(f"`qa {' '.join(arguments)}` ended with exit {code}.", "", "qa doctor")
    return code
