"""How the page of a review looks, what it tells, and whether everybody can use it."""

from __future__ import annotations

import pytest
from ratings import (
    Rating,
    answer_all,
    transform,
)
from review_toys import NAMES, mixed, plan

from qa.review.answers import LEFT, RIGHT
from qa.review.plan import Question


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
