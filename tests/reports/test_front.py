"""The dial's front: every setting where its harm and gain say, the margin where it is."""

import math

import dials
import pytest

from reports.front import LARGE, PLACES, front, kind


def spot(found, name):
    return next(point for point in found.points if point.setting["name"] == name)


def test_the_reference_stands_where_the_axes_cross_and_the_margin_is_bent_like_any_harm():
    found = front(dials.dial(), "psnr")
    own, picked = spot(found, "default"), spot(found, "sigma=0.1")
    assert (own.x, own.y) == found.zero
    assert own.across is own.along is None
    # 0.1 dB of a margin of 0.2 dB: asinh(0.5) of the way that is asinh(1) long
    way = (picked.x - own.x) / (found.edge - own.x)
    assert way == pytest.approx(math.asinh(0.5) / math.asinh(1), abs=1e-3)
    assert picked.y < own.y, "more plausible is further up"


def test_worse_is_right_and_gain_is_up_whatever_the_metric_prefers():
    rows = [dials.reference(), dials.setting("better", -0.1, 2.0), dials.setting("worse", 0.1, -2)]
    found = front(dials.dial("FAIL", *rows, picked=None), "psnr")
    x, y = found.zero
    better, worse = spot(found, "better"), spot(found, "worse")
    assert better.x < x < worse.x
    assert better.y < y < worse.y


def test_intervals_lie_around_their_mark_and_inside_the_plot():
    rows = [dials.reference(), dials.setting("far", 9.0, 50.0), dials.setting("near", -0.01, 0.1)]
    found = front(dials.dial("FAIL", *rows, picked=None), "psnr")
    for name in ("far", "near"):
        one = spot(found, name)
        assert 0 < one.across[0] < one.x < one.across[1] < 100
        assert 100 > one.along[0] > one.y > one.along[1] > 0  # per cent from the top: low is below
    assert found.zero[0] < found.edge < spot(found, "far").x


def test_each_metric_has_its_own_margin():
    document = dials.dial()
    lost = dials.figures(0.004, 0.0005, 0.002)  # two margins of gmsd, and half of one of psnr
    document["settings"][1]["metrics"]["gmsd"] = lost
    first, second = (front(document, metric) for metric in ("psnr", "gmsd"))
    assert spot(first, "sigma=0.1").x < first.edge
    assert spot(second, "sigma=0.1").x > second.edge


def test_the_line_joins_the_front_from_the_most_faithful_on():
    rows = [
        dials.reference(front=False), dials.setting("c", 0.3, 3.0, front=True),
        dials.setting("a", -0.1, 1.0, front=True), dials.setting("b", 0.1, 2.0, front=True),
        dials.setting("dominated", 0.2, 1.0),
    ]  # fmt: skip
    document = dials.dial("FAIL", *rows, picked=None)
    line = front(document, "psnr").line
    names = [(one.setting["name"], other.setting["name"]) for one, other in line]
    assert names == [("a", "b"), ("b", "c")]
    assert front(document, "psnr", first=False).line == (), "over another metric it is no front"


def test_what_is_picked_lies_on_top_and_kinds_follow_the_document():
    document = dials.dial()
    kinds = [kind(document, row) for row in document["settings"]]
    assert kinds == ["reference", "picked", "broken"]
    drawn = [point.kind for point in front(document, "psnr").points]
    assert drawn == ["broken", "reference", "picked"]
    free = dials.dial(picked=None)
    assert kind(free, free["settings"][1]) == "kept"
    own = dials.dial(picked="default")
    assert kind(own, own["settings"][0]) == "picked"


def test_settings_without_a_number_are_named_and_not_drawn():
    rows = [
        dials.reference(), dials.setting("no harm", None, 1.0),
        dials.setting("no gain", 0.1, None), dials.setting("nan", float("nan"), 1.0),
    ]  # fmt: skip
    found = front(dials.dial("FAIL", *rows, picked=None), "psnr")
    assert found.absent == ("no harm", "no gain", "nan")
    assert len(found.points) == 1


def test_nothing_to_draw_and_no_margin_are_no_errors():
    empty = dials.dial("FAIL", dials.setting("only", None, None), picked=None)
    found = front(empty, "psnr")
    assert found.points == ()
    limit = dials.limit() | {"margin": None}
    free = front(dials.dial(fidelity=[limit]), "psnr")
    assert free.edge is None
    assert len(free.points) == 3


def test_ticks_are_round_apart_and_where_they_say():
    found = front(dials.dial(), "psnr")
    places = {tick.text: tick.at for tick in found.across}
    assert places["0"] == found.zero[0]
    assert places["1"] == found.edge
    assert all(b.at - a.at >= 5 for a, b in zip(found.across, found.across[1:], strict=False))
    gains = {tick.text: tick.at for tick in found.along}
    assert gains["0"] == found.zero[1]
    assert gains["+4"] == spot(found, "sigma=0.1").y
    assert 3 <= len(gains) <= 10


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_ticks_of_gain_follow_its_scale(scale):
    rows = [dials.reference(), dials.setting("a", 0.1, 7.0 * scale)]
    rows[1]["metrics"][dials.LOOKS] |= {"harm_low": None, "harm_high": None}
    found = front(dials.dial("FAIL", *rows, picked=None), "psnr").along
    assert 3 <= len(found) <= 10
    assert len({tick.text for tick in found}) == len(found)


def test_labels_never_lie_on_each_other_or_on_a_mark():
    rows = [dials.reference()]
    rows += [dials.setting(f"s{k}", 0.05 * (k % 5), 0.2 * (k // 5)) for k in range(40)]
    found = front(dials.dial("FAIL", *rows, picked="s7"), "psnr")
    assert spot(found, "s7").label is not None
    assert {(p.label.dx, p.label.dy, p.label.anchor) for p in found.points if p.label} <= {*PLACES}
    at = {p.place: (p.x * LARGE[0] / 100, p.y * LARGE[1] / 100) for p in found.points}
    boxes = []
    for point in found.points:
        if point.label is not None:
            width = 8 * len(str(point.place))
            back = {"start": 0, "middle": width / 2, "end": width}[point.label.anchor]
            x = at[point.place][0] + point.label.dx - back
            y = at[point.place][1] + point.label.dy
            boxes.append((x, y - 11, x + width, y + 2))
    assert 10 < len(boxes) <= len(found.points)
    for place, box in enumerate(boxes):
        for other in boxes[:place]:
            assert not (box[0] < other[2] and other[0] < box[2] and box[1] < other[3]
                        and other[1] < box[3])  # fmt: skip
        assert not any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in at.values())


def test_equal_documents_have_equal_fronts():
    assert front(dials.dial(), "psnr") == front(dials.dial(), "psnr")
    assert front(dials.dial(), "psnr") != front(dials.dial(picked=None), "psnr")
