"""The addresses of a review: what they show, what they take, and what they never tell."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import unicodedata
from dataclasses import replace
from datetime import datetime
from itertools import count

import numpy as np
import pytest
from pages import Page
from PIL import Image
from review_toys import (
    COLOURS,
    NAMES,
    SPOT,
    mixed,
    pair,
    picture,
    plan,
    repainted,
    review,
)
from verdicts import HOSTILE

from qa.review import answers
from qa.review.answers import LEFT, PERSON, RIGHT, TIE, Box
from qa.review.plan import DEFECT, FIXED, IDENTICAL, Question
from reports.review import site
from reports.serving import HTML, JSON, PNG
from reports.wording import visible

SHOWN = " ".join(visible(HOSTILE).split())
GIVEN = {
    "rater": "Ada", "pair": 0, "known": None, "said": LEFT, "tags": ["blur"],
    "box": {"x": 0.25, "y": 0, "width": 0.5, "height": 1}, "note": "the hand", "seconds": 2.5,
}  # fmt: skip
KEY = "0" * 32
NOWHERE = (
    "pair", "pair/", "pair/0", "pair/0/", "state", "answer", f"pair/0/{KEY}.png", "pair/0/0.png",
    "pair/0/first.png", "pair/0/reference.png", "plan.json", "answers/person-Ada.jsonl",
    "../record.json", "pair/0/../1", "pair/%30", "pair/\u0660", "pair/0\n", "pair/99999999999",
)  # fmt: skip
NOTHING_TO_SEND = (
    "", "pair", "pair/", "pair/0/", "pair/-1", "pair/x", "states", "state/", "answer/0",
    f"pair/0/{KEY}.png", "pair/0\n", "pair/\u0660", "../answer", "plan.json",
)  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """Make a review's page: `made(plan)`; each in a folder of its own."""
    number = count()
    return lambda registered, **more: site(
        *review(tmp_path / str(next(number)), registered, **more)
    )


def ten():
    """Ten pairs; the fourth is alike, the fifth and the last are catch trials."""
    pairs = mixed(10)
    pairs[3] = replace(pairs[3], digests=("1" * 64,) * 2)
    return plan(pairs)


@pytest.fixture
def found(made):
    return made(ten())


@pytest.fixture
def bare(made):
    """The same without pictures, where nobody looks at one."""
    return made(ten(), size=0)


def post(found, address, **content):
    return found.accept(address, json.dumps(content).encode())


def state(found, rater="Ada"):
    answer = post(found, "state", rater=rater)
    assert (answer.status, answer.kind) == (200, JSON)
    return json.loads(answer.body)


def page_of(answer):
    assert (answer.status, answer.kind) == (200, HTML)
    return Page(answer.body.decode())


def shown(found, number, rater="Ada"):
    return page_of(post(found, f"pair/{number}", rater=rater))


def pictures(found, number, rater="Ada"):
    """Address → pixels of the panes of a pair, from left to right."""
    addresses = [
        one["src"] for one in shown(found, number, rater).all("img") if ".png" in one["src"]
    ]
    answers_ = [(address, found(address)) for address in addresses]
    assert {answer.kind for _, answer in answers_} == {PNG}
    return {
        address: np.asarray(Image.open(io.BytesIO(answer.body)).convert("RGB"))
        for address, answer in answers_
    }


def arm_of(pixels):
    """By the colour; "?" for grey."""
    mean = pixels.mean((0, 1))
    return next((name for name, colour in COLOURS.items() if abs(mean - colour).max() < 9), "?")


def arms_seen(found, number, rater="Ada"):
    return [arm_of(pixels) for pixels in pictures(found, number, rater).values()]


def given(found):
    return answers.read(found.folder, found.plan)


def dates(found):
    """(rater, pair) → date of the answer."""
    return {(one.rater, one.pair): one.date for one in given(found)}


@pytest.mark.parametrize("address", NOWHERE)
def test_addresses_that_name_nothing(bare, address):
    assert bare(address) is None
    assert bare("").kind == HTML


@pytest.mark.parametrize("address", NOTHING_TO_SEND)
def test_addresses_that_take_nothing(bare, address):
    assert post(bare, address, **GIVEN) is None
    assert given(bare) == []
    assert post(bare, "answer", **GIVEN).status == 200, "the check can fail"


