"""Who rates on the page of a review: names, the end, several tabs, what is not answered yet."""

from __future__ import annotations

import json

import pytest
from ratings import (
    SIZE,
    Rating,
    answer_all,
)
from review_toys import mixed, pair, plan

from qa.review.answers import LEFT, RIGHT, TAGS


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
