"""A model as a rater: every pair in both orders, from an OpenAI-compatible server.

    pair ──► message, first picture first  ──► 1, 2, tie, bad, or no answer and why ──► a line on
         └─► message, second picture first ──►                                          disk each

Two orders because models prefer a place: who takes Picture 1 unseen with probability b wins in one
order and loses in the other, so that a true score x is measured as b/2 + (1 - b) x, nearer to even
but on the right side of it; one order alone would add b/2 to every score.

No answer is made up, and none is lost: what was answered is on disk, so a second call goes on where
the first one stopped, and asks again what has no answer. Equal messages are asked once, in however
many reviews they are (`qa.chat.kept`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qa import assets
from qa.chat.endpoint import KEPT, Chat, Garbled
from qa.chat.kept import Kept
from qa.chat.sight import check_pixels, check_template
from qa.chat.transport import OF_ONE, Refused, Silent, Transport
from qa.errors import UsageError
from qa.files import digest
from qa.review import answers
from qa.review.answers import LONGEST, MODEL, SAID, Answer
from qa.review.message import PROMPT, TEMPLATE, Message, grey, message, read
from qa.review.plan import ANYTIME, Pair, Plan, ReviewFolder
from qa.review.tally import decided, rates
from qa.review.voices import heard
from qa.store import RunFolder

Progress = Callable[[int, int], None]
"""Called with the number of pairs that are answered and of those to be answered."""
MAX_PIXELS = 1024 * 1024
MAX_TOKENS = 1024
"""Of an answer; `extra` may give another number."""
ORDERS = (True, False)
"""Whether a pair's first picture is Picture 1."""


@dataclass(frozen=True)
class Said:
    """What a model says of a pair in one order."""

    said: str | None
    """One of `answers.SAID`, or None for no answer."""
    why: str = ""
    """Why there is none."""
    kept: bool = False
    """Whether it was known from an equal message."""


@dataclass(frozen=True)
class Asked:
    """What a call of `ask` did."""

    rater: str
    asked: int
    """Answers that the model gave now, two to a pair."""
    kept: int
    """Answers known from equal messages."""
    unanswered: Mapping[str, int]
    """Why a pair has no answer → how many have none."""
    stopped: str
    """Why not all pairs were asked; "" if they were."""

    def __str__(self) -> str:
        told = f"{self.rater}: {self.asked} answers, and {self.kept} known from equal messages"
        for why, count in self.unanswered.items():
            told += f"\n{count} without an answer, to be asked again by the next call: {why}"
        return told + (f"\nstopped: {self.stopped}" if self.stopped else "")


class Judge:
    """A model behind a server. May be asked from several threads at once.

    `extra` adds entries to every request (None takes one away); `cache` is a folder for the
    answers, by default one in QA's own. Raters are called by what changes answers: the name that
    is served, its revision, and a digest of all settings, so that two settings never mix.
    """

    def __init__(
        self,
        model: str | None = None,
        url: str | None = None,
        served: str | None = None,
        revision: str = "",
        template: str | None = None,
        max_pixels: int = MAX_PIXELS,
        extra: Mapping[str, Any] | None = None,
        key: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 120.0,
        retries: int = 5,
        pause: float = 1.0,
        again: int = 2,
        cache: str | None = None,
    ) -> None:
        if not model or not url:
            raise UsageError(
                "Nobody is named who could judge the pairs.",
                "It takes the address of a server and the name of a model.",
                "judge.url=http://HOST:8000/v1 judge.model=NAME",
            )
        served = served or model
        self._template = check_template(template or TEMPLATE)
        self.max_pixels = check_pixels(max_pixels)
        self.concurrency, self._again = concurrency, again
        settings = {
            "pairs": PROMPT, "model": model, "served": served, "revision": revision,
            "template": self._template, "max_pixels": max_pixels, "max_tokens": MAX_TOKENS,
            "extra": dict(extra or {}),
        }  # fmt: skip
        mark = f" [{digest(settings)[:8]}]"
        name = served + (f"@{revision}" if revision else "")
        self.rater = name[: LONGEST["rater"] - len(mark)] + mark
        server = Transport(url, key, concurrency, timeout, retries, pause, "judge")
        self._chat = Chat(server, model, served, extra or {})
        self._kept = Kept(Path(cache) if cache else assets.store().cache / "answers", settings)

    def check(self) -> None:
        """Asks one small question; UsageError or QaError if this server cannot judge."""
        with self._chat.first_question():
            self._chat.ask(grey().parts(self._template, True), self._read, max_tokens=MAX_TOKENS)

    def say(self, shown: Message, first_is_left: bool) -> Said:
        """What the model says. QaError where its server is down or refuses everything."""
        seen = shown.digest(first_is_left)
        known = self._kept.read(seen).get(shown.question)
        if isinstance(known, str) and known in SAID:
            return Said(known, kept=True)
        parts, found = shown.parts(self._template, first_is_left), Said(None)
        for _ in range(self._again + 1):
            try:
                found = self._chat.ask(parts, self._read, max_tokens=MAX_TOKENS)
            except Garbled as error:
                found = Said(None, str(error))
            except Silent as error:
                self.check()  # where the server is down it says so, and else it is this message
                found = Said(None, f"the server has no answer to it. {error.why}")
            except Refused as error:
                if error.status not in OF_ONE:
                    raise
                return Said(None, f"refused with status {error.status}: {error.why}")
            if found.said is not None:
                self._kept.add(seen, shown.question, found.said)
                break
        return found

    def _read(self, words: str, choice: Mapping[str, Any]) -> Said:
        found = read(words)
        if found is not None:
            return Said(found)
        told = " ".join(self._chat.transport.clean(words).split())[-80:]
        return Said(None, f"none of 1, 2, tie, bad: {told!r}"[:KEPT])


