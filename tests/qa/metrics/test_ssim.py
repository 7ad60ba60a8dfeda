"""SSIM and MS-SSIM against closed forms and against torchmetrics in float64."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from qa.errors import UsageError
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


def in_strips(rows):
    """A cutter of strips of this many rows."""
    return lambda height, width: (slice(t, min(t + rows, height)) for t in range(0, height, rows))


@pytest.mark.parametrize("metric", [SSIM, MultiScaleSSIM])
@pytest.mark.parametrize("protocol", [("rgb", "mirrored"), ("ycbcr", "valid")])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_strips_do_not_change_the_value(battery, monkeypatch, metric, protocol, rows):
    """One strip is the whole: 181 rows are fewer than 2^18 / 207."""
    reference = battery.drawing(181, 207)
    picture = battery.noisy(reference, 12)
    measure = metric(*protocol)
    whole = measure(picture[None], reference)[0]
    monkeypatch.setattr("qa.metrics.ssim.row_strips", in_strips(rows))
    assert measure(picture[None], reference) == [pytest.approx(whole, abs=1e-12)]


def test_the_comparison_of_strips_can_fail(battery, monkeypatch):
    """Strips that leave out a row are seen."""
    reference = battery.drawing(181, 207)
    picture = battery.noisy(reference, 12)
    whole = SSIM()(picture[None], reference)[0]
    cut = in_strips(64)
    monkeypatch.setattr("qa.metrics.ssim.row_strips", lambda h, w: cut(h - 1, w))
    assert SSIM()(picture[None], reference) != [pytest.approx(whole, abs=1e-6)]


def test_borders_left_out_are_scikit_images(battery):
    reference = battery.drawing(50, 61)
    picture = battery.noisy(reference, 12)
    x, y = (p.numpy().astype(float) for p in (picture, reference))
    expected = structural_similarity(
        x, y, data_range=255, channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert SSIM(border="valid")(picture[None], reference) == [pytest.approx(expected, abs=1e-12)]
    assert SSIM()(picture[None], reference) != [pytest.approx(expected, abs=1e-4)]


def test_luma_of_greys(battery):
    """Two flat greys: the luminance term at 16 + 219/255 of their levels."""
    a, b = (16 + level * 219 / 255 for level in (40, 200))
    expected = (2 * a * b + C1) / (a**2 + b**2 + C1)
    assert SSIM(colour="ycbcr")(flat(40)[None], flat(200)) == [pytest.approx(expected, abs=1e-12)]


def test_luma_does_not_see_colour(battery):
    """0.587 levels of green weigh as much as 0.299 of red and 0.288 of blue: 114 dB = -299 dR."""
    reference = battery.drawing(50, 61).clamp(40, 200)
    weights = np.array([299, 587, 114])
    assert (weights * [6, -5, 10]).sum() == -1
    picture = (reference.int() + torch.tensor([6, -5, 10]).view(3, 1, 1)).byte()
    assert SSIM(colour="ycbcr")(picture[None], reference)[0] > 1 - 1e-6
    assert SSIM()(picture[None], reference)[0] < 0.999


@pytest.mark.parametrize("metric", [SSIM, MultiScaleSSIM])
@pytest.mark.parametrize("wrong", [{"colour": "lab"}, {"border": "zeros"}])
def test_unknown_protocols(metric, wrong):
    with pytest.raises(UsageError, match=next(iter(wrong.values()))):
        metric(**wrong)


def test_every_protocol_has_its_own_facts():
    made = [
        metric(colour, border).facts
        for metric in (SSIM, MultiScaleSSIM)
        for colour in ("rgb", "ycbcr")
        for border in ("mirrored", "valid")
    ]
    assert len({str(sorted(facts.protocol.items())) for facts in made}) == len(made)
    assert {facts.name for facts in made} == {"ssim", "ssim_y", "ms_ssim", "ms_ssim_y"}
