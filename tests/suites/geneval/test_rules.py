"""GenEval's rules on boxes, without a detector."""

import json
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
from geneval_oracle import box, line, row, seen

from suites.geneval import rules
from suites.geneval.rules import Options, iou, judge, relations

A = [0, 0, 100, 100]


def boxes(**classes):
    """Class (with _ for blanks) → boxes, from lists of scores or of boxes."""
    made = {}
    for name, found in classes.items():
        each = [[0, 0, 10, 10, one] if isinstance(one, float) else one for one in found]
        made[name.replace("_", " ")] = np.array(each, np.float64).reshape(-1, 5)
    return made


def colours(**classes):
    return lambda cls, places: [classes[cls][place] for place in places]


def nobody(cls, places):
    raise AssertionError("no colour was asked for")


CLOCKS = {
    "tag": "counting",
    "include": [{"class": "clock", "count": 2}],
    "exclude": [{"class": "clock", "count": 3}],
    "prompt": "a photo of two clocks",
}
RED_CAR = {"tag": "colors", "include": [{"class": "car", "count": 1, "color": "red"}]}
RIGHT_OF_BEAR = {
    "tag": "position",
    "include": [
        {"class": "teddy bear", "count": 1},
        {"class": "dog", "count": 1, "position": ["right of", 0]},
    ],
}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (A, [300, 0, 400, 100], {"left of"}),
        ([0, 300, 100, 400], A, {"below"}),
        (A, [300, 300, 400, 400], {"above", "left of"}),
        (A, [300, 150, 400, 250], {"left of"}),
        (A, A, set()),
        (A, [20, 0, 120, 100], set()),  # inside the dead zone
        (A, [40, 0, 140, 100], set()),  # the ratio is exactly 1/2
        (A, [41, 0, 141, 100], {"left of"}),
        ([10, 40, 30, 60], [0, 0, 200, 200], {"left of"}),  # although it lies inside
        (A, [60, 60, 160, 160], set()),
    ],
)
def test_relations(a, b, expected):
    assert relations(np.array(a), np.array(b)) == expected
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    assert relations(np.array(b), np.array(a)) == {opposite[name] for name in expected}


def test_the_dead_zone_is_a_share_of_both_sizes():
    """Side by side: apart where |o| > 2 t (d_A + d_B), here with t = 0.1, 0 and 0.25."""
    b = np.array([30, 0, 130, 100])
    assert relations(np.array(A), b, 0.1) == set()
    assert relations(np.array(A), b, 0.0) == {"left of"}
    assert relations(np.array(A), np.array([90, 0, 190, 100]), 0.25) == set()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 9, 9], [5, 0, 14, 9], 1 / 3),  # 50 shared of 150 pixels
        ([0, 0, 9, 9], [10, 0, 19, 9], 0),
        ([0, 0, 10, 10], [10, 0, 20, 10], 11 / 231),  # they share a column of pixels
        ([5, 5, 4, 4], [5, 5, 4, 4], 0),  # of no area
    ],
)
def test_overlap_counts_pixels_inclusively(a, b, expected):
    assert iou(np.array(a), np.array(b)) == expected


@pytest.mark.parametrize(
    ("found", "correct", "reason"),
    [
        (1, False, "expected clock>=2, found 1"),
        (2, True, ""),
        (3, False, "expected clock<3, found 3"),
    ],
)
def test_counting(found, correct, reason):
    judged = judge(CLOCKS, boxes(clock=[0.95] * found), nobody)
    assert (judged.correct, judged.reason) == (correct, reason)
    assert len(judged.details["clock"]) == found


def test_no_detection_at_all_is_a_count_of_zero():
    assert judge(CLOCKS, {}, nobody).reason == "expected clock>=2, found 0"
    assert judge(CLOCKS, boxes(clock=[]), nobody).reason == "expected clock>=2, found 0"


def test_only_the_most_confident_car_has_a_colour():
    cars = boxes(car=[0.9, 0.8])
    wrong = judge(RED_CAR, cars, colours(car=["blue", "red"]))
    assert wrong.reason == "expected red car>=1, found 0 red; and 1 blue"
    assert judge(RED_CAR, cars, colours(car=["red", "blue"])).correct
    swapped = boxes(car=[0.8, 0.9])
    assert judge(RED_CAR, swapped, colours(car=["blue", "red"])).correct


def test_colours_are_listed_in_the_prompts_order():
    asked = {"tag": "colors", "include": [{"class": "car", "count": 4, "color": "green"}]}
    judged = judge(asked, boxes(car=[0.9] * 4), colours(car=["white", "red", "green", "red"]))
    assert judged.reason == (
        "expected green car>=4, found 1 green; and 2 red, 1 green, 1 white"
    )  # fmt: skip


def test_swapped_colours_give_two_reasons():
    asked = {
        "tag": "color_attr",
        "include": [
            {"class": "car", "count": 1, "color": "red"},
            {"class": "dog", "count": 1, "color": "black"},
        ],
    }
    judged = judge(asked, boxes(car=[0.9], dog=[0.9]), colours(car=["black"], dog=["red"]))
    assert judged.reason.split("\n") == [
        "expected red car>=1, found 0 red; and 1 black",
        "expected black dog>=1, found 0 black; and 1 red",
    ]
    assert judge(asked, boxes(car=[0.9], dog=[0.9]), colours(car=["red"], dog=["black"])).correct


