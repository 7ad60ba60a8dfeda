"""What suites cost is measured, on values that are checked, and kept."""

import json
import os

import pytest
from geneval_oracle import rows

LIMIT = 5
"""Seconds that all prompts of GenEval may take."""


@pytest.fixture
def timing(script):
    return script("time_suites")


def test_both_ways_judge_every_picture_rightly(timing):
    made = timing.pictures(tuple(rows({"counting": 2, "position": 1})))
    assert [right for *_, right in made] == [True, True, False, False] * 3
    assert all(sum(map(len, boxes.values())) > timing.CROWD for _, boxes, _, _ in made)
    result = timing.geneval(made, 2)
    assert (result["prompts"], result["pictures"]) == (3, 12)
    assert {name: len(found) for name, found in result["seconds"].items()} == {
        "rules": 2, "command": 2,
    }  # fmt: skip
    told = {"geneval": result, "cpu": {"model": "x"}, "versions": {"numpy": "2"}}
    assert "12 pictures" in timing.section(told)


def test_no_time_is_kept_of_wrong_values(timing):
    made = timing.pictures(tuple(rows({"counting": 1})))
    wrong = [(*case[:3], True) for case in made]
    with pytest.raises(SystemExit, match="judged wrongly"):
        timing.geneval(wrong, 1)


@pytest.mark.skipif(
    not os.environ.get("QA_ASSETS"), reason="QA_ASSETS names no folder with GenEval's files"
)
def test_the_official_prompts_are_what_is_timed(timing, workdir):
    assert len(timing.rows()) == 553


def test_553_prompts_took_less_than_was_promised(timing):
    """On the committed file, in every round, start of the command included."""
    kept = json.loads(timing.RESULT.read_text())["geneval"]
    assert (kept["prompts"], kept["pictures"]) == (553, 4 * 553)
    for found in kept["seconds"].values():
        assert len(found) >= 3
        assert max(found) < LIMIT