def test_the_first_pair_that_is_not_answered_comes_next(bare):
    def told(coming, answered, last, rater="Ada"):
        found = {"rater": rater, "next": coming, "answered": answered, "of": 9, "last": last}
        return found | {"enough": False, "whole": coming is None}

    assert state(bare) == told(0, 0, None)
    for number in (0, 1, 2):
        last = json.loads(post(bare, "answer", **GIVEN | {"pair": number}).body)
    assert last == told(4, 3, 2), "3 is alike"
    assert state(bare) == last
    assert state(bare, "Ben") == told(0, 0, None, "Ben")
    for number in (4, 5, 6, 7, 8, 9):
        last = json.loads(post(bare, "answer", **GIVEN | {"pair": number}).body)
    assert last == told(None, 9, 9)
    again = {"said": RIGHT, "known": dates(bare)["Ada", 0]}
    assert json.loads(post(bare, "answer", **GIVEN | again).body) == last


def test_an_answer_is_stored_whole(bare):
    before = datetime.now().astimezone()
    post(bare, "answer", **GIVEN)
    (stored,) = given(bare)
    assert stored == answers.Answer(
        pair=0, rater="Ada", kind=PERSON, said=LEFT, tags=("blur",), box=Box(0.25, 0, 0.5, 1),
        note="the hand", seconds=2.5, date=stored.date,
        first_is_left=bare.plan.first_is_left(bare.plan.pairs[0], "Ada"),
    )  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", stored.date)
    assert before <= datetime.fromisoformat(stored.date) <= datetime.now().astimezone()


@pytest.mark.parametrize("changes", [
    {"rater": ""}, {"rater": "  "}, {"rater": "a" * 101}, {"rater": None}, {"rater": 1},
    {"rater": "a\nb"}, {"rater": "a\x00"}, {"rater": "\ud800"}, {"rater": ["Ada"]},
    {"pair": -1}, {"pair": 10}, {"pair": 3}, {"pair": "0"}, {"pair": 0.0}, {"pair": True},
    {"pair": None}, {"said": None}, {"said": "first"}, {"said": ""}, {"said": ["left"]},
    {"tags": "blur"}, {"tags": ["ugly"]}, {"tags": [["blur"]]}, {"tags": None}, {"tags": {}},
    {"tags": ["blur", "blur"]},
    {"box": []}, {"box": {}}, {"box": {"x": 0}}, {"box": "0 0 1 1"},
    {"box": {"x": 0.6, "y": 0, "width": 0.5, "height": 1}},
    {"box": {"x": -0.1, "y": 0, "width": 0.5, "height": 1}},
    {"box": {"x": "0", "y": 0, "width": 0.5, "height": 1}},
    {"box": {"x": float("nan"), "y": 0, "width": 0.5, "height": 1}},
    {"box": {"x": 0, "y": 0, "width": 0.5, "height": 1, "z": 1}},
    {"note": None}, {"note": "n" * 2001}, {"note": "\udc00"}, {"note": 5},
    {"seconds": -1}, {"seconds": "2"}, {"seconds": float("inf")}, {"seconds": float("nan")},
    {"first_is_left": True}, {"kind": "model"}, {"date": "2020-01-01"}, {"": 0},
], ids=str)  # fmt: skip
def test_what_is_no_answer_is_refused_and_not_stored(bare, changes):
    answer = post(bare, "answer", **GIVEN | changes)
    assert (answer.status, answer.kind) == (400, JSON)
    assert json.loads(answer.body)["error"]
    assert given(bare) == []


@pytest.mark.parametrize("field", GIVEN)
def test_every_field_is_needed(bare, field):
    whole = dict(GIVEN)
    del whole[field]
    assert post(bare, "answer", **whole).status == 400
    assert given(bare) == []


@pytest.mark.parametrize("body", [
    b"", b"x", b"[]", b'"Ada"', b"null", b"1", b"{", b"\xff\xfe", b"[" * 60_000,
    b'{"rater": ' + b"9" * 5000 + b"}", b'{"rater": "Ada"} x',
])  # fmt: skip
@pytest.mark.parametrize("address", ["state", "answer", "pair/0"])
def test_what_is_no_json_is_refused(bare, address, body):
    answer = bare.accept(address, body)
    assert (answer.status, answer.kind) == (400, JSON)
    assert "JSON" in json.loads(answer.body)["error"]


