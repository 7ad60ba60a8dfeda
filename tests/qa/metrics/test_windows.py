"""Window means against SciPy, and strips that cover a picture."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from qa.metrics.windows import gaussian, row_strips, window_means


@pytest.mark.parametrize(("size", "deviation"), [(11, 1.5), (17, 3.4), (3, 0.6)])
def test_means_are_scipys(size, deviation):
    plane = np.random.default_rng(0).uniform(0, 255, (30, 41))
    half = size // 2
    expected = ndimage.gaussian_filter(plane, deviation, radius=half)[half:-half, half:-half]
    found = window_means(torch.from_numpy(plane), gaussian(size, deviation)).numpy()
    assert found == pytest.approx(expected, abs=1e-10)
    assert found != pytest.approx(expected[::-1], abs=1e-3)


def test_weights():
    """exp(-1/2), 1, exp(-1/2) over their sum."""
    side = np.exp(-0.5) / (1 + 2 * np.exp(-0.5))
    assert gaussian(3, 1) == pytest.approx((side, 1 - 2 * side, side), abs=1e-15)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (15, 9), (70, 4096), (4097, 100)])
def test_strips_cover_every_row_once(height, width):
    rows = [row for strip in row_strips(height, width) for row in range(strip.start, strip.stop)]
    assert rows == list(range(height))
