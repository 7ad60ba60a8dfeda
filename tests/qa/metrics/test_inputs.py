"""Luma of known colours, finite values, sizes of tiles."""

import math

import pytest
import torch

from qa.errors import UsageError
from qa.images import luma, video_luma
from qa.metrics.inputs import COLOURS, check_colour, check_tile, finite, planes

KNOWN = {  # full range, studio range: 65.481, 128.553 and 24.966 above 16 (ITU-R BT.601)
    (255, 0, 0): (76.245, 81.481), (0, 255, 0): (149.685, 144.553), (0, 0, 255): (29.07, 40.966),
    (255, 255, 255): (255, 235), (0, 0, 0): (0, 16), (7, 7, 7): (7, 16 + 7 * 219 / 255),
}  # fmt: skip


@pytest.mark.parametrize(("colour", "expected"), KNOWN.items())
def test_luma_of_known_colours(colour, expected):
    picture = torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1)
    assert float(luma(picture)) == pytest.approx(expected[0], abs=1e-12)
    assert float(video_luma(picture)) == pytest.approx(expected[1], abs=1e-12)


def test_grey_keeps_its_level_exactly():
    grey = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    assert torch.equal(luma(grey)[0, 0], torch.arange(256, dtype=torch.float64))


def test_a_batch_keeps_its_dimensions():
    picture = torch.zeros((2, 3, 4, 5), dtype=torch.uint8)
    assert luma(picture).shape == video_luma(picture).shape == (2, 1, 4, 5)


def test_planes_of_every_colour():
    picture = torch.tensor([10, 20, 250], dtype=torch.uint8).view(3, 1, 1)
    assert planes(picture, "rgb").flatten().tolist() == [10, 20, 250]
    assert torch.equal(planes(picture, "yiq"), luma(picture))
    assert torch.equal(planes(picture, "ycbcr"), video_luma(picture))
    assert all(planes(picture, colour).dtype == torch.float64 for colour in COLOURS)


def test_a_colour_is_one_that_the_metric_knows():
    assert check_colour("yiq", ("rgb", "yiq")) == "yiq"
    with pytest.raises(UsageError, match="colour=ycbcr") as refusal:
        check_colour("ycbcr", ("rgb", "yiq"))
    assert refusal.value.fix == "colour=rgb or yiq"


def test_values_are_finite():
    assert finite(iter([1.0, 2.0])) == [1.0, 2.0]
    with pytest.raises(ValueError, match="picture 1 is nan"):
        finite([1.0, math.nan])


def test_a_tile_has_a_size():
    assert check_tile(7) == 7
    with pytest.raises(UsageError, match="tile=0"):
        check_tile(0)
