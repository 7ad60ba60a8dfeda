"""Colour metrics against published pairs and colours known by hand."""

import math

import numpy as np
import pytest
import torch

from qa.metrics.colour import CIEDE2000, ColourCast, ColourDrift, difference

SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425; 50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.02 50 0 -82.7485 3.4412; 50 -1.3802 -84.2814 50 0 -82.7485 1
50 -1.1848 -84.8006 50 0 -82.7485 1; 50 -0.9009 -85.5211 50 0 -82.7485 1
50 0 0 50 -1 2 2.3669; 50 -1 2 50 0 0 2.3669; 50 2.49 -0.001 50 -2.49 0.0009 7.1792
50 2.49 -0.001 50 -2.49 0.001 7.1792; 50 2.49 -0.001 50 -2.49 0.0011 7.2195
50 2.49 -0.001 50 -2.49 0.0012 7.2195; 50 -0.001 2.49 50 0.0009 -2.49 4.8045
50 -0.001 2.49 50 0.001 -2.49 4.8045; 50 -0.001 2.49 50 0.0011 -2.49 4.7461
50 2.5 0 50 0 -2.5 4.3065; 50 2.5 0 73 25 -18 27.1492; 50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.903; 50 2.5 0 58 24 15 19.4535; 50 2.5 0 50 3.1736 0.5854 1
50 2.5 0 50 3.2972 0 1; 50 2.5 0 50 1.8634 0.5757 1; 50 2.5 0 50 3.2592 0.335 1
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.263
61.2901 3.7196 -5.3901 61.4292 2.248 -4.962 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.694 23.0331 14.973 -42.5619 2.0373
36.4612 47.858 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.441 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.135 0.9033 -0.0636 -0.5514 0.9082
"""
"""L*a*b* of two colours and their dE00: table 1 of Sharma, Wu and Dalal 2005."""


def flat(*colour, height=20, width=30):
    return torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1).repeat(1, height, width)


def pairs():
    rows = np.array([row.split() for row in SHARMA.replace("\n", ";").split(";") if row], float)
    assert rows.shape == (34, 7)
    return rows


def test_published_pairs():
    rows = pairs()
    assert difference(rows[:, :3], rows[:, 3:6]) == pytest.approx(rows[:, 6], abs=5e-5)


def test_the_pairs_tell_ciede2000_from_the_distance_of_1976():
    rows = pairs()
    distance = np.linalg.norm(rows[:, :3] - rows[:, 3:6], axis=1)
    assert distance != pytest.approx(rows[:, 6], abs=5)


@pytest.mark.parametrize("metric", [CIEDE2000, ColourDrift])
def test_black_for_white_is_100(metric):
    """L* differs by 100 and its weight S_L is 1 at the mean lightness of 50."""
    found = metric()(flat(0, 0, 0)[None], flat(255, 255, 255))
    assert found == [pytest.approx(100, abs=1e-3)]


def test_two_greys():
    """Greys of Y = 0.2140 and 0.2195 (levels 128, 127): L* 53.585 and 53.193, at S_L = 1.027."""

    def lightness(level):
        return 116 * np.cbrt(((level / 255 + 0.055) / 1.055) ** 2.4) - 16

    one, two = lightness(127), lightness(128)
    far = ((one + two) / 2 - 50) ** 2
    expected = (two - one) / (1 + 0.015 * far / math.sqrt(20 + far))
    found = CIEDE2000()(flat(128, 128, 128)[None], flat(127, 127, 127))
    assert found == [pytest.approx(expected, abs=1e-3)]


def test_the_mean_is_over_all_pixels_of_all_strips(monkeypatch):
    """A quarter of the rows is black for white, spread over several strips."""
    reference = flat(255, 255, 255, height=40)
    picture = reference.clone()
    picture[:, ::4] = 0
    monkeypatch.setattr("qa.metrics.colour.row_strips", lambda h, w: (slice(0, 7), slice(7, h)))
    assert CIEDE2000()(picture[None], reference) == [pytest.approx(25, abs=1e-3)]


def test_texture_is_no_drift():
    """Pixels 20 levels above and below the mean: far off one by one, gone in 16x16 means."""
    reference = flat(100, 120, 140, height=32, width=48)
    checks = (torch.arange(32)[:, None] + torch.arange(48)) % 2 * 40 - 20
    picture = (reference + checks).to(torch.uint8)
    assert CIEDE2000()(picture[None], reference)[0] > 5
    assert ColourDrift()(picture[None], reference) == [pytest.approx(0, abs=1e-12)]


def test_a_tinted_quarter_drifts_by_a_quarter_of_its_difference():
    reference = flat(100, 120, 140, height=32, width=32)
    picture = reference.clone()
    picture[0, :16, :16] += 30
    whole = CIEDE2000()(flat(130, 120, 140)[None], flat(100, 120, 140))[0]
    assert ColourDrift()(picture[None], reference) == [pytest.approx(whole / 4, abs=1e-9)]


@pytest.mark.parametrize(
    ("colour", "signs"),
    [((160, 100, 100), (1, 1)), ((100, 160, 100), (-1, 1)), ((100, 100, 160), (1, -1)),
     ((100, 160, 160), (-1, -1))],
)  # fmt: skip
def test_signs_of_a_cast(colour, signs):
    shift = ColourCast().shift(flat(*colour), flat(110, 110, 110))
    assert (math.copysign(1, shift.a), math.copysign(1, shift.b)) == signs
    assert ColourCast()(flat(*colour)[None], flat(110, 110, 110)) == [
        pytest.approx(math.hypot(*shift), abs=1e-12)
    ]


def test_lightness_is_no_cast_and_opposite_casts_cancel():
    grey = flat(110, 110, 110)
    assert ColourCast()(flat(200, 200, 200)[None], grey) == [pytest.approx(0, abs=0.02)]
    metric = ColourCast()
    red, green = metric.shift(flat(130, 110, 110), grey), metric.shift(flat(90, 110, 110), grey)
    half = grey.clone()
    half[0, :10] += 20
    half[0, 10:] -= 20
    shift = metric.shift(half, grey)
    assert shift == (pytest.approx((red.a + green.a) / 2), pytest.approx((red.b + green.b) / 2))
    assert abs(shift.a) < 0.2 * red.a
