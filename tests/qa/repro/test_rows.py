"""repro.json: the level that is reached, and what earlier checks left."""

from __future__ import annotations

import json

from qa.repro.divergence import Divergence
from qa.repro.options import LEVELS
from qa.repro.rows import Row, document, earlier

ABOUT = {"plan": "p", "environment": {"class": "c"}}
NOTHING = {"levels": {}, "tolerances": []}


def row(level, verdict="PASS", exact=True, **more):
    return Row(level, verdict, "", "", exact, **more)


def made(*rows, before=NOTHING):
    return document(ABOUT, rows, before, "2026-01-01")


def test_the_level_reached_is_the_last_of_an_unbroken_row():
    assert made(*map(row, LEVELS[:5]))["reached"] == "R4"
    assert made(row("R0"), row("R1"), row("R3"))["reached"] == "R1"
    assert made(row("R1"), row("R2"))["reached"] == ""
    assert made(row("R0"), row("R1", "FAIL"), row("R2"))["reached"] == "R0"
    assert made(row("R0"), row("R1", "INVALID"))["reached"] == "R0"


def test_a_batch_that_rounds_reaches_r4t():
    rows = [*map(row, LEVELS[:4]), row("R4", exact=False)]
    assert made(*rows)["reached"] == "R4t"
    assert made(*rows, row("R5", exact=False))["reached"] == "R5"


def test_levels_that_nobody_asked_for_are_skipped_and_say_how_to_ask():
    levels = made(row("R0"))["levels"]
    assert list(levels) == list(LEVELS)
    assert {levels[name]["verdict"] for name in LEVELS[1:]} == {"SKIPPED"}
    assert "vary=" in levels["R5"]["why"]
    assert "levels=[R3]" in levels["R3"]["why"]


def test_the_exit_code_is_of_the_levels_that_were_asked_for():
    assert made(row("R0"))["exit_code"] == 0
    assert made(row("R0"), row("R1", "INVALID"))["exit_code"] == 5
    assert made(row("R0"), row("R1", "FAIL"), row("R2", "INVALID"))["exit_code"] == 3
    old = {"levels": {"R1": {"verdict": "FAIL"}}, "tolerances": []}
    assert made(row("R0"), before=old)["exit_code"] == 0


def test_the_divergence_of_the_lowest_level_stands_on_top():
    later = row("R5", exact=False, divergence=Divergence("cat", "conv"))
    sooner = row("R4", "FAIL", False, divergence=Divergence("dog", "norm"))
    found = made(later, sooner)["divergence"]
    assert (found["level"], found["picture"], found["stage"]) == ("R4", "dog", "norm")
    assert made(row("R0"))["divergence"] is None


def test_a_later_check_adds_to_an_earlier_one_of_the_same_plan_and_class(tmp_path):
    file = tmp_path / "repro.json"
    tolerance = {"level": "R5", "axis": "tf32", "limits": {"max_abs": 1.0}}
    first = made(row("R0"), row("R1"), row("R5", tolerances=(tolerance,)))
    file.write_text(json.dumps(first))
    newer = {**tolerance, "limits": {"max_abs": 2.0}}
    other = {**tolerance, "axis": "threads:1"}
    before = earlier(file, "p", "c")
    second = made(row("R1", "FAIL", False), row("R5", tolerances=(newer, other)), before=before)
    assert second["levels"]["R0"]["verdict"] == "PASS"
    assert second["levels"]["R1"]["verdict"] == "FAIL"
    assert second["tolerances"] == [newer, other]
    for plan, place in (("q", "c"), ("p", "d")):
        assert earlier(file, plan, place) == NOTHING


def test_a_damaged_document_is_written_anew(tmp_path):
    file = tmp_path / "repro.json"
    for text in ("{", "[]", '{"schema": "decoder-qa/repro/9"}', "null",
                 '{"schema": "decoder-qa/repro/1", "plan": "p", "environment": 3}'):  # fmt: skip
        file.write_text(text)
        assert earlier(file, "p", "c") == NOTHING


def test_a_verdict_says_what_it_compared(tmp_path):
    told = made(Row("R1", "PASS", "two pictures", exact=True))["levels"]["R1"]
    assert (told["claim"], told["compared"]) == ("the same process, twice", "two pictures")
    assert told["date"] == "2026-01-01"
