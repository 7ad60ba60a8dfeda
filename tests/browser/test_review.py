"""The page of a review in a browser: pairs are rated by keyboard, and stored as they were seen."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from review_toys import NAMES, SPOT, mixed, pair, plan, review

from qa.review import answers
from qa.review.answers import BAD, LEFT, RIGHT, TAGS, TIE
from qa.review.plan import DEFECT, Question
from reports.review import site
from reports.serving import Server

SIZE = 160
KEYS = {"l": LEFT, "r": RIGHT, "t": TIE, "b": BAD}
SEEN = """all => all.map(image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const sums = [0, 0, 0];
    let black = 0;
    for (let at = 0; at < data.length; at += 4) {
        for (let colour = 0; colour < 3; colour++) sums[colour] += data[at + colour];
        black += data[at] + data[at + 1] + data[at + 2] === 0;
    }
    return ["A", "C", "B"][sums.indexOf(Math.max(...sums))] + (black ? " striped" : "");
})"""
"""Arm of each picture by its pixels: A is red, C green, B blue; a planted defect has black."""


@contextmanager
def serving(found):
    with Server(found, accept=found.accept) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Rating:
    """A review that somebody rates: the page, and what is stored of it."""

    def __init__(self, page, server, folder, rater="Ada"):
        self.page, self.server, self.folder = page, server, folder
        self.plan, self.rater = folder.plan(), rater
        self.pair = page.locator("main:not([aria-busy]) .r-pair")
        self.alert = page.get_by_role("alert")
        self.note = page.get_by_label("Note")

    def start(self):
        self.page.goto(self.server.url)
        self.page.get_by_label("Your name").fill(self.rater)
        self.page.keyboard.press("Enter")
        self.at(next(self.plan.asked).number)
        return self

    def at(self, number):
        """This pair is shown and can be answered."""
        self.page.locator(f"main:not([aria-busy]) .r-pair[data-number='{number}']").wait_for()

    def number(self):
        return int(self.pair.get_attribute("data-number"))

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def seen(self):
        """What stands on the left and on the right, by its pixels."""
        return self.pair.locator(".pane img").evaluate_all(SEEN)[:2]

    def stored(self):
        known = answers.by_rater(answers.read(self.folder, self.plan))
        return known.get(self.rater, {})

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)


@pytest.fixture
def served(page, seen, tmp_path):
    """Make and serve a review: `served(plan)` → server and folder."""
    with ExitStack() as servers:

        def make(registered):
            run, arms, folder = review(tmp_path, registered, SIZE)
            server = servers.enter_context(serving(site(run, arms, folder)))
            servers.callback(leave, page, seen, server)
            return server, folder

        yield make


def leave(page, seen, server):
    """What the page still loads ends before the server does."""
    page.goto("about:blank")
    strangers_in(seen, server)


def strangers_in(seen, server):
    """Leave what went elsewhere, and errors: the harness takes any address for a network."""
    own = server.url.removesuffix(f"{server.token}/")
    seen[:] = [one for one in seen if not one.startswith(own)]


@pytest.fixture
def rating(page, served):
    """Ada at the first of ten pairs, of which the fifth and the last are catch trials."""
    return Rating(page, *served(plan(mixed(10)))).start()


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


def test_the_place_that_differs_most_is_marked(rating):
    x, y = (start / SIZE for start in SPOT)
    rating.press("m")
    assert rating.page.locator(".r-box").count() == 2
    rating.press("m")
    assert rating.page.locator(".r-box").count() == 0
    rating.press("m", "l")
    rating.at(1)
    box = rating.stored()[0].box
    assert (box.x, box.y) == pytest.approx((x, y), abs=1e-5)
    assert (box.width, box.height) == pytest.approx((64 / SIZE, 64 / SIZE), abs=1e-5)
    rating.press("m", "m", "l")
    rating.at(2)
    assert rating.stored()[1].box is None


def drag(rating, pane, start, end):
    """Drag on a pane's picture from one place to another, in shares of its view."""
    view = rating.pair.locator(".pane").nth(pane).locator(".view")
    edges = view.bounding_box()
    for step, (x, y) in enumerate((start, end)):
        at = edges["x"] + x * edges["width"], edges["y"] + y * edges["height"]
        rating.page.mouse.move(*at, steps=1 + 3 * step)
        if not step:
            rating.page.mouse.down()
    rating.page.mouse.up()


