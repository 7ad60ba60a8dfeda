"""Front, pick and confirmation on tables whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from arms import around, scored
from scipy.special import ndtr

from qa.dial.choice import confirm, front, needs_to_pick, none_feasible, pick
from qa.dial.judged import terms_of, too_few_for, tried
from qa.errors import UsageError
from qa.gates import use_case
from qa.gates.compared import Compared
from qa.stats import Interval
from qa.types import Knobs

DOCUMENT = use_case.load("document")
TERMS = terms_of(DOCUMENT, {"psnr", "hf_energy"})
COUNT = 50
LIMIT = TERMS.use.margins["psnr"].value


def arm(harm=0.0, gain=0.0):
    """A setting that loses `harm` dB and gains `gain` detail, a number or one for each picture."""
    harm, gain = (np.broadcast_to(part, COUNT) for part in (harm, gain))
    return scored({"psnr": [[30 - h] for h in harm], "hf_energy": [[0.5 + g] for g in gain]})


REFERENCE = arm()


def settings(**arms):
    """Named settings on the selection half; `s2` is of 2 steps, the reference comes first."""
    made = [tried("default", Knobs(), REFERENCE, REFERENCE, TERMS)]
    for number, (name, results) in enumerate(arms.items()):
        knobs = Knobs(sigma=number / 100, steps=int(name[1:]) if name[1:].isdigit() else None)
        made.append(tried(name, knobs, results, REFERENCE, TERMS))
    return made


def test_terms_are_the_use_cases_limits_of_what_is_measured():
    asked = terms_of(DOCUMENT, {"hf_energy", "psnr", "ssim", "colour_drift", "patch_fid_random"})
    assert asked.use.primary == ("psnr", "ssim"), "ssim is no fidelity of the dial, but primary"
    assert set(asked.use.margins) == {"psnr", "ssim"}
    assert (asked.first, asked.plausibility) == ("psnr", "patch_fid_random")
    with pytest.raises(UsageError, match=r"No metric of plausibility is measured.*clip_iqa"):
        terms_of(DOCUMENT, {"psnr"})
    with pytest.raises(UsageError, match="No metric of fidelity is measured"):
        terms_of(DOCUMENT, {"hf_energy"})
    with pytest.raises(UsageError, match="says nothing about the dial"):
        terms_of(use_case.from_config({"margins": {"psnr": 0.2}}, "own"), {"psnr"})


def test_limits_need_a_fidelity_of_the_dial():
    """A primary metric alone would let every kind of loss through that the dial asks about."""
    assert "ssim" in DOCUMENT.primary
    assert "ssim" not in DOCUMENT.dial.fidelity
    with pytest.raises(UsageError, match="No metric of fidelity is measured"):
        terms_of(DOCUMENT, {"ssim", "hf_energy"})


def test_a_setting_is_measured_by_its_harm_against_the_reference():
    found = tried("a", Knobs(), arm(around(0.1, 0.05, COUNT), 0.2), REFERENCE, TERMS)
    psnr, detail = found.values["psnr"], found.values["hf_energy"]
    assert psnr["harm"] == pytest.approx(0.1)
    assert psnr["mean"] == pytest.approx(29.9)
    assert psnr["harm_low"] < 0.1 < psnr["harm_high"] < LIMIT == psnr["margin"]
    assert psnr["state"] == "PASS-DRIFT", "worse, and within the limit"
    assert (detail["harm"], detail["margin"]) == (pytest.approx(-0.2), None)
    assert found.worth == pytest.approx(0.2), "gained over the reference, on the same pictures"
    assert found.feasible
    assert found.seconds() is None
    assert found.excess() == pytest.approx(psnr["harm_high"] / LIMIT - 1)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (around(0.5, 0.05, COUNT), "psnr: harm 0.5 "),
        (around(0.1, 1.0, COUNT), "psnr: harm 0.1 "),  # it may be 0.1, and it may be far more
        ([np.nan] + [0.0] * (COUNT - 1), "psnr: 1 of 50 pictures have no pair"),
    ],
)
def test_a_limit_that_is_not_provably_kept_is_none_that_is(harm, told):
    found = tried("a", Knobs(), arm(harm, 0.2), REFERENCE, TERMS)
    assert not found.feasible
    assert found.why_not.startswith(told)
    assert not found.excess() <= 0


def test_the_most_plausible_setting_that_keeps_its_limits_is_picked():
    found = settings(a=arm(0.05, 0.1), b=arm(0.15, 0.2), c=arm(0.3, 0.9))
    assert [setting.feasible for setting in found] == [True, True, True, False]
    assert pick(found).name == "b", "c is more plausible, and no document any more"
    assert pick(found[:1]).name == "default"
    assert pick(found[3:]) is None


def test_equals_are_told_apart_by_steps_then_sigma():
    gain = 0.1
    found = settings(s4=arm(0, gain), s2=arm(0, gain), t2=arm(0, gain), own=arm(0, gain))
    assert pick(found).name == "s2"
    assert pick(found[::-1]).name == "s2"


def test_missing_plausibility_never_wins():
    """The mean over the pictures that have a value is large, and says nothing of the others."""
    some = np.r_[[np.nan] * (COUNT - 5), [3.0] * 5]
    found = settings(a=arm(0, 0.1), gaps=arm(0, some))
    assert found[2].values["hf_energy"]["mean"] > found[1].values["hf_energy"]["mean"]
    assert np.isnan(found[2].worth)
    assert found[2].why_not == "its plausibility has no value"
    assert pick(found).name == "a"
    assert "gaps" not in front(found, TERMS)


def read(wrong):
    """Pages of twelve words, `wrong` of which are confidently wrong."""
    return scored({
        "wrong_words": [[w / 12] for w in wrong],
        "words": [[12.0]] * len(wrong),
        "hf_energy": [[0.5 + i / 100] for i in range(len(wrong))],
    })  # fmt: skip


@pytest.mark.parametrize(("pages", "enough"), [(12, False), (1500, True)])
def test_the_reference_keeps_its_limits_where_few_words_show_nothing(pages, enough):
    """Words that were not lost on few pages may be lost on others, but not by the same pictures."""
    asked = terms_of(DOCUMENT, {"wrong_words", "hf_energy"})
    own, twin = read([0] * pages), read([0] * pages)
    assert bool(too_few_for(own, asked)) is not enough
    assert tried("default", Knobs(), own, own, asked).feasible
    assert tried("other", Knobs(sigma=0.1), twin, own, asked).feasible is enough
    if not enough:
        (row,) = too_few_for(own, asked)
        assert row["metric"] == "wrong_words"
        assert row["needs"] > pages
        assert confirm(own, own, asked).state == "CONFIRMED"
        assert confirm(twin, own, asked).state == "INCONCLUSIVE"


def test_an_outside_run_is_measured_and_never_picked():
    outside = tried("run", None, arm(0, 0.9), REFERENCE, TERMS)
    found = [outside, *settings(a=arm(0, 0.1))]
    assert pick(found).name == "a"
    assert "run" not in front(found, TERMS)


def test_the_front_has_what_nothing_beats_in_both():
    found = settings(
        cheap=arm(-0.1, 0.05), good=arm(0.1, 0.3), beaten=arm(0.15, 0.2), same=arm(0.1, 0.3)
    )
    assert front(found, TERMS) == {"cheap", "good", "same"}


def test_nothing_feasible_says_whether_more_pictures_could_help():
    assert none_feasible(settings(a=arm(1.0))[1:]) == "FAIL"
    unclear = arm(around(0.1, 1.0, COUNT))
    assert none_feasible(settings(a=arm(1.0), b=unclear)[1:]) == "INCONCLUSIVE"
    assert none_feasible(settings(a=arm([np.nan] * COUNT))[1:]) == "INVALID"


def test_nothing_feasible_says_how_many_pictures_could_help():
    unclear, wider = (arm(around(0.1, width, COUNT)) for width in (1.0, 2.0))
    found = settings(a=arm(1.0), b=unclear, c=wider)[1:]
    assert COUNT < needs_to_pick(found) == found[1].limits[0]["needs"]
    assert needs_to_pick(found[1:]) < needs_to_pick(found[2:])
    assert needs_to_pick(found[:1]) is None, "what fails needs no more pictures"


def test_what_fails_needs_no_more_pictures():
    """Its limit is open, its plausibility provably lost."""
    found = confirm(arm(around(0.1, 0.5, COUNT), around(-0.1, 0.05, COUNT)), REFERENCE, TERMS)
    assert [row["state"] for row in found.rows] == ["INCONCLUSIVE", "FAIL"]
    assert (found.state, found.needs) == ("FAIL", None)


def test_a_setting_that_is_what_it_seemed_is_confirmed():
    found = confirm(arm(around(0.1, 0.05, COUNT), around(0.2, 0.05, COUNT)), REFERENCE, TERMS)
    assert (found.state, found.needs, found.pictures) == ("CONFIRMED", None, COUNT)
    assert [(row["metric"], row["state"]) for row in found.rows] == [
        ("psnr", "PASS-DRIFT"), ("hf_energy", "IMPROVED"),
    ]  # fmt: skip
    assert confirm(REFERENCE, REFERENCE, TERMS).state == "CONFIRMED", "nothing is lost by itself"


def test_a_lucky_setting_is_refused():
    """It kept its limit on the selection half; on the other one it does not."""
    lucky = settings(a=arm(around(0.05, 0.05, COUNT), 0.2))
    assert pick(lucky).name == "a"
    failed = confirm(arm(around(0.3, 0.05, COUNT), 0.2), REFERENCE, TERMS)
    assert failed.state == "FAIL"
    unclear = confirm(arm(around(0.1, 0.5, COUNT), 0.2), REFERENCE, TERMS)
    assert unclear.state == "INCONCLUSIVE"
    assert unclear.needs > COUNT


@pytest.mark.parametrize(
    ("gain", "state"),
    [
        (around(-0.1, 0.05, COUNT), "FAIL"),
        (around(-0.01, 0.1, COUNT), "INCONCLUSIVE"),
        (around(0.01, 0.1, COUNT), "CONFIRMED"),
        ([np.nan] * COUNT, "INVALID"),
    ],
)
def test_plausibility_must_not_be_lost_on_other_pictures(gain, state):
    found = confirm(arm(0.0, gain), REFERENCE, TERMS)
    assert found.state == state
    assert (found.needs is None) == (state != "INCONCLUSIVE")


REPEATS, SETTINGS = 30, 3


@pytest.fixture(scope="module")
def curse():
    """Settings that differ by noise alone, picked on one half: their lead there, on the other
    half, and whether that refuses them."""
    rng = np.random.default_rng(5)

    def half():
        return [arm(0.0, rng.normal(0, 0.1, COUNT)) for _ in range(SETTINGS)]

    found = []
    for _ in range(REPEATS):
        seen, fresh = half(), half()
        chosen = pick(settings(**{f"n{i}x": one for i, one in enumerate(seen)}))
        if chosen.name == "default":
            found.append((0.0, 0.0, False))
            continue
        later = fresh[int(chosen.name[1:-1])]
        lead = float(later.by_picture("hf_energy").mean()) - 0.5
        found.append((chosen.worth, lead, confirm(later, REFERENCE, TERMS).state))
    return found


def test_the_lead_of_the_best_of_noise_is_luck(curse):
    """The best of k has E[max] errors of the mean before it, and none on other pictures."""
    error = 0.1 / COUNT**0.5
    seen, later = (np.mean([one[place] for one in curse]) for place in (0, 1))
    off = 4 * error / REPEATS**0.5
    x = np.linspace(0, 8, 8001)
    expected = np.sum(1 - ndtr(x) ** SETTINGS) * (x[1] - x[0])  # E max(0, x1, x2, x3)
    assert seen == pytest.approx(expected * error, abs=off)
    assert abs(later) < off


def test_half_of_all_leads_by_luck_are_refused(curse):
    """On other pictures the mean of noise is as often below 0 as above: a binomial number."""
    states = [state for _, _, state in curse if state]
    refused = sum(state != "CONFIRMED" for state in states)
    off = abs(refused - len(states) / 2)
    assert off <= 3.3 * (len(states) / 4) ** 0.5  # exceeded in 1 of 1000 cases
    # Confirmed on the pictures that the choice saw, none of them would be refused.
    assert all(seen >= 0 for seen, _, _ in curse)


def test_without_an_interval_nothing_is_confirmed(monkeypatch):
    from qa.dial import choice

    bare = Interval(-0.1, None, None, None, COUNT)
    monkeypatch.setattr(choice, "compare", lambda *_: Compared(bare, 0, 0.6, 0.5, "too few"))
    assert confirm(REFERENCE, REFERENCE, TERMS).state == "INCONCLUSIVE"


@pytest.mark.parametrize(("p_value", "state"), [(0.01, "FAIL"), (0.2, "INCONCLUSIVE")])
def test_a_loss_that_exchanging_pictures_explains_is_not_proven(monkeypatch, p_value, state):
    from qa.dial import choice

    lost = Compared(Interval(0.1, 0.05, 0.15, 0.1, COUNT, p_worse=p_value), 0, 0.4, 0.5)
    monkeypatch.setattr(choice, "compare", lambda *_: lost)
    assert confirm(REFERENCE, REFERENCE, TERMS).state == state
