"""A pilot's figures equal those done by hand, and what it cannot know it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from qa.errors import UsageError
from qa.gates.margins import Margin
from qa.gates.use_case import Level, UseCase, of
from qa.pilot import Size, plan
from qa.results import Results

HARM = np.array([[0.0, 2.0], [4.0, 6.0]])
"""Picture means 1, 5: MSB = 2·(2² + 2²) = 16, MSW = 4·1²/2 = 2; sb² = (16 - 2)/2 = 7, sw² = 2."""


def least(variance: float, pictures: int, power: float = 0.8) -> float:
    """The smallest harm that so many pictures find: both quantiles are Student's."""
    return sum(t.ppf((0.95, power), pictures - 1)) * (variance / pictures) ** 0.5


def fewest(variance: float, margin: float, power: float) -> int:
    """By trying one number of pictures after the other."""
    return next(n for n in range(2, 10_000) if least(variance, n, power) <= margin)


def arm(values, metric="psnr", name="arm", **known):
    """Results with these values [P,S]; a NaN is a value that is not there."""
    rows = [
        {"sample": f"p{i:02d}", "seed": s, "metric": metric, "value": value, "why": ""}
        for i, line in enumerate(np.asarray(values, float))
        for s, value in enumerate(line)
    ]
    return Results(name, pd.DataFrame(rows), known.get("record", {}), known.get("digests", {}))


def pair(harm, metric="psnr", **known):
    """A candidate and a baseline of 30 dB whose difference is `harm`."""
    base = np.full(np.shape(harm), 30.0)
    return arm(base - harm, metric, **known), arm(base, metric, name="base", **known)


def need(harm=HARM, margin=0.5, size=None, **known):
    candidate, baseline = pair(harm, **known)
    (found,) = plan(candidate, baseline, of({"psnr": Margin(margin)}), size).needs
    return found


def test_spread_and_size_are_those_done_by_hand():
    found = need()
    assert (found.pictures, found.seeds, found.lost) == (2, 2, 0)
    assert found.between == pytest.approx(7**0.5)
    assert found.within == pytest.approx(2**0.5)
    assert found.icc == pytest.approx(7 / 9)
    assert found.design_effect == pytest.approx(1 + 7 / 9)
    assert found.smallest == pytest.approx(least(7 + 2 / 2, 2))
    assert found.needed == {2: (fewest(8, 0.5, 0.8), fewest(8, 0.5, 0.9))}
    assert found.underpowered


def test_other_sizes_than_the_pilots():
    found = need(size=Size(pictures=800, seeds=(1, 4)))
    assert found.smallest == pytest.approx(least(9, 800))
    assert found.needed[1][0] == fewest(9, 0.5, 0.8)
    assert found.needed[4][0] == fewest(7.5, 0.5, 0.8)
    assert not found.underpowered


@pytest.mark.parametrize(("cost", "expected"), [(0.0, 1), (1.0, 1), (32.0, 3)])
def test_more_seeds_only_where_pictures_are_dear(cost, expected):
    """S* = √(cost · sw²/sb²): 0.53 at a cost of 1, 3.02 at 32."""
    assert need(size=Size(picture_cost=cost)).best_seeds == expected


def test_swapped_arms_need_the_same():
    candidate, baseline = pair(HARM)
    use = of({"psnr": Margin(0.5)})
    assert plan(candidate, baseline, use).needs == plan(baseline, candidate, use).needs


def test_one_seed_cannot_show_the_spread_of_seeds():
    candidate, baseline = pair(HARM[:, :1])
    pilot = plan(candidate, baseline, of({"psnr": Margin(0.5)}))
    (found,) = pilot.needs
    assert (found.within, found.icc, found.best_seeds) == (None, None, None)
    assert found.between == pytest.approx(8**0.5)
    assert any("spread of seeds is not known" in line for line in pilot.warnings)


def test_a_pilot_of_thirty_pictures_and_two_seeds_is_not_doubted():
    rng = np.random.default_rng(3)
    for pictures, doubted in ((30, False), (29, True)):
        candidate, baseline = pair(rng.normal(size=(pictures, 2)))
        warnings = plan(candidate, baseline, of({"psnr": Margin(0.5)})).warnings
        assert any("30 pictures × 2 seeds at least" in line for line in warnings) == doubted


def test_pictures_with_a_lost_seed_are_left_out_and_counted():
    harm = np.vstack([HARM, [1.0, np.nan]])
    candidate, baseline = pair(harm)
    pilot = plan(candidate, baseline, of({"psnr": Margin(0.5)}))
    (found,) = pilot.needs
    assert (found.pictures, found.lost, found.icc) == (2, 1, pytest.approx(7 / 9))
    assert "psnr: 1 pictures lack a value and were left out." in pilot.warnings


def test_without_a_baseline_the_values_themselves_are_taken_and_that_is_said():
    pilot = plan(arm(HARM), None, of({"psnr": Margin(0.5)}))
    assert pilot.needs[0].between == pytest.approx(7**0.5)
    assert any("spreads of the values themselves, not of the harm" in w for w in pilot.warnings)
    paired = plan(*pair(HARM), of({"psnr": Margin(0.5)}))
    assert not any("values themselves" in line for line in paired.warnings)