def transform(rating):
    return rating.pair.locator(".content").first.evaluate("one => one.style.transform")


def test_a_box_is_drawn_by_mouse(rating):
    before = transform(rating)
    rating.press("d")
    drag(rating, 1, (0.75, 0.5), (0.25, 0.25))
    assert transform(rating) == before
    assert rating.page.locator(".r-box").count() == 2, "in every pane"
    rating.press("l")
    rating.at(1)
    box = rating.stored()[0].box
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.25, 0.25, 0.5, 0.25), abs=0.01)
    rating.press("d")
    drag(rating, 0, (0.5, 0.5), (0.5, 0.5))
    assert rating.page.locator(".r-box").count() == 0, "a click is no box"
    drag(rating, 0, (0.5, 0.5), (1.5, 1.5))
    rating.press("l")
    rating.at(2)
    box = rating.stored()[1].box
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.5,) * 4, abs=0.01)
    drag(rating, 0, (0.5, 0.5), (0.75, 0.75))
    assert rating.page.locator(".r-box").count() == 0, "without D it is no box"


def test_a_box_stays_until_another_one_is_drawn(rating):
    def boxes():
        """What is marked in the first pane: x, y, width, height of its box in per cent."""
        found = (
            rating.pair.locator(".pane")
            .first.locator(".r-box .inner")
            .evaluate_all(
                "all => all.map(one => ['x', 'y', 'width', 'height'].map(name => "
                "parseFloat(one.getAttribute(name))))"
            )
        )
        return [[round(side) for side in box] for box in found]

    own, window = [25, 25, 50, 25], [15, 25, 40, 40]
    rating.press("d")
    drag(rating, 0, (0.25, 0.25), (0.75, 0.5))
    assert boxes() == [own]
    rating.press("d")
    assert boxes() == [own]
    drag(rating, 0, (0.5, 0.5), (0.5, 0.5))
    assert boxes() == [own], "a click is no box, and takes none away"
    rating.press("Escape")
    assert boxes() == [own]
    assert rating.pair.locator(".drawing").count() == 0
    edges = rating.pair.locator(".view").first.bounding_box()
    rating.press("d")
    rating.page.mouse.move(edges["x"] + 9, edges["y"] + 9)
    rating.page.mouse.down()
    rating.page.mouse.move(edges["x"] + 90, edges["y"] + 90, steps=3)
    assert boxes() != [own], "it is drawn"
    rating.press("Escape")
    rating.page.mouse.up()
    assert boxes() == [own]
    rating.press("m")
    assert boxes() == [window]
    rating.press("m")
    assert boxes() == [own], "what the mark stood for comes back"
    rating.press("m", "d", "d")
    assert boxes() == [window]
    rating.press("m", "d")
    drag(rating, 0, (0.5, 0.5), (0.75, 1))
    assert boxes() == [[50, 50, 25, 50]]
    rating.press("d", "d")
    assert boxes() == [], "asked for twice, none is drawn"
    rating.press("d", "l")
    rating.at(1)
    assert rating.stored()[0].box is None


def test_a_box_in_a_zoomed_picture_is_where_it_is_seen(rating):
    rating.press("+", "+", "ArrowLeft")
    assert "scale(2.25)" in transform(rating)
    before = transform(rating)
    rating.press("d")
    drag(rating, 0, (0.5, 0.5), (0.75, 0.75))
    assert transform(rating) == before, "the picture stays where it is"
    middle = 0.5 - 0.1 / 2.25
    rating.press("t")
    rating.at(1)
    box = rating.stored()[0].box
    wide = 0.25 / 2.25
    assert (box.x, box.y, box.width, box.height) == pytest.approx(
        (middle, 0.5, wide, wide), abs=0.01
    )
    assert "scale(1)" in transform(rating), "another pair is shown whole"
    rating.press("+")
    before = transform(rating)
    drag(rating, 0, (0.5, 0.5), (0.6, 0.6))
    assert transform(rating) != before, "the check can fail: without D it is moved"


