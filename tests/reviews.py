"""Reviews made by hand: a plan over two finished runs, and answers that a function gives.

    finished(path, pictures=40, shade=0)  → RunFolder with small pictures, of suite `toy`
    planned(run, *others, name="overall", question="overall", catches=0, **changes)  → ReviewFolder
    answered(folder, say, raters=("Ann",), kind=PERSON, attentive=True, pairs=None, **more)

`run` and `others` are run folders with record.json and decoded.parquet (those of `finished`, of
`runfolders.build`, a run of `toyruns`). Every picture that all arms have becomes a pair of each two
arms, drawn once, in order, with a weight of 1; `changes` replace fields of `qa.review.plan.Plan`.
`say(pair, rater)` is "first", "second", "tie", "bad", or None for a model that gives no answer.
Catch trials (the same picture twice, and one with a planted defect, in turn) are answered right by
who is `attentive`, and wrong by others.

    run, baseline = finished(tmp_path / "run", shade=1), finished(tmp_path / "baseline")
    folder = planned(run, baseline)
    answered(folder, lambda pair, rater: "first", raters=("Ann", "Ben"))
    tally(folder)["voices"][0]["rates"][0]["rate"] == 1.0
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from qa import images
from qa.files import digest, read_json, write_bytes, write_json
from qa.images import encode_png
from qa.record import sample_row
from qa.reduce import reduce
from qa.review.answers import BAD, LEFT, MODEL, PERSON, RIGHT, TIE, Answer, add
from qa.review.plan import (
    DEFECT,
    FIXED,
    IDENTICAL,
    Arm,
    Pair,
    Plan,
    Question,
    ReviewFolder,
    named,
)
from qa.store import RunFolder, UnitResult
from qa.types import Decoded, Sample, Score

DATE = "2026-11-22T10:00:00+00:00"
CONFIG = """use_case: {margins: {psnr: {margin: 0.2}}}
gate:
  regression: {_target_: qa.gates.regression.Regression}
  preference: {_target_: qa.gates.preference.Preference}