def ask(
    folder: ReviewFolder,
    plan: Plan,
    runs: Mapping[str, RunFolder],
    judge: Judge,
    progress: Progress | None = None,
    all_pairs: bool = False,
) -> Asked:
    """Ask a model about the pairs of a plan that it has not answered, in their order.

    `runs` are the arms' folders by letter. Under the rule ANYTIME it stops when every other arm is
    decided, or the model missed too many catch trials, unless `all_pairs`. QaError where the server
    is down, refuses everything, or is another model; what was answered until then is kept.
    """
    given = {
        (answer.pair, answer.first_is_left): answer
        for answer in answers.read(folder, plan)
        if answer.kind == MODEL and answer.rater == judge.rater
    }
    pairs = list(plan.asked)
    todo = [pair for pair in pairs if _open(pair, given)]
    samples = _samples(plan, runs) if todo else {}
    asked = kept = 0
    stopped = ""

    def one(pair: Pair) -> list[tuple[Answer, Said]]:
        shown = message(plan, runs, pair, samples.get(pair.sample, {}), judge.max_pixels)
        found = []
        for first_is_left in _open(pair, given):
            said = judge.say(shown, first_is_left)
            date = datetime.now(UTC).isoformat(timespec="microseconds")
            answer = Answer(
                pair.number, judge.rater, MODEL, first_is_left, said.said, said.why, date=date
            )
            answers.add(folder, plan, answer)
            found.append((answer, said))
        return found

    for start in range(0, len(todo), judge.concurrency):
        batch = todo[start : start + judge.concurrency]
        owed = any((pair.number, order) in given for pair in batch for order in ORDERS)
        stopped = "" if all_pairs or owed else _enough(plan, list(given.values()))
        if stopped:
            break
        if not start:
            judge.check()
        with ThreadPoolExecutor(len(batch)) as pool:
            found = [row for rows in pool.map(one, batch) for row in rows]
        given |= {(answer.pair, answer.first_is_left): answer for answer, _ in found}
        asked += sum(said.said is not None and not said.kept for _, said in found)
        kept += sum(said.kept for _, said in found)
        if progress:
            progress(sum(not _open(pair, given) for pair in pairs), len(pairs))
    return Asked(judge.rater, asked, kept, _unanswered(given), stopped)


def _open(pair: Pair, given: Mapping[tuple[int, bool], Answer]) -> list[bool]:
    """Orders in which a pair has no answer yet."""
    return [
        order
        for order in ORDERS
        if (answer := given.get((pair.number, order))) is None or answer.said is None
    ]


def _samples(plan: Plan, runs: Mapping[str, RunFolder]) -> dict[str, dict[str, Any]]:
    """Sample → its row of samples.jsonl, of those that are asked about."""
    wanted = {pair.sample for pair in plan.pairs}
    rows = runs[plan.arms[0].letter].each_sample() if plan.question.shows else ()
    return {row["id"]: row for row in rows if row["id"] in wanted}


def _enough(plan: Plan, given: Sequence[Answer]) -> str:
    """Why no more pairs are needed; "" as long as they are.

    A model is not given up at the first look at which it seems to be blind: of many looks one errs.
    """
    voices = heard(plan, given) if plan.rule == ANYTIME else []
    for voice in voices:
        own, *others = (arm.letter for arm in plan.arms)
        found = [decided(voice, rates(voice, own, other)[0]) for other in others]
        if voice.hopeless:
            return found[0].why
        if not {outcome.state for outcome in found} & {"INCONCLUSIVE", "INVALID"}:
            return "enough pairs were seen"
    return ""


def _unanswered(given: Mapping[tuple[int, bool], Answer]) -> dict[str, int]:
    """Why pairs have no answer → how many have none; the most frequent reason first."""
    lost = {pair: answer.why for (pair, _), answer in given.items() if answer.said is None}
    return dict(Counter(lost.values()).most_common())