def test_the_way_of_comparing_stays(rating):
    rating.press("2")
    assert rating.pair.locator(".stage").get_attribute("data-mode") == "wipe"
    rating.press("l")
    rating.at(1)
    assert rating.pair.locator(".stage").get_attribute("data-mode") == "wipe"
    labels = rating.pair.locator("select").evaluate_all(
        "all => all.map(one => one.selectedOptions[0].textContent)"
    )
    assert labels == ["Left", "Right"]


def test_no_text_and_no_address_tells_an_arm(page, served):
    shows = ("prompt", "reference", "words")
    server, folder = served(plan(mixed(10), question=Question("text", "Which one reads?", shows)))
    rating, told = Rating(page, server, folder), []
    page.on("request", lambda request: told.append(request.url.partition(server.token)[2]))
    page.on("response", lambda response: told.extend(response.headers.values()))
    rating.start()
    for number in range(10):
        rating.at(number)
        assert rating.pair.locator(".pane figcaption").all_inner_texts() == [
            "Left", "Right", "Reference",
        ]  # fmt: skip
        told.append(page.content().partition("</script>")[2])
        rating.press("t")
    page.get_by_text("All of your answers are saved.").wait_for()
    assert any("a red bicycle" in one for one in told)
    assert any("&lt;b&gt;DAILY" in one for one in told)
    secrets = (*NAMES.values(), "sample_", "identical", "defect", "catch")
    assert not [(word, one) for word in secrets for one in told if word in one.lower()]
    told.append(f"<p>{NAMES['A']}</p>")
    assert [word for word in secrets for one in told if word in one], "the check can fail"


def answer_all(folder, numbers, rater="Ada"):
    """The run is preferred in these pairs."""
    plan = folder.plan()
    for number in numbers:
        one = plan.pairs[number]
        left = plan.first_is_left(one, rater)
        said = LEFT if left else RIGHT
        answers.add(folder, plan, answers.Answer(number, rater, answers.PERSON, left, said))


@pytest.mark.parametrize("width", [400, 1280])
def test_enough_is_told_at_the_top_and_without_a_direction(page, served, width):
    page.set_viewport_size({"width": width, "height": 800})
    server, folder = served(plan([pair(number) for number in range(24)], margin=0.4))
    rating = Rating(page, server, folder).start()
    enough = rating.pair.get_by_role("status").filter(has_text="Enough pairs were seen")
    assert enough.count() == 0
    answer_all(folder, range(22))
    page.reload()
    rating.at(22)
    box = enough.bounding_box()
    assert box["y"] + box["height"] <= 200
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert enough.inner_text() == "Enough pairs were seen", "not for whom"
    rating.press("l")
    rating.at(23)
    assert enough.bounding_box() == box, "it stays"


def test_the_end_says_what_was_answered_and_whether_it_is_enough(page, served):
    changes = {"rule": "fixed", "margin": 0.4}
    server, folder = served(plan([pair(number) for number in range(24)], **changes))
    answer_all(folder, range(23))
    page.goto(f"{server.url}#rater=Ada")
    Rating(page, server, folder).at(23)
    page.keyboard.press("l")
    page.get_by_text("24 of 24 answered. Enough pairs were seen: the review can end").wait_for()


def test_the_end_asks_nobody_for_answers_that_change_nothing(page, served):
    server, folder = served(plan(mixed(2)))
    rating = Rating(page, server, folder).start()
    for number in range(2):
        rating.at(number)
        rating.press("t")
    told = "2 of 2 answered. All pairs of this review are answered: more answers change nothing."
    page.get_by_text(told).wait_for()


def test_a_draft_whose_answer_was_stored_after_all_is_no_warning(rating):
    """The answer arrived, and the page was loaded anew before it knew."""
    rating.press("n")
    rating.page.keyboard.type("mine")
    draft = rating.page.evaluate("sessionStorage.getItem(sessionStorage.key(0))")
    rating.press("Enter", "l")
    rating.at(1)
    rating.page.evaluate(
        "([key, draft]) => sessionStorage.setItem(key, draft)",
        [json.dumps([rating.plan.digest[:16], "ada", 0], separators=(",", ":")), draft],
    )
    rating.press("u")
    rating.at(0)
    assert rating.note.input_value() == "mine"
    assert rating.alert.inner_text() == ""
    changed = draft.replace("mine", "other")
    assert changed != draft
    rating.page.evaluate(
        "([key, draft]) => sessionStorage.setItem(key, draft)",
        [json.dumps([rating.plan.digest[:16], "ada", 0], separators=(",", ":")), changed],
    )
    rating.page.reload()
    rating.at(1)
    rating.press("u")
    rating.alert.get_by_text("Your note here was: other").wait_for()


