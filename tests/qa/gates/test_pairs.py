"""Harm of a picture, and which values are rates."""

from __future__ import annotations

import numpy as np
import pytest
from arms import scored

from qa.gates.pairs import (
    harm_interval,
    is_rate,
    mean,
    per_picture,
    share_unit,
    worst,
    worst_seed,
)
from qa.stats import mean_interval, share_interval


def test_seeds_are_averaged_and_the_worst_one_is_the_worst():
    baseline = scored({"psnr": [[30.0, 30.0], [31.0, 31.0]]})
    candidate = scored({"psnr": [[29.0, 27.0], [32.0, 31.0]]})
    arms = (candidate, baseline, "psnr")
    assert list(per_picture(*arms, "higher")) == [2.0, -0.5]
    assert list(worst_seed(*arms, "higher")) == [3.0, 0.0]
    assert list(per_picture(*arms, "lower")) == [-2.0, 0.5]
    assert list(worst_seed(*arms, "lower")) == [-1.0, 1.0]


def test_a_missing_seed_takes_the_picture():
    baseline = scored({"psnr": [[30.0, 30.0], [31.0, 31.0]]})
    candidate = scored({"psnr": [[29.0, float("nan")], [32.0, 31.0]]})
    for harm in (per_picture, worst_seed):
        assert np.isnan(harm(candidate, baseline, "psnr", "higher").to_numpy()).tolist() == [
            True, False,
        ]  # fmt: skip
    assert mean(candidate, "psnr") == 31.5
    assert mean(candidate, "ssim") is None


def test_the_worst_pictures_come_first_and_ties_by_name():
    harm = per_picture(
        scored({"psnr": [[28.0], [27.0], [28.0], [30.0]]}),
        scored({"psnr": [[30.0]] * 4}), "psnr", "higher",
    )  # fmt: skip
    assert [row["sample"] for row in worst(harm)] == ["p001", "p000", "p002", "p003"]


@pytest.mark.parametrize(
    ("metric", "values", "facts", "rate"),
    [
        ("reads", [0.0, 1.0], {}, True),
        ("reads", [1.0, 1.0], {}, True),
        ("reads", [0.5, 1.0], {}, False),
        ("ssim", [1.0, 1.0], {}, False),
        ("ssim", [0.0, 1.0], {}, True),
        ("reads", [1.0, 1.0], {"protocol": {"version": 1}}, False),
        ("reads", [1.0, 1.0], {"protocol": {"values": "rate"}}, True),
    ],
)
def test_what_is_a_rate(metric, values, facts, rate):
    record = {"facts": {metric: facts}} if facts else {}
    arm = scored({metric: [[v] for v in values]}, record=record)
    assert is_rate(metric, arm, arm) == rate


SHARE = {"protocol": {"values": "share", "of": "counted"}}


def pages(values, counts=None, facts=SHARE, metric="lost"):
    """An arm of one seed with shares and, unless None, how many things each page has."""
    known = {metric: [[v] for v in values]} | ({} if counts is None else {"counted": counts})
    return scored(known, record={"facts": {metric: facts}} if facts else {})


def test_a_share_without_any_event_has_a_width():
    arm = pages([0.0] * 3, [[20.0], [30.0], [10.0]])
    assert share_unit("lost", arm, arm) == 1 / 20
    found, _ = harm_interval(arm, arm, "lost", "lower", 0.9)
    assert found == share_interval([0.0] * 3, 1 / 20)
    assert found.high > 0.02
    other = pages([0.0] * 3, facts={"protocol": {"version": 1}})  # negative control
    assert harm_interval(other, other, "lost", "lower", 0.9)[0].high == 0


def test_without_counts_the_smallest_share_stands_for_one():
    assert share_unit("lost", pages([0.0, 0.25]), pages([0.5, 0.0])) == 0.25
    assert share_unit("lost", pages([0.0]), pages([0.0])) == 1
    assert share_unit("lost", pages([0.0], [[4.0]]), pages([0.0])) == 0.25


def test_a_bare_table_of_a_packaged_share_is_one():
    bare = pages([0.0] * 4, facts=None, metric="wrong_words")
    found, _ = harm_interval(bare, bare, "wrong_words", "lower", 0.9)
    assert found == share_interval([0.0] * 4, 1)
    for name in ("psnr", "counted_words", "geneval"):
        assert share_unit(name, pages([0.5], facts=None, metric=name)) is None


def test_harm_that_is_no_share_keeps_its_mean():
    ours, theirs = pages([0.5, 0.4], facts=None), pages([0.1, 0.3], facts=None)
    found, _ = harm_interval(ours, theirs, "lost", "lower", 0.9)
    assert found == mean_interval(per_picture(ours, theirs, "lost", "lower").to_numpy())
