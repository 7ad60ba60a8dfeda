"""The worst that counts decides, and one sentence says it."""

from __future__ import annotations

import itertools

import pytest

from qa.gates.rows import row
from qa.stats.decide import Outcome
from qa.summary import ORDER, overall, sentence

LOST = [{"sample": "p03", "seed": 0, "why": "broken"}]


def gate(state: str, metric: str = "psnr", **known):
    why = known.pop("why", "because")
    given = {"estimate": 0.1, "margin": 0.2, "unit": "dB"} | known
    return row(given.pop("gate", "regression"), metric, Outcome(state, why), **given)


def test_the_worst_of_any_two_states_wins():
    for a, b in itertools.product(ORDER, ORDER):
        worst = min(a, b, key=ORDER.index)
        assert overall(True, [gate(a), gate(b)], [], []) == worst


def test_rows_that_do_not_count_decide_nothing():
    good, bad = gate("PASS"), gate("FAIL", counts=False)
    assert overall(True, [good, bad], [], []) == "PASS"
    assert overall(True, [bad], [], []) == "INCONCLUSIVE", "nothing that counts was judged"
    waived = gate("FAIL", counts=False, waiver={"gate": "psnr"})
    assert overall(True, [waived], [], []) == "PASS"
    assert overall(True, [waived, gate("INVALID")], [], []) == "INVALID"


@pytest.mark.parametrize(
    ("judged", "gates", "problems", "failures", "state"),
    [
        (True, [gate("FAIL")], ["seeds"], [], "INVALID"),
        (False, [], [], [], "MEASURED"),
        (False, [], [], LOST, "INVALID"),
        (False, [gate("PASS")], [], LOST, "INVALID"),
        (True, [gate("PASS")], [], LOST, "PASS"),
        (True, [], [], [], "INVALID"),
    ],
)
def test_what_makes_all_of_it_invalid(judged, gates, problems, failures, state):
    assert overall(judged, gates, problems, failures) == state


def said(state, gates, look=None):
    return sentence(state, gates, [], [], 24, look)


def test_one_sentence_for_each_state():
    assert said("MEASURED", []) == (
        "24 pictures measured; there is no baseline, so nothing was judged."
    )
    assert said("PASS", [gate("PASS")]) == "The only gate passed."
    assert said("PASS", [gate("PASS"), gate("IMPROVED", "ssim")]) == "All 2 gates passed."
    assert said("IMPROVED", [gate("IMPROVED"), gate("IMPROVED")]) == "All 2 gates improved."
    assert said("PASS-DRIFT", [gate("PASS"), gate("PASS-DRIFT", "ssim")]) == (
        "All 2 gates passed, with a loss within the margin: ssim."
    )
    worst = {"worst": [{"sample": "p1", "harm": 2.0}]}
    fails = [gate("FAIL", **worst), gate("PASS", "ssim")]
    assert said("FAIL", fails) == "1 of 2 gates failed. Worst picture: p1, psnr harm 2 dB."
    open_ = [gate("INCONCLUSIVE", gate="tail", metric="catastrophe", margin=0.01)]
    assert said("INCONCLUSIVE", open_) == (
        "1 of 1 gates is inconclusive. tail catastrophe: because."
    )
    assert sentence("INVALID", [gate("PASS")], ["seeds: 1"], [], 24) == "Not comparable: seeds: 1."
    assert sentence("INVALID", [], [], LOST, 24) == (
        "1 picture is missing. First: p03 seed 0: broken"
    )


def test_the_metric_with_the_most_margins_is_named():
    fails = [
        gate("FAIL", "ssim", estimate=0.02, margin=0.005),
        gate("FAIL", "psnr", estimate=0.3, margin=0.2),
        gate("FAIL", "level", estimate=None, margin=None),
        gate("FAIL", "limit", estimate=3.0, margin=0.0),
    ]
    assert "ssim: because" in said("FAIL", fails)


def test_a_broken_picture_is_named_with_the_metric_that_broke_it():
    worst = [{"sample": "p1", "harm": 0.4, "metric": "ssim"}]
    tail = gate("FAIL", "catastrophe", gate="tail", unit="", worst=worst, margin=0.01)
    assert said("FAIL", [tail]) == "1 of 1 gates failed. Worst picture: p1, ssim harm 0.4."
    lost = [{"sample": "p1", "harm": None, "metric": "catastrophe", "why": "x"}]
    assert said("FAIL", [tail | {"worst": lost}]).endswith("tail catastrophe: because.")


def test_an_inconclusive_look_names_the_next():
    rows = [gate("INCONCLUSIVE")]
    look = {"number": 1, "of": 3, "next": 96}
    assert said("INCONCLUSIVE", rows, look).endswith(
        "Look 1 of 3: the same command with extend=96 takes the next."
    )
    last = {"number": 3, "of": 3, "next": None}
    assert said("INCONCLUSIVE", rows, last).endswith("Look 3 of 3 was the last.")
    assert "Look" not in said("PASS", [gate("PASS")], look)