@pytest.mark.parametrize("number", [3, 10, 999_999_999])
def test_a_pair_that_nobody_is_asked_is_not_shown(found, number):
    assert post(found, f"pair/{number}", rater="Ada").status == 400
    assert post(found, "pair/0", rater="Ada").status == 200


def test_a_name_is_one_however_it_is_typed(bare):
    for number, name in enumerate(["Zoë", unicodedata.normalize("NFD", "Zoë"), " Zoë\t"]):
        assert post(bare, "answer", **GIVEN | {"rater": name, "pair": number}).status == 200
    assert {stored.rater for stored in given(bare)} == {"Zoë"}
    assert state(bare, "Zoë")["answered"] == 3
    assert state(bare, "Zoe")["answered"] == 0


def test_a_name_in_another_case_is_the_same_rater(bare):
    assert state(bare, "ada")["rater"] == "ada", "nobody else is called so yet"
    post(bare, "answer", **GIVEN)
    for name in ("ada", "ADA", " Ada"):
        assert (state(bare, name)["rater"], state(bare, name)["answered"]) == ("Ada", 1)
    assert state(bare, "Adam")["rater"] == "Adam"


def test_an_answer_under_a_name_that_became_another_is_not_stored(bare):
    sides = {bare.plan.first_is_left(one, "ada") for one in bare.plan.pairs[:3]}
    sides |= {bare.plan.first_is_left(one, "Ada") for one in bare.plan.pairs[:3]}
    assert len(sides) == 2, "each name has sides of its own"
    post(bare, "answer", **GIVEN)
    refused = post(bare, "answer", **GIVEN | {"rater": "ada"})
    assert refused.status == 409
    assert "this name is written Ada by now" in json.loads(refused.body)["error"]
    assert [one.rater for one in given(bare)] == ["Ada"]


def test_an_answer_that_does_not_know_the_stored_one_is_refused(bare):
    assert post(bare, "answer", **GIVEN).status == 200
    date = dates(bare)["Ada", 0]
    for known in (None, "", "2020-01-01", 0, [date]):
        refused = post(bare, "answer", **GIVEN | {"said": RIGHT, "known": known})
        assert (refused.status, refused.kind) == (409, JSON)
        told = json.loads(refused.body)["error"]
        assert told == "this pair was answered in another tab."
        assert dates(bare) == {("Ada", 0): date}
    assert post(bare, "answer", **GIVEN | {"said": RIGHT, "known": date}).status == 200
    assert [one.said for one in given(bare)] == [RIGHT]
    assert post(bare, "answer", **GIVEN | {"rater": "Ben"}).status == 200, "others are not asked"


def test_an_answer_that_was_sent_twice_is_stored_once(bare):
    for seconds in (2.5, 9):  # the first confirmation was lost
        assert post(bare, "answer", **GIVEN | {"seconds": seconds}).status == 200
    (file,) = bare.folder.answers.iterdir()
    assert len(file.read_text().splitlines()) == 1
    for changes in ({"said": RIGHT}, {"note": ""}, {"tags": []}, {"box": None}):
        assert post(bare, "answer", **GIVEN | changes).status == 409


def test_of_two_tabs_at_once_one_is_refused(bare):
    """As many answers as threads, and each knows of none."""
    gate, told = threading.Barrier(8), []

    def tab(number):
        gate.wait()
        told.append(post(bare, "answer", **GIVEN | {"note": str(number)}).status)

    tabs = [threading.Thread(target=tab, args=(number,)) for number in range(8)]
    for one in tabs:
        one.start()
    for one in tabs:
        one.join()
    assert sorted(told) == [200] + [409] * 7
    (file,) = bare.folder.answers.iterdir()
    assert len(file.read_text().splitlines()) == 1


