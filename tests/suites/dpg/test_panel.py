"""The panel: values, notes and their summary."""

from __future__ import annotations

import json

import pytest
from dpg_toys import (
    PANELS,
    answers_file,
    grey,
    question,
    questions_file,
    toy_answers,
    toy_item,
)

from qa.errors import UsageError
from qa.types import NOT_APPLICABLE, Sample
from suites.dpg.judges.replay import Replay
from suites.dpg.panel import DPGPanel
from suites.dpg.suite import ASKS


@pytest.fixture
def made(tmp_path):
    def panel(answers=None, rows=None, **more):
        questions = questions_file(tmp_path, rows or toy_item())
        told = answers_file(tmp_path, answers or toy_answers())
        return DPGPanel(Replay(str(told)), str(questions), **more)

    return panel


def takes(item="toy", count=4):
    return [
        Sample(f"{item}/{k}", prompt="", asks={ASKS: item}, group=item, take=k)
        for k in range(count)
    ]


def look(panel, samples):
    """Values by sample, and all notes as a run stores them."""
    values, notes = [], []
    for sample in samples:
        found = panel(sample, grey(0)[None], None)
        values += found.values["dpg"]
        notes += [{**note, "sample": sample.id, "seed": 0} for note in found.notes]
    json.dumps(notes, allow_nan=False)
    return values, notes


def planned(*notes):
    return [(note["sample"], note["seed"]) for note in notes]


@pytest.mark.parametrize(
    ("rule", "panels"),
    [("ella_cascade", [0.2, 0.4, 1.0, 0.2]), ("dsg_raw", [0.4, 0.4, 1.0, 0.2])],
)
def test_the_toy(made, rule, panels):
    panel = made(rule=rule)
    panel.check(takes())
    values, notes = look(panel, takes())
    assert values == pytest.approx(panels)
    summary = panel.summary(notes, planned(*notes))
    assert summary["score"] == pytest.approx(sum(panels) / 4)
    assert summary["L2"]["entity - whole"] == sum(each[0] for each in PANELS) / 4
    assert (summary["items"], summary["panels"], summary["unanswered"]) == (1, 4, 0)
    assert summary["questions_sha256"] == panel.facts["dpg"].protocol["questions_sha256"]
    assert summary["judge"].startswith("recorded answers")
    assert [row["counted"] for row in notes[0]["answers"]] == (
        [0, 0, 0, 1, 0] if rule == "ella_cascade" else [0, 0, 1, 1, 0]
    )


def test_a_missing_answer_is_a_missing_value(made):
    panel = made(toy_answers()[:-1])
    values, notes = look(panel, takes())
    assert values[:3] == pytest.approx([0.2, 0.4, 1.0])
    assert values[3] == "no answer to 1 of 5 questions (5): it was not recorded"
    assert panel.summary(notes, planned(*notes))["unanswered"] == 1
    assert panel.summary(notes, planned(*notes))["score"] is None


@pytest.mark.parametrize("compat", ["fixed", "official_bugs"])
def test_missing_pictures_take_the_score_away(made, compat):
    """What is left is better than the whole: such a run has no score, and no complete summary."""
    panels = [[0] * 5, *[[1] * 5] * 3]
    rows = toy_item("x") + toy_item("a1") + toy_item("b1")
    rows = [row | {"dependency": "0"} for row in rows[:-1]] + [rows[-1] | {"dependency": "1, 2"}]
    answers = toy_answers("x") + toy_answers("a1", panels) + toy_answers("b1", panels)
    panel = made(answers, rows, compat=compat)
    _, notes = look(panel, takes("a1") + takes("b1"))
    whole = panel.summary(notes, planned(*notes))
    assert (whole["score"], whole["complete"]) == (pytest.approx(0.75), True)
    assert "why" not in whole
    for lost, why in ((notes[:1], "1 of 4"), (notes[:3], "3 of 4"), (notes[:4], "4 of 4")):
        left = [note for note in notes if note not in lost]
        found = panel.summary(left, planned(*notes))
        assert (found["score"], found["complete"], found["items"]) == (None, False, 1)
        assert found["why"] == "pictures of 1 prompts are missing"
        assert found["dropped"] == {"a1": f"{why} pictures are missing"}
        assert found["subsets"] == {"a": None, "b": pytest.approx(0.75)}
    nothing = panel.summary([], planned(*notes))
    assert (nothing["score"], nothing["complete"], nothing["items"]) == (None, False, 0)


def test_what_the_official_script_drops_is_no_part_of_its_population(made):
    rows, answers = toy_item("a") + toy_item("b"), toy_answers("a") + toy_answers("b")
    panel = made(answers, rows, compat="official_bugs")
    values, notes = look(panel, takes("a") + takes("b"))
    assert all(value.startswith(NOT_APPLICABLE) for value in values[:4])
    assert values[4:] == pytest.approx([0.2, 0.4, 1.0, 0.2])
    assert panel.summary(notes, planned(*notes))["score"] == pytest.approx(0.45)
    fixed, _ = look(made(answers, rows), takes("a"))
    assert fixed == pytest.approx([0.2, 0.4, 1.0, 0.2])


def test_an_item_of_which_the_official_script_knows_nothing(made):
    """Its only question is in the first row."""
    rows = [question("a", 1), *toy_item()]
    panel = made(rows=rows, compat="official_bugs")
    panel.check(takes("a") + takes())
    values, notes = look(panel, takes("a", 1) + takes())
    assert values[0].startswith(NOT_APPLICABLE)
    assert panel.summary(notes, planned(*notes))["items"] == 1


def test_samples_that_are_no_items(made):
    with pytest.raises(UsageError, match="1 of 5 samples are no items") as error:
        made().check([*takes(), Sample("x")])
    assert error.value.fix == "suite=dpg"
    with pytest.raises(UsageError, match="no questions on 1 of 2 items"):
        made().check(takes() + takes("other"))
    with pytest.raises(UsageError, match="no recorded answers"):
        made(rows=toy_item() + toy_item("other")).check(takes() + takes("other"))


def test_the_protocol_says_all_that_changes_the_number(made):
    first = made().facts["dpg"]
    for other in (
        made(rule="none"), made(compat="last_panel"), made(rows=toy_item("toy")[:4]),
        made(toy_answers()[:-1]),
    ):  # fmt: skip
        assert other.facts["dpg"].protocol != first.protocol
    assert made().facts["dpg"] == first
    assert (first.of, first.paired, first.better) == ("sample", False, "higher")


def test_without_the_official_csv_nothing_is_decoded(monkeypatch, tmp_path):
    monkeypatch.setenv("QA_ASSETS", "")
    monkeypatch.setenv("QA_CACHE", str(tmp_path))
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"dpg_bench\.csv is not at hand") as error:
        DPGPanel(Replay(str(answers_file(tmp_path, toy_answers()))))
    assert type(error.value) is UsageError  # an unavailable metric would let the run go on
    assert "metric.dpg.questions=CSV" in error.value.fix
