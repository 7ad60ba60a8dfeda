"""A verdict as checks: nothing is green that the verdict did not let pass, and nothing else red."""

from __future__ import annotations

import pytest
from verdicts import gate, secondary, tail, verdict, waived

from qa.outcomes import checks, counts, label, standing


def kinds(document):
    return {f"{check.gate}/{check.name}": check.kind for check in checks(document)}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("IMPROVED", "passed"),
        ("PASS", "passed"),
        ("PASS-DRIFT", "passed"),
        ("FAIL", "failed"),
        ("INVALID", "broken"),
        ("INCONCLUSIVE", "skipped"),
    ],
)
def test_the_state_of_a_gate_that_counts_decides(state, kind):
    assert kinds(verdict(state, gate("psnr", state))) == {"regression/psnr": kind}


@pytest.mark.parametrize("state", ["FAIL", "INVALID", "INCONCLUSIVE"])
def test_what_does_not_count_is_never_red_but_never_green_either(state):
    document = verdict("PASS", gate(), secondary("ssim", state), waived("gmsd", state), tail(state))
    assert kinds(document) == {
        "regression/psnr": "passed",
        "regression/ssim": "skipped",
        "regression/gmsd": "waived",
        "tail/catastrophe": "skipped",
    }
    messages = {check.name: check.message for check in checks(document)}
    assert messages["ssim"].startswith(f"{state}: secondary: ")
    assert "waived until 2027-01-31 by Ada: known, mended in 2.1" in messages["gmsd"]
    # the same rows, counted, are not
    counted = [dict(row, counts=True, waiver=None) for row in document["gates"]]
    assert set(list(kinds(verdict(state, *counted)).values())[1:]) == {
        {"FAIL": "failed", "INVALID": "broken", "INCONCLUSIVE": "skipped"}[state]
    }


def test_a_secondary_metric_that_passed_is_plainly_passed():
    assert kinds(verdict("PASS", gate(), secondary("ssim", "PASS")))["regression/ssim"] == "passed"


def test_problems_are_a_check_of_their_own():
    rows = [gate("psnr", "INVALID"), gate("ssim", "INVALID")]
    first, *_ = checks(verdict("INVALID", *rows, problems=["seeds: [0] against [0, 1]"]))
    assert (first.name, first.kind, first.details) == (
        "verdict",
        "broken",
        "seeds: [0] against [0, 1]",
    )


def test_what_no_gate_explains_is_still_said():
    lost = [{"sample": "a", "seed": 1, "why": "out of memory"}]
    only = checks(verdict("INVALID", baseline=None, gates=[], failures=lost))
    assert [(check.kind, check.details) for check in only] == [
        ("broken", "a seed 1: out of memory")
    ]
    # every row passed and yet the verdict failed: a document nobody wrote must not look green
    assert "failed" in kinds(verdict("FAIL", gate("psnr", "PASS"))).values()


def test_nothing_judged_is_skipped_not_passed():
    assert kinds(verdict("MEASURED", baseline=None, gates=[])) == {"verdict/verdict": "skipped"}


def test_properties_are_the_row_without_what_is_unknown():
    (check,) = checks(verdict("FAIL", gate("psnr", "FAIL", needs=None, low=None)))
    known = dict(check.properties)
    assert (known["harm"], known["high"], known["margin"]) == ("1.0812", "1.2511", "1.0")
    assert (known["state"], known["counts"], known["confidence"]) == ("FAIL", "yes", "0.9")
    assert not {"low", "needs", "estimate"} & set(known)
    assert all(isinstance(value, str) for value in known.values())


def test_rows_of_the_first_schema_are_understood():
    old = {
        key: value
        for key, value in gate("psnr", "FAIL").items()
        if key not in {"role", "counts", "waiver", "p", "p_holm", "q", "method", "limit"}
    }
    assert counts(old)
    assert standing(old) == ""
    assert kinds(verdict("FAIL", old)) == {"regression/psnr": "failed"}


def test_labels_name_the_gate_unless_it_is_regression():
    assert label(gate("psnr")) == "psnr"
    assert label(tail()) == "tail"
    assert label(gate("psnr", gate="anchor")) == "anchor psnr"
    assert label({"metric": "psnr"}) == "psnr"


def test_a_failed_decode_is_a_worst_picture_without_harm():
    worst = [{"sample": "a", "harm": None, "metric": "psnr", "why": "out of memory"}]
    (check,) = checks(verdict("FAIL", dict(tail("FAIL"), counts=True, worst=worst)))
    assert "worst: psnr a, out of memory" in check.details


def test_a_slice_names_itself():
    row = secondary("psnr[photo]", "FAIL", gate="slices")
    assert label(row) == "psnr[photo]"
    assert label(row | {"gate": "anchor"}) == "anchor psnr[photo]"
