"""GMSD against a closed form, and its symmetries."""

import pytest
import torch

from qa.metrics.gmsd import GMSD


def test_one_white_cell_on_black():
    """A white 2x2 block is one cell of height 1 after the 2x2 mean.

    Its Prewitt gradient (a third of the sum of three differences) has magnitude sqrt(2)/3 at the
    four corners around the cell, 1/3 at the four sides and 0 elsewhere. The reference has none, so
    GMS = T / (m^2 + T) there and 1 elsewhere.
    """
    height, width, t = 24, 32, 170 / 255**2
    reference = torch.zeros((3, height, width), dtype=torch.uint8)
    picture = reference.clone()
    picture[:, 10:12, 14:16] = 255
    count = height * width / 4
    lost = [1 - t / (2 / 9 + t)] * 4 + [1 - t / (1 / 9 + t)] * 4
    mean, square = sum(lost) / count, sum(x * x for x in lost) / count
    assert GMSD()(picture[None], reference) == [pytest.approx((square - mean**2) ** 0.5, abs=1e-9)]


def test_mirroring_both_pictures_and_swapping_them_changes_nothing(battery):
    reference = battery.drawing(40, 60)
    picture = battery.noisy(reference, 10)
    value = pytest.approx(GMSD()(picture[None], reference)[0], abs=1e-12)
    assert GMSD()(picture.flip(2)[None], reference.flip(2)) == [value]
    assert GMSD()(picture.mT[None], reference.mT) == [value]
    assert GMSD()(reference[None], picture) == [value]