def test_the_end_leads_to_another_rater(page, served):
    server, folder = served(plan(mixed(2), raters=2))
    rating = Rating(page, server, folder).start()
    for number in range(2):
        rating.at(number)
        rating.press("t")
    told = "2 of 2 answered. Not enough pairs were seen yet: another rater helps."
    page.get_by_text(told).wait_for()
    page.get_by_role("button", name="Next rater").click()
    page.get_by_label("Your name").wait_for()
    page.keyboard.type("Ben")
    page.keyboard.press("Enter")
    rating.at(0)
    assert page.locator(".r-who bdi").inner_text() == "Ben"


def test_the_page_says_who_rates_and_asks_for_another_name(rating):
    name = rating.pair.locator(".r-who bdi")
    assert name.inner_text() == "Ada"
    rating.press("l")
    rating.at(1)
    rating.button("Not you?").click()
    field = rating.page.get_by_label("Your name")
    field.wait_for()
    assert field.input_value() == "Ada"
    rating.press("Enter")
    rating.at(1)
    assert rating.stored()[0].said == LEFT
    rating.button("Not you?").click()
    field.wait_for()
    rating.page.keyboard.type("<b>Ben</b>")
    rating.press("Enter")
    rating.at(0)
    assert name.inner_text() == "<b>Ben</b>"
    rating.button("Not you?").click()
    field.wait_for()
    rating.page.keyboard.type("ADA")
    rating.press("Enter")
    rating.at(1)
    assert name.inner_text() == "Ada", "as it was written first"


def test_a_long_name_leaves_room(browser, rating):
    rating.page.evaluate("name => { location.hash = `rater=${name}` }", "W" * 100)
    rating.page.get_by_text("W" * 100).wait_for()
    rating.at(0)
    assert rating.page.evaluate("document.documentElement.scrollWidth") == 1280
    top = rating.pair.locator(".r-top").bounding_box()
    assert top["height"] < 60, "one row"


def test_a_tab_that_knows_less_is_told_and_overwrites_nothing(rating, seen):
    other = Rating(rating.page.context.new_page(), rating.server, rating.folder)
    other.page.goto(rating.page.url)
    other.at(0)
    rating.press("Shift+Digit1", "n")
    rating.page.keyboard.type("left hand")
    rating.press("Enter", "l")
    rating.at(1)
    other.press("n")
    other.page.keyboard.type("the other hand")
    other.press("Enter", "Shift+Digit5", "r")
    other.alert.get_by_text("This pair was answered in another tab").wait_for()
    other.at(0)
    assert "Your note here was: the other hand" in other.alert.inner_text()
    assert other.page.locator("[aria-current=true]").inner_text().startswith("Left is better")
    assert other.note.input_value() == "left hand"
    pressed = other.page.locator("[data-tag][aria-pressed=true]")
    assert pressed.evaluate_all("all => all.map(one => one.dataset.tag)") == [TAGS[0]]
    assert [one.said for one in rating.stored().values()] == [LEFT]
    other.press("r")
    other.at(1)
    assert other.alert.text_content() == ""
    assert rating.stored()[0].said == RIGHT, "who knows it may decide again"
    rating.press("u")
    rating.at(0)
    assert rating.page.locator("[aria-current=true]").inner_text().startswith("Right is better")
    other.page.goto("about:blank")
    noted = [one for one in seen if "409 (Conflict)" in one]
    seen[:] = [one for one in seen if one not in noted]


def test_an_answer_whose_confirmation_was_lost_is_given_again(rating, seen):
    def lose(route):
        route.fetch()
        route.abort()

    rating.page.route("**/answer", lose)
    rating.press("Shift+Digit3", "l")
    rating.alert.get_by_text("the server has ended").wait_for()
    rating.page.unroute("**/answer")
    rating.press("l")
    rating.at(1)
    assert rating.stored()[0].tags == (TAGS[2],)
    seen[:] = [one for one in seen if "ERR_FAILED" not in one]


