"""A review that somebody rates in a browser: its page, and what is stored of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from qa.review import answers
from qa.review.answers import BAD, LEFT, RIGHT, TIE
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


def leave(page, seen, server):
    """What the page still loads ends before the server does."""
    page.goto("about:blank")
    strangers_in(seen, server)


def strangers_in(seen, server):
    """Leave what went elsewhere, and errors: the harness takes any address for a network."""
    own = server.url.removesuffix(f"{server.token}/")
    seen[:] = [one for one in seen if not one.startswith(own)]


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


def answer_all(folder, numbers, rater="Ada"):
    """The run is preferred in these pairs."""
    plan = folder.plan()
    for number in numbers:
        one = plan.pairs[number]
        left = plan.first_is_left(one, rater)
        said = LEFT if left else RIGHT
        answers.add(folder, plan, answers.Answer(number, rater, answers.PERSON, left, said))
