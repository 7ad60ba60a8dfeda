"""Non-inferiority over several metrics: states, families, drift and the anchor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arms import around, case, scored, shifted

from qa.baseline import Approved
from qa.gates.margins import Margin
from qa.gates.regression import Regression, drift
from qa.gates.use_case import UseCase
from qa.stats import spending, t_interval

PICTURES = 64


def rows(harm, margins, **known):
    candidate, baseline = shifted(harm)
    return {r["metric"]: r for r in Regression()(case(candidate, baseline, margins, **known))}


@pytest.mark.parametrize(
    ("mean", "sd", "state"),
    [
        (-0.5, 0.5, "IMPROVED"),
        (0.0, 0.5, "PASS"),
        (0.1, 0.2, "PASS-DRIFT"),
        (0.5, 0.5, "FAIL"),
        (0.0, 3.0, "INCONCLUSIVE"),
    ],
)
def test_states_follow_the_interval(mean, sd, state):
    values = around(mean, sd, PICTURES)
    found = rows({"psnr": values}, {"psnr": Margin(0.2)})["psnr"]
    assert found["state"] == state
    expected = t_interval(values)
    for key, end in (("estimate", expected.mean), ("low", expected.low), ("high", expected.high)):
        assert found[key] == pytest.approx(end, abs=1e-12)
    assert (found["role"], found["counts"], found["count"]) == ("primary", True, PICTURES)
    assert (found["needs"] is not None) == (state == "INCONCLUSIVE")
    assert (found["p"] < 0.05) == (found["low"] > 0), "p and the interval say the same"


def test_a_relative_margin_is_a_share_of_the_baselines_value():
    found = rows({"psnr": around(0.5, 0.1, PICTURES)}, {"psnr": Margin(0.02, relative=True)})
    assert found["psnr"]["margin"] == pytest.approx(0.02 * 30)
    assert found["psnr"]["margin_relative"] == 0.02
    assert found["psnr"]["state"] == "PASS-DRIFT"
    zero = scored({"psnr": [[0.0]] * 4})
    (none,) = Regression()(case(zero, zero, {"psnr": Margin(0.02, relative=True)}))
    assert (none["state"], none["margin"]) == ("INVALID", None)
    assert "2 % of 0" in none["why"]


def barely(p_value: float) -> list[float]:
    """Harm whose one-sided p of "no harm" is this."""
    from scipy.special import stdtrit

    t = stdtrit(PICTURES - 1, 1 - p_value)
    return around(t / np.sqrt(PICTURES), 1.0, PICTURES)


def test_failures_are_corrected_over_the_primary_metrics():
    """Three metrics, one at p = 0.03: alone it fails, in a family of three it must not."""
    margins = {name: Margin(0.1) for name in ("a", "b", "c")}
    better = around(-1.0, 1.0, PICTURES)
    found = rows({"a": barely(0.03), "b": better, "c": better}, margins)
    assert found["a"]["p"] == pytest.approx(0.03, rel=1e-6)
    assert found["a"]["p_holm"] == pytest.approx(0.09, rel=1e-6)
    assert found["a"]["state"] == "INCONCLUSIVE"
    assert "after Holm's correction over 3 primary metrics" in found["a"]["why"]
    alone = rows({"a": barely(0.03)}, {"a": Margin(0.1)})["a"]
    assert (alone["state"], alone["p_holm"]) == ("FAIL", alone["p"])
    clear = rows({"a": barely(0.01), "b": better, "c": better}, margins)["a"]
    assert (clear["state"], clear["p_holm"]) == ("FAIL", pytest.approx(0.03, rel=1e-6))


@pytest.mark.parametrize("place", [0, 2])
def test_at_a_look_the_family_shares_what_the_look_may_spend(place):
    """A sixth of a look's level is more than a sixth of 5 % gives it."""
    sizes = (PICTURES, 2 * PICTURES, 4 * PICTURES)
    level, part = (spending(sizes, "pocock", alpha)[place] for alpha in (0.05, 0.05 / 6))
    look = {"number": place + 1, "sizes": list(sizes), "scheme": "pocock", "alpha": level}
    better = around(-1.0, 1.0, PICTURES)
    margins = {name: Margin(0.1) for name in "abcdef"}

    def state(p_value):
        harm = dict.fromkeys("bcdef", better) | {"a": barely(p_value)}
        candidate, baseline = shifted(harm)
        candidate = replace(candidate, record={"look": look})
        given = case(candidate, baseline, margins, confidence=1 - 2 * level)
        found = next(row for row in Regression()(given) if row["metric"] == "a")
        assert (found["p_holm"] <= level) == (found["state"] == "FAIL")
        return found["state"]

    assert state(0.999 * part) == "FAIL"
    assert state(1.001 * part) == state(0.999 * level / 6) == "INCONCLUSIVE"


