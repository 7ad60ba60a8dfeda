"""Slices: rows by tag, their mean, and that they have no vote."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arms import case, scored

from qa.gates.compared import Compared
from qa.gates.margins import Margin
from qa.gates.regression import Regression
from qa.gates.slices import MEAN, Slices, combined
from qa.gates.use_case import UseCase
from qa.judge import judge
from qa.stats import Interval, mean_interval, z_quantile
from qa.types import NOT_APPLICABLE

USE = UseCase("mine", {"psnr": Margin(0.2), "ssim": Margin(0.01)}, ("psnr",))


def arms(harm: dict[str, list[float]]):
    """Candidate and baseline of one seed: tag → harm of its pictures, in order."""
    values = [value for tag in harm for value in harm[tag]]
    tags = [tag for tag in harm for _ in harm[tag]]
    slices = {f"p{place:03d}": tag for place, tag in enumerate(tags)}
    both = scored({"psnr": [[30 - v] for v in values]}), scored({"psnr": [[30.0]] * len(values)})
    return tuple(replace(arm, slices=slices) for arm in both)


def rows(harm: dict[str, list[float]], use: UseCase = USE, **known):
    found = Slices()(case(*arms(harm), use, **known))
    return {row["metric"]: row for row in found}


def test_each_slice_is_the_comparison_of_its_pictures():
    rng = np.random.default_rng(1)
    harm = {"few": list(rng.normal(0, 0.1, 60)), "many": list(rng.normal(0.5, 0.1, 200))}
    found = rows(harm)
    assert sorted(found) == ["psnr[few]", "psnr[many]", f"psnr[{MEAN}]"]
    for tag, values in harm.items():
        expected, row = mean_interval(np.array(values)), found[f"psnr[{tag}]"]
        assert (row["estimate"], row["low"], row["high"]) == pytest.approx(
            (expected.mean, expected.low, expected.high), abs=1e-9
        )
        assert (row["count"], row["missing"], row["margin"]) == (len(values), 0, 0.2)
    assert [found[f"psnr[{tag}]"]["state"] for tag in harm] == ["PASS", "FAIL"]
    assert found["psnr[many]"]["worst"][0]["metric"] == "psnr"


def test_the_mean_counts_slices_alike_and_combines_their_errors():
    rng = np.random.default_rng(2)
    harm = {"few": list(rng.normal(0, 0.3, 60)), "many": list(rng.normal(0.5, 0.3, 600))}
    row = rows(harm)[f"psnr[{MEAN}]"]
    means = [np.mean(values) for values in harm.values()]
    assert row["estimate"] == pytest.approx(np.mean(means), abs=1e-9)
    assert abs(row["estimate"] - np.mean([*harm["few"], *harm["many"]])) > 0.1, (
        "not the pooled mean"
    )
    halves = [mean_interval(np.array(values)) for values in harm.values()]
    half = np.hypot(*((one.high - one.low) / 2 for one in halves)) / 2
    assert row["high"] - row["estimate"] == pytest.approx(half, rel=1e-6)
    assert row["estimate"] - row["low"] == pytest.approx(half, rel=1e-6)
    assert (row["count"], row["method"]) == (660, "slices")
    assert 0 <= row["p"] <= 0.05, "low lies above 0"


def test_the_combined_interval_misses_as_often_as_it_says():
    """One-sided, of a true mean of 0, with slices of unequal sizes; 5 % is asked for."""
    rng, misses, naive, count = np.random.default_rng(3), 0, 0, 2000
    for _ in range(count):
        parts = [mean_interval(rng.normal(0, sd, n)) for sd, n in ((1, 60), (0.2, 200), (2, 80))]
        found = combined([Compared(part, 0, 0.0, 0.0) for part in parts], 0.05).harm
        misses += found.low > 0
        averaged = np.mean([part.high - part.low for part in parts]) / 2
        naive += found.mean > averaged / len(parts)
    error = 3 * (0.05 * 0.95 / count) ** 0.5
    assert 0.05 - error < misses / count < 0.05 + error
    assert naive / count > 0.1, "the test sees intervals that are too narrow"


def test_p_agrees_with_the_lower_end():
    half = z_quantile(0.95) * 0.1
    for mean in (half - 1e-6, half + 1e-6):
        part = Interval(mean, mean - half, mean + half, 1.0, 100)
        found = combined([Compared(part, 0, 0.0, 0.0)] * 2, 0.05).harm
        assert found.low == pytest.approx(mean - half / 2**0.5)
        assert (found.p_worse < 0.05) == (found.low > 0)
    point = Interval(0.0, 0.0, 0.0, 0.0, 9)
    assert combined([Compared(point, 0, 0.0, 0.0)] * 2, 0.05).harm.p_worse == 1.0


def test_they_have_no_vote():
    harm = {"good": [-0.1, 0.1] * 30, "bad": [4.9, 5.1] * 3}
    candidate, baseline = arms(harm)
    use = replace(USE, margins={"psnr": Margin(2.0)})
    alone = judge(candidate, baseline, use, gates=[Regression()])
    both = judge(candidate, baseline, use, gates=[Regression(), Slices()])
    assert alone["state"] == both["state"] in ("PASS", "PASS-DRIFT")
    states = {row["metric"]: row["state"] for row in both["gates"]}
    assert states["psnr[bad]"] == "FAIL"
    shown = [row for row in both["gates"] if row["gate"] == "slices"]
    assert all((row["role"], row["counts"]) == ("secondary", False) for row in shown)
    assert all(row["q"] is not None and row["p_holm"] is None for row in shown)
    assert both["gates"][0] == alone["gates"][0]


def test_only_primary_metrics_of_pictures_with_two_tags():
    assert rows({"one": [0.0, 0.1]}) == {}
    untagged = scored({"psnr": [[30.0]] * 2})
    assert Slices()(case(untagged, untagged)) == []
    ours, theirs = arms({"a": [0.0, 0.1], "b": [0.0, 0.1]})
    facts = {"record": {"facts": {"psnr": {"of": "set"}}}}
    assert Slices()(case(replace(ours, **facts), replace(theirs, **facts))) == []


def test_a_slice_that_lacks_a_value_is_invalid_and_so_is_the_mean():
    ours, theirs = arms({"a": [0.0, 0.1], "b": [0.0, 0.1]})
    frame = ours.scores.copy()
    frame.loc[0, ["value", "why"]] = [np.nan, "too dark"]
    found = {r["metric"]: r for r in Slices()(case(replace(ours, scores=frame), theirs, USE))}
    assert found["psnr[a]"]["state"] == found[f"psnr[{MEAN}]"]["state"] == "INVALID"
    assert "too dark" in found["psnr[a]"]["why"]
    assert found["psnr[b]"]["state"] != "INVALID"
    assert found[f"psnr[{MEAN}]"]["missing"] == 1


def test_a_slice_to_which_the_metric_does_not_apply_is_left_out():
    both = []
    for results in arms({"a": [0.0, 0.1], "b": [0.0, 0.1], "c": [0.3, 0.4]}):
        frame = results.scores.copy()
        frame.loc[frame["sample"].isin(["p004", "p005"]), ["value", "why"]] = [
            np.nan, f"{NOT_APPLICABLE}no words"
        ]  # fmt: skip
        both.append(replace(results, scores=frame))
    found = {row["metric"] for row in Slices()(case(*both, USE))}
    assert found == {"psnr[a]", "psnr[b]", f"psnr[{MEAN}]"}


def test_one_picture_gives_no_interval():
    found = rows({"a": [0.1], "b": [0.0, 0.1]})
    assert found["psnr[a]"]["state"] == "INCONCLUSIVE"
    assert found[f"psnr[{MEAN}]"]["low"] is None
    assert found[f"psnr[{MEAN}]"]["state"] == "INCONCLUSIVE"
    assert found[f"psnr[{MEAN}]"]["why"] == (
        "no interval: too few pictures of a, a slice needs two"
    )
