"""How far apart two decodes are, and how far is near enough."""

from __future__ import annotations

import pytest
import torch

from qa.repro.compare import Difference, difference, shifts, worst
from qa.types import MetricFacts

GREY = torch.full((3, 64, 64), 100 / 255)


def apart(changed, **shift):
    return difference({"a": GREY}, {"a": changed}, shift)


def with_levels(levels, count, places="scattered"):
    """GREY with `count` pixels of one channel raised by `levels`."""
    pixels = GREY.clone()
    for index in range(count):
        flat = index * (64 * 64 // count) if places == "scattered" else index // 8 * 64 + index % 8
        pixels[1, flat // 64, flat % 64] += levels / 255
    return pixels


def test_equal_pictures_are_not_apart():
    assert apart(GREY.clone()) == Difference(1, 0, 1.0, 0.0, 0.0, {})


def test_one_level_everywhere_is_rounding():
    found = apart(with_levels(1, 64 * 64))
    assert (found.levels, found.within, found.density) == (1, 1.0, 0.0)
    assert found.max_abs == pytest.approx(1 / 255)
    assert not found.unacceptable


def test_a_pixel_in_ten_thousand_may_be_further_off_and_one_more_may_not():
    grey = torch.full((3, 100, 100), 0.5)
    for count, fine in ((1, True), (2, False)):
        other = grey.clone()
        other[0, 50, 50 : 50 + count] += 3 / 255
        found = difference({"a": grey}, {"a": other})
        assert found.within == pytest.approx(1 - count / 10_000)
        assert (found.unacceptable == "") is fine


def test_a_local_artefact_is_seen_where_scattered_pixels_are_not():
    grey = torch.full((3, 512, 512), 0.5)
    scattered, local = grey.clone(), grey.clone()
    for index in range(20):
        scattered[:, 25 * index, 25 * index] += 5 / 255
        local[:, 100 + index // 5, 200 + index % 5] += 5 / 255
    one, two = (difference({"a": grey}, {"a": x}) for x in (scattered, local))
    assert one.within == two.within > 0.9999
    assert one.density == 1 / 256
    assert not one.unacceptable
    assert two.density == 20 / 256
    assert "7.8% of a 16x16 window" in two.unacceptable


def test_a_window_is_found_wherever_it_lies_and_in_small_pictures():
    for corner in ((0, 0), (48, 48)):
        pixels = GREY.clone()
        pixels[:, corner[0] : corner[0] + 16, corner[1] : corner[1] + 16] = 0
        assert apart(pixels).density == 1.0
    tiny = torch.zeros(3, 4, 5)
    other = tiny.clone()
    other[0, 0, 0] = 1
    assert difference({"a": tiny}, {"a": other}).density == 1 / 20


def test_the_worst_picture_counts():
    found = difference({"a": GREY, "b": GREY}, {"a": GREY.clone(), "b": with_levels(9, 4)})
    assert (found.pictures, found.levels) == (2, 9)
    assert found.within == 1 - 4 / 4096


def test_a_metric_that_moves_by_more_than_a_tenth_of_its_margin_is_another_model():
    assert not apart(GREY.clone(), psnr=0.1).unacceptable
    assert apart(GREY.clone(), psnr=0.11).unacceptable.startswith("psnr moves by 0.11")


def test_the_worst_of_several_is_taken_field_by_field():
    one = Difference(2, 1, 0.9, 0.0, 0.5, {"psnr": 0.1})
    two = Difference(2, 3, 1.0, 0.2, 0.1, {"ssim": 0.3})
    assert worst([one, two]) == Difference(2, 3, 0.9, 0.2, 0.5, {"psnr": 0.1, "ssim": 0.3})


def test_saved_pictures_compare_as_well():
    picture = torch.zeros(3, 8, 8, dtype=torch.uint8)
    other = picture.clone()
    other[2, 3, 4] = 7
    found = difference({"a": picture}, {"a": other})
    assert (found.levels, found.max_abs) == (7, None)


class Level:
    """A metric: the mean level; not defined for a black picture."""

    def __init__(self, of="picture", paired=False):
        self.facts = MetricFacts("level", "higher", "", "", "", {}, paired=paired, of=of)

    def __call__(self, pictures, reference):
        if not pictures.any():
            raise ValueError("black")
        return [float(picture.double().mean()) for picture in pictures]


def test_shifts_are_shares_of_a_margin_at_the_worst_picture():
    a = {"x": torch.full((3, 2, 2), 10 / 255), "y": torch.full((3, 2, 2), 20 / 255)}
    b = {"x": torch.full((3, 2, 2), 11 / 255), "y": torch.full((3, 2, 2), 24 / 255)}
    none = {"x": None, "y": None}
    assert shifts({"level": Level()}, {"level": 8.0}, none, a, b) == {"level": pytest.approx(0.5)}
    assert shifts({"level": Level()}, {}, none, a, b) == {}
    assert shifts({"level": Level("set")}, {"level": 8.0}, none, a, b) == {}
    assert shifts({"level": Level(paired=True)}, {"level": 8.0}, none, a, b) == {}
    black = {"x": torch.zeros(3, 2, 2), "y": a["y"]}
    assert shifts({"level": Level()}, {"level": 8.0}, none, black, a) == {"level": 0.0}
