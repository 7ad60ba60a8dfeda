"""The page of a review in a browser: pairs are rated by keyboard, and stored as they were seen."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest
from ratings import (
    KEYS,
    SIZE,
    Rating,
    strangers_in,
)
from review_toys import NAMES, mixed, plan

from qa.review import answers
from qa.review.answers import BAD, LEFT, RIGHT, TAGS
from qa.review.plan import DEFECT


def test_sixty_pairs_are_stored_as_they_were_seen(page, served):
    server, folder = served(plan(mixed(60)))
    rating, told = Rating(page, server, folder).start(), {}
    for place, one in enumerate(rating.plan.asked):
        rating.at(one.number)
        if place == 30:
            page.reload()
            rating.at(one.number)
        assert page.get_by_role("heading", level=2).inner_text() == f"Pair {place + 1} of 60"
        key = "lrtb"[place % 7 % 4]
        told[one.number] = (key, rating.seen())
        rating.press(key)
    page.get_by_text("All of your answers are saved.").wait_for()
    stored = rating.stored()
    assert list(stored) == sorted(told) == list(range(60))
    assert {known.said for known in stored.values()} == set(KEYS.values())
    for number, (key, (left, right)) in told.items():
        known, one = stored[number], rating.plan.pairs[number]
        assert known.said == KEYS[key]
        if one.catch == DEFECT:
            assert {left, right} == {"A", "A striped"}
            assert known.first_is_left == (right == "A striped"), "the second one has the defect"
        elif one.catch:
            assert (left, right) == ("A", "A")
        else:
            assert {left, right} == {"A", "B"}
            assert known.first_is_left == (left == "A")
            better = {LEFT: left, RIGHT: right}.get(known.said)
            assert known.score == {"A": 1.0, "B": 0.0, None: 0.5}[better]
        assert 0 <= known.seconds < 60
    real = [
        known.first_is_left for known in stored.values() if not rating.plan.pairs[known.pair].catch
    ]
    assert set(real) == {True, False}, "the check can fail: sides differ"


def test_whoever_comes_back_goes_on_where_they_were(rating):
    rating.press("l")
    rating.at(1)
    assert rating.page.url.endswith("#rater=Ada")
    other = rating.page.context.new_page()
    other.goto(rating.page.url)
    Rating(other, rating.server, rating.folder).at(1)
    rating.page.evaluate("location.hash = 'rater=Ben'")
    rating.at(0)
    rating.page.evaluate("location.hash = ''")
    assert rating.page.get_by_label("Your name").is_visible()
    assert not rating.pair.is_visible()


def test_a_name_that_is_none_is_asked_for_again(rating, seen):
    rating.page.evaluate("location.hash = 'rater=%07'")
    rating.alert.get_by_text("a name has 1 to 100 letters").wait_for()
    assert rating.page.get_by_label("Your name").is_visible()
    seen[:] = [one for one in seen if "400 (Bad Request)" not in one]  # the browser noted it


def test_nobody_is_asked_but_the_server(rating, seen):
    strangers_in(seen, rating.server)
    assert seen == []
    refused = rating.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 0, () => 1)")
    assert refused == 1
    assert any("connect-src" in one for one in seen), "the policy refuses it, not the network"
    seen.clear()
    other = rating.page.context.new_page()
    other.on("request", lambda request: seen.append(request.url))
    other.set_content("<img src='http://127.0.0.1:9/x.png'>")
    strangers_in(seen, rating.server)
    assert seen, "the check can fail"
    seen.clear()


def test_without_the_token_nothing_is_read_or_stored(rating):
    given = {"rater": "Eve", "pair": 0, "known": None, "said": "left", "seconds": 1}
    body = json.dumps(given | {"tags": [], "box": None, "note": ""})

    def asked(token, method, address):
        connection = http.client.HTTPConnection("127.0.0.1", rating.server.server_port, timeout=20)
        headers = {"Content-Type": "application/json"} if method == "POST" else {}
        connection.request(method, f"/{token}/{address}", body if headers else None, headers)
        return connection.getresponse().status

    wrong = rating.server.token[:-1] + "!"
    for method, address in (("GET", ""), ("POST", "state"), ("POST", "answer"), ("POST", "pair/0")):
        assert asked(wrong, method, address) == 404
        assert not list(rating.folder.answers.glob("*"))
        assert asked(rating.server.token, method, address) == 200, "the check can fail"
        for file in rating.folder.answers.glob("*"):
            file.unlink()


def test_an_answer_that_was_not_saved_is_told_and_given_again(rating, seen, monkeypatch, capfd):
    add = answers.add

    def full(folder, plan, answer):
        folder.answers.mkdir(exist_ok=True)
        monkeypatch.setattr("pathlib.Path.open", refuse)
        try:
            add(folder, plan, answer)
        finally:
            monkeypatch.setattr("pathlib.Path.open", opened)

    def refuse(file, mode="r", *more, **words):
        if "r" in mode:
            return opened(file, mode, *more, **words)
        raise OSError(28, "No space left on device")

    opened = Path.open
    monkeypatch.setattr(answers, "add", full)
    for _ in range(2):
        rating.press("Shift+Digit3", "Shift+Digit3", "r")
        rating.alert.get_by_text("The answer was not saved: No space left on device").wait_for()
        rating.at(0)
        assert rating.stored() == {}
    assert "The disk is full" in capfd.readouterr().err
    assert not any(name in rating.alert.inner_text() for name in NAMES.values())
    monkeypatch.setattr(answers, "add", add)
    rating.press("r")
    rating.at(1)
    assert rating.alert.text_content() == ""
    assert rating.stored()[0].said == RIGHT
    noted = [one for one in seen if "500 (Internal" in one]
    assert len(noted) == 2
    seen[:] = [one for one in seen if one not in noted]


def test_a_server_that_ended_is_told(rating, seen):
    rating.page.route("**/answer", lambda route: route.abort())
    rating.press("l")
    rating.alert.get_by_text("the server has ended").wait_for()
    assert rating.stored() == {}
    rating.page.set_viewport_size({"width": 400, "height": 400})
    told, say = rating.alert.bounding_box(), rating.pair.locator(".r-say").bounding_box()
    assert told["y"] + told["height"] <= say["y"], "it does not lie over the answers"
    rating.page.unroute("**/answer")
    rating.press("l")
    rating.at(1)
    seen[:] = [one for one in seen if "ERR_FAILED" not in one]


def test_a_review_that_was_started_again_is_told(rating, seen):
    rating.server.token = "another"
    rating.press("l")
    rating.alert.get_by_text("Go on at the address that it printed.", exact=False).wait_for()
    assert "tries again" not in rating.alert.inner_text()
    seen[:] = [one for one in seen if "404 (Not Found)" not in one]


def test_keys_in_the_note_are_text(rating):
    rating.press("n")
    rating.page.keyboard.type("lrtbumdn 1")
    rating.press("Shift+Digit1", "Backspace", "Shift+L")
    assert rating.note.input_value() == "lrtbumdn 1L"
    assert rating.number() == 0
    assert rating.stored() == {}
    rating.press("Enter", "t")
    rating.at(1)
    assert rating.stored()[0].note == "lrtbumdn 1L"
    assert rating.note.input_value() == "", "a note belongs to one pair"
    rating.press("n", "x", "Escape", "t")
    rating.at(2)
    assert rating.stored()[1].note == "x"


def test_keys_with_modifiers_or_held_answer_nothing(rating):
    rating.press("Control+l", "Alt+r", "Meta+b", "Shift+T", "Shift+L", "1", "w", "ArrowLeft", "+")
    rating.page.evaluate("""() => document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key: "l", bubbles: true, repeat: true }))""")
    rating.page.wait_for_timeout(50)
    assert rating.stored() == {}
    assert rating.number() == 0
    rating.page.evaluate("""() => document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key: "L", bubbles: true }))""")  # caps lock
    rating.at(1)
    assert rating.stored()[0].said == LEFT
    rating.page.evaluate("""() => document.activeElement.dispatchEvent(new KeyboardEvent(
        "keydown", { key: "к", code: "KeyR", bubbles: true }))""")  # Russian letters
    rating.at(2)
    assert rating.stored()[1].said == RIGHT


def test_nobody_answers_what_is_not_shown_yet(rating):
    held = []
    rating.page.route("**/pair/2/*.png", lambda route: held.append(route))  # behind pair 1
    rating.press("l")
    rating.at(1)
    with rating.page.expect_response("**/answer"):
        rating.press("l")
    rating.page.wait_for_timeout(100)  # frames enough to show what is there
    rating.press("r", "t", "m", "Shift+Digit1", "u")
    rating.page.wait_for_timeout(50)
    assert {number: known.said for number, known in rating.stored().items()} == {0: LEFT, 1: LEFT}
    assert len(held) == 2
    for route in held:
        route.continue_()
    rating.at(2)
    rating.press("r")
    rating.at(3)
    known = rating.stored()[2]
    assert (known.said, known.tags, known.box) == (RIGHT, (), None)


def test_tags_are_toggled_by_key_and_by_button(rating):
    rating.press("Shift+Digit1", "Shift+Digit6", "Shift+Digit2", "Shift+Digit2", "Shift+Digit7")
    rating.page.evaluate("""() => document.activeElement.dispatchEvent(new KeyboardEvent(
        "keydown", { key: "2", code: "Digit2", shiftKey: true, bubbles: true }))""")  # in France
    assert rating.pair.locator(".stage").get_attribute("data-mode") == "side"
    rating.press("Shift+Digit2")
    rating.button("blur").click()
    pressed = rating.page.locator("[data-tag][aria-pressed=true]")
    chosen = pressed.evaluate_all("all => all.map(one => one.dataset.tag)")
    assert chosen == ["wrong text", "blur", "identity"]
    rating.button("Right is better").click()
    rating.at(1)
    assert rating.stored()[0].tags == (TAGS[0], TAGS[4], TAGS[5])
    assert rating.stored()[0].said == RIGHT
    assert pressed.count() == 0


@pytest.mark.parametrize("key", ["u", "Backspace"])
def test_the_pair_before_is_answered_again(rating, key):
    rating.press("Shift+Digit4", "n", "x", "Enter", "m", "l")
    rating.at(1)
    rating.press("r")
    rating.at(2)
    rating.press(key)
    rating.at(1)
    rating.press(key)
    rating.at(0)
    rating.press(key)
    rating.at(0)
    assert rating.page.locator("[aria-current=true]").inner_text().startswith("Left is better")
    rating.press("b")
    rating.at(2)
    stored = rating.stored()
    assert (stored[0].said, stored[0].tags, stored[0].note) == (BAD, ("colour",), "x")
    assert stored[0].box.width == pytest.approx(64 / SIZE, abs=1e-5), "it stays until it is changed"
    assert stored[1].said == RIGHT


def test_after_the_last_pair_one_can_go_back(rating):
    for number in range(10):
        rating.at(number)
        rating.press("t")
    done = rating.page.get_by_role("heading", name="Thank you")
    done.wait_for()
    rating.press("l", "r", "m", "n", "Shift+Digit1")
    rating.press("u")
    rating.at(9)
    rating.press("r")
    done.wait_for()
    assert rating.stored()[9].said == RIGHT
    rating.page.reload()
    done.wait_for()
