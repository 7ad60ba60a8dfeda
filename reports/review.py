"""The page of `qa review`: two pictures beside each other, blind, rated by keyboard.

    GET  ""                     the page
    POST state                  what a rater has answered, and which pair comes next
    POST pair/NUMBER            one pair as this rater gets to see it (reports/sides.py)
    GET  pair/NUMBER/KEY.png    its pictures
    POST answer                 an answer, on disk before it is confirmed; then as `state`; 409 for
                                one that was given without knowledge of the one that is stored

No text and no address names an arm, a run or a sample, or tells a catch trial from other pairs: a
picture's KEY is drawn by lot from a secret of this process. Which picture is on the left is
decided here, by the plan, and never by what a browser sends.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import secrets
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from http import HTTPStatus
from typing import Any

from jinja2 import Environment
from PIL import Image

from qa.errors import QaError
from qa.images import inside
from qa.review import answers
from qa.review.answers import PERSON, TAGS
from qa.review.pictures import FIRST, SECOND, png
from qa.review.plan import Pair, Plan, ReviewFolder
from qa.review.tally import decided, rates
from qa.review.voices import PEOPLE, Voice, heard
from qa.store import RunFolder
from qa.terminal import shown as safe
from reports import page, raters
from reports.pictures import UNREADABLE
from reports.raters import Outdated, Wrong
from reports.serving import HTML, JSON, PNG, Answer
from reports.sides import LEFT, REFERENCE, RIGHT, Look, seen

SCRIPTS = ("report.js", "panzoom.min.js", "stage.js", "place.js", "drafts.js", "review.js")
STYLES = ("report.css", "stage.css", "review.css")
PAIR = re.compile("pair/([0-9]{1,9})")
PICTURE = re.compile("pair/([0-9]{1,9})/([0-9a-f]{32})\\.png")
UNDECIDED = ("INCONCLUSIVE", "INVALID")
FIELDS = {"rater", "pair", "known", "said", "tags", "box", "note", "seconds"}
_ONE = threading.Lock()
"""What a page knows is compared, and its answer added, at once."""


@dataclass(frozen=True)
class Review:
    """Answers the addresses of one review. A picture is read when somebody looks at it."""

    folder: ReviewFolder
    plan: Plan
    run: RunFolder
    arms: Mapping[str, RunFolder]
    """By letter; "A" is the run."""
    samples: Mapping[str, Mapping[str, Any]]
    """Id → row of samples.jsonl, where the question shows anything of it."""
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __call__(self, address: str) -> Answer | None:
        """The page and the pictures; None for an address that names nothing."""
        if not address:
            return self._page()
        found = PICTURE.fullmatch(address)
        if found is None or int(found[1]) >= len(self.plan.pairs):
            return None
        pair = self.plan.pairs[int(found[1])]
        which = next((one for one in self._shows if address == self._address(pair, one)), None)
        if which is None:
            return None
        try:
            return Answer(self._png(pair, which), PNG)
        except QaError as failed:
            print(safe(str(failed)), file=sys.stderr)
            return None

    def accept(self, address: str, body: bytes) -> Answer | None:
        """What the page asks and sends; None for an address that takes nothing."""
        looked = PAIR.fullmatch(address)
        if looked is None and address not in ("state", "answer"):
            return None
        try:
            content = _content(body)
            rater = raters.named(content.get("rater"))
            if looked is not None:
                return self._shown(self._asked(int(looked[1])), rater)
            if address == "answer":
                self._add(content, rater)
            return _json(self._state(rater))
        except Wrong as wrong:
            return _json({"error": f"{wrong}."}, HTTPStatus.BAD_REQUEST)
        except Outdated as outdated:
            return _json({"error": f"{outdated}."}, HTTPStatus.CONFLICT)
        except QaError as failed:
            print(safe(str(failed)), file=sys.stderr)  # the page must not: it names folders
            cause = failed.__cause__
            why = cause.strerror if isinstance(cause, OSError) else None
            error = f"{why or 'A file is damaged or missing'}: the terminal says more."
            told: dict[str, str | int | None] = {"error": error}
            if looked is not None:
                told["back"] = self._before(int(looked[1]))
            return _json(told, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _page(self) -> Answer:
        framed = page.frame(SCRIPTS, STYLES, images="'self' data:")
        framed["policy"] += "; connect-src 'self'"
        template = _environment().get_template("review.html.j2")
        text = template.render(
            question=self.plan.question.text,
            review=self.plan.digest[:16],
            pairs=len(self._all),
            longest=answers.LONGEST,
            **framed,
        )
        return Answer(text.encode(), HTML, framed["policy"])

    def _state(self, rater: str) -> dict[str, Any]:
        given, asked = answers.read(self.folder, self.plan), self._all
        rater = raters.spelled(rater, given)
        known = answers.by_rater(given).get(rater, {})
        coming = answers.next_pair(self.plan, known)
        place = len(asked) if coming is None else asked.index(coming.number)
        return {
            "rater": rater,
            "next": None if coming is None else coming.number,
            "answered": sum(number in known for number in asked),
            "of": len(asked),
            "enough": self._enough(given),
            "whole": self._whole(given),
            "last": asked[place - 1] if place else None,
        }

    def _people(self, given: Sequence[answers.Answer]) -> Voice | None:
        return next((one for one in heard(self.plan, given) if one.name == PEOPLE), None)

    def _whole(self, given: Sequence[answers.Answer]) -> bool:
        """Whether all draws are answered, so that nobody's answers could change anything."""
        voice = self._people(given)
        return voice is not None and len(voice.drawn) == len(self.plan.draws)

    def _enough(self, given: Sequence[answers.Answer]) -> bool:
        """Whether people have answered what the plan needs, whatever it is that they said."""
        voice = self._people(given)
        if voice is None:
            return False
        own, *others = (arm.letter for arm in self.plan.arms)
        found = [decided(voice, rates(voice, own, other)[0]) for other in others]
        return all(outcome.state not in UNDECIDED for outcome in found)

    def _add(self, content: Mapping[str, Any], rater: str) -> None:
        """Store an answer; Wrong for one that cannot be, Outdated for one that knows too little."""
        if set(content) != FIELDS:
            raise Wrong("an answer has other fields")
        number, tags = content["pair"], content["tags"]
        if type(number) is not int or content["said"] is None:
            raise Wrong("no pair is answered")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Wrong("tags are no list of texts")
        pair = self._asked(number)
        try:
            answer = answers.Answer(
                pair=number,
                rater=rater,
                kind=PERSON,
                first_is_left=self.plan.first_is_left(pair, rater),
                said=content["said"],
                tags=tuple(tags),
                box=None if content["box"] is None else answers.Box(**content["box"]),
                note=content["note"],
                seconds=content["seconds"],
                date=datetime.now(UTC).isoformat(timespec="microseconds"),
            )
            with _ONE:
                given = answers.read(self.folder, self.plan)
                if raters.is_new(answer, content["known"], given):
                    answers.add(self.folder, self.plan, answer)
        except (ValueError, TypeError) as wrong:
            raise Wrong(str(wrong)) from wrong

    def _shown(self, pair: Pair, rater: str) -> Answer:
        """The part of the page that shows a pair."""
        asked = self._all
        known = answers.by_rater(answers.read(self.folder, self.plan)).get(rater, {})
        place = asked.index(pair.number)
        sample, shows = self.samples.get(pair.sample, {}), self.plan.question.shows
        words = [region["text"] for region in sample.get("regions", ())]
        figures, window = seen(self._sides(pair, rater))
        look = Look(
            number=pair.number,
            place=place + 1,
            of=len(asked),
            figures=figures,
            window=window if self._windowed else None,
            prompt=(sample.get("prompt") or "") if "prompt" in shows else "",
            words=tuple(words) if "words" in shows else (),
            back=self._before(pair.number),
            ahead=next((number for number in asked[place + 1 :] if number not in known), None),
            known=known.get(pair.number),
        )
        template = _environment().get_template("_pair.html.j2")
        text = template.render(look=look, tags=TAGS, longest=answers.LONGEST)
        return Answer(text.encode(), HTML)

    def _sides(self, pair: Pair, rater: str) -> dict[str, tuple[str, bytes]]:
        """Side → address and PNG of the picture that this rater sees there."""
        two = (FIRST, SECOND) if self.plan.first_is_left(pair, rater) else (SECOND, FIRST)
        sides = zip((LEFT, RIGHT, REFERENCE), (*two, REFERENCE), strict=True)
        return {
            side: (self._address(pair, which), self._png(pair, which))
            for side, which in sides
            if which in self._shows
        }

    @property
    def _shows(self) -> tuple[str, ...]:
        """The pictures of a pair that raters get to see."""
        known = "reference" in self.plan.question.shows
        return (FIRST, SECOND, REFERENCE) if known else (FIRST, SECOND)

    def _png(self, pair: Pair, which: str) -> bytes:
        """Bytes of a picture. QaError for one that is not there."""
        if which != REFERENCE:
            return png(self.plan, self.arms, pair, which)
        file = self.run.reference_file(pair.sample)
        try:
            found = inside(self.run.path, file)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "There is no such file")
            return found.read_bytes()
        except OSError as error:
            why = f"{error.strerror or error}."
            raise QaError(f"The reference {file} cannot be shown.", why) from error

    @cached_property
    def _windowed(self) -> bool:
        """Whether pairs show where they differ most: all of them, or none.

        Two pictures of different sizes have no such place, those of a catch trial always have one.
        """
        asked = [pair for pair in self.plan.asked if not pair.catch]
        return all(
            len({self._size(letter, pair) for letter in (pair.first, pair.second)} - {None}) < 2
            for pair in asked
        )

    def _size(self, letter: str, pair: Pair) -> tuple[int, int] | None:
        """Of an arm's picture, by the head of its file; None for one that cannot be shown."""
        run = self.arms[letter]
        file = inside(run.path, run.picture_file(pair.sample, pair.seed))
        if file is None:
            return None
        try:
            with Image.open(file, formats=["PNG"]) as image:
                return image.size
        except UNREADABLE:
            return None

    def _address(self, pair: Pair, which: str) -> str:
        text = f"{pair.number}|{which}".encode()
        key = hashlib.blake2b(text, key=self.secret, digest_size=16).hexdigest()
        return f"pair/{pair.number}/{key}.png"

    @property
    def _all(self) -> list[int]:
        """Numbers of the pairs that are asked, in order."""
        return [pair.number for pair in self.plan.asked]

    def _before(self, number: int) -> int | None:
        """The pair that is asked before one that is."""
        place = self._all.index(number)
        return self._all[place - 1] if place else None

    def _asked(self, number: int) -> Pair:
        """A pair that somebody is asked."""
        if number not in self._all:
            raise Wrong("there is no such pair")
        return self.plan.pairs[number]


def site(run: RunFolder, bases: Mapping[str, RunFolder], folder: ReviewFolder) -> Review:
    """The page of a review of a run; `bases` are the arms' folders by letter, "A" is the run.

    QaError for a plan that is none.
    """
    plan = folder.plan()
    rows = run.each_sample() if plan.question.shows else ()
    return Review(folder, plan, run, bases, {row["id"]: row for row in rows})


def _content(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as broken:
        raise Wrong("this is no JSON") from broken
    if not isinstance(found, dict):
        raise Wrong("this is no JSON object")
    return found


def _json(content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(json.dumps(content).encode(), JSON, status=status)


@cache
def _environment() -> Environment:
    return page.environment()
