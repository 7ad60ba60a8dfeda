"""PSNR against values derived by hand."""

import itertools
import math

import pytest
import torch

from qa.errors import UsageError
from qa.metrics.psnr import PSNR, STEPS, ceiling

ONE_LEVEL = 10 * math.log10(255**2)  # MSE 1


def flat(level, height=20, width=30):
    return torch.full((3, height, width), level, dtype=torch.uint8)


def test_one_level_everywhere():
    assert pytest.approx(48.1308, abs=1e-4) == ONE_LEVEL
    assert PSNR()(flat(101)[None], flat(100)) == [pytest.approx(ONE_LEVEL, abs=1e-5)]


def test_ten_levels_are_20_db_worse_and_the_sign_does_not_matter():
    values = PSNR()(torch.stack([flat(110), flat(90)]), flat(100))
    assert values == [pytest.approx(ONE_LEVEL - 20, abs=1e-5)] * 2


def test_black_for_white_is_zero():
    assert PSNR()(flat(0)[None], flat(255)) == [pytest.approx(0, abs=1e-5)]


def test_errors_are_averaged_within_a_picture_not_across():
    half = flat(100)
    half[:, :10] += 10
    values = PSNR()(torch.stack([half, flat(101)]), flat(100))
    assert values == [pytest.approx(ONE_LEVEL - 10 * math.log10(50), abs=1e-5),
                      pytest.approx(ONE_LEVEL, abs=1e-5)]  # fmt: skip


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (1080, 1920)])
def test_identical_is_3_db_above_one_value_off_by_one(size):
    reference = flat(100, *size)
    nearly = reference.clone()
    nearly[2, -1, -1] += 1
    best, second = PSNR()(torch.stack([reference, nearly]), reference)
    assert best == ceiling(*size)
    assert best - second == pytest.approx(10 * math.log10(2), abs=1e-5)
    assert second == pytest.approx(ONE_LEVEL + 10 * math.log10(3 * size[0] * size[1]), abs=1e-5)


def test_a_grey_level_is_219_of_255_levels_of_luma():
    """Luma spans 16..235, and the peak is 255 all the same: 1.32 dB more than in RGB."""
    value = PSNR(colour="ycbcr")(flat(101)[None], flat(100))
    assert value == [pytest.approx(ONE_LEVEL + 20 * math.log10(255 / 219), abs=1e-5)]
    assert value == [pytest.approx(49.4534, abs=1e-3)]


@pytest.mark.parametrize(("channel", "weight"), [(0, 65.481), (1, 128.553), (2, 24.966)])
def test_a_level_of_one_channel_counts_by_its_weight(channel, weight):
    picture = flat(100)
    picture[channel] += 1
    expected = 20 * math.log10(255 / (weight / 255))
    assert PSNR(colour="ycbcr")(picture[None], flat(100)) == [pytest.approx(expected, abs=1e-5)]


def change_of(thousandths):
    """The smallest change of R, G and B that changes luma by this many thousandths of a level."""
    reach = range(-20, 21)
    return next(
        change
        for change in sorted(itertools.product(reach, repeat=3), key=lambda c: sum(map(abs, c)))
        if 299 * change[0] + 587 * change[1] + 114 * change[2] == thousandths and any(change)
    )


def test_identical_luma_is_3_db_above_the_smallest_difference_of_luma():
    reference, least, same = flat(100), flat(100), flat(100)
    least[:, 3, 4] = 100 + torch.tensor(change_of(1))
    same[:, 3, 4] = 100 + torch.tensor(change_of(0))
    best, second, hidden = PSNR(colour="ycbcr")(torch.stack([reference, least, same]), reference)
    assert best == hidden == ceiling(20, 30, "ycbcr")
    assert best - second == pytest.approx(10 * math.log10(2), abs=1e-4)
    assert PSNR()(same[None], reference)[0] < ceiling(20, 30)


def test_steps_of_luma():
    assert STEPS["ycbcr"] == pytest.approx(65.481 / 299 / 255, rel=1e-12)


def test_unknown_colour():
    with pytest.raises(UsageError, match="colour=lab"):
        PSNR(colour="lab")