def test_secondary_metrics_have_no_vote_and_no_share_in_the_family():
    use = UseCase("mine", {name: Margin(0.1) for name in "abc"}, ("a",))
    bad = around(5.0, 1.0, PICTURES)
    found = rows({"a": barely(0.03), "b": bad, "c": barely(0.2)}, use)
    assert found["a"]["state"] == "FAIL", "its family is itself"
    assert (found["b"]["state"], found["b"]["counts"], found["b"]["role"]) == (
        "FAIL", False, "secondary",
    )  # fmt: skip
    # Benjamini and Hochberg over p = ~0 and 0.2: q of the larger one is its p.
    assert found["c"]["q"] == pytest.approx(0.2, rel=1e-6)
    assert found["b"]["q"] == pytest.approx(2 * found["b"]["p"])
    assert found["a"]["q"] is None
    assert found["b"]["p_holm"] is None


def test_a_metric_without_a_value_keeps_its_place_in_the_family():
    margins = {"a": Margin(0.1), "lost": Margin(0.1)}
    found = rows({"a": barely(0.03)}, margins)
    assert found["lost"]["state"] == "INVALID"
    assert found["a"]["p_holm"] == pytest.approx(0.06, rel=1e-6)


def test_an_underpowered_margin_can_fail_and_never_pass():
    margin = {"psnr": Margin(0.2, underpowered=True)}
    for mean in (-1.0, 0.0):
        found = rows({"psnr": around(mean, 0.1, PICTURES)}, margin)["psnr"]
        assert found["state"] == "INCONCLUSIVE"
        assert "underpowered" in found["why"]
    assert rows({"psnr": around(1.0, 0.1, PICTURES)}, margin)["psnr"]["state"] == "FAIL"


SMALL = around(0.1, 0.1, PICTURES)
"""A loss within the margin of 0.2: PASS-DRIFT."""


@pytest.mark.parametrize(
    ("before", "policy", "state", "warned"),
    [
        (0.05, "pr", "PASS-DRIFT", False),
        (0.05, "release", "PASS-DRIFT", False),
        (0.15, "pr", "PASS-DRIFT", True),
        (0.15, "release", "FAIL", False),
    ],
)
def test_small_losses_are_charged_to_a_budget(before, policy, state, warned):
    candidate, baseline = shifted({"psnr": SMALL})
    against = Approved(baseline, drift={"psnr": before})
    given = case(candidate, against, policy=policy)
    (found,) = Regression()(given)
    assert found["state"] == state
    assert bool(found["warning"]) == warned
    if before + 0.1 > 0.2:
        assert "drifted by 0.25 from the anchor, beyond the budget of 0.2" in (
            found["warning"] or found["why"]
        )
    (told,) = drift([found], given).values()
    now = 0.1 if state == "PASS-DRIFT" else 0.0
    assert told["before"] == before
    assert told["now"] == pytest.approx(now)
    assert told["spent"] == pytest.approx(before + now)
    assert told["budget"] == 0.2


