"""Gates over set metrics: the difference of two arms, with interval and permutation test."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from arms import case
from PIL import Image
from scipy.stats import t as student
from toys import save_network

from qa.gates import sets
from qa.gates.compared import judged
from qa.gates.margins import Margin
from qa.judge import judge
from qa.results import Results, load
from qa.run import evaluate
from qa.sets.frechet import Frechet
from qa.sets.intervals import Delta, delta
from qa.stats.decide import non_inferiority
from qa.types import FeatureSet

COUNT = 40
NOISY = "+decoder.noise=2.0"


@pytest.fixture
def arm(workdir, toy, tmp_path):
    """Runs of the toy sampler on 40 small pictures, scored with FID on a network of our own."""
    rng = np.random.default_rng(0)
    (tmp_path / "small").mkdir()
    for index in range(COUNT):
        levels = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(levels).save(tmp_path / "small" / f"{index:02}.png")
    file = save_network(tmp_path / "quarters.pt")
    fid = ["metric=[fid]", f"metric.fid.extractor={file}", f"suite.path={tmp_path / 'small'}"]

    def run(out, *more):
        return load(evaluate(*toy("Sampler", *fid, f"out={out}", *more)).folder.path)

    return run


def gate(candidate, baseline, margin=1.0):
    verdict = judge(candidate, baseline, {"fid": Margin(margin)})
    return verdict["gates"][0] | {"verdict": verdict["state"]}


def test_an_arm_against_itself_passes(arm):
    one = arm("one")
    found = gate(one, one)
    assert (found["state"], found["verdict"]) == ("PASS", "PASS")
    assert found["estimate"] == found["low"] == found["high"] == 0
    assert found["count"] == COUNT


def test_a_worse_arm_fails_and_the_numbers_are_its_own(arm):
    good, bad = arm("good"), arm("bad", NOISY)
    found = gate(bad, good, margin=0.1)
    assert found["state"] == "FAIL"
    assert found["estimate"] > 0.1
    values = [arm_.sets["fid"]["value"] for arm_ in (bad, good)]
    assert [found["candidate"], found["baseline"]] == values
    assert gate(good, bad, margin=0.1)["state"] == "IMPROVED", "the better arm is not worse"


def given(monkeypatch, better="lower", rule=non_inferiority, **fields):
    """The row for a difference given by hand; margin 1."""
    known = Delta(5.0, 5.0, 1.0, 3.0, 7.0, 0.01, 0.99, 20, 20, 20)
    monkeypatch.setattr(sets, "_delta", lambda *_, **__: replace(known, **fields))
    value = {"missing": 0, "mean": 1.0, "why": ""}
    monkeypatch.setattr(sets, "row", lambda *_: value)
    arm = Results("arm", pd.DataFrame(columns=["sample", "metric", "seed", "value"]),
                  {"facts": {"fid": {"of": "set"}}}, {})  # fmt: skip
    use = {"fid": Margin(1.0)}
    return judged("regression", "fid", case(arm, arm, use, better={"fid": better}), rule)


def test_a_failure_needs_the_permutation_test(monkeypatch):
    found = given(monkeypatch)
    # t = 5 with 19 degrees of freedom: p = 4e-5, and exchanging gives 0.01.
    assert (found["state"], found["p"]) == ("FAIL", 0.01)
    found = given(monkeypatch, p_above=0.2)
    assert (found["state"], "0.2 of all cases" in found["why"]) == ("INCONCLUSIVE", True)
    found = given(monkeypatch, p_above=None)
    assert found["state"] == "FAIL", "no test was asked for"
    assert found["p"] == pytest.approx(student.sf(5, 19))


def test_where_higher_is_better_harm_turns_round(monkeypatch):
    found = given(monkeypatch, better="higher")
    assert (found["estimate"], found["low"], found["high"]) == (-5, -7, -3)
    assert found["state"] == "IMPROVED"
    assert found["p"] == pytest.approx(student.sf(-5, 19)), "no exchange: it could not matter"
    fell = {"plain": -5.0, "estimate": -5.0, "low": -7.0, "high": -3.0,
            "p_above": 0.99, "p_below": 0.01}  # fmt: skip
    assert given(monkeypatch, better="higher", **fell)["state"] == "FAIL"
    vetoed = given(monkeypatch, better="higher", **fell | {"p_below": 0.5})
    assert vetoed["state"] == "INCONCLUSIVE"


def test_without_an_interval_nothing_is_decided(monkeypatch):
    found = given(monkeypatch, estimate=None, low=None, high=None, error=None, why="one picture")
    assert (found["state"], found["why"]) == ("INCONCLUSIVE", "no interval: one picture")
    assert found["estimate"] == 5
    assert found["p"] is None


def test_a_margin_can_be_a_share_of_the_baselines_value(arm):
    good, bad = arm("good"), arm("bad", NOISY)
    base = good.sets["fid"]["value"]
    verdict = judge(bad, good, {"fid": Margin(0.03, relative=True)})
    assert verdict["gates"][0]["margin"] == pytest.approx(0.03 * base)


def test_a_missing_value_is_invalid(arm):
    good = arm("good")
    bare = replace(good, sets={"fid": good.sets["fid"] | {"value": None, "why": "a gap"}})
    found = gate(bare, good)
    assert (found["state"], found["why"]) == ("INVALID", "a gap")


def test_lost_features_are_invalid(arm):
    good, bad = arm("good"), arm("bad", NOISY)
    next(good.stored.path.glob("features/*/*.safetensors")).unlink()
    found = gate(bad, good)
    assert found["state"] == "INVALID"
    assert "has no features" in found["why"]


def test_a_run_without_its_set_values_is_invalid(arm):
    good = arm("good")
    found = gate(replace(good, sets={}), good)
    assert found["state"] == "INVALID"
    assert "was not computed" in found["why"]


def test_another_protocol_is_not_comparable(arm):
    verdict = judge(arm("a"), arm("b", "metric.fid.groups=5"), {"fid": Margin(1.0)})
    assert verdict["state"] == "INVALID"
    assert "fingerprint of fid" in verdict["problems"][0]


@pytest.mark.parametrize(("rows", "corrected"), [(9, False), (11, False), (12, True)])
def test_with_few_rows_only_this_n_is_spoken_of(monkeypatch, rows, corrected):
    """Three rows a feature, here four features: 12."""

    class Arm:
        record: ClassVar = {"facts": {"fid": {"protocol": {
            "statistic": "frechet", "groups": 3, "permutations": 0}}}}  # fmt: skip

        def __init__(self, seed):
            values = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
            self._own = FeatureSet(values, np.arange(rows))

        def feature_sets(self, metric):
            far = np.random.default_rng(9).normal(size=(20, 4)).astype(np.float32)
            return self._own, FeatureSet(far, -1 - np.arange(20))

    arms = Arm(1), Arm(2)
    found = sets._delta("fid", *arms, 0.9)
    own = [arm.feature_sets("fid")[0] for arm in arms]
    raw = delta(Frechet, *own, arms[0].feature_sets("fid")[1], groups=3, permutations=0)
    assert raw.estimate != raw.plain
    wanted = raw.estimate if corrected else raw.plain
    assert found.estimate == wanted
    assert (found.low + found.high) / 2 == pytest.approx(wanted, rel=1e-9)


def test_at_a_look_the_baseline_is_cut_to_the_same_pictures(arm):
    """Its value of all pictures would be that of another N, and another FID."""
    whole = arm("whole")
    look = arm("look", "looks=[20,40]")
    found = gate(look, whole)
    assert (found["count"], found["estimate"], found["state"]) == (20, 0, "PASS")
    assert found["baseline"] == found["candidate"] == look.sets["fid"]["value"]
    assert found["baseline"] != whole.sets["fid"]["value"]