policy: pr
baselines: baselines
"""
FACTS = {"psnr": {"name": "psnr", "better": "higher", "unit": "dB", "fingerprint": "f00d"}}
Say = Callable[[Pair, str], str | None]


def finished(path: Path, pictures: int = 40, shade: int = 0) -> RunFolder:
    """A finished run of pictures of 16x16, p000, p001, …, with a PSNR of 30 + shade each.

    Plan and pictures follow from number and shade: the same ones are the same run.
    """
    run, plan = RunFolder(path), digest([pictures, shade])
    names = [f"p{number:03d}" for number in range(pictures)]
    for number, sample in enumerate(names):
        levels = torch.full((3, 16, 16), 40 + number + shade, dtype=torch.uint8)
        file = run.write_picture(run.picture_file(sample, 0), encode_png(levels))
        run.write_picture(run.reference_file(sample), encode_png(levels - shade))
        made = Decoded(sample, 0, file, images.digest(levels), 0, 0.1, None)
        score = Score(sample, 0, "psnr", 30.0 + shade)
        run.store(UnitResult(sample, (made,), (score,), {"psnr": "f00d"}))
    reduce(run, names, ["psnr"])
    rows = (sample_row(Sample(name), 16, 16) for name in names)
    run.write_samples({**row, "sha256": digest(row["id"])} for row in rows)
    write_bytes(run.config_file, CONFIG.encode())
    write_json(run.record_file, {
        "schema": "decoder-qa/record/1", "name": f"toy-{path.name}", "suite": "toy",
        "decoder": path.name, "use_case": None, "policy": "pr", "plan": plan,
        "suite_digest": digest(names), "decoder_digest": digest([plan, "weights"]),
        "latents_digest": None, "seeds": 1, "pictures": pictures, "limited": False,
        "licence": "test", "unavailable": {}, "facts": FACTS,
        "terms": {"use_case": None, "primary": ["psnr"], "gates": {"regression": "e" * 64}},
        "environment": {"class": "c" * 12, "decides": {"threads": 2}},
        "started": DATE, "finished": DATE,
    })  # fmt: skip
    return run


def planned(
    run: RunFolder,
    *others: RunFolder,
    name: str = "overall",
    question: str = "overall",
    catches: int = 0,
    **changes: Any,
) -> ReviewFolder:
    """Register a review of `run` against `others`, one look at all pairs unless `rule` differs."""
    arms = dict(zip("ABCDEFGH", (run, *others), strict=False))
    digests = {letter: _digests(arm, letter) for letter, arm in arms.items()}
    common = sorted(set.intersection(*map(set, digests.values())))
    pairs = [
        Pair(0, sample, seed, one, other,
             (digests[one][sample, seed], digests[other][sample, seed]), sample, 1.0, "random")
        for sample, seed in common
        for one, other in combinations(arms, 2)
    ]  # fmt: skip
    for number in range(catches):
        sample, seed = common[number % len(common)]
        own = digests["A"][sample, seed]
        kind = (IDENTICAL, DEFECT)[number % 2]
        pairs.append(Pair(0, sample, seed, "A", "A", (own, own), sample, 1.0, "catch", kind))
    pairs = [replace(pair, number=place) for place, pair in enumerate(pairs)]
    plan = Plan(
        question=Question(question, f"Which picture is better ({question})?"),
        arms=tuple(
            Arm(letter, str(arm.record().get("name", arm.name)), arm.record()["plan"])
            for letter, arm in arms.items()
        ),
        margin=0.1,
        margin_why="a tenth of the pairs",
        confidence=0.9,
        rule=FIXED,
        raters=1,
        lapses=0.1,
        shares={"harm": 0.0, "margin": 0.0, "random": 1.0},
        seed=1,
        pictures=len(common),
        left_out={},
        pairs=tuple(pairs),
        draws=tuple(pair.number for pair in pairs if not pair.catch),
    )
    folder = named(run, name)
    folder.register(replace(plan, **changes))
    return folder


def answered(
    folder: ReviewFolder,
    say: Say,
    raters: Iterable[str] = ("Ann",),
    kind: str = PERSON,
    attentive: bool = True,
    pairs: Iterable[int] | None = None,
    **more: Any,
) -> ReviewFolder:
    """Let raters, or models, answer all pairs or those of these numbers.

    `more` are other fields of every answer (tags, note, date).
    """
    plan = folder.plan()
    numbers = range(len(plan.pairs)) if pairs is None else pairs
    for rater in raters:
        for pair in (plan.pairs[number] for number in numbers):
            if pair.alike:
                continue
            said = _expected(pair, attentive) if pair.catch else say(pair, rater)
            sides = (True, False) if kind == MODEL else (plan.first_is_left(pair, rater),)
            for left in sides:
                known = {"date": DATE, "why": "" if said else "it said nothing", **more}
                answer = Answer(pair.number, rater, kind, left, _side(said, left), **known)
                add(folder, plan, answer)
    return folder


def repictured(folder: ReviewFolder, pair: int, which: int, mark: str = "0" * 64) -> None:
    """As if a pair had been compared with another picture of its first or second arm."""
    plan = read_json(folder.plan_file)
    plan["pairs"][pair]["digests"][which] = mark
    write_json(folder.plan_file, plan)
    for file in folder.files()[1:]:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        given = [json.dumps(row | {"plan": folder.digest}) + "\n" for row in rows]
        file.write_text("".join(given))


def level(folder: ReviewFolder, pair: int) -> None:
    """As if both arms of a pair had the same picture: a tie that nobody is asked."""
    repictured(folder, pair, 1, folder.plan().pairs[pair].digests[0])


def _expected(pair: Pair, attentive: bool) -> str:
    right = "tie" if pair.catch == IDENTICAL else "first"
    return right if attentive else "second"


def _side(said: str | None, first_is_left: bool) -> str | None:
    if said in (None, "tie", "bad"):
        return {None: None, "tie": TIE, "bad": BAD}[said]
    return LEFT if (said == "first") == first_is_left else RIGHT


def _digests(run: RunFolder, letter: str) -> dict[tuple[str, int], str]:
    rows = run.decoded(["sample", "seed", "file", "digest"])
    found = {}
    for row in rows[rows["file"].notna()].itertuples():
        known = row.digest if isinstance(row.digest, str) else f"{letter} {row.sample} {row.seed}"
        found[str(row.sample), int(row.seed)] = known
    return found
