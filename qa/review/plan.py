"""What a review registers before anybody answers: arms, question, margin, pairs, catch trials.

Pairs are draws with replacement from a mixture: by harm, near the margin, and at random. So the
weights are known, and the win rate that they estimate is that of all pictures (`qa.stats`):

    q_i = random/N + harm/|H| [i in H] + margin/|M| [i in M]        w_i = (1/N) / q_i <= 1/random

A pair that is drawn again is not asked again: its answer counts once more. Catch trials look like
all others and have an answer that is known: two times the same picture is a tie, and a picture with
a defect that was planted is worse than without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from qa.documents import document
from qa.errors import QaError, UsageError
from qa.files import digest, sha256, write_json
from qa.store import RunFolder, file_name

SCHEMA = "decoder-qa/review/1"
IDENTICAL, DEFECT = "identical", "defect"
"""Catch trials: the same picture twice; a picture, and the same with a planted defect."""
ANYTIME, FIXED = "anytime", "fixed"
"""Stopping rules: bounds that hold at every look; or one look, at all registered draws."""
RESTORE = "bring the file back as it was, or begin another review: name=NAME"
SHOWS = ("prompt", "reference", "words")
"""What a question may want to see beside the two pictures."""


@dataclass(frozen=True)
class Arm:
    """One of the runs that are compared. The run that is reviewed is A."""

    letter: str
    name: str
    plan: str
    """Digest of the run's plan (`record.json`)."""


@dataclass(frozen=True)
class Question:
    """What is asked about each pair."""

    name: str
    text: str
    """For people and, word by word, for models."""
    shows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two pictures beside each other. A score of 1 says that the first is better."""

    number: int
    """Its place in the plan, from 0: the order in which pairs are shown."""
    sample: str
    seed: int
    first: str
    second: str
    """Letters of their arms; of a catch trial the same."""
    digests: tuple[str, str]
    """Of the two stored pictures (decoded.parquet)."""
    unit: str
    """Pairs of one unit are not independent (`qa.groups`)."""
    weight: float
    chosen: str
    """Which share drew it first: harm, margin or random; "catch"."""
    catch: str = ""
    """IDENTICAL, or DEFECT (which the second picture then has); "" for a real comparison."""

    @property
    def alike(self) -> bool:
        """Whether both arms have the same picture, value for value: a tie that nobody is asked."""
        return not self.catch and self.digests[0] == self.digests[1]


@dataclass(frozen=True)
class Plan:
    """A review as it was registered."""

    question: Question
    arms: tuple[Arm, ...]
    margin: float
    """Of the win rate: below 1/2 - margin the run is worse than may be."""
    margin_why: str
    confidence: float
    """Two-sided; each end of an interval errs at most half of the rest."""
    rule: str
    """ANYTIME or FIXED."""
    raters: int
    """How many people have to answer a pair before it counts."""
    lapses: float
    """Share of catch trials that an attentive rater may miss."""
    shares: Mapping[str, float]
    """harm, margin, random: they sum to 1."""
    seed: int
    pictures: int
    """N, samples that could be drawn."""
    left_out: Mapping[str, int]
    """Why samples could not be drawn → how many."""
    pairs: tuple[Pair, ...]
    draws: tuple[int, ...]
    """Numbers of pairs in the order in which they were drawn; no catch trial."""

    @property
    def largest(self) -> float:
        """No weight is above it."""
        return 1 / self.shares["random"]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that was registered."""
        return digest(self.document())

    @cached_property
    def catches(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.catch)

    @property
    def asked(self) -> Iterator[Pair]:
        """Pairs that somebody has to look at, in order; catch trials too."""
        return (pair for pair in self.pairs if not pair.alike)

    def first_is_left(self, pair: Pair, rater: str) -> bool:
        """On which side the first picture is shown to a rater.

        By lot; of catch trials every other one, so that a side that is always chosen shows.
        """
        if pair.catch:
            same = [one.number for one in self.catches if one.catch == pair.catch]
            return bool((same.index(pair.number) + self._lot(pair.catch, rater)) % 2)
        return bool(self._lot(pair.number, rater))

    def _lot(self, what: object, rater: str) -> int:
        text = f"{self.seed}|{rater}|{what}"
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=1).digest()[0] % 2

    def document(self) -> dict[str, Any]:
        """As plan.json has it."""
        return {"schema": SCHEMA, **asdict(self)}


