"""TokBench: its recorded pairs give its numbers, and its annotations make a suite."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qa.errors import UsageError
from suites.legibility.tokbench import EDGES, TokBench, box, main, scores
from suites.legibility.words import ned


def recorded(name: str) -> dict:
    root = os.environ.get("QA_ASSETS")
    if root is None:
        pytest.skip("QA_ASSETS names no folder with data/tokbench")
    return json.loads((Path(root) / "data" / "tokbench" / f"{name}.json").read_text())


COUNTS = {"ic13": 882, "ic15": 1347, "tt": 1168}
"""Words in each recorded log: 3,397 together."""


@pytest.mark.parametrize("name", COUNTS)
def test_every_recorded_pair_is_scored_as_recorded(name):
    log, count = recorded(name), 0
    for settings in log.values():
        for part in settings.values():
            for picture in part["details"].values():
                for word in picture["results"]:
                    count += 1
                    assert ned(word["gt"], word["pred"]) == pytest.approx(word["ned"], abs=1e-12)
                    assert float(word["gt"] == word["pred"]) == word["accuracy"]
    assert count == COUNTS[name]
    for method, settings in scores(log).items():
        for setting, found in settings.items():
            told = log[method][setting]["results"]
            for key in ("accuracy", "ned"):
                assert f"{found[key]['all']:.2%}" == told[key]


def test_a_wrong_distance_would_be_seen():
    """Negative control: over the expected length alone the recorded values are missed."""
    log = recorded("ic13")
    words = [w for p in log["tokenizer1"]["256"]["details"].values() for w in p["results"]]
    missed = 0
    for word in words:
        distance = (1 - word["ned"]) * max(len(word["gt"]), len(word["pred"]))
        missed += abs(1 - distance / len(word["gt"]) - word["ned"]) > 1e-9
    assert missed > 50


def made(*words: tuple[str, str, float]) -> dict:
    results = [{"gt": gt, "pred": pred, "ratio": ratio} for gt, pred, ratio in words]
    return {"m": {"256": {"details": {"a.jpg": {"results": results}}}}}


def test_buckets_are_of_equal_weight_and_small_words_are_in_none():
    log = made(
        ("ab", "ab", 0.02), ("ab", "ax", 0.029), ("ab", "xx", 0.03), ("ab", "ab", 0.5),
        ("ab", "xy", 0.0199),
    )  # fmt: skip
    found = scores(log)["m"]["256"]
    assert found["words"] == 5
    assert found["accuracy"]["buckets"] == [0.5, 0, 1]
    assert found["accuracy"]["mean of buckets"] == 0.5
    assert found["ned"]["buckets"] == [0.75, 0, 1]
    assert found["accuracy"]["all"] == 2 / 5
    assert scores(made(("a", "a", 0.5)))["m"]["256"]["ned"]["mean of buckets"] is None
    assert set(EDGES) == {"256", "512", "1024"}


def test_the_command_prints_the_numbers(tmp_path, capsys):
    log = tmp_path / "mine.json"
    log.write_text(json.dumps(made(("ab", "ab", 0.5))))
    assert main([str(log)]) == 0
    assert json.loads(capsys.readouterr().out)["mine"]["m"]["256"]["ned"]["all"] == 1
    log.write_text("[1]")
    assert main([str(log)]) == 2
    assert "is not a log" in capsys.readouterr().err
    assert main([str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.startswith("error: Cannot read")


def annotated(folder: Path, *pictures: dict) -> Path:
    file = folder / "set.json"
    file.write_text(json.dumps(pictures))
    return file


WORDS = [
    {"rec": "Tiredness", "bbox": [38.6, 4, 60.2, 15], "ratio": 0.1},
    {"rec": "1998", "bbox": [[3, 9], [20, 2], [22, 11], [4, 15]], "ratio": 0.02},
]


def test_annotations_are_a_suite(tmp_path):
    Image.fromarray(np.zeros((20, 64, 3), np.uint8)).save(tmp_path / "b.png")
    file = annotated(
        tmp_path,
        {"file_name": "b.png", "height": 20, "width": 64, "annotations": WORDS},
        {"file_name": "a.png", "height": 20, "width": 64, "annotations": []},
    )
    suite = TokBench(file, tmp_path)
    missing, there = suite.samples()
    assert suite.name == "set"
    assert (missing.id, missing.problem) == ("a.png", "a.png: the file does not exist")
    assert there.problem is None
    assert [region.text for region in there.regions] == ["Tiredness", "1998"]
    assert [region.box for region in there.regions] == [(38, 4, 60, 15), (3, 2, 22, 15)]
    assert there.asks["words"] == [{"kind": "word"}, {"kind": "number"}]


def test_boxes_may_be_two_corners_or_four():
    assert box([1.9, 2, 5, 9.9]) == (1, 2, 5, 9)
    assert box([[5, 9], [1, 2], [4, 3], [2, 8]]) == (1, 2, 5, 9)


def test_what_is_no_annotation_file_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"suite\.images=.* does not exist"):
        TokBench(annotated(tmp_path), tmp_path / "nowhere")
    broken = annotated(tmp_path, {"file_name": "a.png", "annotations": [{"bbox": [1, 2, 3, 4]}]})
    with pytest.raises(UsageError, match="no annotation file of TokBench"):
        TokBench(broken, tmp_path).samples()
    thin = {"file_name": "a.png", "annotations": [{"rec": "x", "bbox": [1.2, 2, 1.9, 4]}]}
    with pytest.raises(UsageError, match=r"the box \[1\.2, 2, 1\.9, 4\] is empty"):
        TokBench(annotated(tmp_path, thin), tmp_path).samples()


@pytest.mark.parametrize("name", ["../secret.png", "a/../../secret.png", "/secret.png"])
def test_pictures_lie_in_their_folder(tmp_path, name):
    """A run copies them into its folder and shows them."""
    (tmp_path / "images" / "a").mkdir(parents=True)
    for place in ("secret.png", "images/a/mine.png"):
        Image.fromarray(np.zeros((20, 64, 3), np.uint8)).save(tmp_path / place)
    inside = annotated(tmp_path, {"file_name": "a/mine.png", "annotations": []})
    (sample,) = TokBench(inside, tmp_path / "images").samples()
    assert sample.problem is None
    outside = annotated(tmp_path, {"file_name": name, "annotations": []})
    with pytest.raises(UsageError, match="leads out of the folder of pictures"):
        TokBench(outside, tmp_path / "images").samples()
