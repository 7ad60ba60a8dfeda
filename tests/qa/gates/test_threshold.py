"""Limits of one arm's own values; no baseline is asked for."""

from __future__ import annotations

import pytest
from arms import arm, around, case, scored
from scipy.stats import binom

from qa.errors import UsageError
from qa.gates.threshold import Threshold
from qa.judge import judge


def row(limits, values):
    (found,) = Threshold(limits)(case(scored({"psnr": [[v] for v in values]}), None, {}))
    return found


@pytest.mark.parametrize(
    ("limit", "state"),
    [
        ({"at_least": 29}, "PASS"),
        ({"at_least": 31}, "FAIL"),
        ({"at_least": 30.05}, "INCONCLUSIVE"),
        ({"at_most": 31}, "PASS"),
        ({"at_most": 29}, "FAIL"),
    ],
)
def test_the_whole_interval_must_be_on_the_right_side(limit, state):
    found = row({"psnr": {**limit, "why": "the contract"}}, around(30, 1.0, 64))
    assert found["state"] == state
    (way,) = limit
    missed = limit[way] - 30 if way == "at_least" else 30 - limit[way]
    assert found["estimate"] == pytest.approx(missed), "by how much the limit is missed"
    assert found["low"] < found["estimate"] < found["high"]
    assert (found["limit"], found["margin"]) == (limit[way], 0)
    assert (found["candidate"], found["margin_why"]) == (pytest.approx(30), "the contract")


def passes_at_the_limit(count, limit):
    """How often a rate that lies at its limit PASSes, exactly, over all numbers of successes."""
    found = 0.0
    for good in range(count + 1):
        values = {"shown": [[1.0]] * good + [[0.0]] * (count - good)}
        asked = Threshold({"shown": {"at_least": limit}})
        (only,) = asked(case(scored(values, record=RATE), None, {}))
        found += binom.pmf(good, count, limit) * (only["state"] == "PASS")
    return found


RATE = {"facts": {"shown": {"better": "higher", "protocol": {"values": "rate"}}}}


@pytest.mark.parametrize("limit", [0.8, 0.9, 0.95])
def test_a_few_successes_show_no_high_rate(limit, monkeypatch):
    assert max(passes_at_the_limit(count, limit) for count in (5, 10, 30, 60)) <= 0.05
    monkeypatch.setattr("qa.gates.threshold._unit", lambda *_: None)
    assert passes_at_the_limit(5, limit) > 0.3, "the plain mean has no width where nothing failed"


def test_what_was_not_measured_or_is_missing_is_invalid():
    assert row({"ssim": {"at_least": 0.9}}, [30.0, 31.0])["state"] == "INVALID"
    gap = row({"psnr": {"at_least": 29}}, [30.0, float("nan"), 31.0])
    assert (gap["state"], gap["missing"]) == ("INVALID", 1)


def test_a_set_metric_decides_by_the_interval_it_was_measured_with():
    facts = {"fid": {"better": "lower", "of": "set"}}
    stored = {"metric": "fid", "value": 3.0, "low": 2.5, "high": 3.5, "pictures": 50, "why": ""}

    def judged(confidence=0.9, **changes):
        run = scored(
            {"psnr": [[30.0]] * 50}, record={"facts": facts}, sets={"fid": stored | changes}
        )
        asked = {"fid": {"at_most": 4}}
        return judge(run, None, {}, gates=[Threshold(asked)], confidence=confidence)["gates"][0]

    assert judged()["state"] == "PASS"
    assert judged(high=4.5)["state"] == "INCONCLUSIVE"
    look = judged(confidence=0.999)
    assert (look["state"], look["why"]) == (
        "INCONCLUSIVE", "fid keeps a 90% interval, and this look decides at another"
    )  # fmt: skip
    assert judged(low=None, high=None)["why"] == "fid has no interval"


def test_it_is_judged_without_a_baseline():
    gates = [Threshold({"psnr": {"at_least": 25}})]
    alone = judge(arm(), None, {}, gates=gates)
    assert (alone["state"], len(alone["gates"])) == ("PASS", 1)
    assert judge(arm(), None, {})["state"] == "MEASURED"
    strict = [Threshold({"psnr": {"at_least": 45}})]
    assert judge(arm(), None, {}, gates=strict)["exit_code"] == 3


@pytest.mark.parametrize(
    "limits",
    [{}, None, {"psnr": 30}, {"psnr": {"at_least": 1, "at_most": 2}}, {"psnr": {"atleast": 1}},
     {"psnr": {"at_least": "high"}}],
)  # fmt: skip
def test_limits_that_are_not_understood_are_refused(limits):
    with pytest.raises(UsageError):
        Threshold(limits)


@pytest.mark.parametrize(("values", "state"), [("share", "INCONCLUSIVE"), ("other", "PASS")])
def test_few_words_without_an_error_show_no_low_rate(values, state):
    """The other metric is the negative control: its interval has no width."""
    facts = {"lost": {"better": "lower", "protocol": {"values": values, "of": "words"}}}
    run = scored({"lost": [[0.0]] * 24, "words": [[20.0]] * 24}, record={"facts": facts})
    gate = Threshold({"lost": {"at_most": 0.0025, "why": "the contract"}})
    (found,) = gate(case(run, None, better={"lost": "lower"}))
    assert found["state"] == state


@pytest.mark.parametrize(("values", "wide"), [("share", True), ("level", False)])
def test_a_share_is_shown_with_the_interval_that_limits_are_judged_by(values, wide):
    """No lost word on four pages is no proof of none; a level that never varies has no width."""
    facts = {"lost": {"better": "lower", "protocol": {"values": values, "of": "counted_words"}}}
    arm = scored({"lost": [[0.0]] * 4, "counted_words": [[20.0]] * 4}, record={"facts": facts})
    found = judge(arm, None, {}, gates=[Threshold({"lost": {"at_most": 0.001}})])
    (shown,) = (entry for entry in found["metrics"] if entry["metric"] == "lost")
    assert shown["mean"] == 0
    assert (shown["high"] > 0) == wide
    assert found["gates"][0]["state"] == ("INCONCLUSIVE" if wide else "PASS")