def test_what_is_not_answered_yet_is_not_lost(rating):
    typed = '<img src=x onerror="alert(1)">'

    def shown():
        pressed = rating.page.locator("[data-tag][aria-pressed=true]")
        tags = pressed.evaluate_all("all => all.map(one => one.dataset.tag)")
        return rating.note.input_value(), tags, rating.page.locator(".r-box").count()

    rating.press("l")
    rating.at(1)
    rating.press("Shift+Digit2", "m", "n")
    rating.page.keyboard.type(typed)
    before = typed, [TAGS[1]], 2
    assert shown() == before
    rating.page.reload()
    rating.at(1)
    assert shown() == before
    rating.press("u")
    rating.at(0)
    assert shown() == ("", [], 0), "another pair has its own"
    rating.press("n", "x")
    rating.page.reload()
    rating.at(1)
    assert shown() == before
    rating.press("u")
    rating.at(0)
    assert shown() == ("x", [], 0), "what is changed of an answer is kept as well"
    rating.press("l")
    rating.at(1)
    rating.page.evaluate("location.hash = 'rater=Ben'")
    rating.at(0)
    rating.press("t")
    rating.at(1)
    assert shown() == ("", [], 0), "and another rater"
    rating.page.evaluate("location.hash = 'rater=Ada'")
    rating.at(1)
    rating.press("t")
    rating.at(2)
    known = rating.stored()[1]
    assert (known.note, known.tags) == (typed, (TAGS[1],))
    assert known.box.width == pytest.approx(64 / SIZE, abs=1e-5)
    assert rating.page.evaluate("sessionStorage.length") == 0


def test_a_draft_belongs_to_one_review(rating):
    keep = """review => sessionStorage.setItem(JSON.stringify([review, "ada", 0]),
        JSON.stringify({ known: null, tags: [], box: null, note: "here" }))"""
    for name, note in (("another", ""), (rating.plan.digest[:16], "here")):
        rating.page.evaluate(keep, name)
        rating.page.reload()
        rating.at(0)
        assert rating.note.input_value() == note


def test_a_draft_of_a_pair_that_was_answered_elsewhere_is_told(rating):
    rating.press("n")
    rating.page.keyboard.type("my thought")
    answer_all(rating.folder, [0])
    rating.page.reload()
    rating.at(1)
    rating.press("u")
    rating.at(0)
    assert "Your note here was: my thought" in rating.alert.inner_text()
    assert rating.note.input_value() == ""


def test_a_browser_that_keeps_nothing_can_rate(rating, seen):
    rating.page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no') } })"
    )
    rating.page.reload()
    rating.at(0)
    rating.press("Shift+Digit2", "l")
    rating.at(1)
    assert rating.stored()[0].tags == (TAGS[1],)


def test_a_click_leaves_the_keys_with_the_pictures(rating):
    focus = "document.activeElement.className"
    for button in ("blur", "Draw box", "Draw box", "Mark difference", "Fit"):
        rating.button(button).click()
        assert rating.page.evaluate(focus) == "panes"
        rating.press("+")
        assert "scale(1.5)" in transform(rating)
        rating.press("0")
    rating.page.locator(".r-top h2").click()
    assert rating.page.evaluate(focus) == "panes"
    rating.note.click()
    assert rating.page.evaluate("document.activeElement.type") == "text", "there one writes"
    rating.button("colour").focus()
    rating.press("Enter")
    assert rating.page.evaluate("document.activeElement.dataset.tag") == "colour"
    rating.press("+")
    assert "scale(1)" in transform(rating), "the check can fail: the keys go where the focus is"


def test_from_a_pair_that_cannot_be_shown_one_can_go_back(rating, seen, capfd):
    base = rating.server.site.arms["B"]
    base.picture_file("sample_0", 0).unlink()
    file = base.picture_file("sample_2", 0)
    whole = file.read_bytes()
    file.unlink()
    lost = rating.page.get_by_role("heading", name="This pair cannot be shown")
    back = rating.page.get_by_role("button", name="Back to the pair before")
    rating.press("l")
    rating.at(1)
    rating.press("l")
    lost.wait_for()
    assert "The pair cannot be shown" in rating.alert.inner_text()
    rating.press("l", "r", "m", "n", "d", "Shift+Digit1", "Escape")
    rating.press("u")
    rating.at(1)
    assert rating.alert.text_content() == ""
    rating.press("r")
    lost.wait_for()
    rating.page.reload()
    lost.wait_for()
    back.click()
    rating.at(1)
    assert {number: one.said for number, one in rating.stored().items()} == {0: LEFT, 1: RIGHT}
    rating.press("u")
    lost.wait_for()
    assert not back.is_visible(), "before the first pair there is none"
    file.write_bytes(whole)
    rating.page.reload()
    rating.at(2)
    seen[:] = [one for one in seen if "500 (Internal" not in one]
    capfd.readouterr()


