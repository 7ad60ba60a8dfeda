"""What is no row and what is no line of detections; each fault is planted in one that is."""

import copy

import pytest
from geneval_oracle import rows

from suites.geneval.rows import check_row, line_of

HUGE = 10**400
LINE = {
    "metadata": {
        "tag": "position",
        "include": [
            {"class": "car", "count": 1, "color": "red"},
            {"class": "dog", "count": 1, "position": ["left of", 0]},
        ],
        "exclude": [{"class": "cat", "count": 2}],
        "prompt": "a dog left of a red car",
    },
    "detections": {"car": [[0, 0, 9.5, 9, 0.9]], "dog": []},
    "colors": {"car": ["red"]},
}


def planted(path, value):
    """The line with another value at that path of keys and places."""
    made = copy.deepcopy(LINE)
    *parents, last = path
    part = made
    for key in parents:
        part = part[key]
    part[last] = value
    return made


def test_the_line_is_a_line():
    row, boxes, colours = line_of(LINE)
    assert row == LINE["metadata"]
    assert boxes["car"].tolist() == LINE["detections"]["car"]
    assert boxes["dog"].shape == (0, 5)
    assert colours == LINE["colors"]
    unseen = {key: LINE[key] for key in ("metadata", "detections")}
    assert line_of(unseen).colours == {}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["metadata"], 3, "the row is 3, not an object"),
        (["metadata", "tag"], "Position", "tag is 'Position', not one of single_object"),
        (["metadata", "tag"], ["position"], "tag is ['position']"),
        (["metadata", "prompt"], [1], "prompt is [1], not a text"),
        (["metadata", "prompt"], None, "prompt is None, not a text"),
        (["metadata", "include"], [], "include is empty"),
        (["metadata", "include"], None, "include is None, not a list"),
        (["metadata", "exclude"], {}, "exclude is {}, not a list"),
        (["metadata", "include", 0], "car", "include[0] is 'car', not an object"),
        (["metadata", "include", 0, "class"], None, "include[0].class is None"),
        (["metadata", "include", 0, "class"], "unicorn", "include[0].class is 'unicorn'"),
        (["metadata", "include", 0, "count"], True, "include[0].count is True"),
        (["metadata", "include", 0, "count"], 1.0, "include[0].count is 1.0"),
        (["metadata", "include", 0, "count"], "1", "include[0].count is '1'"),
        (["metadata", "include", 0, "count"], 0, "include[0].count is 0"),
        (["metadata", "include", 0, "color"], None, "include[0].color is None, none of red"),
        (["metadata", "include", 0, "color"], "mauve", "include[0].color is 'mauve'"),
        (["metadata", "include", 1, "position"], ["near", 0], "include[1].position is ['near', 0]"),
        (["metadata", "include", 1, "position", 1], 0.0, "include[1].position is 0.0"),
        (["metadata", "include", 1, "position", 1], False, "include[1].position is False"),
        (["metadata", "include", 1, "position", 1], 1, "include[1].position is 1"),
        (["metadata", "include", 1, "position", 1], -1, "include[1].position is -1"),
        (["metadata", "exclude", 0, "count"], None, "exclude[0].count is None"),
        (["metadata", "exclude", 0, "class"], "elf", "exclude[0].class is 'elf'"),
        (["detections"], [], "detections is [], not an object"),
        (["detections", "unicorn"], [], "a class of detections is 'unicorn'"),
        (["detections", "car"], {}, "detections['car'] is {}, not a list"),
        (["detections", "car", 0], [0, 0, 1, 1], "detections['car'][0] is [0, 0, 1, 1], not [x1"),
        (["detections", "car", 0], [[0], [0], [1], [1], [1]], "x1 of detections['car'][0] is [0]"),
        (["detections", "car", 0, 1], "0", "y1 of detections['car'][0] is '0'"),
        (["detections", "car", 0, 2], True, "x2 of detections['car'][0] is True"),
        (["detections", "car", 0, 3], None, "y2 of detections['car'][0] is None"),
        (["detections", "car", 0, 3], float("nan"), "y2 of detections['car'][0] is nan"),
        (["detections", "car", 0, 2], HUGE, "outside any picture"),
        (["detections", "car", 0, 2], 1e300, "outside any picture"),
        (["detections", "car", 0, 2], -1, "which ends before it begins"),
        (["detections", "car", 0, 3], -1, "which ends before it begins"),
        (["detections", "car", 0, 4], 1.5, "score of detections['car'][0] is 1.5"),
        (["detections", "car", 0, 4], -0.5, "score of detections['car'][0] is -0.5"),
        (["colors"], None, "colors is None, not an object"),
        (["colors", "unicorn"], [], "a class of colors is 'unicorn'"),
        (["colors", "car"], 5, "colors['car'] is 5, not a list"),
        (["colors", "car"], {"a": 1}, "colors['car'] is {'a': 1}, not a list"),
        (["colors", "car"], "r", "colors['car'] is 'r', not a list"),
        (["colors", "car", 0], None, "colors['car'][0] is None, none of red"),
        (["colors", "car", 0], "mauve", "colors['car'][0] is 'mauve'"),
        (["colors", "car"], ["red", "red"], "colors['car'] has 2 colours for 1 detections"),
        (["colors", "dog"], ["red"], "colors['dog'] has 1 colours for 0 detections"),
    ],
)
def test_every_fault_names_its_field(path, value, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at below
        line_of(planted(path, value))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("key", ["metadata", "detections"])
def test_parts_that_a_line_needs(key):
    with pytest.raises(ValueError, match=key):
        line_of({other: LINE[other] for other in LINE if other != key})


def test_rows_are_rows():
    for asked in rows():
        check_row(asked)


def test_another_detector_has_classes_of_its_own():
    asked = {"tag": "single_object", "include": [{"class": "unicorn", "count": 1}]}
    check_row(asked)
    check_row(asked, ["unicorn"])
    with pytest.raises(ValueError, match="not one of the 1 known classes"):
        check_row(asked, ["elf"])
