"""What a verdict proposes: SHIP only where nothing at all stands against it."""

from __future__ import annotations

import copy

import pytest
from signing import RECORD, TERMS, judged, looked, measured
from verdicts import gate, secondary, tail, waived

from qa.proposal import obstacle, proposed

PLAN, OTHER = "cd" * 32, "99" * 32
"""Plan of the baseline of `judged`, and another one."""


def against_a_folder():
    """A verdict against a folder that somebody named, as judging wrote it."""
    document = judged("PASS")
    nobody = {"content": "", "by": "", "why": "", "until": None}
    return document | {"baseline": document["baseline"] | nobody}


def without(key):
    return {name: value for name, value in judged("PASS").items() if name != key}


def unsigned():
    """A row that is waived by nobody."""
    row = waived()
    return row | {"waiver": row["waiver"] | {"by": None}}


SHIPPED = {
    "passed": (judged("PASS"), {}),
    "improved": (judged("IMPROVED", gate(state="IMPROVED")), {}),
    "a loss within the margin": (judged("PASS-DRIFT", gate(state="PASS-DRIFT")), {}),
    "a secondary metric failed": (judged("PASS", gate(), secondary()), {}),
    "a tail that could not pass": (judged("PASS", gate(), tail()), {}),
    "no baseline is needed": (judged("PASS", gate(gate="threshold"), baseline=None), {}),
    "a stricter policy": (judged("PASS", policy="release"), {}),
    "more gates than its own": (
        judged("PASS", terms={"use_case": "7" * 64, "gates": ["regression", "tail"]}),
        {},
    ),
    "a look that failed against another baseline": (
        judged("PASS"),
        {"look": looked((1, "FAIL", OTHER), (2, "PASS", PLAN))},
    ),
    "a look that failed and was judged again": (
        judged("PASS"),
        {"look": looked((1, "FAIL", PLAN), (2, "PASS", PLAN), (1, "PASS", PLAN))},
    ),
    "a record without a look": (judged("PASS"), {"look": None}),
}
CONCEDED = {
    "one gate": (judged("PASS", gate(), waived()), {}),
    "an inconclusive one": (judged("PASS", gate(), waived(state="INCONCLUSIVE")), {}),
    "all of them": (judged("PASS", waived()), {}),
}
HELD = {
    "1 of 2 gates that count FAILED: psnr.": (judged("FAIL", gate(state="FAIL"), gate("x")), {}),
    "1 of 1 gates that count FAILED: tail.": (
        judged("FAIL", tail(state="FAIL") | {"counts": True}, waived()),
        {},
    ),
    "These pictures cannot tell: psnr.": (
        judged("INCONCLUSIVE", gate(state="INCONCLUSIVE"), secondary()),
        {},
    ),
    "summary of INCONCLUSIVE.": (judged("INCONCLUSIVE", secondary()), {}),
    "Not comparable: seeds: 2 and 4.": (judged("INVALID", problems=["seeds: 2 and 4", "x"]), {}),
    "summary of INVALID.": (judged("INVALID", gate(state="INVALID")), {}),
    "Nothing was judged: it was only measured.": (measured(), {}),
    "It was judged against a run that nobody promoted.": (against_a_folder(), {}),
    "Its schema is not decoder-qa/verdict/2.": (judged(schema="decoder-qa/verdict/1"), {}),
    "Its run is not finished.": (judged(), {"finished": None}),
    "It is the verdict of another run.": (judged(), {"plan": "0" * 64}),
    "Nobody can tell by what terms it was made: an earlier version wrote it.": (
        judged(),
        {"terms": None},
    ),
    "It says PASS, and its gates say FAIL.": (judged("PASS", gate(state="FAIL")), {}),
    "It is damaged: KeyError: 'gates'.": (without("gates"), {}),
    "The waiver of gmsd is none.": (judged("PASS", gate(), unsigned()), {}),
    "It is a limited run (limit=), not the suite.": (judged("PASS"), {"limited": True}),
    "It ran over one half of the suite: selection.": (judged("PASS"), {"half": "selection"}),
    "It was judged by other margins than those of its own use case photo.": (
        judged("PASS", terms={"use_case": None, "gates": ["regression"]}),
        {},
    ),
    "It is a release run and was judged by policy=pr.": (judged("PASS"), {"policy": "release"}),
    "Its verdict lacks a gate that it was to be asked: tail.": (
        judged("PASS"),
        {"terms": {**TERMS, "gates": {"regression": "e" * 64, "tail": "e" * 64}}},
    ),
    "Look 1, at 8 pictures, FAILED (psnr), and no other look undoes that.": (
        judged("PASS"),
        {"look": looked((1, "FAIL", PLAN), (2, "PASS", PLAN))},
    ),
    "Look 3, at 24 pictures, FAILED (psnr), and no other look undoes that.": (
        judged("PASS"),
        {"look": looked((1, "PASS", PLAN), (3, "FAIL", PLAN), number=1)},
    ),
}


def decided(verdict, record):
    return proposed(verdict, {**RECORD, **record})


@pytest.mark.parametrize("case", SHIPPED)
def test_what_may_be_shipped(case):
    decision, why = decided(*SHIPPED[case])
    assert decision == "SHIP"
    assert why.startswith("Every gate that counts passed")


def test_a_loss_is_named_in_the_reason():
    said = decided(judged("PASS-DRIFT", gate("lpips", "PASS-DRIFT"), gate()), {}).why
    assert said == "Every gate that counts passed, with a loss within the margin: lpips."


@pytest.mark.parametrize("case", CONCEDED)
def test_what_only_waivers_let_pass(case):
    assert decided(*CONCEDED[case]) == (
        "SHIP WITH WAIVERS", "Every gate passed or was waived: gmsd.",
    )  # fmt: skip


@pytest.mark.parametrize("why", HELD)
def test_everything_else_is_held_and_says_why(why):
    assert decided(*HELD[why]) == ("HOLD", why)


def test_a_verdict_alone_is_taken_at_its_word_but_not_against_itself():
    """Without a record, nobody asks for its plan, its end and its terms; with one they count."""
    for verdict in (judged(), judged(terms=None)):
        assert proposed(verdict, {}).decision == "SHIP"
    assert proposed(judged(), {"look": None}).decision == "HOLD"
    assert proposed(judged("PASS", gate(state="FAIL")), {}).decision == "HOLD"
    assert proposed({}, {}) == ("HOLD", "It is damaged: KeyError: 'schema'.")


def test_a_limited_arm_is_held_whatever_the_record_says():
    verdict = copy.deepcopy(judged("PASS"))
    verdict["candidate"]["limited"] = True
    assert decided(verdict, {}).decision == "HOLD"


def test_a_waiver_of_any_day_is_proposed_alike():
    """Two runs of one plan give equal reports; `sign` looks at the calendar."""
    row = waived()
    over = waived() | {"waiver": {**row["waiver"], "until": "2001-01-01"}}
    assert decided(judged("PASS", over), {}) == decided(judged("PASS", row), {})


def test_what_answers_would_settle_is_not_settled_by_pictures(tmp_path):
    def fix(*rows):
        verdict = judged("INCONCLUSIVE", *rows)
        return obstacle(verdict, RECORD, tmp_path).fix

    answers = gate("overall", "INCONCLUSIVE", gate="preference")
    assert "qa review RUN" in fix(answers)
    assert "--gate preference/overall" in fix(answers), "all of them may be given"
    assert "more pictures" in fix(gate(state="INCONCLUSIVE"))
    assert "more pictures" in fix(answers, gate(state="INCONCLUSIVE"))
