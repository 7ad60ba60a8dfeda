"""From right and wrong pictures to GenEval's numbers."""

from suites.geneval.score import TAGS, Result, scores


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
