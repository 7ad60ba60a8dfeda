"""What people and models said of a run's pictures, two at a time, as reports show it.

    reviews/<name>/plan.json, answers/*.jsonl ──► qa.review.tally ──► Told: a review, ready to print

Numbers are the tally's own. A review is shown whether or not a gate asked for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from qa.baseline.cited import changed, digest_of
from qa.errors import QaError
from qa.outcomes import label
from qa.review import answers as given
from qa.review.plan import DEFECT, IDENTICAL, Pair, Plan, ReviewFolder, reviews
from qa.review.tally import tally
from qa.review.voices import side
from qa.store import RunFolder
from reports.forest import PADDING
from reports.wording import interval, number

MAX_PAIRS = 200
"""Rows of a table of pairs; the files of answers have all."""
Row = Mapping[str, Any]
CATCHES = {IDENTICAL: "the same picture twice", DEFECT: "one with a planted defect"}
RULES = {
    "anytime": "the bounds hold at every moment, so it may stop at any",
    "fixed": "one look, when every draw is answered",
}
RIGHT, MISSED = "right", "missed"
SHARES = {"harm": "by largest harm", "margin": "nearest the margin", "random": "at random"}


@dataclass(frozen=True)
class Answered:
    """What one rater said of a pair, in words."""

    rater: str
    said: str
    tags: tuple[str, ...]
    note: str
    box: str
    """Where a box was drawn, or ""."""
    trial: str = ""
    """How a catch trial was met: RIGHT or MISSED; "" for other pairs."""


@dataclass(frozen=True)
class Line:
    """One pair of the table."""

    number: int
    sample: str
    seed: int
    chosen: str
    answers: tuple[Answered, ...]


@dataclass(frozen=True)
class Told:
    """One review with its tally, or why it cannot be read."""

    name: str
    said: Row
    """As `qa.review.tally` gives it; {} where plan or answers are damaged."""
    damaged: str = ""
    lines: tuple[Line, ...] = ()
    """The first pairs that somebody answered, in order of the plan."""
    total: int = 0
    """How many were answered."""
    changed: str = ""
    """Which picture of the run is no longer the one that was compared, or ""."""
    answers: str = ""
    """Digest of its answers (`qa.baseline.cited`)."""

    @property
    def names(self) -> dict[str, str]:
        """Letter of an arm → its name."""
        return {arm["letter"]: arm["name"] for arm in self.said["arms"]}

    @property
    def own(self) -> str:
        """Letter of the run that is reviewed."""
        return str(self.said["arms"][0]["letter"])

    def document(self) -> dict[str, Any]:
        """The tally, or the name and what is wrong."""
        return dict(self.said) if self.said else {"name": self.name, "damaged": self.damaged}


def told(run: RunFolder) -> tuple[Told, ...]:
    """Every review of a run that somebody answered, and those that cannot be read, by name."""
    found = (_told(run, folder) for folder in reviews(run))
    return tuple(one for one in found if one.damaged or one.said["voices"])


def people(found: Iterable[Told], verdict: Row) -> str:
    """Who compared the verdict's pictures, as a sentence; "" where no person's answer counts."""
    arms = [verdict.get(arm) or {} for arm in ("candidate", "baseline")]
    plans = {arm.get("plan") for arm in arms if arm.get("plan")}
    names, questions, pairs = set[str](), list[str](), 0
    for one in found:
        if not one.said or one.changed or not plans <= {arm["plan"] for arm in one.said["arms"]}:
            continue
        for voice in one.said["voices"]:
            if not voice["model"] and voice["answered"]:
                names |= {rater["name"] for rater in voice["raters"] if rater["counts"]}
                questions.append(one.said["question"]["name"])
                pairs += voice["answered"]
    if not names:
        return ""
    who = "1 person" if len(names) == 1 else f"{len(names)} people"
    asked = ", ".join(dict.fromkeys(questions))
    return f"{who} compared {pairs} pair{'s' * (pairs != 1)} of these pictures, asked: {asked}."


def lines(found: Iterable[Told]) -> list[str]:
    """Each voice of each review in a sentence, and how far the voices agree."""
    texts, told_of = [], list(found)
    asked = Counter(one.said["question"]["name"] for one in told_of if one.said)
    for one in told_of:
        if one.damaged:
            texts.append(f"{one.name} cannot be read: {one.damaged}")
            continue
        question = one.said["question"]["name"]
        question += f"/{one.name}" if asked[question] > 1 else ""
        for voice in one.said["voices"]:
            texts += [
                f"{question}, {voice['name']}: {_sentence(one, voice, rate)}"
                for rate in voice["rates"]
                if rate["first"] == one.own
            ]
        texts += [
            f"{question}, {two['one']} and {two['other']}: alpha {alpha(two['agreement'])}, "
            f"McNemar p {number(two['p'], 3)}"
            for two in one.said["between"]
        ]
    return texts


def beside(one: Told, verdict: Row) -> str:
    """Why a verdict does not rest on what a review says now; "" where it does."""
    if one.said["arms"][0]["plan"] != verdict["candidate"].get("plan"):
        return "It compares another run than this one."
    if one.changed:
        return f"The run's picture of {one.changed} is no longer the one that was compared."
    plan = (verdict.get("baseline") or {}).get("plan")
    other = next((arm["letter"] for arm in one.said["arms"][1:] if arm["plan"] == plan), None)
    if other is None:
        return "It compares the run with others than the verdict does."
    if "preference" not in ((verdict.get("terms") or {}).get("gates") or ()):
        return "The gates of this verdict do not ask for reviews."
    rows = [gate for gate in verdict["gates"] if gate.get("gate") == "preference"]
    judged = [(row.get("candidate"), row.get("count")) for row in rows]
    rates = [rate for voice in one.said["voices"] for rate in voice["rates"]]
    ours = [rate for rate in rates if (rate["first"], rate["second"]) == (one.own, other)]
    if all((rate["rate"], rate["count"]) in judged for rate in ours):
        return ""
    by_itself = (verdict["baseline"] or {}).get("content")  # only what was promoted has one
    again = "qa judge RUN --save" + ("" if by_itself else " --baseline BASE")
    return f"Answers were given since this was judged: {again} takes them up."


def citing(one: Told, verdict: Row) -> list[str]:
    """The waivers of a verdict that cite a review, and whether it has other answers since."""
    found = []
    for gate in verdict["gates"]:
        cited = (gate.get("waiver") or {}).get("review")
        if cited and one.said and cited["plan"] == one.said["plan"]:
            then = "" if cited["answers"] == one.answers else f", as it was then: {cited['said']}"
            found.append(f"The waiver of {label(gate)} cites it{then}.")
    return found


def percent(row: Row) -> str:
    """`54.2 % [48.1, 60.3]` of a rate with `low` and `high`; a dash where there is none."""
    if row["rate"] is None:
        return number(None)
    low, high = (None if row[end] is None else 100 * row[end] for end in ("low", "high"))
    return f"{number(100 * row['rate'], 1)} % {interval(low, high, 1)}".strip()


def share(part: int, whole: int, low: float | None, high: float | None) -> str:
    """A share of so many with its interval, as `percent` has it."""
    return percent({"rate": part / whole if whole else None, "low": low, "high": high})


def alpha(agreement: Row) -> str:
    """Krippendorff's alpha with its interval; a dash where nothing varies or nobody overlaps."""
    ends = interval(agreement["low"], agreement["high"], 2)
    return f"{number(agreement['alpha'], 2)} {ends}".strip()


