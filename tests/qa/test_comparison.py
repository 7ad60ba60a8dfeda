"""Several arms together: who is on a front, how long a picture takes, what may be compared."""

import itertools
import math
import random

import pandas as pd
import pytest
from arms import scored
from sidebyside import IDS, USE, compared, made

from qa.comparison import median_ends, undominated
from qa.gates.margins import Margin
from qa.gates.use_case import Trade, UseCase
from qa.results import Results


def swept(points):
    """The front by another way: from the largest x down, only what reaches a new height."""
    best, front = -math.inf, set()
    for _, group in itertools.groupby(sorted(points, reverse=True), key=lambda point: point[0]):
        x, highest = next(group)
        if highest > best:
            best = highest
            front.add((x, highest))
    return [point in front for point in points]


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_no_other_point_beats(seed):
    lot = random.Random(seed)
    # few values, so that many points share one, or both
    points = [(lot.randrange(6) / 2, lot.randrange(6) / 2) for _ in range(lot.randrange(1, 30))]
    assert undominated(points) == swept(points)
    turned = [(-x, y) for x, y in points]
    assert undominated(turned) == swept(turned)


def test_equal_points_are_all_on_the_front_or_all_beaten():
    assert undominated([(1, 1), (1, 1)]) == [True, True]
    assert undominated([(1, 1), (1, 1), (1, 2)]) == [False, False, True]
    assert undominated([(0, 2), (2, 0), (1, 1)]) == [True, True, True]
    assert undominated([]) == []


@pytest.mark.parametrize("count", range(1, 13))
def test_an_end_of_the_median_errs_in_at_most_five_of_a_hundred_cases(count):
    """Of all 2^n ways in which n values lie below or above the median, how many miss it."""
    values = list(range(count))
    low, high = median_ends(values, 0.9)

    def missed(k):  # k values lie below the median: it is above the (k-1)th and below the k-th
        return math.comb(count, k) / 2**count

    if low is None:
        assert missed(0) > 0.05
        return
    assert high == count - 1 - low
    above = sum(missed(k) for k in range(low + 1))  # even the low end is above the median
    assert above <= 0.05 < above + missed(low + 1), "and one rank further in would err more often"


def test_the_median_of_a_thousand_has_the_ends_of_the_normal_approximation():
    low, high = median_ends(range(1000), 0.9)
    assert low == pytest.approx(500 - 1.645 * math.sqrt(250), abs=2)
    assert high == 999 - low


def plot(document, metric):
    return next(entry for entry in document["pareto"] if entry["y"]["metric"] == metric)


def spots(entry, way):
    return {point["arm"]: point[way]["value"] for point in entry["points"]}


def test_fronts_follow_the_means_whatever_way_is_better(tmp_path):
    arms = [made(tmp_path / name, bias=bias) for name, bias in (("x", 1.0), ("y", 0.0), ("z", 2.0))]
    document = compared(*arms)
    entry = plot(document, "lpips")
    assert [entry["x"]["metric"], entry["y"]["better"]] == ["psnr", "lower"]
    assert [point["front"] for point in entry["points"]] == [False, True, False]
    means = [{row["metric"]: row["mean"] for row in arm["metrics"]} for arm in document["arms"]]
    for metric, way in (("psnr", "x"), ("lpips", "y")):
        for letter, own in zip("ABC", means, strict=True):
            assert spots(entry, way)[letter] == pytest.approx(own[metric])


def test_bars_are_the_paired_distance_to_the_first_arm():
    lost = {"psnr": [0.5, 1.5, 1.0, 0.8, 1.2, 1.0], "lpips": [0.1, 0.3, 0.2, 0.15, 0.25, 0.2]}
    first = {"psnr": [[30.0]] * 6, "lpips": [[0.5]] * 6}
    other = {
        "psnr": [[30 - value] for value in lost["psnr"]],
        "lpips": [[0.5 + value] for value in lost["lpips"]],
    }
    document = compared(scored(first), scored(other))
    (entry,) = document["pareto"]  # of tables nothing is timed
    own, base = entry["points"]
    assert own["x"] == {"value": 30.0, "low": None, "high": None}
    rows = {gate["metric"]: gate for gate in document["verdicts"][0]["gates"]}
    for way, metric, mean in (("x", "psnr", 29.0), ("y", "lpips", 0.7)):
        place, row = base[way], rows[metric]
        assert place["value"] == pytest.approx(mean)
        assert place["low"] < place["value"] < place["high"]
        assert place["high"] - place["low"] == pytest.approx(row["high"] - row["low"])
    assert [point["front"] for point in entry["points"]] == [True, False]


