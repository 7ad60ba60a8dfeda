"""Places on the page of a review: the one that differs most, and boxes by mouse."""

from __future__ import annotations

import pytest
from ratings import (
    SIZE,
    drag,
    transform,
)
from review_toys import SPOT


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
