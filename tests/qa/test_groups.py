"""Samples that are not independent: units, their means, and what statistics make of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from arms import scored

from qa import groups
from qa.gates.margins import Margin
from qa.gates.pairs import harm_interval, mean, per_picture, units, worst
from qa.judge import judge
from qa.results import Results
from qa.stats import mean_interval, rate_interval
from qa.types import NOT_APPLICABLE

FOUR = {f"p{place:03d}": f"prompt {place // 4}" for place in range(400)}
"""Four samples a group, as `arms.scored` names them."""


def grouped(results: Results, group: dict[str, str] = FOUR) -> Results:
    return replace(results, groups=group)


def takes(values: np.ndarray) -> list[list[float]]:
    """[groups,takes] → [samples][one seed]."""
    return [[float(value)] for value in values.ravel()]


def test_a_unit_is_the_first_of_its_group():
    found = groups.units(["b", "a", "c", "d"], {"c": "x", "a": "x", "d": ""})
    assert found == {"a": "a", "b": "b", "c": "a", "d": "d"}
    assert list(found) == ["a", "b", "c", "d"]


def test_means_are_within_groups_and_a_gap_takes_the_group():
    values = pd.Series({"a": 1.0, "b": 5.0, "c": 2.0, "d": np.nan, "e": 3.0})
    unit = {"a": "a", "b": "b", "c": "a", "d": "d", "e": "d"}
    found = groups.means(values, unit)
    assert found.drop("d").to_dict() == {"a": 1.5, "b": 5.0}
    assert np.isnan(found["d"])
    own = {name: name for name in values.index}
    assert groups.means(values, own) is values, "without groups nothing is computed"


def test_rows_hold_all_seeds_of_a_unit():
    table = pd.DataFrame({0: [1.0, 2.0, 3.0], 1: [4.0, 5.0, 6.0]}, index=["a", "b", "c"])
    found = groups.rows(table, {"a": "a", "b": "b", "c": "a"})
    assert np.array_equal(found, [[1, 4, 3, 6], [2, 5, np.nan, np.nan]], equal_nan=True)


def test_intervals_are_over_groups():
    rng = np.random.default_rng(5)
    harm = rng.normal(0.2, 1, (25, 1)) + rng.normal(0, 0.1, (25, 4))
    candidate, baseline = scored({"psnr": takes(30 - harm)}), scored({"psnr": takes(30 + 0 * harm)})
    arms = grouped(candidate), grouped(baseline)
    found, _ = harm_interval(*arms, "psnr", "higher", 0.9)
    expected = mean_interval((30 - (30 - harm)).mean(axis=1))
    assert (found.mean, found.low, found.high) == pytest.approx(
        (expected.mean, expected.low, expected.high), rel=1e-12
    )
    assert found.count == 25
    apart, _ = harm_interval(candidate, baseline, "psnr", "higher", 0.9)
    assert apart.count == 100
    assert apart.high - apart.low < 0.6 * (found.high - found.low), "what groups protect from"


def test_four_copies_are_no_more_evidence_than_one():
    rng = np.random.default_rng(6)
    one = rng.normal(0.1, 0.3, (30, 1))
    margins = {"psnr": Margin(0.2)}
    single = judge(scored({"psnr": takes(30 - one)}), scored({"psnr": [[30.0]] * 30}), margins)
    copied = judge(
        grouped(scored({"psnr": takes(30 - np.tile(one, (1, 4)))})),
        grouped(scored({"psnr": [[30.0]] * 120})),
        margins,
    )
    ours, theirs = (verdict["gates"][0] for verdict in (copied, single))
    for key in ("state", "count", "missing"):
        assert ours[key] == theirs[key]
    for key in ("estimate", "low", "high", "p"):
        assert ours[key] == pytest.approx(theirs[key], rel=1e-9)


def test_rates_are_by_group_too():
    rng = np.random.default_rng(7)
    theirs, ours = (rng.random((40, 4)) < rate for rate in (0.98, 0.95))
    arms = [grouped(scored({"reads": takes(1.0 * arm)})) for arm in (ours, theirs)]
    found, _ = harm_interval(*arms, "reads", "higher", 0.9)
    expected = rate_interval(1.0 * theirs, 1.0 * ours)
    assert found.method == "paired counts"
    assert found == expected
    flat = rate_interval(theirs.reshape(-1, 1) * 1.0, ours.reshape(-1, 1) * 1.0)
    assert found.count == 40 < flat.count


def test_groups_of_several_sizes_keep_their_rates():
    values = [[1.0], [0.0], [1.0], [1.0], [1.0]]
    group = {"p000": "x", "p001": "x", "p002": "x", "p003": "y", "p004": "y"}
    arms = [grouped(scored({"reads": v}), group) for v in (values, [[1.0]] * 5)]
    found, _ = harm_interval(*arms, "reads", "higher", 0.9)
    assert found.mean == pytest.approx((1 / 3 + 0) / 2)
    assert (found.count, found.method) == (2, "paired counts")
    assert found.low < 0 < found.high


def test_the_worst_picture_of_each_group_is_named():
    ours = scored({"psnr": [[29.0], [26.0], [30.0], [30.0], [27.0], [27.0], [29.5], [29.5]]})
    theirs = scored({"psnr": [[30.0]] * 8})
    arms = grouped(ours), grouped(theirs)
    harm = per_picture(*arms, "psnr", "higher")
    assert worst(harm, units(*arms)) == [
        {"sample": "p001", "harm": 4.0}, {"sample": "p004", "harm": 3.0}
    ]  # fmt: skip
    assert [row["sample"] for row in worst(harm)][:3] == ["p001", "p004", "p005"]
    assert mean(arms[0], "psnr") == pytest.approx((28.75 + 28.25) / 2)


def test_of_equal_pictures_the_one_of_the_worse_group_comes_first():
    ours = scored({"reads": takes(np.array([[0, 1, 1, 1], [0, 0, 1, 1]]))})
    arms = grouped(ours), grouped(scored({"reads": [[1.0]] * 8}))
    found = worst(per_picture(*arms, "reads", "higher"), units(*arms))
    assert [row["sample"] for row in found] == ["p004", "p000"]


def test_a_picture_of_a_group_that_is_missing_takes_the_group():
    values = [[30.0]] * 8
    arms = (
        grouped(scored({"psnr": [*values[:5], [None], *values[6:]]})),
        grouped(scored({"psnr": values})),
    )
    gate = judge(*arms, {"psnr": Margin(0.2)})["gates"][0]
    assert (gate["state"], gate["missing"], gate["count"]) == ("INVALID", 1, 1)
    assert "'p005' in the candidate" in gate["why"]


def test_other_groups_are_not_comparable():
    one, other = (grouped(scored({"psnr": [[30.0]] * 8}), dict(group)) for group in (
        FOUR, {name: f"pair {int(name[1:]) // 2}" for name in FOUR}))  # fmt: skip
    verdict = judge(one, other, {"psnr": Margin(0.2)})
    assert verdict["state"] == "INVALID"
    assert verdict["problems"][0].startswith("samples: 400 are in another group, e.g. 'p000'")


def aside(results: Results, *samples: str, why: str = f"{NOT_APPLICABLE}no words") -> Results:
    """The arm with a metric that says of some samples why it has no value."""
    frame = results.scores.copy()
    chosen = frame["sample"].isin(samples)
    frame.loc[chosen, "value"] = np.nan
    frame.loc[chosen, "why"] = why
    return replace(results, scores=frame)


MARGIN = {"psnr": Margin(0.2)}


def test_what_does_not_apply_in_both_arms_is_no_part_of_the_population():
    ours, theirs = scored({"psnr": [[29.9, 30.0]] * 6}), scored({"psnr": [[30.0, 30.0]] * 6})
    fewer = judge(aside(ours, "p001", "p004"), aside(theirs, "p001", "p004"), MARGIN)
    gate = fewer["gates"][0]
    assert (gate["state"], gate["count"], gate["missing"]) == ("PASS-DRIFT", 4, 0)
    row = fewer["metrics"][0]
    assert (row["count"], row["missing"], row["why"]) == (4, 0, "")
    assert gate["candidate"] == pytest.approx(29.95)


def test_what_one_arm_alone_says_is_missing():
    ours, theirs = scored({"psnr": [[30.0]] * 6}), scored({"psnr": [[30.0]] * 6})
    for arms in ((aside(ours, "p001"), theirs), (ours, aside(theirs, "p001"))):
        gate = judge(*arms, MARGIN)["gates"][0]
        assert (gate["state"], gate["missing"]) == ("INVALID", 1)
        assert "not applicable: no words" in gate["why"]


def test_another_reason_is_a_missing_value_in_both_arms_too():
    arms = [aside(scored({"psnr": [[30.0]] * 6}), "p001", why="no words") for _ in range(2)]
    gate = judge(*arms, MARGIN)["gates"][0]
    assert (gate["state"], gate["missing"]) == ("INVALID", 1)


def test_one_seed_alone_cannot_say_it():
    arms = [scored({"psnr": [[30.0, 30.0]] * 3}) for _ in range(2)]
    for place, results in enumerate(arms):
        frame = results.scores.copy()
        frame.loc[1, ["value", "why"]] = [np.nan, f"{NOT_APPLICABLE}no words"]
        arms[place] = replace(results, scores=frame)
    gate = judge(*arms, MARGIN)["gates"][0]
    assert (gate["state"], gate["missing"]) == ("INVALID", 1)


def test_a_metric_that_applies_to_nothing_is_invalid():
    names = [f"p{place:03d}" for place in range(6)]
    arms = [aside(scored({"psnr": [[30.0]] * 6}), *names) for _ in range(2)]
    verdict = judge(*arms, MARGIN)
    assert verdict["state"] == "INVALID"
    assert "nothing was compared" in verdict["gates"][0]["why"]
    assert verdict["metrics"][0]["why"] == "not applicable: no words"
