"""Catastrophes: what one is, how many may pass, and when too few pictures were seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from arms import case, scored

from qa.gates.margins import Margin
from qa.gates.tail import Tail
from qa.gates.use_case import Level, UseCase
from qa.stats import clopper_pearson
from qa.types import NOT_APPLICABLE

USE = UseCase(
    "mine", {"psnr": Margin(0.2)}, ("psnr",), {"psnr": Level(3.0)}, Level(0.01, "seen by all")
)


def judged(broken: int, pictures: int, use: UseCase = USE, policy: str = "pr", harm: float = 4.0):
    baseline = scored({"psnr": [[30.0, 30.0]] * pictures})
    values = [[30.0, 30.0 - harm]] * broken + [[30.0, 30.0]] * (pictures - broken)
    (found,) = Tail()(case(scored({"psnr": values}), baseline, use, policy=policy))
    return found


@pytest.mark.parametrize(
    ("broken", "pictures", "state"),
    [(0, 299, "PASS"), (0, 298, "INCONCLUSIVE"), (1, 299, "INCONCLUSIVE"), (10, 299, "FAIL")],
)
def test_exact_bounds_decide(broken, pictures, state):
    found = judged(broken, pictures)
    assert found["state"] == state
    assert found["estimate"] == broken / pictures
    assert (found["low"], found["high"]) == clopper_pearson(broken, pictures)
    assert (found["margin"], found["count"], found["missing"]) == (0.01, pictures, 0)


def test_the_worst_seed_decides_and_a_level_must_be_exceeded():
    assert judged(10, 299, harm=3.0)["estimate"] == 0, "exactly the level is not beyond it"
    found = judged(10, 299, harm=3.5)
    assert found["estimate"] == 10 / 299, "though the mean over seeds is 1.75"
    assert found["worst"][0] == {"sample": "p000", "harm": 3.5, "metric": "psnr"}
    assert len(found["worst"]) == 5


def test_a_level_is_never_below_the_margin():
    wide = replace(USE, margins={"psnr": Margin(60)})
    assert judged(10, 299, wide)["state"] == "PASS"


def test_too_few_pictures_do_not_count_in_a_pull_request():
    few = judged(0, 24)
    assert (few["state"], few["counts"], few["needs"]) == ("INCONCLUSIVE", False, 299)
    assert judged(0, 24, policy="release")["counts"]
    assert judged(24, 24)["counts"], "a failure counts however few they are"
    assert judged(24, 24)["state"] == "FAIL"
    assert judged(1, 299)["counts"], "these were enough, had none been broken"


def test_a_failed_decode_is_a_catastrophe():
    pictures = 299
    baseline = scored({"psnr": [[30.0]] * pictures})
    values = [[30.0]] * pictures
    values[7] = [float("nan")]
    lost = ({"sample": "p007", "seed": 0, "why": "the sampler diverged"},)
    candidate = scored({"psnr": values}, failures=lost)
    (found,) = Tail()(case(candidate, baseline, USE))
    assert found["estimate"] == 1 / pictures
    assert found["worst"] == [
        {"sample": "p007", "harm": None, "metric": "catastrophe", "why": "the sampler diverged"}
    ]
    (gap,) = Tail()(case(scored({"psnr": values}), baseline, USE))
    assert (gap["state"], gap["missing"]) == ("INVALID", 1)
    assert "'p007' has no psnr" in gap["why"]


def test_any_listed_metric_breaks_a_picture_and_it_counts_once():
    use = replace(USE, breakage={"psnr": Level(3.0), "ssim": Level(0.1)})
    baseline = scored({"psnr": [[30.0]] * 300, "ssim": [[0.9]] * 300})
    both = [[20.0], [30.0], [20.0], *[[30.0]] * 297]
    candidate = scored({"psnr": both, "ssim": [[0.1], [0.1], [0.9], *[[0.9]] * 297]})
    (found,) = Tail()(case(candidate, baseline, use))
    assert found["estimate"] == 3 / 300
    # In breakage levels: ssim 0.8 / 0.1 = 8, psnr 10 / 3 = 3.3.
    assert [(w["sample"], w["metric"]) for w in found["worst"]] == [
        ("p000", "ssim"), ("p001", "ssim"), ("p002", "psnr"),
    ]  # fmt: skip


@pytest.mark.parametrize("use", [replace(USE, breakage={}), replace(USE, catastrophe=None)])
def test_nothing_to_judge_is_said_under_release(use):
    arm = scored({"psnr": [[30.0]] * 4})
    assert Tail()(case(arm, arm, use)) == []
    (found,) = Tail()(case(arm, arm, use, policy="release"))
    assert (found["state"], found["counts"]) == ("INVALID", True)


def test_a_group_is_broken_once():
    """Takes of one prompt break together: 10 groups of 4 are 10 catastrophes of 299."""
    values = [[30.0, 26.0]] * 40 + [[30.0, 30.0]] * (4 * 289)
    group = {f"p{place:03d}": str(place // 4) for place in range(len(values))}
    arms = [scored({"psnr": v}, groups=group) for v in (values, [[30.0, 30.0]] * len(values))]
    (found,) = Tail()(case(*arms, USE))
    assert (found["count"], found["estimate"]) == (299, 10 / 299)
    assert found["state"] == judged(10, 299)["state"]
    assert [row["sample"] for row in found["worst"]] == ["p000", "p004", "p008", "p012", "p016"]
    apart = [replace(arm, groups={}) for arm in arms]
    assert Tail()(case(*apart, USE))[0]["count"] == 1196, "negative control"


def test_what_does_not_apply_breaks_nothing_and_is_no_gap():
    arms = []
    for arm in (scored({"psnr": [[30.0]] * 299}), scored({"psnr": [[30.0]] * 299})):
        frame = arm.scores.copy()
        frame.loc[5, ["value", "why"]] = [float("nan"), f"{NOT_APPLICABLE}no words"]
        arms.append(replace(arm, scores=frame))
    (found,) = Tail()(case(*arms, USE))
    assert (found["state"], found["missing"]) == ("PASS", 0)
    (gap,) = Tail()(case(arms[0], scored({"psnr": [[30.0]] * 299}), USE))
    assert (gap["state"], gap["missing"]) == ("INVALID", 1)


def test_pictures_that_are_broken_and_cannot_be_told_are_counted_once():
    values = {"psnr": [[20.0], [20.0], [30.0]], "ssim": [[None], [None], [0.9]]}
    use = replace(USE, breakage={"psnr": Level(3.0), "ssim": Level(0.1)})
    (found,) = Tail()(
        case(scored(values), scored({"psnr": [[30.0]] * 3, "ssim": [[0.9]] * 3}), use)
    )
    assert (found["state"], found["count"], found["missing"]) == ("INVALID", 1, 2)