def test_arms_without_a_value_are_named_with_the_reason(tmp_path):
    arms = [made(tmp_path / name, bias=bias) for name, bias in (("x", 0.0), ("y", 1.0))]
    cut = made(tmp_path / "cut", IDS[:4])
    lost = made(tmp_path / "lost", failed={("a", 0)})
    entry = plot(compared(*arms, cut, lost), "lpips")
    assert [point["arm"] for point in entry["points"]] == ["A", "B"]
    assert [row["arm"] for row in entry["absent"]] == ["C", "D"]
    assert all(row["why"].startswith("psnr: ") for row in entry["absent"])
    entry = plot(compared(*arms), "lpips")
    assert entry["absent"] == []  # can fail


def timed(arm, seconds):
    """The same run, its decodes timed otherwise; the first seed of a picture is a cold one."""
    table = arm.folder.decoded()
    table["seconds"] = [seconds[sample] for sample in table["sample"]]
    table["warm"] = table["seed"] > 0
    table.loc[~table["warm"], "seconds"] = 100.0
    table.to_parquet(arm.folder.decoded_file)
    return arm


def test_seconds_are_medians_of_warm_decodes_and_only_of_one_machine(tmp_path):
    ids = [f"p{number}" for number in range(9)]
    seconds = {name: 1.0 + number / 10 for number, name in enumerate(ids)}
    first = timed(made(tmp_path / "x", ids), seconds)
    other = timed(made(tmp_path / "y", ids, bias=1.0), seconds | {"p8": 50.0})
    away = made(tmp_path / "z", ids, record={"environment": {"class": "other"}})
    document = compared(first, other, away)
    own = document["arms"][0]["seconds"]
    assert (own["value"], own["count"], own["warm"]) == (pytest.approx(1.4), 9, True)
    # P(B < 2) = 10/512 <= 5 % < P(B < 3): the second smallest and the second largest
    assert (own["low"], own["high"]) == (pytest.approx(1.1), pytest.approx(1.7))
    assert document["arms"][1]["seconds"]["value"] == pytest.approx(1.4), "one hiccup moves nothing"
    entry = plot(document, "seconds")
    assert spots(entry, "y") == {"A": pytest.approx(1.4), "B": pytest.approx(1.4)}
    assert [row["arm"] for row in entry["absent"]] == ["C"]
    assert "environment class abc against other" in entry["absent"][0]["why"]


def test_nothing_to_place_is_no_front():
    values = {"psnr": [[30.0], [31.0], [32.0]]}
    assert compared(scored(values), scored(values))["pareto"] == []
    other = UseCase(None, {"psnr": Margin(0.2)}, ("psnr",))
    assert compared(scored(values), scored(values), use=other)["pareto"] == []


def test_fidelity_is_primary_and_no_plausibility():
    values = {metric: [[30.0], [31.0], [32.0]] for metric in ("musiq", "psnr", "ssim", "niqe")}
    use = UseCase(
        None, {metric: Margin(0.2) for metric in values}, ("musiq", "ssim"),
        dial=Trade(("psnr",), ("niqe", "musiq")),
    )  # fmt: skip
    (entry,) = compared(scored(values), scored(values), use=use)["pareto"]
    assert (entry["x"]["metric"], entry["y"]["metric"]) == ("ssim", "niqe")
    plain = UseCase(None, use.margins, ("musiq",), dial=use.dial)
    (entry,) = compared(scored(values), scored(values), use=plain)["pareto"]
    assert entry["x"]["metric"] == "psnr"


def test_a_look_is_compared_on_its_own_pictures(tmp_path):
    look = {"pictures": 3, "planned": 6, "alpha": 0.05, "number": 1, "of": 2, "sizes": [3, 6],
            "spent": 0.05, "scheme": "pocock", "history": []}  # fmt: skip
    whole = made(tmp_path / "whole")
    part = made(tmp_path / "part", IDS[:3], record={"look": look})
    document = compared(part, whole)
    base = document["arms"][1]
    assert base["incomparable"] == []
    assert {row["metric"]: row["count"] for row in base["metrics"]} == {"psnr": 3, "lpips": 3}
    assert document["arms"][1]["seconds"]["count"] == 3
    assert compared(whole, whole)["arms"][1]["metrics"][0]["count"] == 6  # can fail


def test_metrics_of_every_arm_are_those_of_its_own_verdict(tmp_path):
    arms = [made(tmp_path / name, bias=bias) for name, bias in (("x", 0.0), ("y", 1.0))]
    there, back = compared(*arms), compared(*arms[::-1])
    assert there["arms"][1]["metrics"] == back["verdicts"][0]["metrics"]
    assert there["arms"][0]["metrics"] == there["verdicts"][0]["metrics"]


def test_a_table_has_no_cost():
    frame = pd.DataFrame({"sample": ["a"], "seed": [0], "metric": ["psnr"], "value": [1.0],
                          "why": [""]})  # fmt: skip
    arm = Results("table", frame, {}, {})
    shown = compared(arm, arm, use=USE)["arms"][1]
    assert (shown["cost"], shown["seconds"]) == ([], None)
