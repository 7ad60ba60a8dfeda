"""The panel between a detector and the rules, with a detector that knows what was asked."""

import os
from statistics import fmean

import numpy as np
import pytest
import torch
from geneval_oracle import (
    Oracle,
    Palette,
    is_faulty,
    picture,
    planted,
    rows,
    write_rows,
)

from qa.errors import QaError, UsageError
from qa.metrics.facts import fingerprint
from qa.types import Sample
from suites.geneval.panel import GenEvalPanel
from suites.geneval.prompts import PROMPT_FILE, read
from suites.geneval.rules import Options
from suites.geneval.suite import GenEval

NEEDS_FILES = pytest.mark.skipif(
    not os.environ.get("QA_ASSETS"), reason="QA_ASSETS names no folder with GenEval's files"
)


def panel(made, **options):
    return GenEvalPanel(Oracle(made), Palette(made), Options(**options))


def samples(made, folder):
    return GenEval("custom", str(write_rows(folder / "own.jsonl", made))).samples()


def look(judge, asked, faults):
    """All values, and the notes as a run keeps them."""
    values, notes = [], []
    for sample in asked:
        fault = faults and is_faulty(int(sample.group), sample.take)
        found = judge(sample, picture(int(sample.group), fault)[None], None)
        values += found.values["geneval"]
        notes += [{**note, "sample": sample.id, "seed": 0} for note in found.notes]
    return values, notes


def planned_of(notes):
    return [(note["sample"], note["seed"]) for note in notes]


def check_planted(made, asked):
    """1.0 without faults; with them just what they take away."""
    judge = panel(made)
    values, notes = look(judge, asked, faults=False)
    assert set(values) == {1.0}
    assert judge.summary(notes, planned_of(notes))["overall"] == 1.0
    values, notes = look(judge, asked, faults=True)
    wrong = [is_faulty(int(sample.group), sample.take) for sample in asked]
    assert values == [float(not fault) for fault in wrong]
    summary, expected = judge.summary(notes, planned_of(notes)), planted(made)
    assert summary["tags"] == expected
    assert summary["overall"] == fmean(expected.values())
    assert summary["correct_images"] == wrong.count(False) / len(wrong)
    assert summary["overall"] != summary["correct_images"]
    assert summary["images"] == 4 * summary["prompts"] == len(asked)
    assert all(bool(note["reason"]) is not note["correct"] for note in notes)


def test_553_prompts_score_what_was_planted(tmp_path):
    made = rows()
    assert len(made) == 553
    check_planted(made, samples(made, tmp_path))


def test_a_run_without_some_of_its_pictures_has_no_score(tmp_path):
    """Wrong ones are lost: what is left would score too well."""
    made = rows({"counting": 2, "position": 1})
    asked = samples(made, tmp_path)
    judge = panel(made)
    _, notes = look(judge, asked, faults=True)
    planned = planned_of(notes)
    whole = judge.summary(notes, planned)
    assert "why" not in whole
    for lost in ([3], [0, 1]):
        rest = [note for place, note in enumerate(notes) if place not in lost]
        assert judge.summary(rest, planned_of(rest))["overall"] > whole["overall"]
        found = judge.summary(rest, planned)
        assert found["overall"] is found["correct_images"] is found["correct_prompts"] is None
        assert set(found["tags"].values()) == {None}
        assert found["images"] == sum(found["images_of_tags"].values()) == 12 - len(lost)
        assert found["why"] == (
            f"{len(lost)} of 12 pictures were not judged, the first is {asked[lost[0]].id}, seed 0"
        )
    assert judge.summary([], planned)["why"].startswith("12 of 12")


@NEEDS_FILES
def test_the_official_prompts_score_what_was_planted(workdir):
    check_planted(read("official").rows, GenEval().samples())


