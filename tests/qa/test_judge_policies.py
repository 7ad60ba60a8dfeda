"""Policies, waivers, expiry and environment classes: what people decide about a verdict."""

from __future__ import annotations

import numpy as np
import pytest
from arms import MARGINS, TODAY, arm, around, edited, shifted

from qa.baseline import Approved, Waiver
from qa.errors import UsageError
from qa.gates.margins import Margin
from qa.gates.regression import Regression
from qa.gates.tail import Tail
from qa.gates.threshold import Threshold
from qa.gates.use_case import load as use_case_of
from qa.judge import judge


def class_of(name: str | None, **decides: object) -> dict:
    """A record of an environment class."""
    return {"environment": {"class": name, "decides": decides}}


@pytest.mark.parametrize("policy", ["pr", "release"])
def test_another_environment_class_is_named(policy):
    one = arm(record=class_of("one", threads=2, blas="mkl"))
    two = arm(record=class_of("two", threads=4, blas="mkl"))
    verdict = judge(one, two, MARGINS, policy=policy)
    said = "environment: class one against two (threads: 2 against 4)"
    if policy == "pr":
        assert (verdict["state"], verdict["problems"]) == ("PASS", [])
        assert verdict["warnings"] == [f"{said}."]
    else:
        assert (verdict["exit_code"], verdict["problems"]) == (5, [said])
    same = judge(one, Approved(one, content="e" * 64), MARGINS, policy=policy)
    assert (same["state"], same["warnings"]) == ("PASS", [])


def test_a_release_against_a_run_that_nobody_promoted_is_told():
    one = arm(record=class_of("one"))
    (said,) = judge(one, one, MARGINS, policy="release")["warnings"]
    assert said.startswith("The baseline was not promoted")
    assert judge(one, one, MARGINS)["warnings"] == []


def test_copies_of_a_picture_are_no_evidence():
    record = class_of("one")
    names = [f"p{i:02d}" for i in range(24)]
    own = {name: name for name in names}
    twice = own | {"p05": "p04", "p06": "p04"}
    clean, copied = (Approved(arm(record=record, digests=d), content="e") for d in (own, twice))
    said = "samples: 2 pictures are copies of others, e.g. 'p05' of 'p04'"
    for against in (clean, copied):
        arms = (against.results, against, MARGINS)
        found = judge(*arms)
        strict = judge(*arms, policy="release")
        if against is clean:
            assert found["warnings"] == strict["problems"] == []
        else:
            assert (found["state"], strict["exit_code"]) == ("PASS", 5)
            assert found["warnings"][0].startswith(said)
            assert strict["problems"][0].startswith(said)


def test_other_latents_of_one_space_are_told():
    records = [class_of("one") | {"space": "mini", "latents_digest": d * 64} for d in "ab"]
    one, other = (arm(record=record) for record in records)
    (said,) = judge(one, other, MARGINS)["warnings"]
    assert said == "latents: the arms decoded other latents (aaaaaaaaaaaa against bbbbbbbbbbbb)."
    assert judge(one, one, MARGINS)["warnings"] == []
    apart = arm(record=records[1] | {"space": "flux1"})
    assert judge(one, apart, MARGINS)["warnings"] == []


@pytest.mark.parametrize("mixed", ["candidate", "baseline"])
def test_a_run_that_was_continued_elsewhere_is_of_no_class(mixed):
    one = arm(record=class_of("one"))
    both = arm(record={"environment": {"class": "one", "also": ["two"]}})
    arms = (both, one) if mixed == "candidate" else (one, both)
    said = f"environment: the {mixed} was made in several classes: one, two"
    assert judge(*arms, MARGINS, policy="release")["problems"] == [said]
    verdict = judge(*arms, MARGINS)
    assert (verdict["state"], verdict["warnings"]) == ("PASS", [f"{said}."])


def test_a_measured_difference_between_two_classes_is_tolerated_under_release():
    one, two = (arm(record=class_of(name)) for name in ("one", "two"))
    measured = {"environments": ["one", "two"], "measured": "2026-05-01T00:00:00+00:00"}
    against = Approved(two, tolerances=(measured,))
    verdict = judge(one, against, MARGINS, policy="release")
    assert verdict["state"] == "PASS"
    assert "was measured on 2026-05-01 and is tolerated" in verdict["warnings"][0]
    other = Approved(two, tolerances=(measured | {"environments": ["one", "three"]},))
    assert judge(one, other, MARGINS, policy="release")["exit_code"] == 5


def test_a_tolerance_holds_for_the_decoder_it_was_measured_with():
    one, two = (
        arm(record=class_of(name) | {"decoder": f"decoder {name}"}) for name in ("one", "two")
    )
    measured = {"environments": ["one", "two"], "measured": "2026-05-01"}
    for decoder, code in (("decoder two", 0), ("decoder one", 0), ("", 0), ("third", 5)):
        against = Approved(two, tolerances=(measured | {"decoder": decoder},))
        assert judge(one, against, MARGINS, policy="release")["exit_code"] == code