def test_a_missing_target_gives_two_reasons():
    assert judge(RIGHT_OF_BEAR, boxes(dog=[0.9]), nobody).reason.split("\n") == [
        "expected teddy bear>=1, found 0",
        "no target for dog to be right of",
    ]


def test_only_the_most_confident_dog_has_a_place():
    bear, left, right = box(500, 500), box(100, 500, 0.9), box(900, 500, 0.8)
    judged = judge(RIGHT_OF_BEAR, boxes(teddy_bear=[bear], dog=[left, right]), nobody)
    assert judged.reason == "expected dog right of target, found left of target"
    left[4] = 0.7
    assert judge(RIGHT_OF_BEAR, boxes(teddy_bear=[bear], dog=[left, right]), nobody).correct


def test_overlapping_boxes_have_no_relation():
    same = boxes(teddy_bear=[box(500, 500)], dog=[box(500, 500)])
    assert judge(RIGHT_OF_BEAR, same, nobody).reason == (
        "expected dog right of target, found  target"
    )


def test_two_relations_can_hold_at_once():
    apart = boxes(teddy_bear=[box(500, 500)], dog=[box(900, 100)])
    assert judge(RIGHT_OF_BEAR, apart, nobody).correct
    apart = boxes(teddy_bear=[box(500, 500)], dog=[box(100, 100)])
    assert judge(RIGHT_OF_BEAR, apart, nobody).reason.endswith("found above and left of target")


def test_every_pair_has_to_stand_in_the_relation():
    asked = {
        "tag": "position",
        "include": [
            {"class": "teddy bear", "count": 2},
            {"class": "dog", "count": 2, "position": ["right of", 0]},
        ],
    }
    bears, dogs = [box(100, 500), box(300, 500)], [box(700, 500), box(900, 500)]
    assert judge(asked, boxes(teddy_bear=bears, dog=dogs), nobody).correct
    one_between = [box(700, 500), box(200, 500)]
    judged = judge(asked, boxes(teddy_bear=bears, dog=one_between), nobody)
    assert judged.reason == "expected dog right of target, found left of target"  # one for a clause


def test_a_wrong_colour_hides_the_place():
    asked = {
        "tag": "position",
        "include": [
            {"class": "teddy bear", "count": 1, "color": "brown"},
            {"class": "dog", "count": 1, "color": "black", "position": ["right of", 0]},
        ],
    }
    found = boxes(teddy_bear=[box(500, 500)], dog=[box(100, 500)])
    known = {"teddy bear": ["brown"], "dog": ["red"]}
    judged = judge(asked, found, lambda cls, places: [known[cls][place] for place in places])
    assert judged.reason == "expected black dog>=1, found 0 black; and 1 red"
    known = {"teddy bear": ["red"], "dog": ["black"]}
    judged = judge(asked, found, lambda cls, places: [known[cls][place] for place in places])
    assert judged.reason.split("\n")[1] == "no target for dog to be right of"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("tag", "threshold"), [("single_object", 0.3), ("counting", 0.9)])
def test_a_score_has_to_be_above_the_threshold(tag, threshold, dtype):
    asked = {"tag": tag, "include": [{"class": "clock", "count": 1}]}
    at = np.array([[0, 0, 9, 9, threshold]], dtype)
    above = at.copy()
    above[0, 4] = np.nextafter(at[0, 4], dtype(1))
    assert not judge(asked, {"clock": at}, nobody).correct
    assert judge(asked, {"clock": above}, nobody).correct


def test_counting_is_sure_of_every_class():
    asked = {"tag": "counting", "include": [{"class": "clock", "count": 1},
                                            {"class": "dog", "count": 1}]}  # fmt: skip
    found = boxes(clock=[0.95], dog=[0.85])
    assert judge(asked, found, nobody).reason == "expected dog>=1, found 0"
    assert judge({**asked, "tag": "two_object"}, found, nobody).correct
    assert judge(asked, found, nobody, Options(counting_threshold=0.8)).correct


def test_sixteen_objects_of_a_class_are_seen():
    """So a picture with 17 clocks passes where fewer than 17 are asked for."""
    asked = {"tag": "counting", "include": [{"class": "clock", "count": 16}],
             "exclude": [{"class": "clock", "count": 17}]}  # fmt: skip
    crowd = boxes(clock=[0.95] * 17)
    assert judge(asked, crowd, nobody).correct
    assert not judge(asked, crowd, nobody, Options(max_objects=17)).correct


