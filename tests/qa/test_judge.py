"""Verdicts from tables of scores: every state, what makes it, and what must not change it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arms import MARGINS, arm, around, edited, shifted

from qa.baseline import Approved
from qa.errors import UsageError
from qa.gates.margins import Margin
from qa.gates.regression import Regression
from qa.gates.tail import Tail
from qa.gates.use_case import UseCase, of
from qa.gates.use_case import load as use_case_of
from qa.judge import applicable, judge
from qa.results import Results, load

ROOT = Path(__file__).parents[2]


def state(candidate: Results, baseline: Results | None = None, margins=MARGINS) -> str:
    return judge(candidate, baseline or arm(), margins)["state"]


@pytest.mark.parametrize(
    ("shift", "spread", "expected", "code"),
    [
        (0.0, 0.05, "PASS", 0),
        (-1.0, 0.05, "IMPROVED", 0),
        (0.1, 0.02, "PASS-DRIFT", 0),  # provably worse, provably within the margin
        (1.0, 0.05, "FAIL", 3),
        (0.0, 3.0, "INCONCLUSIVE", 4),
    ],
)
def test_states_and_exit_codes(shift, spread, expected, code):
    verdict = judge(arm(shift, spread, draw=4), arm(), MARGINS)
    assert (verdict["state"], verdict["exit_code"]) == (expected, code)
    gate = verdict["gates"][0]
    assert gate["low"] < gate["estimate"] < gate["high"]
    assert (gate["needs"] is not None) == (expected == "INCONCLUSIVE")


def test_the_estimate_is_the_mean_difference():
    verdict = judge(arm(0.7, 0.0), arm(0.0, 0.0), MARGINS)
    gate = verdict["gates"][0]
    assert gate["estimate"] == pytest.approx(0.7)
    assert gate["baseline"] - gate["candidate"] == pytest.approx(0.7)
    assert gate["count"] == 24


def test_swapping_the_arms_mirrors_the_interval():
    one, two = arm(0.3, 0.2), arm()
    there = judge(one, two, MARGINS)["gates"][0]
    back = judge(two, one, MARGINS)["gates"][0]
    for a, b in (("estimate", "estimate"), ("low", "high"), ("high", "low")):
        assert there[a] == pytest.approx(-back[b])


def test_the_order_of_rows_changes_no_byte():
    one, two = arm(0.3, 0.2), arm()
    shuffled = Results("arm", one.scores.sample(frac=1, random_state=3), {}, {})
    assert json.dumps(judge(one, two, MARGINS)) == json.dumps(judge(shuffled, two, MARGINS))


def test_lower_is_better_turns_harm_around():
    def rename(results: Results, name: str) -> Results:
        return Results("arm", results.scores.assign(metric=name), {}, {})

    low, high = arm(1.0), arm()
    verdict = judge(
        rename(low, "lpips_alex"), rename(high, "lpips_alex"), {"lpips_alex": Margin(1)}
    )
    assert verdict["state"] == "IMPROVED"
    assert verdict["gates"][0]["better"] == "lower"
    assert verdict["gates"][0]["estimate"] < 0


def test_an_unknown_metric_needs_its_direction():
    one = Results("a", arm().scores.assign(metric="sparkle"), {}, {})
    with pytest.raises(UsageError, match="Which way is sparkle better"):
        judge(one, one, {"sparkle": Margin(1)})
    assert judge(one, one, {"sparkle": Margin(1)}, better={"sparkle": "higher"})["state"] == "PASS"
    for better, said in (
        ({"sparkle": "up"}, "higher or lower"),
        ({"sparkel": "higher"}, "No arm has a metric sparkel. There are sparkle"),
    ):
        with pytest.raises(UsageError, match=said):
            judge(one, one, {"sparkle": Margin(1)}, better=better)
    with pytest.raises(UsageError, match=r"No arm has a metric typo\. There are psnr"):
        judge(arm(), arm(), {"typo": Margin(1)})


def test_a_known_direction_cannot_be_turned_around():
    with pytest.raises(UsageError, match="psnr is better when higher"):
        judge(arm(1.0), arm(), MARGINS, better={"psnr": "lower"})


def test_another_protocol_of_an_ungated_metric_does_not_matter():
    one, two = (
        arm(record={"facts": {"psnr": {"fingerprint": "a"}, "ssim": {"fingerprint": mark}}})
        for mark in "xy"
    )
    assert state(one, two) == "PASS"


def test_seeds_do_not_count_as_pictures():
    """Copying every seed four times must not narrow the interval."""
    one, two = arm(0.1, 0.3, seeds=1), arm(0.0, 0.05, seeds=1)

    def copied(results: Results) -> Results:
        frames = [results.scores.assign(seed=seed) for seed in range(4)]
        return Results("arm", pd.concat(frames), {}, {})

    single, fourfold = judge(one, two, MARGINS), judge(copied(one), copied(two), MARGINS)
    for end in ("low", "estimate", "high", "count"):
        assert single["gates"][0][end] == pytest.approx(fourfold["gates"][0][end])


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_a_missing_value_fails_closed(side):
    arms = {"candidate": arm(-1.0), "baseline": arm()}
    arms[side] = edited(arms[side], value=np.nan, why="the sampler diverged")
    verdict = judge(arms["candidate"], arms["baseline"], MARGINS)
    assert (verdict["state"], verdict["exit_code"]) == ("INVALID", 5)
    gate = verdict["gates"][0]
    assert (gate["count"], gate["missing"]) == (23, 1)
    assert f"'p03' in the {side}: the sampler diverged" in gate["why"]


def test_a_missing_row_fails_closed():
    one = arm(-1.0)
    frame = one.scores[(one.scores["sample"] != "p03") | (one.scores["seed"] != 1)]
    assert state(Results("arm", frame, {}, {})) == "INVALID"


def test_nothing_compared_is_not_a_pass():
    verdict = judge(arm(), arm(), {})
    assert (verdict["state"], verdict["exit_code"]) == ("INVALID", 5)
    assert "nothing was compared" in verdict["summary"].lower()
    assert judge(arm(), arm(), {"ssim": Margin(0.1)})["state"] == "INVALID"


def test_a_metric_that_only_the_baseline_has_fails_closed():
    both = pd.concat([arm().scores, arm().scores.assign(metric="ssim")])
    base = Results("base", both, {}, {})
    margins = applicable(
        of({"psnr": Margin(0.2), "ssim": Margin(0.1), "dists": Margin(1)}), arm(), base
    )
    assert set(margins.primary) == {"psnr", "ssim"}
    assert state(arm(), base, margins) == "INVALID"


def test_a_failure_beside_an_invalid_gate_still_fails():
    frame = pd.concat([arm(1.0).scores, arm().scores.assign(metric="ssim", value=np.nan)])
    base = Results("base", pd.concat([arm().scores, arm().scores.assign(metric="ssim")]), {}, {})
    margins = {"psnr": Margin(0.2), "ssim": Margin(0.1)}
    assert state(Results("arm", frame, {}, {}), base, margins) == "FAIL"


def test_a_planned_seed_without_any_row_is_missing():
    one, two = ({"record": {"seeds": count}} for count in (2, 3))
    assert state(arm(**one), arm(**one)) == "PASS"
    verdict = judge(arm(**two), arm(**two), MARGINS)
    assert (verdict["exit_code"], verdict["gates"][0]["missing"]) == (5, 24)


def test_a_look_must_have_the_pictures_that_it_counts():
    from qa.plan import look_order

    whole = arm()
    first = look_order(whole.samples)[:8]
    look = {"number": 1, "of": 2, "pictures": 8, "planned": 24, "sizes": [8, 24],
            "scheme": "pocock", "alpha": 0.03, "spent": 0.03, "history": []}  # fmt: skip

    def cut(names):
        scores = whole.scores[whole.scores["sample"].isin(names)]
        return Results("arm", scores, {"look": look}, {})

    assert state(cut(first), whole) == "PASS"
    lost = judge(cut(first[:-1]), whole, MARGINS)
    assert (lost["exit_code"], lost["problems"]) == (
        5, ["samples: the look has 7 of its 8 pictures"]
    )  # fmt: skip


def facts(mark: str) -> dict:
    return {"facts": {"psnr": {"fingerprint": mark, "better": "higher", "unit": "dB"}}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"record": facts("b")}, "fingerprint of psnr: a against b"),
        ({"digests": {f"p{i:02d}": "other" for i in range(24)}}, "have another reference"),
        ({"pictures": 23}, "samples: 1 only in the candidate, e.g. 'p23'"),
        ({"seeds": 3}, "seeds: [0, 1] in the candidate, [0, 1, 2] in the baseline"),
        ({"record": {"limited": True}}, "the baseline is a limited run"),
        ({"record": facts("a") | {"suite_digest": "other"}}, "suite same against other"),
    ],
)
def test_arms_that_do_not_match_are_invalid_and_say_why(changes, said):
    digests = {f"p{i:02d}": "d" for i in range(24)}
    candidate = arm(record=facts("a") | {"suite_digest": "same"}, digests=digests)
    baseline = arm(**({"record": facts("a"), "digests": digests} | changes)) if set(changes) <= {
        "record", "digests"} else arm(record=facts("a"), **changes)  # fmt: skip
    verdict = judge(candidate, baseline, MARGINS)
    assert verdict["exit_code"] == 5
    assert any(said in problem for problem in verdict["problems"]), verdict["problems"]
    assert {gate["state"] for gate in verdict["gates"]} == {"INVALID"}


def test_one_picture_cannot_settle_anything():
    assert state(arm(pictures=1), arm(pictures=1)) == "INCONCLUSIVE"


def test_without_a_baseline_it_is_measured_and_failures_show():
    assert judge(arm(), None, MARGINS)["state"] == "MEASURED"
    lost = ({"sample": "p03", "seed": 0, "why": "broken"},)
    verdict = judge(replace(arm(), failures=lost), None, MARGINS)
    assert (verdict["state"], verdict["failures"]) == ("INVALID", list(lost))
    assert "p03 seed 0: broken" in verdict["summary"]


def test_nothing_measured_is_not_measured():
    empty = Results("arm", arm().scores.assign(value=np.nan), {}, {})
    verdict = judge(empty, None, {})
    assert (verdict["state"], verdict["exit_code"]) == ("INVALID", 5)
    assert "no metric has a value" in verdict["summary"]


def test_tables_are_read_from_csv_and_parquet(tmp_path):
    frame = arm().scores.drop(columns="why")
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    verdicts = [judge(load(tmp_path / n), arm(), MARGINS) for n in ("a.csv", "a.parquet")]
    assert [v["state"] for v in verdicts] == ["PASS", "PASS"]
    assert verdicts[0]["gates"] == verdicts[1]["gates"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample,seed,metric\na,0,psnr\n", "no column value"),
        ("sample,seed,metric,value\na,0,psnr,high\n", "no number"),
        ("sample,seed,metric,value\na,zero,psnr,1\n", "no number"),
        ("sample,seed,metric,value\na,0.5,psnr,1\n", "a seed is 0.5"),
        ("sample,seed,metric,value\n,0,psnr,1\n", "rows without a sample"),
        (
            "sample,seed,metric,value\na,0,psnr,1\na,0,psnr,2\n",
            "several rows for 'a', seed 0, psnr",
        ),
    ],
)
def test_tables_that_cannot_be_judged_are_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        load(tmp_path / "a.csv")


def test_ids_stay_what_they_are(tmp_path):
    (tmp_path / "a.csv").write_text(
        "sample,seed,metric,value,why\n0001,0,psnr,30,\nNA,0,psnr,31,\nnull,0,psnr,,broken\n"
    )
    results = load(tmp_path / "a.csv")
    assert results.samples == ["0001", "NA", "null"]
    assert list(results.scores["why"]) == ["", "", "broken"]
    assert results.scores["value"].isna().tolist() == [False, False, True]


def test_a_run_table_written_by_pandas_comes_back(tmp_path):
    arm().scores.to_csv(tmp_path / "a.csv", index=False)
    assert judge(load(tmp_path / "a.csv"), arm(), MARGINS)["state"] == "PASS"


def test_infinite_values_are_missing(tmp_path):
    (tmp_path / "a.csv").write_text("sample,seed,metric,value\na,0,psnr,inf\nb,0,psnr,30\n")
    scores = load(tmp_path / "a.csv").scores.set_index("sample")
    assert np.isnan(scores.loc["a", "value"])
    assert scores.loc["a", "why"] == "the value is infinite"


@pytest.mark.parametrize(
    ("value", "expected"), [(1e308, "INVALID"), (-1e101, "INVALID"), (1e100, "INCONCLUSIVE")]
)
def test_values_too_large_to_reckon_with_are_missing(tmp_path, value, expected):
    """Their cubes leave the range of floats; the largest that do not are judged."""
    arms = shifted({"psnr": [value, -value, *[1.0] * 58]})
    for name, scores in zip(("new.csv", "base.csv"), (a.scores for a in arms), strict=True):
        scores.to_csv(tmp_path / name, index=False)
    verdict = judge(load(tmp_path / "new.csv"), load(tmp_path / "base.csv"), {"psnr": Margin(0.2)})
    (row,) = verdict["gates"]
    assert row["state"] == expected
    assert ("the value is beyond 1e+100" in row["why"]) == (expected == "INVALID")
    json.dumps(verdict, allow_nan=False)


def test_reasons_may_be_categories(tmp_path):
    frame = shifted({"psnr": [0.0, 1.0]})[0].scores
    for reasons in ([None, None], ["lost", None]):
        frame["why"] = pd.Categorical(reasons, categories=["lost"])
        frame.to_parquet(tmp_path / "reasons.parquet")
        found = load(tmp_path / "reasons.parquet").scores
        assert list(found["why"]) == [reason or "" for reason in reasons]
        assert list(found["value"]) == list(frame["value"])


@pytest.mark.parametrize("seed", ["1e300", "-1e19", "9007199254740993"])
def test_a_seed_that_no_whole_number_holds_is_refused(tmp_path, seed):
    file = tmp_path / "seeds.csv"
    file.write_text(f"sample,seed,metric,value\na,{seed},psnr,30\n")
    with pytest.raises(UsageError, match="a seed is"):
        load(file)


def test_swapped_arms_mirror_to_the_bit():
    """Few and skewed pictures, so that intervals are resampled: the harder case."""
    rng = np.random.default_rng(5)
    for count in (24, 80):
        harm = {name: list(rng.lognormal(0, 1, count)) for name in ("psnr", "ssim")}
        one, two = shifted(harm)
        margins = dict.fromkeys(harm, Margin(0.5))
        there, back = (judge(a, b, margins)["gates"] for a, b in ((one, two), (two, one)))
        for a, b in zip(there, back, strict=True):
            assert (a["estimate"], a["low"], a["high"]) == (-b["estimate"], -b["high"], -b["low"])
            assert (a["sd"], a["count"]) == (b["sd"], b["count"])
            assert (a["candidate"], a["baseline"]) == (b["baseline"], b["candidate"])


def test_at_most_six_metrics_decide():
    names = [f"m{i}" for i in range(7)]
    one, two = shifted(dict.fromkeys(names, around(0, 1, 64)))
    better = dict.fromkeys(names, "higher")
    with pytest.raises(UsageError, match="at most 6"):
        judge(one, two, dict.fromkeys(names, Margin(1)), better=better)
    use = UseCase("mine", dict.fromkeys(names, Margin(1)), tuple(names[:6]))
    verdict = judge(one, two, use, better=better)
    assert [row["role"] for row in verdict["gates"]] == ["primary"] * 6 + ["secondary"]
    assert verdict["use_case"] == "mine"


def test_secondary_metrics_alone_compare_nothing():
    use = UseCase("mine", {"psnr": Margin(0.2)}, ())
    verdict = judge(arm(), arm(), use)
    assert verdict["exit_code"] == 5
    assert "no primary metric" in verdict["summary"]


def test_another_protocol_of_a_secondary_metric_is_its_own_affair():
    def known(mark: str) -> Results:
        frame = pd.concat([arm().scores, arm().scores.assign(metric="ssim")])
        prints = {"psnr": {"fingerprint": "a"}, "ssim": {"fingerprint": mark}}
        return Results("arm", frame, {"facts": prints}, {})

    use = UseCase("mine", {"psnr": Margin(0.2), "ssim": Margin(0.2)}, ("psnr",))
    verdict = judge(known("x"), known("y"), use)
    assert verdict["state"] == "PASS"
    row = next(r for r in verdict["gates"] if r["metric"] == "ssim")
    assert (row["state"], row["why"]) == ("INVALID", "fingerprint of ssim: x against y")
    assert verdict["warnings"] == ["fingerprint of ssim: x against y (no vote)."]
    primary = judge(known("x"), known("y"), {"psnr": Margin(0.2), "ssim": Margin(0.2)})
    assert primary["exit_code"] == 5


def test_drift_is_in_the_document():
    small = shifted({"psnr": around(0.1, 0.1, 64)})
    verdict = judge(small[0], Approved(small[1], drift={"psnr": 0.05}), MARGINS)
    told = verdict["drift"]["psnr"]
    assert told["spent"] == pytest.approx(0.15)
    assert (told["before"], told["budget"]) == (0.05, 0.2)
    assert verdict["state"] == "PASS-DRIFT"
    assert "loss within the margin: psnr" in verdict["summary"]
    warned = judge(small[0], Approved(small[1], drift={"psnr": 0.15}), MARGINS)
    assert "beyond the budget" in warned["warnings"][0]
    assert judge(*small, {})["drift"] == {}


def test_the_documented_keys_are_the_ones_written():
    """docs/formats.md names every key of a verdict and of a row, and no other."""
    page = (ROOT / "docs/formats.md").read_text()
    part = page.partition("## verdict.json")[2].partition("\n## ")[0]
    document, rows = part.split("A row of `gates` has every key below")
    verdict = judge(arm(), arm(), MARGINS)
    assert named(document) - {"schema"} == set(verdict) - {"schema"}
    assert named(rows) == set(verdict["gates"][0])


def named(text: str) -> set[str]:
    """Keys in the first column of a table."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {key.strip("` ") for cell in cells for key in cell.split(",")}


def test_an_empty_arm_compares_nothing():
    nothing = Results("a", arm().scores.iloc[:0], {}, {})
    verdict = judge(nothing, arm(), MARGINS)
    assert verdict["exit_code"] == 5
    assert any("nothing was compared" in problem for problem in verdict["problems"])


def test_the_order_of_rows_changes_no_byte_of_any_gate():
    use = use_case_of("photo").measured({"psnr"})
    one, two = arm(0.3, 4.0, pictures=400), arm(pictures=400)

    def document(*arms: Results) -> str:
        return json.dumps(judge(*arms, use, gates=[Regression(), Tail()]))

    assert '"metric": "catastrophe"' in document(one, two)
    for draw in range(3):
        mixed = [
            Results("arm", a.scores.sample(frac=1, random_state=draw), {}, {}) for a in (one, two)
        ]
        assert document(*mixed) == document(one, two)