def test_sides_are_the_plans_for_each_rater(found):
    sides = {}
    for rater in ("Ada", "Ben", "Cem"):
        for one in found.plan.pairs:
            if one.catch or one.alike:
                continue
            left_first = found.plan.first_is_left(one, rater)
            assert arms_seen(found, one.number, rater) == (["A", "B"] if left_first else ["B", "A"])
            sides.setdefault(one.number, set()).add(left_first)
    assert {True, False} in sides.values(), "the check can fail: they differ between raters"


def test_the_side_of_an_answer_is_never_the_clients(bare):
    for rater in ("Ada", "Ben", "Cem", "Dee"):
        assert post(bare, "answer", **GIVEN | {"rater": rater}).status == 200
        assert post(bare, "answer", **GIVEN | {"rater": rater, "first_is_left": True}).status == 400
    first = bare.plan.pairs[0]
    assert {stored.rater: stored.first_is_left for stored in given(bare)} == {
        rater: bare.plan.first_is_left(first, rater) for rater in ("Ada", "Ben", "Cem", "Dee")
    }
    assert len({stored.first_is_left for stored in given(bare)}) == 2, "the check can fail"


def test_addresses_of_pictures_tell_nothing(made, found):
    ends = []
    for rater in ("Ada", "Ben"):
        for number in (0, 1, 2, 4, 9):
            ends += [re.fullmatch(rf"pair/{number}/([0-9a-f]{{32}})\.png", one)[1]
                     for one in pictures(found, number, rater)]  # fmt: skip
    assert len(set(ends)) == 10, "one for each picture, whoever looks at it"
    address = next(iter(pictures(found, 0)))
    assert found(address.replace("pair/0", "pair/1")) is None
    other = made(found.plan)
    assert other(address) is None, "another process has other addresses"
    assert found(address) is not None


def test_catch_trials_look_like_all_others(found):
    def shape(number):
        page = shown(found, number)
        return [(tag, sorted(attributes)) for tag, attributes in page.tags if tag != "article"]

    kinds = {number: found.plan.pairs[number].catch for number in (1, 4, 9)}
    assert list(kinds.values()) == ["", IDENTICAL, DEFECT]
    assert shape(1) == shape(4) == shape(9)
    assert shape(0) != shape(1), "the check can fail: before the first pair there is none"
    assert arms_seen(found, 4) == ["A", "A"]
    one, other = pictures(found, 9).values()
    assert (one != other).any(axis=2).mean() == pytest.approx(1 / 9, abs=0.01)


def test_nothing_names_an_arm_a_sample_or_a_trial(found):
    texts = [found("").body.decode()]
    texts += [post(found, f"pair/{n}", rater="Ada").body.decode() for n in (0, 1, 2, 4, 9)]
    texts += [json.dumps(state(found)), post(found, "pair/3", rater="Ada").body.decode()]
    texts[0] = texts[0].partition("</script>")[2]
    words = (*NAMES.values(), "sample_", IDENTICAL, DEFECT, "catch", "first", "second", "harm")
    assert not [(word, text) for word in words for text in texts if word in text.lower()]
    assert [word for word in words if word in json.dumps(found.plan.document())], "it can fail"


def window(page):
    (root,) = (one for one in page.all("div") if "data-window" in one)
    return [float(part) for part in root["data-window"].split()]


def test_the_window_is_where_they_differ_most(found):
    page = shown(found, 0)
    place = [100 * part / 160 for part in (*SPOT, 64, 64)]
    assert window(page) == pytest.approx(place, abs=1e-3)
    sizes = [(int(one["width"]), one["alt"]) for one in page.all("img") if "data:" in one["src"]]
    assert sizes == [
        (64, ""), (256, "Left picture, enlarged"), (64, ""), (256, "Right picture, enlarged"),
    ]  # fmt: skip
    sources = [one["src"] for one in page.all("img") if "data:" in one["src"]]
    across, down = SPOT
    for pixels, source in zip(pictures(found, 0).values(), sources[::2], strict=True):
        tile = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")
        assert (np.asarray(tile) == pixels[down : down + 64, across : across + 64]).all()


def test_of_equal_pictures_the_window_is_where_they_have_most_detail(found):
    flat = np.full((160, 160, 3), 128, np.uint8)
    flat[80:144, 32:96:2] = 255
    buffer = io.BytesIO()
    Image.fromarray(flat).save(buffer, "png")
    found = replace(found, plan=repainted(found.plan, found.arms, 4, A=buffer.getvalue()))
    assert window(shown(found, 4)) == [20, 50, 40, 40]