def test_the_limit_comes_before_overlaps():
    """The two most confident overlap: with a limit of 2 one is left, not two."""
    asked = {"tag": "two_object", "include": [{"class": "dog", "count": 2}]}
    dogs = boxes(dog=[box(100, 100, 0.9), box(100, 100, 0.8), box(500, 500, 0.7)])
    judged = judge(asked, dogs, nobody, Options(max_objects=2, max_overlap=0.5))
    assert judged.reason == "expected dog>=2, found 1"
    assert judge(asked, dogs, nobody, Options(max_objects=3, max_overlap=0.5)).correct
    assert judge(asked, dogs, nobody, Options(max_objects=2)).correct


def test_an_overlap_at_the_limit_goes():
    asked = {"tag": "two_object", "include": [{"class": "dog", "count": 2}]}
    dogs = boxes(dog=[[0, 0, 9, 9, 0.9], [5, 0, 14, 9, 0.8]])  # IoU 1/3
    limit = iou(dogs["dog"][0], dogs["dog"][1])
    assert not judge(asked, dogs, nobody, Options(max_overlap=limit)).correct
    assert judge(asked, dogs, nobody, Options(max_overlap=np.nextafter(limit, 1))).correct


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_detections_come_in_any_order(order):
    scores = [0.95, 0.93, 0.91]
    found = boxes(car=[box(100 * i, 50, scores[i]) for i in order])
    told = [["red", "blue", "green"][i] for i in order]
    judged = judge(RED_CAR, found, colours(car=told))
    assert judged.correct
    assert [one[4] for one in judged.details["car"]] == scores


@pytest.mark.parametrize("tag", ["single_object", "two_object", "counting", "colors", "position",
                                 "color_attr"])  # fmt: skip
@pytest.mark.parametrize("place", range(12))
def test_what_was_asked_for_is_right_and_a_planted_fault_is_wrong(tag, place):
    asked = row(tag, place)
    for fault in (False, True):
        found, known = seen(asked, fault)
        judged = judge(asked, found, colours(**known))
        assert judged.correct is not fault
        assert bool(judged.reason) is fault


def test_the_command_judges_and_sums_up(tmp_path, capsys):
    """Tags 1 of 2 and 1 of 4: 0.375, not the 2 of 6 pictures."""
    dogs = [row("single_object", place) for place in range(2)]
    counts = [row("counting", place) for place in range(4)]
    faults = [False, True, True, False, True, True]
    lines = [line(asked, fault) for asked, fault in zip(dogs + counts, faults, strict=True)]
    (tmp_path / "f.jsonl").write_text("".join(lines))
    assert rules.main([str(tmp_path / "f.jsonl")]) == 0
    *judged, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["correct"] for one in judged] == [not fault for fault in faults]
    assert all(set(one) == {"correct", "reason"} for one in judged)
    assert [bool(one["reason"]) for one in judged] == faults
    assert summary["tags"] == {"single_object": 0.5, "counting": 0.25}
    assert summary["overall"] == 0.375
    assert summary["correct_images"] == 2 / 6


def shown(row, found, **more):
    """A line in which these are the detections of its first class."""
    return json.dumps({"metadata": row, "detections": {row["include"][0]["class"]: found}, **more})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be judged"),
        ("[" * 100_000, "recursion"),
        ("[]", "it is [], not an object with metadata"),
        ('{"metadata": {}, "detections": {}}', "its metadata, tag is None"),
        (shown(CLOCKS, [[0, 0, 1, 1, 7]]), "score of detections['clock'][0] is 7"),
        (shown(CLOCKS | {"prompt": [1]}, []), "its metadata, prompt is [1], not a text"),
        (shown(CLOCKS | {"tag": "Counting"}, []), "its metadata, tag is 'Counting'"),
        (shown(RED_CAR, [[0, 0, 1, 1, 0.9]]), "colors has nothing for 'car'"),
        (shown(RED_CAR, [[0, 0, 1, 1, 0.9]], colors={"car": {"a": 1}}), "colors['car'] is {'a'"),
    ],
)
def test_a_line_that_cannot_be_judged_is_named(tmp_path, capsys, text, said):
    (tmp_path / "f.jsonl").write_text(line(row("counting", 0)) + text + "\n")
    assert rules.main([str(tmp_path / "f.jsonl")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {tmp_path / 'f.jsonl'}, line 2 ")
    assert said in err


@pytest.mark.parametrize("text", ["", "\n\n \n", "\ufeff\n"])
def test_a_file_without_a_line_is_a_usage_error(tmp_path, capsys, text):
    (tmp_path / "f.jsonl").write_text(text)
    assert rules.main([str(tmp_path / "f.jsonl")]) == 2
    out, err = capsys.readouterr()
    assert (out, "holds no line to judge" in err) == ("", True)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path, capsys):
    assert rules.main([str(tmp_path / "none.jsonl")]) == 2
    assert "Cannot read" in capsys.readouterr().err


LOADED = "import sys, suites.geneval.rules{}; sys.exit('torch' in sys.modules)"


def test_the_command_starts_without_torch():
    assert subprocess.run([sys.executable, "-c", LOADED.format("")], check=False).returncode == 0


def test_the_check_for_torch_can_fail():
    with_torch = LOADED.format(", torch")
    assert subprocess.run([sys.executable, "-c", with_torch], check=False).returncode == 1
