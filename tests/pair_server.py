"""Reviews of pictures with a known winner, and a model on loopback that judges them.

The brighter picture wins; one with a planted defect (both black and white in it, which no other
picture has) loses. With probability `bias`, by a lot that belongs to the request, the model takes
Picture 1 without a look.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from judge_server import MODEL, Act, Reply, Served, pictures
from judge_server import Plan as Faults
from PIL import Image

from qa.images import digest, read
from qa.review import answers
from qa.review.message import grey
from qa.review.model import Asked, Judge, ask
from qa.review.plan import DEFECT, FIXED, IDENTICAL, Arm, Pair, Plan, Question, ReviewFolder
from qa.review.tally import tally
from qa.store import RunFolder

QUESTION = Question("overall", "Which picture is better?")
SIDE = 8
TEN = [1, 0, 0.5, 1, 1, 0, 1, 0.5, 0, 1]
"""True scores of ten pairs."""


@dataclass(frozen=True)
class Reviewed:
    """What `ask` takes."""

    folder: ReviewFolder
    plan: Plan
    runs: Mapping[str, RunFolder]


def review(
    path: Path, truth: Sequence[float], trials: int = 0, name: str = "overall", **changes: Any
) -> Reviewed:
    """Pairs of runs A and B of which A wins (1), loses (0) or is as bright (1/2), after `trials`.

    Equal numbers of pictures give equal pictures, whatever the review's name.
    """
    runs = {letter: RunFolder(path / letter) for letter in "AB"}
    samples = [f"p{number:03}" for number in range(len(truth))]
    for sample, score in zip(samples, truth, strict=True):
        lots = np.random.default_rng([int(sample[1:]), int(2 * score)])
        light, dark = lots.integers(100, 150, (SIDE, SIDE, 3)), lots.integers(20, 70, (SIDE,) * 2)
        two = {1.0: (light, dark), 0.0: (dark, light), 0.5: (light, light[::-1])}[float(score)]
        for letter, values in zip("AB", two, strict=True):
            write(runs[letter].picture_file(sample, 0), values)
        write(runs["A"].reference_file(sample), lots.integers(1, 255, (SIDE, SIDE, 3)))
    catches = [("A", (IDENTICAL, DEFECT)[number % 2]) for number in range(trials)]
    made = [(samples[number % len(samples)], *known) for number, known in enumerate(catches)]
    made += [(sample, "B", "") for sample in samples]
    marks = {
        (letter, sample): digest(read(run.picture_file(sample, 0)))
        for letter, run in runs.items()
        for sample in samples
    }
    pairs = tuple(
        Pair(number, sample, 0, "A", second, (marks["A", sample], marks[second, sample]), sample,
             1.0, "catch" if catch else "random", catch)
        for number, (sample, second, catch) in enumerate(made)
    )  # fmt: skip
    plan = Plan(
        QUESTION, (Arm("A", "ours", "a" * 64), Arm("B", "theirs", "b" * 64)), 0.1, "toy", 0.9,
        FIXED, 1, 0.1, {"harm": 0.0, "margin": 0.0, "random": 1.0}, 0, len(samples), {}, pairs,
        tuple(pair.number for pair in pairs if not pair.catch),
    )  # fmt: skip
    folder = ReviewFolder(runs["A"].path / "reviews" / name)
    folder.register(replace(plan, **changes))
    return Reviewed(folder, folder.plan(), runs)


def write(file: Path, values: np.ndarray) -> None:
    """Levels [H,W] or [H,W,3] as a PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).convert("RGB").save(file)


def comparing(bias: float = 0.0) -> Reply:
    """The model's answers."""

    def answer(body: Mapping[str, Any], model: str) -> dict[str, Any]:
        first, second = pictures(body)[-2:]
        word = "1" if _lot(body) < bias else _preferred(first, second)
        return says(f"Answer: {word}", model)

    return answer


def says(text: str | None, model: str = MODEL) -> dict[str, Any]:
    """A server's answer with this text."""
    return {"model": model, "choices": [{"message": {"role": "assistant", "content": text}}]}


def key(body: Mapping[str, Any]) -> bytes:
    """The two pictures of a request, in their order."""
    first, second = pictures(body)[-2:]
    return first.tobytes() + second.tobytes()


def is_check(body: Mapping[str, Any]) -> bool:
    """Whether a request is the first, small question."""
    sent = [part for part in body["messages"][0]["content"] if "image_url" in part]
    return sent[-1]["image_url"]["url"] == grey().second.url


def _preferred(first: np.ndarray, second: np.ndarray) -> str:
    scores = [-1.0 if {0, 255} <= set(np.unique(each)) else each.mean() for each in (first, second)]
    return "tie" if scores[0] == scores[1] else "1" if scores[0] > scores[1] else "2"


def _lot(body: Mapping[str, Any]) -> float:
    """Uniform in [0, 1), of the request alone."""
    data = hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=8).digest()
    return int.from_bytes(data) / 2**64


def asked(made: Reviewed, judge: Judge, **more: Any) -> Asked:
    """Let a model answer."""
    return ask(made.folder, made.plan, made.runs, judge, **more)


def voice(made: Reviewed) -> dict[str, Any]:
    """What the only model says."""
    (only,) = tally(made.folder)["voices"]
    return only


def sent(server: Served) -> Counter[bytes]:
    """How often each pair was sent in each order; the first small question is not one."""
    return Counter(key(body) for body in server.bodies if not is_check(body))


def scores(made: Reviewed) -> dict[int, float]:
    """Pair → what its two orders say together; nothing of pairs without an answer."""
    found = {}
    for answer in answers.read(made.folder, made.plan):
        if answer.score is not None:
            found.setdefault(answer.pair, []).append(answer.score)
    return {pair: sum(two) / 2 for pair, two in sorted(found.items()) if len(two) == 2}


def expected(made: Reviewed, truth: Sequence[float]) -> dict[int, float]:
    """Real pair → its true score."""
    return {pair.number: truth[int(pair.sample[1:])] for pair in made.plan.pairs if not pair.catch}


def times(count: int, act: Act, chosen: Callable[[int], bool] = lambda place: True) -> Faults:
    """The first `count` requests of chosen messages go wrong; messages are counted as they come."""
    seen, place, one = Counter(), {}, threading.Lock()

    def plan(number, text, body):
        if is_check(body):
            return None
        message = key(body)
        with one:
            place.setdefault(message, len(place))
            seen[message] += 1
        return act if chosen(place[message]) and seen[message] <= count else None

    return plan