@dataclass(frozen=True)
class ReviewFolder:
    """Where one review of a run is kept."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def plan_file(self) -> Path:
        return self.path / "plan.json"

    @property
    def answers(self) -> Path:
        return self.path / "answers"

    def plan(self) -> Plan:
        """What was registered; QaError for a file that is none."""
        from qa.review import kinds

        try:
            return _plan(document(self.plan_file, SCHEMA.rpartition("/")[0] + "/", kinds.Review))
        except QaError as error:  # nobody can write it again: answers count pairs by its order
            raise QaError(error.what, error.why, RESTORE) from error
        except (ValueError, KeyError, TypeError) as error:
            raise QaError(
                f"{self.plan_file} is no plan of a review.", f"{error}.", RESTORE
            ) from error

    @property
    def digest(self) -> str:
        """Of the plan (`Plan.digest`); read anew where the file changed."""
        if not self.plan_file.is_file():
            raise QaError(f"{self.plan_file} is not there.", "", RESTORE)
        return _digest(self.path, sha256(self.plan_file))

    def register(self, plan: Plan) -> bool:
        """Write a new review's plan; False where one stands there already, which stays.

        UsageError where there are answers to one that is gone.
        """
        if self.plan_file.is_file():
            return False
        if len(self.files()) > 1:
            raise UsageError(
                f"{self.answers} has answers to a plan that is not there.",
                "They say nothing about the pairs of a new one.",
                RESTORE,
            )
        write_json(self.plan_file, plan.document())
        return True

    def files(self) -> list[Path]:
        """All that a tally rests on, sorted."""
        found = sorted(self.answers.glob("*.jsonl")) if self.answers.is_dir() else []
        return [self.plan_file, *found]


def named(run: RunFolder, name: str) -> ReviewFolder:
    """A review of a run by its name, whether or not there is one."""
    return ReviewFolder(run.path / "reviews" / file_name(name))


def reviews(run: RunFolder) -> list[ReviewFolder]:
    """All reviews of a run, by name; one with answers whose plan is gone is one, too."""
    files = [*run.path.glob("reviews/*/plan.json"), *run.path.glob("reviews/*/answers")]
    return [ReviewFolder(folder) for folder in sorted({file.parent for file in files})]


@lru_cache
def _digest(path: Path, _content: str) -> str:
    return ReviewFolder(path).plan().digest


def _plan(content: Mapping[str, Any]) -> Plan:
    known = {key: value for key, value in content.items() if key != "schema"}
    found = Plan(
        **{
            **known,
            "question": Question(**_tupled(content["question"], "shows")),
            "arms": tuple(Arm(**arm) for arm in content["arms"]),
            "pairs": tuple(Pair(**_tupled(pair, "digests")) for pair in content["pairs"]),
            "draws": tuple(content["draws"]),
        }
    )
    letters = [arm.letter for arm in found.arms]
    two = set(zip(letters, letters, strict=True)), set(combinations(letters, 2))
    for place, pair in enumerate(found.pairs):
        if pair.number != place or (pair.first, pair.second) not in two[not pair.catch]:
            raise ValueError(f"pair {place} is not one of this plan's arms and order")
        if not 0 < pair.weight <= found.largest * (1 + 1e-9):
            raise ValueError(f"pair {place} weighs {pair.weight:g}")
    real = [not pair.catch for pair in found.pairs]
    if not found.draws or not all(
        0 <= number < len(real) and real[number] for number in found.draws
    ):
        raise ValueError("a draw names no pair")
    return found


def _tupled(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {**content, key: tuple(content[key])}