def asked(said: Row) -> int:
    """Pairs of a tally that somebody is asked, without catch trials."""
    return int(said["pairs"] - said["alike"])


def counts(rater: Row) -> str:
    """Whether a rater counts: `yes`, `no` for one who was caught, or `not yet`."""
    return "yes" if rater["counts"] else "no" if rater["caught"] else "not yet"


def ends(rate: Row) -> str:
    """How its pairs ended, in words."""
    said = rate["said"]
    tie = "tie" if said["tie"] == 1 else "ties"
    return (
        f"{said['first']} for it, {said['second']} against, {said['tie']} {tie}, "
        f"{said['bad']} both bad"
    )


def at(rate: float) -> float:
    """Place of a win rate in a plot from 0 to 1, in per cent of its width."""
    return round(PADDING + min(1.0, max(0.0, rate)) * (100 - 2 * PADDING), 2)


def _told(run: RunFolder, folder: ReviewFolder) -> Told:
    try:
        plan = folder.plan()
        answers = given.read(folder, plan)
        found, known = tally(folder), run.decoded_file.is_file()
        gone = changed(plan, plan.arms[0].letter, run) if known else ""
    except QaError as error:
        return Told(folder.name, {}, error.why)  # not `what`: it names a path
    by_pair: dict[int, list[given.Answer]] = {}
    for answer in answers:
        by_pair.setdefault(answer.pair, []).append(answer)
    shown = sorted(by_pair)[:MAX_PAIRS]
    rows = tuple(_line(plan, plan.pairs[number], by_pair[number]) for number in shown)
    return Told(folder.name, found, "", rows, len(by_pair), gone, digest_of(folder))


