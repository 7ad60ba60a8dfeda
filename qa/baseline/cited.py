"""Reviews as evidence: are their pictures still those of the run, and what does one say in a line?

A waiver may cite a review (`qa baseline approve … --review RUN`). It then keeps what the review
said on that day, with digests of its plan and answers, so that whoever meets the waiver later can
tell whether it is still the same review.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from qa.errors import UsageError
from qa.review.plan import FIXED, Plan, ReviewFolder, named, reviews
from qa.review.tally import tally
from qa.store import RunFolder

KEYS = ("answers", "name", "plan", "run", "said")
"""Of what a waiver keeps, all of them texts."""


def changed(plan: Plan, letter: str, run: RunFolder) -> str:
    """Which picture of an arm is no longer the one that a review shows; "" where all are.

    QaError where decoded.parquet cannot be read.
    """
    return next(iter(others(plan, letter, run)), "")


def others(plan: Plan, letter: str, run: RunFolder) -> list[str]:
    """All pictures of an arm that are no longer those that a review shows. QaError as above."""
    rows = run.decoded(["sample", "seed", "digest"])
    found = dict(zip(zip(rows["sample"], rows["seed"], strict=True), rows["digest"], strict=True))
    differ = dict.fromkeys(
        (pair.seed, pair.sample)
        for pair in plan.pairs
        for arm, mark in zip((pair.first, pair.second), pair.digests, strict=True)
        if arm == letter and found.get((pair.sample, pair.seed)) != mark
    )
    return [f"seed {seed} of {sample!r}" for seed, sample in differ]


def awaited(said: Mapping[str, Any], voice: Mapping[str, Any]) -> bool:
    """Whether a voice's intervals may not be looked at yet: one look at all draws was registered.

    Both as `qa.review.tally` gives them.
    """
    return bool(said["rule"] == FIXED and voice["drawn"] < said["draws"])


def digest_of(folder: ReviewFolder) -> str:
    """SHA-256 over names and contents of a review's files of answers."""
    found = hashlib.sha256()
    for file in folder.files()[1:]:
        found.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def cited(asked: str, promoted: Collection[str]) -> dict[str, str]:
    """What a waiver keeps of a review, `RUN` or `RUN:NAME`; keys as in `KEYS`.

    `promoted` are the plans of the suite's baselines. UsageError for a review that is not there,
    compared with another run, has no answer that counts, or no longer shows the run's pictures;
    QaError where plan or answers are damaged.
    """
    run, folder = _found(asked)
    plan, said = folder.plan(), tally(folder)
    own = run.record().get("plan")
    if plan.arms[0].plan != own:
        raise _refused(folder, "It is a review of another run.", f"qa review {run.path}")
    other = next((arm.letter for arm in plan.arms[1:] if arm.plan in promoted), None)
    if other is None:
        why = "It compares the run with another one than the suite's promoted baseline."
        raise _refused(folder, why, f"qa review {run.path} BASE, with the promoted run as BASE")
    gone = changed(plan, plan.arms[0].letter, run)
    if gone:
        raise _refused(folder, f"The run's picture of {gone} is another one now.",
                       f"qa review {run.path} name=NAME begins a new one")  # fmt: skip
    for voice in said["voices"]:
        rate = next(row for row in voice["rates"] if row["second"] == other)
        if voice["answered"] and rate["rate"] is not None:
            return {
                "name": folder.name,
                "run": str(own),
                "plan": plan.digest,
                "answers": digest_of(folder),
                "said": _sentence(said, voice, rate),
            }
    raise _refused(folder, "It has no answer that counts.", f"qa review {run.path}")


def _found(asked: str) -> tuple[RunFolder, ReviewFolder]:
    """The run and the one review of it that are meant."""
    path, _, name = asked.rpartition(":")
    if not path or Path(asked).exists():
        path, name = asked, ""
    run = RunFolder.open(path)
    there = reviews(run)
    known = ", ".join(folder.name for folder in there)
    if name:
        folder = named(run, name)
        if folder.path not in [one.path for one in there]:
            raise UsageError(f"{run.path} has no review {name}.", f"It has {known or 'none'}.", "")
        return run, folder
    if len(there) != 1:
        raise UsageError(
            f"{run.path} has {len(there)} reviews.",
            f"A waiver cites one: {known}." if there else "",
            f"--review {run.path}:NAME" if there else f"qa review {run.path}",
        )
    return run, there[0]


def _sentence(said: Mapping[str, Any], voice: Mapping[str, Any], rate: Mapping[str, Any]) -> str:
    """`overall PASS at margin 0.1: preferred in 54 % [48, 60] of 120 answers, 3 raters`."""
    percent = [100 * rate[end] for end in ("rate", "low", "high") if rate[end] is not None]
    known = len(percent) == 3 and not awaited(said, voice)
    ends = f" [{percent[1]:.0f}, {percent[2]:.0f}]" if known else ""
    people = f"{rate['raters']} rater{'s' * (rate['raters'] != 1)}"
    who = f"by the model {voice['name']}" if voice["model"] else people
    answers = sum(rate["said"].values())
    state = f"{said['question']['name']} {rate['state']} at margin {said['margin']:g}"
    return f"{state}: preferred in {percent[0]:.0f} %{ends} of {answers} answers, {who}"


def _refused(folder: ReviewFolder, why: str, fix: str) -> UsageError:
    return UsageError(f"{folder.path} cannot be cited.", why, fix)
