"""SSIM and MS-SSIM against closed forms and against torchmetrics in float64."""

import pytest
import torch
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from qa.metrics.ssim import SSIM, MultiScaleSSIM

C1 = (0.01 * 255) ** 2


def flat(level):
    return torch.full((3, 180, 190), level, dtype=torch.uint8)


@pytest.mark.parametrize(("a", "b"), [(100, 100), (100, 101), (40, 200), (0, 255), (250, 255)])
def test_flat_pictures_leave_the_luminance_term(a, b):
    """Without variance the contrast term is C2/C2 = 1, at every scale."""
    luminance = (2 * a * b + C1) / (a**2 + b**2 + C1)
    assert SSIM()(flat(a)[None], flat(b)) == [pytest.approx(luminance, abs=1e-9)]
    expected = pytest.approx(luminance**0.1333, abs=1e-9)
    assert MultiScaleSSIM()(flat(a)[None], flat(b)) == [expected]


def test_opposite_structure_is_negative_and_ms_ssim_counts_it_as_zero(battery):
    reference = battery.noisy(flat(128), 40)
    opposite = (256 - reference.int()).clamp(0, 255).to(torch.uint8)
    assert SSIM()(opposite[None], reference)[0] < -0.9
    assert MultiScaleSSIM()(opposite[None], reference) == [0]


@pytest.mark.parametrize("size", [(176, 176), (181, 207)])
@pytest.mark.parametrize("deviation", [0, 2, 60])
def test_equal_to_torchmetrics(battery, size, deviation):
    """The library's value at its best precision, on odd sizes, where scales drop a row."""
    reference = battery.drawing(*size)
    reference[:, :90, :90] = 250  # flat and bright, where float32 loses SSIM's third decimal
    picture = battery.noisy(reference, deviation)
    x, y = picture[None].double(), reference[None].double()
    ssim = structural_similarity_index_measure(x, y, data_range=255.0)
    ms_ssim = multiscale_structural_similarity_index_measure(x, y, data_range=255.0)
    assert SSIM()(picture[None], reference) == [pytest.approx(float(ssim), abs=1e-12)]
    assert MultiScaleSSIM()(picture[None], reference) == [pytest.approx(float(ms_ssim), abs=1e-7)]
