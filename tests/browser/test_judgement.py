"""The report's section about reviews in a browser: readable, within the screen, nothing acts."""

from __future__ import annotations

import pytest
from reviews import answered, finished, planned
from verdicts import HOSTILE

from qa import files
from qa.gates.preference import Preference
from qa.gates.regression import Regression
from qa.gates.use_case import from_config
from qa.judge import judge
from qa.results import load
from qa.review.answers import MODEL
from reports import html


def mixed(pair, rater):
    return ("first", "second", "tie", "bad")[(pair.number + len(rater)) % 4]


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """A report with reviews by people and a model, of two arms and of three, and a damaged one."""
    folder = tmp_path_factory.mktemp("reviewed")
    run, base, third = (finished(folder / name, 8, shade) for shade, name in enumerate("abc"))
    first = answered(planned(run, base, catches=6), mixed, raters=("Ann", HOSTILE), note=HOSTILE)
    answered(first, mixed, raters=("judge" * 12,), kind=MODEL, tags=("wrong text",))
    answered(planned(run, base, third, name="three"), mixed, raters=("Ann",), tags=("blur",))
    answered(planned(run, third, name="broken"), mixed).plan_file.write_text("{}")
    use = from_config({"margins": {"psnr": {"margin": 0.2}}})
    verdict = judge(load(run.path), load(base.path), use, gates=[Regression(), Preference()])
    files.write_json(run.verdict_file, verdict)
    return html.write(run, base)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_everybody(page, serious, reviewed, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(reviewed.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert serious() == []
    page.evaluate("document.querySelector('#reviews ~ figure b').style.color = '#777a7d55'")
    assert serious() != [], "control: letters that are hardly there"


def test_nothing_is_wider_than_a_telephone(page, reviewed):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(reviewed.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_marks_stand_where_the_numbers_say(page, reviewed):
    """The dot of a win rate, as a share of the way from 0 % to 100 % on the axis below."""
    page.goto(reviewed.as_uri())
    figure = page.locator("#reviews ~ figure").first
    ticks = figure.locator(".axis .f-text").all()
    centre = "one => { const box = one.getBoundingClientRect(); return box.x + box.width / 2 }"
    left, right = (ticks[place].evaluate(centre) for place in (0, 4))
    for row in figure.locator(".row:not(.axis)").all():
        rate = float(row.locator("data").get_attribute("value"))
        dot = row.locator("circle.f-mark").last.evaluate(centre)
        assert (dot - left) / (right - left) == pytest.approx(rate, abs=0.01)
