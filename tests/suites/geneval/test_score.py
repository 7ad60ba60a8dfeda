"""From right and wrong pictures to GenEval's numbers."""

import math

import pytest

from qa.stats import t_interval
from suites.geneval.score import TAGS, Result, scores, withheld


def results(**tags):
    """Tag → right (1) and wrong (0) pictures, two for each prompt."""
    return [
        Result(tag, f"{tag} {place // 2}", bool(one))
        for tag, found in tags.items()
        for place, one in enumerate(found)
    ]


def test_every_tag_counts_the_same():
    found = scores(results(counting=[1, 0], colors=[0, 1, 0, 0]))
    assert found["overall"] == (1 / 2 + 1 / 4) / 2
    assert found["correct_images"] == 2 / 6  # which it is not
    assert found["tags"] == {"counting": 0.5, "colors": 0.25}
    assert found["images_of_tags"] == {"counting": 2, "colors": 4}


def test_a_prompt_is_right_with_one_of_its_pictures():
    found = scores(results(counting=[1, 0, 0, 0, 1, 1]))
    assert found["correct_prompts"] == 2 / 3
    assert (found["images"], found["prompts"]) == (6, 3)


def test_equal_prompts_of_two_tags_are_two():
    found = scores([Result("counting", "two dogs", True), Result("colors", "two dogs", False)])
    assert found["correct_prompts"] == 1 / 2


def test_tags_come_in_geneval_order():
    backwards = [Result(tag, tag, True) for tag in reversed(TAGS)]
    found = scores([Result("other", "", True), *backwards])
    assert list(found["tags"]) == [*TAGS, "other"]


def test_nothing_has_no_score():
    found = scores([])
    assert found["overall"] is found["correct_images"] is found["correct_prompts"] is None
    assert found["images"] == 0


def test_intervals_are_over_prompts():
    """Pictures of a prompt that fail together tell no more than one of them, nearly."""
    together = scores(results(counting=[1, 1, 0, 0] * 10))["intervals"]["counting"]
    mixed = scores(results(counting=[1, 0, 0, 1] * 10))["intervals"]["counting"]
    assert together["low"] < mixed["low"] < 0.5 < mixed["high"] < together["high"]
    plain = t_interval([1, 0] * 10)
    assert together["high"] - together["low"] == pytest.approx(plain.high - plain.low, rel=0.1)


def test_without_a_mistake_there_is_still_an_interval_and_it_ends_at_one():
    few, many = (scores(results(colors=[1] * count))["intervals"]["colors"] for count in (8, 80))
    assert 0 < few["low"] < many["low"] < 1 == few["high"] == many["high"]
    none = scores(results(colors=[0] * 8))["intervals"]["colors"]
    assert none == {"low": 0, "high": pytest.approx(1 - few["low"])}


def test_the_overall_interval_is_put_together_from_the_tags():
    found = scores(results(counting=[1, 0, 1, 1] * 9, colors=[0, 0, 0, 1] * 7))
    ends = found["intervals"]
    half = math.hypot(*(found["tags"][tag] - ends[tag]["low"] for tag in found["tags"])) / 2
    assert ends["overall"]["low"] == pytest.approx(found["overall"] - half)
    assert ends["overall"]["low"] < found["overall"] < ends["overall"]["high"]
    alone = scores(results(counting=[1, 0]))["intervals"]
    assert alone == {key: {"low": None, "high": None} for key in ("overall", "counting")}
    assert scores([])["intervals"] == {}
    assert withheld(found, 1, "x")["intervals"] == {}
