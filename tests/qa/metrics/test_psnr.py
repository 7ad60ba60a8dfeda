"""PSNR against values derived by hand."""

import math

import pytest
import torch

from qa.metrics.psnr import PSNR, ceiling

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