def test_a_run_is_no_baseline_of_its_own():
    same = {"record": {"plan": "ab", "facts": {}}}
    candidate, baseline = arm(HARM, **same), arm(HARM, **same)
    pilot = plan(candidate, baseline, of({"psnr": Margin(0.5)}))
    assert pilot.baseline is None
    assert any("this very run" in line for line in pilot.warnings)


def test_arms_that_do_not_differ_teach_nothing():
    pilot = plan(*pair(np.zeros((40, 2))), of({"psnr": Margin(0.5)}))
    assert "psnr: no picture differs, so its spread is not known." in pilot.warnings


def facts(fingerprint="a" * 20, **more):
    entry = {"better": "higher", "unit": "dB", "fingerprint": fingerprint} | more
    return {"record": {"facts": {"psnr": entry}}}


def test_what_was_measured_in_two_ways_is_not_planned():
    candidate, baseline = arm(HARM, **facts("a" * 20)), arm(HARM + 30, **facts("b" * 20))
    (found,) = plan(candidate, baseline, of({"psnr": Margin(0.5)})).needs
    assert found.smallest is None
    assert "fingerprint aaaaaaaaaaaa against bbbbbbbbbbbb" in found.why


def test_a_set_metric_has_no_components():
    candidate, baseline = pair(HARM, **facts(of="set"))
    (found,) = plan(candidate, baseline, of({"psnr": Margin(0.5)})).needs
    assert (found.smallest, found.underpowered) == (None, False)
    assert "one value for all pictures" in found.why


def test_pictures_whose_reference_changed_are_not_the_same_pictures():
    harm = np.vstack([HARM, [50.0, -50.0]])
    marks = {"p00": "x", "p01": "y", "p02": "z"}
    candidate, baseline = pair(harm, digests=marks)
    changed = Results("base", baseline.scores, {}, marks | {"p02": "other"})
    (found,) = plan(candidate, changed, of({"psnr": Margin(0.5)})).needs
    assert (found.pictures, found.between) == (2, pytest.approx(7**0.5))
    (whole,) = plan(candidate, baseline, of({"psnr": Margin(0.5)})).needs
    assert whole.pictures == 3


def test_a_relative_margin_is_a_share_of_the_baselines_value():
    candidate, baseline = pair(HARM)
    use = of({"psnr": Margin(0.02, relative=True)})
    assert plan(candidate, baseline, use).needs[0].margin == pytest.approx(0.6)


def test_primary_metrics_come_first_and_the_tail_is_planned_too():
    both = [pair(HARM, metric) for metric in ("psnr", "ssim")]
    arms = [
        Results(f"arm {side}", pd.concat([p[side].scores for p in both]), {}, {}) for side in (0, 1)
    ]
    margins = {"psnr": Margin(0.5), "ssim": Margin(0.5)}
    use = UseCase("mine", margins, ("ssim",), catastrophe=Level(0.01))
    pilot = plan(*arms, use)
    assert [(row.metric, row.role) for row in pilot.needs] == [
        ("ssim", "primary"),
        ("psnr", "secondary"),
    ]
    assert [row.metric for row in pilot.underpowered] == ["ssim"]
    # 0.99^299 < 5 % < 0.99^298
    assert pilot.document()["tail"] == {"rate": 0.01, "needed": 299}


def test_nothing_in_common_or_nothing_to_plan_is_refused():
    candidate, baseline = pair(HARM)
    other = Results("other", baseline.scores.assign(sample="q"), {}, {})
    with pytest.raises(UsageError, match="share no picture"):
        plan(candidate, other, of({"psnr": Margin(0.5)}))
    with pytest.raises(UsageError, match="nothing to plan"):
        plan(candidate, baseline, of({"dists": Margin(0.5)}))


def test_the_document_is_plain():
    import json

    document = plan(*pair(HARM), of({"psnr": Margin(0.5)})).document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["metrics"][0]["needed"]["2"][0] == fewest(8, 0.5, 0.8)


def test_a_margin_beyond_any_number_of_pictures_is_said():
    found = need(margin=1e-300)
    assert found.needed == {2: (None, None)}
    assert found.underpowered


def test_one_picture_is_no_gate():
    with pytest.raises(UsageError, match="1 picture gives no interval"):
        need(size=Size(pictures=1))
    assert need(size=Size(pictures=2)).smallest == pytest.approx(least(8, 2))


def test_a_pilot_without_a_lost_word_still_needs_words():
    """Negative control: of another metric two pictures without any difference are enough."""
    share = {"protocol": {"values": "share", "of": "words"}, "better": "lower"}
    found = {}
    for name, facts in (("share", share), ("other", {"better": "lower"})):
        known = {"facts": {"lost": facts}}
        tables = [arm(np.zeros((24, 1)), "lost"), arm(np.full((24, 1), 20.0), "words")]
        both = Results("arm", pd.concat([table.scores for table in tables]), known, {})
        base = Results("base", both.scores, known, {})
        (found[name],) = plan(both, base, of({"lost": Margin(0.0025)})).needs
    assert (found["other"].smallest, found["other"].needed[1][0]) == (0, 2)
    assert found["share"].underpowered
    assert 2050 < found["share"].needed[1][0] * 20 < 2200
