"""From what a model says to yes, no or neither."""

from __future__ import annotations

import pytest

from suites.dpg.judges import Answer
from suites.dpg.judges.reading import LEAST, spoken, weighed


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("yes", 1), ("Yes.", 1), (" **Yes**, there is no doubt", 1), ("no bus", 0), ("NO!", 0),
        ("The answer is: yes", 1), ("Answer: no.", 0), ("<think>no, or yes?</think>\nYes", 1),
        ("", None), ("Yesterday", None), ("not sure", None), ("There is no bus", None),
        ("It is a cat", None), ("nothing", None), ("<think>yes", None),
    ],
)  # fmt: skip
def test_spoken(text, yes):
    found = spoken(text)
    assert found.yes == yes
    assert bool(found.why) == (yes is None)


def test_spellings_are_added_and_weighed():
    pairs = [(" Yes", 0.3), ("yes", 0.2), ("▁no", 0.1), ("No.", 0.05), ("Maybe", 0.3)]
    assert weighed("Yes", pairs).yes == pytest.approx(0.5 / 0.65)
    assert weighed("No", [("No", 0.9)]).yes == 0


def test_a_model_that_says_something_else_has_not_answered():
    shy = weighed("Based", [("Based", 1 - LEAST * 0.99), ("yes", LEAST * 0.99)])
    assert shy.yes is None
    assert "0.099" in shy.why
    assert weighed("Based", [("yes", LEAST)]).yes == 1


def test_yes_counts_where_it_is_likelier():
    assert [Answer("", yes).counted for yes in (0.51, 0.5, 0.0, 1.0, None)] == [1, 0, 0, 1, None]