def test_a_note_is_a_line_of_the_official_results(tmp_path):
    made = rows({"counting": 1})
    (sample, *_) = samples(made, tmp_path)
    stack = torch.stack([picture(0), picture(0, fault=True)])
    found = panel(made)(sample, stack, None)
    assert found.values == {"geneval": [1.0, 0.0]}
    right, wrong = found.notes
    (clause,) = made[0]["include"]
    assert right == {
        "tag": "counting", "prompt": made[0]["prompt"], "correct": True, "reason": "",
        "metadata": made[0], "details": right["details"],
        PROMPT_FILE: read("custom", tmp_path / "own.jsonl").sha256,
    }  # fmt: skip
    assert wrong["reason"] == f"expected {clause['class']}<3, found 3"
    assert [len(note["details"][clause["class"]]) for note in (right, wrong)] == [2, 3]


def test_colours_are_asked_of_what_decides_alone(tmp_path):
    """The most confident one, with its own mask; where the tag has no colours, nobody."""
    made = rows({"colors": 1, "counting": 1})
    asked = samples(made, tmp_path)
    judge = panel(made)
    cls = made[0]["include"][0]["class"]
    look(judge, asked, faults=False)
    assert judge.colours.asked == [(cls, 1)] * 4

    detect, seen = judge.detector.detect, []

    def twice(shown):
        (found,) = detect(shown).values()
        weak = found.boxes[0].copy()
        weak[4] = 0.5
        masks = np.stack([np.zeros((8, 8), np.bool_), np.ones((8, 8), np.bool_)])
        return {cls: type(found)(np.stack([weak, found.boxes[0]]), masks)}

    judge.detector.detect = twice
    judge.colours.colours = lambda shown, cls, boxes, masks: seen.append((boxes, masks)) or ["red"]
    judge(asked[0], picture(0)[None], None)
    ((boxes, masks),) = seen
    assert boxes[:, 4].tolist() == [pytest.approx(0.99)]
    assert masks.all()


def test_it_checks_rows_and_networks_before_anything_else(tmp_path):
    made = rows({"position": 2})
    judge = panel(made)
    judge.check(samples(made, tmp_path))
    assert (judge.detector.checked, judge.colours.oracle.checked) == (1, 1)


DOG = {"class": "dog", "count": 1}


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ({}, "asks for nothing"),
        ({"tag": "Counting", "include": [DOG], "prompt": ""}, "tag is 'Counting'"),
        ({"tag": "counting", "include": [{"class": "dog"}], "prompt": ""}, r"include\[0\].count"),
        ({"tag": "counting", "include": [DOG]}, "prompt is missing"),
        ({"tag": "counting", "include": [{"class": "unicorn", "count": 1}], "prompt": ""},
         "'unicorn', not one of the 80 known classes"),
        ({"tag": "counting", "include": [DOG | {"color": "mauve"}], "prompt": ""}, "'mauve'"),
    ],
)  # fmt: skip
def test_what_it_cannot_judge_is_refused(asks, said):
    judge = panel(rows({"counting": 1}))
    with pytest.raises(UsageError, match=said) as caught:
        judge.check([Sample("a", asks=asks)])
    assert "sample a" in caught.value.what
    assert judge.detector.checked == 0


def test_a_blind_detector_stops_the_run(tmp_path):
    made = rows({"counting": 1})
    judge = panel(made)

    def blind():
        raise QaError("The detector finds no cat.")

    judge.detector.check = blind
    with pytest.raises(QaError, match="no cat"):
        judge.check(samples(made, tmp_path))


def test_all_that_changes_the_number_is_in_the_fingerprint():
    made = rows({"counting": 1})
    marks = [fingerprint(panel(made).facts["geneval"])]
    marks.append(fingerprint(panel(made, threshold=0.4).facts["geneval"]))
    for change in ("label", "digest"):
        for part in (0, 1):
            networks = [Oracle(made), Palette(made)]
            setattr(networks[part], change, "another")
            marks.append(fingerprint(GenEvalPanel(*networks).facts["geneval"]))
    assert len(set(marks)) == len(marks)
    facts = panel(made).facts["geneval"]
    assert fingerprint(facts) == marks[0]
    assert (facts.of, facts.better, facts.paired) == ("sample", "higher", False)
    assert facts.protocol["values"] == "rate"


def test_both_licences_are_told_once_each():
    networks = Oracle([]), Palette([])
    assert GenEvalPanel(*networks).facts["geneval"].licence == "MIT"
    networks[1].licence = "not stated"
    assert GenEvalPanel(*networks).facts["geneval"].licence == "MIT; not stated"
