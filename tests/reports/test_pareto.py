"""The plot of a front: better is right and up, bars lie around marks, letters stay apart."""

import math
import random
from itertools import pairwise

import pytest

from reports.front import LARGE, PLACES
from reports.pareto import plot

FIDELITY = {"metric": "psnr", "better": "higher", "unit": "dB"}
ERROR = {"metric": "lpips", "better": "lower", "unit": ""}
SECONDS = {"metric": "seconds", "better": "lower", "unit": "s"}


def arm(letter, x, y, front=True, half=None):
    def place(value):
        ends = (None, None) if half is None else (value - half, value + half)
        return {"value": value, "low": ends[0], "high": ends[1]}

    return {"arm": letter, "x": place(x), "y": place(y), "front": front}


def entry(*points, x=FIDELITY, y=ERROR, absent=()):
    return {"x": x, "y": y, "points": list(points), "absent": list(absent)}


def spot(found, letter):
    return next(point for point in found.points if point.arm == letter)


@pytest.mark.parametrize("x", [FIDELITY, ERROR])
@pytest.mark.parametrize("y", [FIDELITY, ERROR, SECONDS])
def test_better_is_right_and_up_whatever_a_metric_prefers(x, y):
    good, bad = ({"higher": 0.9, "lower": 0.1}, {"higher": 0.1, "lower": 0.9})
    points = [
        arm(letter, kind[x["better"]], kind[y["better"]])
        for letter, kind in (("A", bad), ("B", good))
    ]
    found = plot(entry(*points, x=x, y=y))
    one, other = spot(found, "A"), spot(found, "B")
    assert 0 < one.x < other.x < 100
    assert 100 > one.y > other.y > 0  # per cent from the top


@pytest.mark.parametrize("x", [FIDELITY, ERROR])
def test_bars_lie_around_their_mark_and_inside_the_plot(x):
    found = plot(entry(arm("A", 30.0, 0.5), arm("B", 31.0, 0.4, half=0.3), x=x))
    one, other = spot(found, "A"), spot(found, "B")
    assert one.across is one.along is None
    assert 0 < other.across[0] < other.x < other.across[1] < 100
    assert 0 < other.along[0] < other.y < other.along[1] < 100
    wide = plot(entry(arm("A", 30.0, 0.5), arm("B", 31.0, 0.4, half=0.6), x=x))
    assert spot(wide, "B").across != other.across


def test_an_interval_without_width_is_no_bar():
    found = plot(entry(arm("A", 30.0, 0.5), arm("B", 31.0, 0.4, half=0.0)))
    assert spot(found, "B").across is spot(found, "B").along is None


def test_the_line_joins_the_front_from_left_to_right_and_nothing_else():
    points = [
        arm("C", 32.0, 0.5), arm("A", 30.0, 0.3), arm("D", 30.5, 0.49, front=False),
        arm("B", 31.0, 0.4),
    ]  # fmt: skip
    found = plot(entry(*points))
    along = [(spot(found, letter).x, spot(found, letter).y) for letter in "ABC"]
    assert list(found.line) == list(pairwise(along))
    assert (spot(found, "D").x, spot(found, "D").y) not in {
        end for pair in found.line for end in pair
    }
    assert not found.points[0].front, "what is beaten is drawn first"


def test_equal_arms_share_a_place_and_have_a_letter_each():
    found = plot(entry(arm("A", 30.0, 0.5), arm("B", 30.0, 0.5)))
    one, other = spot(found, "A"), spot(found, "B")
    assert (one.x, one.y) == (other.x, other.y)
    assert one.label != other.label
    assert found.line == ()


def values(ticks):
    return {float(tick.text.replace("−", "-")): tick.at for tick in ticks}


def test_ticks_stand_where_values_of_their_size_do():
    found = plot(entry(arm("A", 30.0, 0.2), arm("B", 34.0, 0.4)))
    across, along = values(found.across), values(found.along)
    assert across[30.0] == pytest.approx(spot(found, "A").x, abs=0.02)
    assert across[34.0] == pytest.approx(spot(found, "B").x, abs=0.02)
    assert along[0.2] == pytest.approx(spot(found, "A").y, abs=0.02)
    assert along[0.4] == pytest.approx(spot(found, "B").y, abs=0.02)
    assert along[0.4] > along[0.2], "lower is better, so it stands higher"


def test_seconds_that_differ_much_are_logarithmic_and_others_are_not():
    found = plot(entry(arm("A", 30.0, 0.02), arm("B", 31.0, 2.0), arm("C", 32.0, 0.2), y=SECONDS))
    low, middle, high = (spot(found, letter).y for letter in "ACB")
    assert middle == pytest.approx((low + high) / 2, abs=0.02)
    along = values(found.along)
    assert {0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0} == set(along)
    assert along[0.2] == pytest.approx(middle, abs=0.02)
    near = plot(entry(arm("A", 30.0, 1.0), arm("B", 31.0, 3.0), arm("C", 32.0, 2.0), y=SECONDS))
    low, middle, high = (spot(near, letter).y for letter in "ACB")
    assert middle == pytest.approx((low + high) / 2, abs=0.02)
    assert len(near.along) >= 3
    other = plot(entry(arm("A", 30.0, 0.02), arm("B", 31.0, 2.0), arm("C", 32.0, 0.2)))
    low, middle, high = (spot(other, letter).y for letter in "ACB")
    assert middle != pytest.approx((low + high) / 2, abs=5)  # no seconds: no logarithm


def test_letters_stay_clear_of_marks_and_of_each_other():
    lot = random.Random(1)
    points = [arm(letter, 30 + lot.random(), lot.random()) for letter in "ABCDEF"]
    found = plot(entry(*points))
    at = {p.arm: (p.x * LARGE[0] / 100, p.y * LARGE[1] / 100) for p in found.points}
    letters = {}
    for point in found.points:
        assert (point.label.dx, point.label.dy, point.label.anchor) in PLACES
        x, y = at[point.arm]
        shift = {"start": 4, "middle": 0, "end": -4}[point.label.anchor]
        letters[point.arm] = (x + point.label.dx + shift, y + point.label.dy - 4)
    for name, letter in letters.items():
        others = [spot for other, spot in [*at.items(), *letters.items()] if other != name]
        assert min(math.dist(letter, other) for other in others) > 8


def test_nobody_to_place_is_no_error_and_is_told():
    absent = [{"arm": "A", "why": "psnr: not compared"}]
    found = plot(entry(absent=absent))
    assert (found.points, found.line) == ((), ())
    assert found.absent == tuple(absent)


def test_a_single_arm_has_a_place():
    found = plot(entry(arm("A", 30.0, 0.0), y=SECONDS))
    assert 0 < spot(found, "A").x < 100
    assert 0 < spot(found, "A").y < 100