def windows(found):
    """Pairs with a window, or with a button that marks it."""
    pages = {one.number: shown(found, one.number) for one in found.plan.asked}
    return [
        number
        for number, page in pages.items()
        if [one for one in page.all("div") if "data-window" in one]
        or [one for one in page.all("button") if one.get("data-deed") == "mark"]
        or len(page.all("img")) > 2
    ]


def test_where_one_pair_has_two_sizes_no_pair_has_a_window(found):
    """Catch trials always could have one: they would be told apart."""
    asked = [one.number for one in found.plan.asked]
    assert windows(found) == asked, "the check can fail"
    small = picture(COLOURS["B"], 2, 80)
    assert windows(replace(found, plan=repainted(found.plan, found.arms, 2, B=small))) == []


def test_sizes_of_pictures_that_nobody_compares_take_no_window(found):
    """The fourth pair is alike; of the fifth, a catch trial, only the run's picture is shown."""
    base = found.arms["B"]
    for name in ("sample_3", "sample_4"):
        base.picture_file(name, 0).write_bytes(picture(COLOURS["B"], 0, 80))
    base.picture_file("sample_5", 0).unlink()
    assert len(shown(found, 4).all("img")) > 2


def test_what_the_question_shows(made):
    shows = ("prompt", "reference", "words")
    found = made(plan(mixed(2), question=Question("text", "Which one reads?", shows)))
    page = shown(found, 1)
    assert "Prompt a red bicycle 1" in page.text
    assert "Expected words OPEN <b>DAILY" in page.text
    assert arms_seen(found, 1)[2] == "?"
    assert [one["data-kind"] for one in page.all("figure") if "data-kind" in one] == [
        "left", "right", "reference",
    ]  # fmt: skip
    (reference,) = list(pictures(found, 1))[2:]
    assert found(reference).kind == PNG
    plain = made(plan(mixed(2)))
    assert "bicycle" not in shown(plain, 1).text
    assert "OPEN" not in shown(plain, 1).text
    assert len(pictures(plain, 1)) == 2
    hidden = replace(plain, secret=found.secret)
    assert hidden(hidden._address(hidden.plan.pairs[0], "Reference")) is None, "nor by its address"
    assert found(found._address(found.plan.pairs[0], "Reference")).kind == PNG


def test_links_out_of_a_run_are_not_followed(made, tmp_path):
    found = made(plan(mixed(2), question=Question("text", "Which one?", ("reference",))))
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture((255, 255, 0), 0, 160))
    file = found.run.reference_file("sample_0")
    file.unlink()
    file.symlink_to(secret)
    assert post(found, "pair/0", rater="Ada").status == 500
    file.unlink()
    file.symlink_to(found.run.reference_file("sample_1"))
    assert len(pictures(found, 0)) == 3, "the check can fail"


def test_what_was_answered_before_is_taken_up_again(found):
    post(found, "answer", **GIVEN)
    page = shown(found, 0)
    current = [one["data-said"] for one in page.all("button") if "aria-current" in one]
    assert current == [LEFT]
    assert [
        one["data-tag"]
        for one in page.all("button", **{"aria-pressed": "true"})
        if "data-tag" in one
    ] == ["blur"]
    (note,) = (one["value"] for one in page.all("input") if one["type"] == "text")
    assert note == "the hand"
    (article,) = page.all("article")
    assert article["data-box"] == "0.25 0 0.5 1"
    assert article["data-known"] == dates(found)["Ada", 0]
    assert not {"data-box", "data-known"} & set(shown(found, 0, "Ben").all("article")[0])


def test_pairs_before_and_after(found):
    def around(number):
        (article,) = shown(found, number).all("article")
        return article.get("data-back"), article.get("data-ahead")

    assert around(0) == (None, "1")
    assert around(2) == ("1", "4")
    assert around(9) == ("8", None)
    post(found, "answer", **GIVEN | {"pair": 4})
    assert around(2) == ("1", "5")
    assert "Pair 4 of 9" in shown(found, 4).text