def _line(plan: Plan, pair: Pair, answers: Sequence[given.Answer]) -> Line:
    by_rater: dict[tuple[str, str], list[given.Answer]] = {}
    for answer in answers:
        by_rater.setdefault((answer.kind, answer.rater), []).append(answer)
    chosen = f"catch trial: {CATCHES[pair.catch]}" if pair.catch else SHARES.get(pair.chosen, "")
    ordered = sorted(by_rater.items(), key=lambda one: (one[0][0] == given.MODEL, one[0][1]))
    found = tuple(_answered(pair, rater, rows) for (_, rater), rows in ordered)
    return Line(pair.number, pair.sample, pair.seed, chosen, found)


def _answered(pair: Pair, rater: str, rows: Sequence[given.Answer]) -> Answered:
    said = dict.fromkeys(_words(pair, row) for row in rows)
    tags = dict.fromkeys(tag for row in rows for tag in row.tags)
    notes = dict.fromkeys(row.note for row in rows if row.note)
    boxes = "; ".join(_place(row.box) for row in rows if row.box)
    met = _met(pair, rows) if pair.catch else ""
    return Answered(rater, "; ".join(said), tuple(tags), "\n".join(notes), boxes, met)


def _met(trial: Pair, rows: Sequence[given.Answer]) -> str:
    """RIGHT or MISSED; a model that has not answered in both orders has missed it."""
    orders = 2 if rows[0].kind == given.MODEL else 1
    whole = len(rows) == orders and all(row.said for row in rows)
    right = ("first",) if trial.catch == DEFECT else (given.TIE, given.BAD)
    return RIGHT if whole and side(rows) in right else MISSED


def _place(box: given.Box) -> str:
    """In per cent of the picture."""
    x, y, width, height = (f"{100 * part:.0f} %" for part in astuple(box))
    return f"box {x} from the left, {y} from the top, {width} wide, {height} high"


def _words(pair: Pair, row: given.Answer) -> str:
    """One answer: who is better, by letter; of a catch trial, which picture."""
    if row.said is None:
        return f"no answer: {row.why or 'no reason given'}"
    neither = {given.TIE: "equally good", given.BAD: "both bad"}
    if row.said in neither:
        return neither[row.said]
    names = ("the first", "the second") if pair.catch else (pair.first, pair.second)
    return f"{names[0] if row.score else names[1]} is better"


def _sentence(one: Told, voice: Row, rate: Row) -> str:
    answers, heard = sum(rate["said"].values()), rate["raters"]
    aside = sum(not rater["counts"] for rater in voice["raters"])
    who = "" if voice["model"] else f" of {heard} rater{'s' * (heard != 1)}"
    not_counted = f", those of {aside} more not counted" if aside else ""
    return (
        f"{one.names[rate['first']]} preferred over {one.names[rate['second']]} in "
        f"{percent(rate)} (least: {number(50 - 100 * one.said['margin'], 1)} %), "
        f"{answers} answers{who}{not_counted}: {ends(rate)}"
    )
