"""The level that was shown: for this decoder, in this class of environment, lately."""

from __future__ import annotations

from pathlib import Path

import pytest
from arms import case, scored

from qa.errors import UsageError
from qa.files import write_json
from qa.gates.reproducibility import Reproducibility

RECORD = {
    "decoder_digest": "d1", "environment": {"class": "one"},
    "inputs": {"digest": "i1", "code": "c1"},
}  # fmt: skip


def shown(name: str, levels: dict[str, str], **known) -> Path:
    file = Path("runs", name, "repro.json")
    held = [level for level, verdict in levels.items() if verdict == "PASS"]
    content = {
        **RECORD,
        "schema": "decoder-qa/repro/1",
        "levels": {level: {"verdict": verdict} for level, verdict in levels.items()},
        "reached": held[-1] if held else None,
        "date": "2026-01-01T00:00:00+00:00",
    }
    write_json(file, content | known)
    return file


def judged(level: str = "R2", **known):
    (found,) = Reproducibility(level, **known)(
        case(scored({"psnr": [[30.0]] * 2}, record=RECORD), None, {})
    )
    return found["state"], found["why"]


ALL = {"R0": "PASS", "R1": "PASS", "R2": "PASS", "R3": "PASS"}


def test_a_level_that_was_shown_passes(workdir):
    shown("a", ALL)
    assert judged("R3") == ("PASS", "R3 was reached")
    assert judged("R2") == ("PASS", "R3 was reached")


def test_nothing_shown_is_invalid_and_says_what_to_run(workdir):
    state, why = judged()
    assert state == "INVALID"
    assert "qa repro" in why


@pytest.mark.parametrize(
    ("levels", "level", "state", "said"),
    [
        (ALL | {"R2": "FAIL"}, "R2", "FAIL", "R2 failed"),
        (ALL | {"R1": "FAIL"}, "R3", "FAIL", "R1 failed"),
        (ALL | {"R3": "FAIL"}, "R2", "PASS", "reached"),
        (ALL, "R4", "INVALID", "R4 was not tried"),
        (ALL | {"R4": "SKIPPED"}, "R4", "INVALID", "R4 was not tried"),
        (ALL | {"R4": "INVALID"}, "R4", "INVALID", "R4 is INVALID"),
    ],
)
def test_the_level_must_hold_and_none_below_may_fail(workdir, levels, level, state, said):
    shown("a", levels)
    found = judged(level)
    assert found[0] == state
    assert said in found[1]


@pytest.mark.parametrize(
    "known",
    [
        {"decoder_digest": "other"},
        {"environment": {"class": "other"}},
        {"schema": "something/1"},
        {"inputs": {"digest": "i2", "code": "c2"}},
        {"inputs": None},
    ],
)
def test_documents_of_something_else_show_nothing(workdir, known):
    shown("a", ALL, **known)
    assert judged()[0] == "INVALID"


def test_the_newest_document_counts_and_a_damaged_one_does_not(workdir):
    shown("old", ALL)
    shown("new", ALL | {"R2": "FAIL"}, date="2026-02-01T00:00:00+00:00")
    Path("runs/half").mkdir()
    Path("runs/half/repro.json").write_text("{")
    assert judged()[0] == "FAIL"
    named = str(shown("old", ALL))
    assert judged(file=named)[0] == "PASS"


def test_a_level_that_is_none_is_refused():
    with pytest.raises(UsageError, match="R9"):
        Reproducibility("R9")