@pytest.mark.parametrize(("rule", "enough"), [(FIXED, [False] * 23 + [True]), ("anytime", None)])
def test_enough_is_what_the_plan_asks_for(made, rule, enough):
    found = made(plan([pair(number) for number in range(24)], rule=rule, margin=0.4), size=0)
    told = []
    for number, one in enumerate(found.plan.pairs):
        said = LEFT if found.plan.first_is_left(one, "Ada") else RIGHT
        answer = post(found, "answer", **GIVEN | {"pair": number, "said": said})
        told.append(json.loads(answer.body)["enough"])
    assert told[0] is False
    assert told[-1] is True
    assert enough is None or told == enough
    keys = {"rater", "next", "answered", "of", "enough", "whole", "last"}
    assert set(state(found)) == keys, "not which is better"


@pytest.mark.parametrize("raters", [1, 2])
def test_whole_is_where_more_answers_change_nothing(made, raters):
    found = made(plan([pair(number) for number in range(4)], rule=FIXED, raters=raters), size=0)
    for name in ("Ada", "Grace")[:raters]:
        for number in range(4):
            assert state(found)["whole"] is False
            post(found, "answer", **GIVEN | {"rater": name, "pair": number, "said": TIE})
    assert (state(found)["whole"], state(found)["enough"]) == (True, False)


def test_a_losing_run_is_enough_as_well(made):
    found = made(plan([pair(number) for number in range(24)], rule=FIXED, margin=0.1), size=0)
    for one in found.plan.pairs:
        said = RIGHT if found.plan.first_is_left(one, "Ada") else LEFT
        post(found, "answer", **GIVEN | {"pair": one.number, "said": said})
    assert state(found)["enough"] is True