@pytest.mark.parametrize(
    ("limited", "policy", "code"), [(True, "release", 5), (True, "pr", 0), (False, "release", 0)]
)
def test_a_limited_run_is_no_release_without_a_baseline_either(limited, policy, code):
    gates = [Threshold({"psnr": {"at_least": 20}})]
    record = class_of("one") | {"limited": limited}
    verdict = judge(arm(record=record), None, MARGINS, gates=gates, policy=policy)
    assert verdict["exit_code"] == code
    assert any("limit:" in problem for problem in verdict["problems"]) == bool(code)


def test_release_wants_to_know_where_and_against_what():
    unknown = judge(arm(), arm(record=class_of("one")), MARGINS, policy="release")
    assert unknown["problems"] == ["environment: the candidate does not say where it was measured"]
    assert judge(arm(), arm(record=class_of("one")), MARGINS)["warnings"] == []
    alone = judge(arm(), None, MARGINS, policy="release")
    assert alone["exit_code"] == 5
    assert "there is none" in alone["summary"]
    with pytest.raises(UsageError, match="policy"):
        judge(arm(), arm(), MARGINS, policy="strict")


@pytest.mark.parametrize(
    ("until", "policy", "state"),
    [("2026-06-01", "release", "PASS"), ("2026-05-31", "release", "INVALID"),
     ("2026-05-31", "pr", "PASS"), (None, "release", "PASS")],
)  # fmt: skip
def test_an_approval_runs_out(until, policy, state):
    known = arm(record=class_of("one"))
    verdict = judge(known, Approved(known, until=until), MARGINS, policy=policy, today=TODAY)
    assert verdict["state"] == state
    assert verdict["baseline"]["until"] == until
    if until == "2026-05-31":
        assert "approved until 2026-05-31" in str([*verdict["problems"], *verdict["warnings"]])


def waiver(gate: str, until: str = "2026-12-31") -> Waiver:
    return Waiver(gate, "Ada", "known and small", until, "2026-05-01")


@pytest.mark.parametrize(
    ("gate", "until", "state"),
    [
        ("psnr", "2026-12-31", "PASS"),
        ("regression/psnr", "2026-06-01", "PASS"),
        ("psnr", "2026-05-31", "FAIL"),
        ("ssim", "2026-12-31", "FAIL"),
        ("tail", "2026-12-31", "FAIL"),
    ],
)
def test_a_waiver_takes_a_row_out_until_it_ends(gate, until, state):
    against = Approved(arm(), waivers=(waiver(gate, until),))
    verdict = judge(arm(1.0), against, MARGINS, today=TODAY)
    (row,) = verdict["gates"]
    assert (verdict["state"], row["state"]) == (state, "FAIL"), "the row keeps its state"
    assert row["counts"] == (state == "FAIL")
    if state == "PASS":
        assert row["waiver"] == {
            "gate": gate, "by": "Ada", "why": "known and small", "until": until
        }  # fmt: skip
        assert f"waived by Ada until {until}: known and small." in verdict["warnings"][0]
    if until == "2026-05-31":
        assert "its waiver expired on 2026-05-31" in row["why"]


def test_what_was_not_measured_cannot_be_waived():
    against = Approved(arm(), waivers=(waiver("psnr"),))
    verdict = judge(edited(arm(), value=np.nan), against, MARGINS, today=TODAY)
    assert verdict["exit_code"] == 5
    assert verdict["gates"][0]["waiver"] is None


def test_a_waived_row_leaves_the_others_their_vote():
    one, two = shifted({"psnr": around(5, 1, 64), "ssim": around(0, 9, 64)})
    margins = {"psnr": Margin(0.2), "ssim": Margin(0.2)}
    against = Approved(two, waivers=(waiver("psnr"),))
    assert judge(one, two, margins, today=TODAY)["state"] == "FAIL"
    assert judge(one, against, margins, today=TODAY)["state"] == "INCONCLUSIVE"


def test_the_default_gates_of_a_use_case_on_few_pictures():
    use = use_case_of("photo").measured({"psnr"})
    gates = [Regression(), Tail()]
    good = judge(arm(), arm(), use, gates=gates)
    assert good["state"] == "PASS", "24 pictures are too few for the tail, and it does not count"
    assert [row["counts"] for row in good["gates"]] == [True, False]
    broken = judge(arm(9.0), arm(), use, gates=gates)
    assert {row["state"] for row in broken["gates"]} == {"FAIL"}
    strict = arm(record=class_of("one"))
    release = judge(strict, strict, use, gates=gates, policy="release")
    assert release["state"] == "INCONCLUSIVE", "under release it does"