def test_drift_fails_only_what_holms_correction_bears_out():
    """One loss at p = 0.03 among three: no FAIL, but nothing that a release may pass either."""
    margins = {name: Margin(2.0) for name in "abc"}
    better = around(-1.0, 1.0, PICTURES)
    for p_value, state in ((0.03, "INCONCLUSIVE"), (0.01, "FAIL")):
        candidate, baseline = shifted({"a": barely(p_value), "b": better, "c": better})
        given = case(candidate, Approved(baseline, drift={"a": 1.95}), margins, policy="release")
        found = Regression()(given)[0]
        assert found["state"] == state
        assert "beyond the budget of 2" in found["why"]
        assert ("after Holm's correction p is 0.09, above 0.05" in found["why"]) == (p_value > 0.02)
        assert found["needs"] is None
        told = case(candidate, Approved(baseline, drift={"a": 1.95}), margins)
        assert Regression()(told)[0]["state"] == "PASS-DRIFT"


def test_the_budget_is_the_use_cases():
    candidate, baseline = shifted({"psnr": SMALL})
    use = UseCase("mine", {"psnr": Margin(0.2)}, ("psnr",), budget=2.0)
    (found,) = Regression()(case(candidate, Approved(baseline, drift={"psnr": 0.15}), use))
    assert (found["state"], found["warning"]) == ("PASS-DRIFT", "")


def test_the_anchor_is_judged_under_release_at_one_and_a_half_margins():
    candidate, baseline = shifted({"psnr": SMALL})
    record = {"plan": "older"}
    near, far = (scored({"psnr": [[30.0 + d]] * PICTURES}, record=record) for d in (0.15, 0.5))
    for anchor, state in ((near, "PASS-DRIFT"), (far, "FAIL")):
        against = Approved(baseline, anchor=anchor)
        judged = Regression()(case(candidate, against, policy="release"))
        assert [r["gate"] for r in judged] == ["regression", "anchor"]
        assert judged[1]["state"] == state
        assert judged[1]["margin"] == pytest.approx(0.3)
        assert [r["gate"] for r in Regression()(case(candidate, against))] == ["regression"]
    same = Approved(baseline, anchor=baseline)
    assert len(Regression()(case(candidate, same, policy="release"))) == 1


def test_an_anchor_of_another_protocol_is_invalid():
    facts = [
        {"facts": {"psnr": {"fingerprint": mark, "better": "higher"}}, "plan": mark}
        for mark in "ab"
    ]
    candidate, baseline = (replace(a, record=facts[0]) for a in shifted({"psnr": SMALL}))
    anchor = replace(baseline, record=facts[1])
    judged = Regression()(case(candidate, Approved(baseline, anchor=anchor), policy="release"))
    assert judged[1]["state"] == "INVALID"
    assert "fingerprint of psnr: a against b" in judged[1]["why"]


def test_rates_near_their_ceiling_keep_an_interval():
    """All pass in both arms: a plain interval would have no width and pass with ten pictures."""
    ones = scored({"reads": [[1.0]] * 10})
    (found,) = Regression()(case(ones, ones, {"reads": Margin(0.02)}))
    assert found["method"] == "paired counts"
    assert (found["state"], found["estimate"]) == ("INCONCLUSIVE", 0)
    known = scored({"ssim": [[1.0]] * 10})
    (plain,) = Regression()(case(known, known, {"ssim": Margin(0.02)}))
    assert (plain["state"], plain["low"], plain["high"]) == ("PASS", 0, 0)


def test_a_rate_where_less_is_better_turns_round():
    clean = scored({"broken": [[0.0], [1.0]] * 50})
    worse = scored({"broken": [[1.0], [1.0]] * 50})
    given = {"better": {"broken": "lower"}}
    (found,) = Regression()(case(worse, clean, {"broken": Margin(0.1)}, **given))
    assert (found["state"], found["method"]) == ("FAIL", "paired counts")
    (back,) = Regression()(case(clean, worse, {"broken": Margin(0.1)}, **given))
    assert back["state"] == "IMPROVED"
    assert back["low"] == -found["high"]