def test_all_arms_have_to_be_decided(made):
    pairs = [pair(number, second="BC"[number % 2]) for number in range(48)]
    found = made(plan(pairs, "ABC", margin=0.1), size=0)
    for one in pairs[:36]:
        win = LEFT if found.plan.first_is_left(one, "Ada") else RIGHT
        said = win if one.second == "B" else [LEFT, RIGHT][one.number // 2 % 2]
        post(found, "answer", **GIVEN | {"pair": one.number, "said": said})
    assert state(found)["enough"] is False
    known = dates(found)
    for one in pairs:
        said = LEFT if found.plan.first_is_left(one, "Ada") else RIGHT
        content = {"pair": one.number, "said": said, "known": known.get(("Ada", one.number))}
        assert post(found, "answer", **GIVEN | content).status == 200
    assert state(found)["enough"] is True


def test_models_do_not_make_it_enough(made):
    found = made(plan([pair(number) for number in range(24)], rule=FIXED, margin=0.4), size=0)
    for one in found.plan.pairs:
        for left in (True, False):
            answers.add(
                found.folder, found.plan, answers.Answer(one.number, "m", "model", left, TIE)
            )
    assert (state(found)["answered"], state(found)["enough"]) == (0, False)


def test_a_damaged_file_is_told_without_a_name(found, capfd):
    post(found, "answer", **GIVEN)
    (file,) = found.folder.answers.glob("*")
    file.write_bytes(b"{}\n")
    for address in ("state", "pair/0"):
        answer = post(found, address, rater="Ada")
        assert (answer.status, answer.kind) == (500, JSON)
        told = json.loads(answer.body)["error"]
        assert told == "A file is damaged or missing: the terminal says more."
        assert "holds something that is no answer" in capfd.readouterr().err


@pytest.mark.parametrize("data", [None, b"no picture"])
def test_a_picture_that_cannot_be_shown_is_told_without_a_name(found, data, capfd):
    file = found.arms["B"].picture_file("sample_0", 0)
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    answer = post(found, "pair/0", rater="Ada")
    assert answer.status == 500
    assert not any(word in answer.body.decode() for word in (*NAMES.values(), "sample_"))
    assert "cannot be shown" in capfd.readouterr().err
    assert post(found, "pair/1", rater="Ada").status == 200


def test_the_way_back_is_told_where_a_pair_cannot_be_shown(found, capfd):
    for sample in ("sample_0", "sample_4"):
        found.run.picture_file(sample, 0).unlink()
    for number, back in ((0, None), (4, 2)):
        answer = post(found, f"pair/{number}", rater="Ada")
        assert (answer.status, json.loads(answer.body)["back"]) == (500, back)
    capfd.readouterr()


def test_nobody_is_asked_about_a_reference_that_is_gone(made, capfd):
    found = made(plan(mixed(2), question=Question("text", "Which one reads?", ("reference",))))
    address = list(pictures(found, 1))[2]
    found.run.reference_file("sample_1").unlink()
    answer = post(found, "pair/1", rater="Ada")
    assert answer.status == 500
    assert not any(word in answer.body.decode() for word in (*NAMES.values(), "sample_"))
    assert "cannot be shown" in capfd.readouterr().err
    assert found(address) is None
    assert "cannot be shown" in capfd.readouterr().err


def test_a_damaged_file_cannot_act_on_the_terminal(found, capfd):
    post(found, "answer", **GIVEN)
    (file,) = found.folder.answers.glob("*")
    row = json.loads(file.read_text())
    file.write_text(json.dumps(row | {"\x1b]0;x\x07": 1}) + "\n")
    post(found, "state", rater="Ada")
    told = capfd.readouterr().err
    assert "]0;x" in told
    assert "\x1b" not in told


def test_a_name_may_be_any_text_and_stays_in_its_folder(bare):
    names = ["../../evil", "a/b", "C:\\x", HOSTILE.replace("\n", " ").replace("\x1b", ""), "."]
    for name in names:
        assert post(bare, "answer", **GIVEN | {"rater": name[:100]}).status == 200
        assert state(bare, name[:100])["answered"] == 1
    assert len(list(bare.folder.answers.iterdir())) == len(names)
    assert {file.parent for file in bare.folder.path.rglob("*.jsonl")} == {bare.folder.answers}


def test_hostile_texts_are_only_text(made):
    def texts(text):
        question = Question("x", text, ("prompt", "words"))
        found = made(plan(mixed(2), question=question))
        rows = found.run.samples()
        regions = [{"text": text, "box": [0, 0, 1, 1]}, {"text": "b", "box": [0, 0, 1, 1]}]
        found.run.write_samples([row | {"prompt": text, "regions": regions} for row in rows])
        found = site(found.run, found.arms, found.folder)
        post(found, "answer", **GIVEN | {"note": text})
        seen = [page_of(found("")), shown(found, 0)]
        shutil.rmtree(found.folder.path)  # the next one is registered in its place
        return seen

    hostile, plain = texts(HOSTILE), texts("a")
    for one, other in zip(hostile, plain, strict=True):
        assert [tag for tag, _ in one.tags] == [tag for tag, _ in other.tags]
    assert SHOWN in hostile[0].text
    assert hostile[1].text.count(SHOWN) == 2


def test_the_policy_of_the_header_is_the_pages(found):
    answer = found("")
    (meta,) = (one for one in page_of(answer).all("meta") if "http-equiv" in one)
    assert answer.policy == meta["content"]
    text = answer.body.decode()
    for tag in ("style", "script"):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in answer.policy
    assert answer.policy.startswith("default-src 'none'; img-src 'self' data:; ")
    assert answer.policy.endswith("; connect-src 'self'")
    assert "unsafe" not in answer.policy
    assert post(found, "pair/0", rater="Ada").policy == "default-src 'none'"
    acts = re.compile(r'<[^>]+\s(style|on\w+)="')
    assert not acts.search(text.partition("</script>")[2])
    assert not acts.search(post(found, "pair/0", rater="Ada").body.decode())
    assert acts.search('<img src="x" onerror="alert(1)">')


def test_it_never_imports_torch(found):
    code = (
        "import sys; from qa.store import RunFolder; from qa.review.plan import ReviewFolder;"
        "from pathlib import Path; from reports.review import site;"
        f"arms = {{k: RunFolder(Path(v)) for k, v in "
        f"{ {k: str(v.path) for k, v in found.arms.items()}!r}.items()}};"
        f"one = site(arms['A'], arms, ReviewFolder(Path({str(found.folder.path)!r})));"
        "assert one('') and one.accept('pair/0', b'{\"rater\": \"Ada\"}').status == 200;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
