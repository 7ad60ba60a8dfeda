"""The description and the table that people read in MLflow."""

import json
from dataclasses import replace

import pytest
from tracked import JUDGED, ROW, VERDICT

from qa.signature import Signature
from qa.tracking.note import COLUMNS, SHOWN, note, plain, table


def rows(verdict):
    found = json.loads(table(verdict))
    assert found["columns"] == list(COLUMNS)
    return [dict(zip(COLUMNS, row, strict=True)) for row in found["data"]]


def test_the_table_has_every_gate_worst_first_and_those_that_count_before_the_others():
    found = rows(JUDGED)
    assert [(row["gate"], row["metric"], row["state"]) for row in found] == [
        ("regression", "psnr", "FAIL"),
        ("tail", "catastrophe", "INCONCLUSIVE"),
        ("regression", "dists", "PASS-DRIFT"),
        ("reproducibility", "level", "PASS"),
        ("anchor", "psnr", "IMPROVED"),
        ("regression", "lpips", "FAIL"),
        ("regression", "ssim", "INCONCLUSIVE"),
    ]
    expected = {"harm": 0.5, "low": 0.4, "high": 0.6, "margin": 0.2, "unit": "dB", "p_holm": 3e-5,
                "worst": "c", "counts": True, "why": "worse"}  # fmt: skip
    assert {key: found[0][key] for key in expected} == expected
    assert found[5]["standing"] == "waived until 2031-01-31 by Ada: known since May"
    assert (found[6]["standing"], found[6]["counts"]) == ("secondary", False)
    assert found[1]["needs"] == 299


def test_the_table_depends_on_the_verdict_alone_and_can_be_empty():
    assert table(JUDGED) == table(json.loads(json.dumps(JUDGED)))
    assert rows({**VERDICT, "gates": []}) == []


def test_the_description_says_what_is_worse_than_what_and_under_which_terms():
    said = note(JUDGED, "#/experiments/1/runs/abc", "R4")
    first, against, terms, *rest = said.split("\n\n")
    assert first == "**FAIL** psnr is worse"
    assert against == (
        "Baseline: [base](#/experiments/1/runs/abc), promoted by Ada, release 3, until 2031-06-30"
    )
    assert terms == (
        "use case photo · policy release · look 1 of 3: 3 of 12 pictures · reproducibility R4"
    )
    assert "* the environment classes differ: threads" in said
    lines = rest[-1].splitlines()
    assert lines[0] == "| gate | state | harm | 90 % interval | margin | why |"
    assert lines[2] == "| psnr | FAIL | 0.5 dB | 0.4 to 0.6 | 0.2 | worse |"
    waived = "FAIL (waived until 2031-01-31 by Ada: known since May)"
    assert lines[7] == f"| lpips | {waived} | 0.02 | 0.01 to 0.03 | 0.006 |  |"
    assert len(lines) == 2 + len(JUDGED["gates"])


def test_a_run_that_was_only_measured_says_so():
    said = note({"state": "MEASURED", "summary": "12 pictures", "gates": [], "baseline": None})
    assert said == "**MEASURED** 12 pictures\n\nNo baseline: nothing was compared."


def test_the_description_names_who_signed_and_for_what():
    signed = Signature("HOLD", "Ada", "see |#9|", "2026-11-22T10:00:00+00:00", "HOLD", "FAIL",
                       "0" * 64, {}, ())  # fmt: skip
    line = note(JUDGED, signature=signed).split("\n\n")[1]
    assert line == "**HOLD** signed by Ada, 2026-11-22T10:00:00+00:00: see &#124;&#35;9&#124;"
    broken = replace(signed, broken="verdict.json changed")
    said = (
        "A signature no longer holds (verdict.json changed): HOLD, signed by Ada, "
        "2026-11-22T10:00:00+00:00"
    )
    reason = ": see &#124;&#35;9&#124;"
    assert note(JUDGED, signature=broken).split("\n\n")[1] == said + reason
    assert note(JUDGED, signature=replace(broken, why="")).split("\n\n")[1] == said
    assert "signed" not in note(JUDGED), "negative control"


def test_many_gates_are_cut_and_counted():
    gates = [{**ROW, "metric": f"m{index}", "margin": 1.0} for index in range(SHOWN + 3)]
    said = note({**JUDGED, "gates": gates, "warnings": ["w"] * 14})
    assert said.count("\n| m") == SHOWN
    assert "and 3 more in regressions.json" in said
    assert "* and 4 more" in said


HOSTILE = ["a|b", "<img src=x>", "[x](javascript:1)", "`a`", "**a**", "\\"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_cannot_break_out_of_their_cell(hostile):
    shown = plain(hostile)
    assert not set("|<>[]`*\\") & set(shown)
    verdict = {**JUDGED, "gates": [{**ROW, "metric": hostile, "margin": 1.0, "why": hostile}]}
    line = note(verdict).splitlines()[-1]
    assert line.count("|") == 7


def test_texts_stay_on_their_line_and_within_limits():
    assert plain("a\n b\r\n\tc") == "a b c"
    assert len(plain("x" * 900)) == 300
    assert len(note({**JUDGED, "warnings": ["w" * 400] * 40})) <= 5000
