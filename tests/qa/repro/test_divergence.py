"""Where two decodes part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qa import images
from qa.repro.divergence import first, heat, histogram, located, measured, ulps
from qa.repro.trace import Trace

ONE = torch.tensor(1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_ulp_is_the_next_number(dtype):
    x = torch.tensor([1.0, -1.0, 0.5, 3.0, 65.0], dtype=dtype)
    y = torch.nextafter(x, torch.full_like(x, 100.0)) if dtype not in (
        torch.float16, torch.bfloat16) else x.view(torch.int16).add(
            torch.tensor([1, -1, 1, 1, 1], dtype=torch.int16)).view(dtype)  # fmt: skip
    assert ulps(x, y).tolist() == [1] * 5
    assert ulps(x, x).tolist() == [0] * 5
    assert torch.equal(ulps(x, y), ulps(y, x))


def test_ulps_count_across_zero_and_agree_with_numpys_spacing():
    smallest = torch.tensor(np.nextafter(np.float32(0), np.float32(1)))
    assert ulps(torch.tensor(-0.0), torch.tensor(0.0)) == 0
    assert ulps(-smallest, smallest) == 2
    far = torch.tensor(1.0 + 37 * float(np.spacing(np.float32(1))))
    assert ulps(ONE, far) == 37


def test_whole_numbers_are_apart_by_their_difference():
    a = torch.tensor([3, 250], dtype=torch.uint8)
    assert ulps(a, torch.tensor([250, 3], dtype=torch.uint8)).tolist() == [247, 247]


def test_the_histogram_counts_doublings_and_every_value_once():
    apart = torch.tensor([0, 0, 1, 1, 1, 2, 3, 4, 5, 8, 9, 2**40])
    found = histogram(apart)
    assert found == {"1": 3, "2": 1, "3-4": 2, "5-8": 2, "9-16": 1, ">1073741824": 1}
    assert sum(found.values()) == int((apart > 0).sum())


def test_the_first_index_and_the_count_are_told():
    a = torch.zeros(2, 3, 4)
    b = a.clone()
    b[1, 0, 2], b[1, 2, 3] = 1e-45, 2.5
    found = measured("cat seed 0", "x-2", a, b)
    assert found.index == (1, 0, 2)
    assert (found.differing, found.shape) == (2, (2, 3, 4))
    assert found.max_abs == 2.5
    assert "x-2 at [1, 0, 2]" in str(found)


def test_other_types_or_shapes_are_said_not_measured():
    found = measured("cat seed 0", "conv", torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16))
    assert found.why == "torch.float32 [2] against torch.bfloat16 [2]"
    assert found.index is None


def trace(**stages):
    return Trace({"cat": dict(stages)})


def test_the_first_stage_is_in_the_order_of_the_first_decode():
    one = trace(latent="a", x="b", pixels="c", file="d")
    assert first(one, trace(latent="a", x="b", pixels="c", file="d")) is None
    assert first(one, trace(latent="a", x="B", pixels="C", file="D")) == ("cat", "x")
    assert first(one, trace(file="D", pixels="C", latent="a", x="b")) == ("cat", "pixels")


def test_the_earliest_stage_of_all_pictures_counts():
    one = Trace({"a": {"latent": "1", "pixels": "2"}, "b": {"latent": "3", "pixels": "4"}})
    two = Trace({"a": {"latent": "1", "pixels": "X"}, "b": {"latent": "X", "pixels": "X"}})
    assert first(one, two) == ("b", "latent")


def test_a_heat_map_is_black_where_nothing_differs_and_brightest_at_the_worst():
    a = torch.zeros(1, 3, 8, 8)
    b = a.clone()
    b[0, 1, 2, 3], b[0, 0, 6, 6] = 1.0, 2.0**-8
    picture = heat(a, b)
    assert picture.shape == (3, 8, 8)
    brightness = picture.sum(0)
    assert brightness[2, 3] == brightness.max() == 3 * 255
    assert 0 < brightness[6, 6] < brightness[2, 3]
    assert int((brightness > 0).sum()) == 2


def test_no_heat_map_without_two_axes_or_a_difference():
    assert heat(torch.zeros(5), torch.ones(5)) is None
    assert heat(torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)) is None
    assert heat(torch.zeros(3, 4, 4), torch.zeros(3, 4, 5)) is None


def test_large_heat_maps_are_reduced_without_losing_the_worst():
    a = torch.zeros(1, 3000, 10)
    b = a.clone()
    b[0, 1234, 5] = 1
    picture = heat(a, b)
    assert picture.shape == (3, 1024, 10)
    assert picture.max() == 255


def runs(value):
    """One side: stage x, and pixels that depend on it."""

    def run(watch, keep):
        values = {"x": value, "pixels": 2 * value}
        digests = {name: str(v.tolist()) for name, v in values.items() if watch or name != "x"}
        kept = {"cat": values[keep]} if keep else {}
        return Trace({"cat": digests}, {"cat": 2 * value}, kept)

    return run


def test_a_closer_look_finds_the_stage_inside_and_writes_the_maps(tmp_path):
    a = torch.zeros(3, 4, 4)
    b = a.clone()
    b[0, 1, 1] = 1
    found = located(runs(a), runs(b), ("cat", "pixels"), tmp_path, "r5")
    assert (found.stage, found.index) == ("x", (0, 1, 1))
    assert found.heatmaps == ("r5-stage.png", "r5-pixels.png")
    for name in found.heatmaps:
        assert images.read(tmp_path / name).shape == (3, 4, 4)


def test_what_does_not_happen_again_is_said(tmp_path):
    same = runs(torch.zeros(3, 4, 4))
    found = located(same, same, ("cat", "pixels"), tmp_path, "r1")
    assert (found.stage, found.why) == ("pixels", "seen once; it did not happen again")
    assert not list(tmp_path.iterdir())


def test_what_differs_only_unwatched_is_located_at_the_stage_that_was_seen(tmp_path):
    """A watched network runs eagerly: what compiling it changes is seen from outside alone."""
    asked = []

    def other(watch, keep):
        asked.append((watch, keep))
        return runs(torch.full((3, 4, 4), 0.0 if watch else 1.0))(watch, keep)

    found = located(runs(torch.zeros(3, 4, 4)), other, ("cat", "x"), tmp_path, "r5")
    assert asked == [(True, None), (False, "x")]
    assert (found.stage, found.differing, found.max_abs) == ("x", 48, 1.0)
