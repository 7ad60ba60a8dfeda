"""Harm of a picture, and which values are rates."""

from __future__ import annotations

import numpy as np
import pytest
from arms import scored

from qa.gates.pairs import is_rate, mean, per_picture, worst, worst_seed


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