def test_a_question_mark_opens_the_keys(rating):
    keys = rating.page.get_by_text("opens and closes this list")
    assert not keys.is_visible()
    rating.press("Shift+?")
    keys.wait_for()
    box = keys.bounding_box()
    assert 0 <= box["y"] <= 800 - box["height"]
    rating.press("?")
    assert not keys.is_visible()
    rating.press("+")
    assert "scale(1.5)" in transform(rating), "the pictures keep the other keys"
    rating.press("n", "?")
    assert rating.note.input_value() == "?"
    assert not keys.is_visible()


def test_the_next_pair_takes_the_focus_and_is_said(rating):
    area = "document.activeElement.className"
    assert rating.page.evaluate(area) == "panes"
    rating.button("Left is better").click()
    rating.at(1)
    assert rating.page.evaluate(area) == "panes"
    assert rating.page.locator(".r-told").inner_text() == "Pair 2 of 10"
    bar = rating.page.get_by_role("progressbar")
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("1", "10")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_used_by_everybody(rating, serious, scheme):
    rating.page.emulate_media(color_scheme=scheme)
    assert serious() == []
    rating.press("Shift+Digit1", "m", "l")
    rating.at(1)
    rating.press("u")
    rating.at(0)
    assert serious() == []
    rating.press("?")
    assert serious() == []
    rating.page.evaluate("location.hash = ''")
    rating.page.get_by_label("Your name").wait_for()
    assert serious() == []
    answer_all(rating.folder, range(10), "Ben")
    rating.page.evaluate("location.hash = 'rater=Ben'")
    rating.page.get_by_role("heading", name="Thank you").wait_for()
    assert serious() == []
    rating.page.evaluate("document.querySelector('.r-lost').hidden = false")
    assert serious() == []


@pytest.mark.parametrize(("width", "height"), [(400, 800), (1280, 800)])
def test_nothing_is_cut_off(rating, width, height):
    rating.page.set_viewport_size({"width": width, "height": height})
    assert rating.page.evaluate("document.documentElement.scrollWidth") == width
    rating.page.wait_for_timeout(50)
    answers_end = rating.pair.locator(".r-say").evaluate(
        "one => one.getBoundingClientRect().bottom"
    )
    assert answers_end <= height, "the answers are in view"
    wide = rating.pair.locator(".view").first.evaluate("one => one.clientWidth")
    assert wide > 0.43 * min(width, height), "pictures take most of it"


def test_answers_stay_in_view_below_a_long_prompt(page, served):
    question = Question("prompt", "Which one?", ("prompt",))
    server, folder = served(plan(mixed(10), question=question))
    for row in server.site.samples.values():
        row["prompt"] = "a bicycle that leans on a wall, " * 60
    rating = Rating(page, server, folder).start()
    say = rating.pair.locator(".r-say")
    end = "one => one.getBoundingClientRect().bottom"
    assert say.evaluate(end) <= 800
    say.evaluate("one => { one.style.position = 'static' }")
    assert say.evaluate(end) > 800, "the check can fail"


def test_left_is_on_the_left_of_a_telephone_too(rating):
    rating.page.set_viewport_size({"width": 400, "height": 800})
    edge = "all => all.map(one => [one.getBoundingClientRect().x, one.getBoundingClientRect().y])"
    (left, top), (right, beside) = rating.pair.locator(".view").evaluate_all(edge)
    assert left < right
    assert top == beside


def test_a_telephone_shows_no_keys(browser, rating):
    width = "one => one.getBoundingClientRect().width"
    assert rating.pair.locator("[data-said=left] kbd").evaluate(width) > 0
    with browser.new_context(has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        page.goto(rating.page.url)
        page.locator("main:not([aria-busy]) .r-pair").wait_for()
        assert page.locator("[data-said=left] kbd").evaluate(width) == 0
