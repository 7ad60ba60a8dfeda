"""Harm of a pilot whose samples come in groups, or to some of which a metric does not apply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arms import scored

from qa.gates.margins import Margin
from qa.gates.use_case import of
from qa.pilot import Size, plan
from qa.pilot.harm import components, harm
from qa.stats import components as of_table
from qa.stats import mde
from qa.types import NOT_APPLICABLE

RNG = np.random.default_rng(8)
VALUES = 30 + RNG.normal(0, 1, (50, 1)) + RNG.normal(0, 0.5, (50, 4))
GROUPS = {f"p{place:03d}": str(place // 4) for place in range(200)}


def arm(values: np.ndarray, seeds: int = 1, groups: dict[str, str] = GROUPS):
    """[groups, takes * seeds] as an arm whose takes are samples."""
    return scored({"psnr": values.reshape(-1, seeds).tolist()}, groups=groups)


def test_takes_of_a_group_are_repeats_and_not_pictures():
    parts = components(harm("psnr", {}, arm(VALUES), None), arm(VALUES))
    whole = of_table(VALUES)
    assert (parts.pictures, parts.seeds) == (50, 1)
    assert parts.variance(1) == pytest.approx(whole.variance(4), rel=1e-12)
    assert parts.variance(2) == pytest.approx(whole.variance(8), rel=1e-12)
    alone = components(harm("psnr", {}, arm(VALUES, groups={}), None), arm(VALUES, groups={}))
    assert (alone.pictures, alone.seeds) == (200, 1), "negative control"


def test_seeds_of_a_group_have_all_its_takes():
    ours = arm(VALUES, seeds=2, groups={name: str(int(name[1:]) // 2) for name in GROUPS})
    parts = components(harm("psnr", {}, ours, None), ours)
    assert (parts.pictures, parts.seeds) == (50, 2)
    assert parts.variance(2) == pytest.approx(of_table(VALUES).variance(4), rel=1e-12)


def test_a_plan_counts_groups():
    candidate, baseline = arm(VALUES), arm(np.full((50, 4), 30.0))
    found = plan(candidate, baseline, of({"psnr": Margin(0.5)}))
    (need,) = found.needs
    assert (found.pictures, need.pictures, need.lost) == (50, 50, 0)
    expected = mde(of_table(VALUES), 50, 4, 0.05, 0.8)
    assert need.smallest == pytest.approx(expected, rel=1e-9)
    apart = plan(
        arm(VALUES, groups={}), arm(np.full((50, 4), 30.0), groups={}), of({"psnr": Margin(0.5)})
    )
    assert apart.needs[0].smallest < 0.7 * need.smallest, "what would be promised too much"
    assert plan(candidate, baseline, of({"psnr": Margin(0.5)}), Size(100)).pictures == 100


def test_what_does_not_apply_is_not_lost():
    arms = []
    for values in (VALUES, np.full((50, 4), 30.0)):
        one = arm(values, groups={})
        frame = one.scores.copy()
        frame.loc[7, ["value", "why"]] = [np.nan, f"{NOT_APPLICABLE}no words"]
        arms.append(replace(one, scores=frame))
    (need,) = plan(*arms, of({"psnr": Margin(0.5)})).needs
    assert (need.pictures, need.lost) == (199, 0)
    arms[0].scores.loc[7, "why"] = "too dark"
    (need,) = plan(*arms, of({"psnr": Margin(0.5)})).needs
    assert (need.pictures, need.lost) == (199, 1), "negative control"
