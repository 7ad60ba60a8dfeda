"""VIF: nothing kept, everything kept, more contrast than there was."""

import piq
import pytest
import torch

from qa.metrics.vif import VIF


def test_a_flat_picture_keeps_nothing(battery):
    flat = torch.full((1, 3, 48, 50), 128, dtype=torch.uint8)
    assert VIF()(flat, battery.drawing(48, 50)) == [pytest.approx(0, abs=1e-9)]


def test_twice_the_contrast_holds_more_information_but_no_more_than_four_times(battery):
    """Without noise g = 2: log(1 + 4 x) lies between log(1 + x) and 4 log(1 + x)."""
    reference = battery.drawing(48, 50) // 2
    assert 1.01 < VIF()(reference[None] * 2, reference)[0] < 4


def test_not_symmetric(battery):
    reference = battery.drawing(48, 50)
    picture = battery.noisy(reference, 10)
    assert VIF()(picture[None], reference)[0] != pytest.approx(
        VIF()(reference[None], picture)[0], abs=1e-3
    )


def test_a_flat_reference_has_nothing_to_keep(battery):
    flat = torch.full((3, 48, 50), 128, dtype=torch.uint8)
    with pytest.raises(ValueError, match="no information"):
        VIF()(torch.stack([flat, battery.drawing(48, 50)]), flat)


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("size", [(41, 41), (64, 97), (101, 58)])
def test_equal_to_piq_in_strips_of_any_height(battery, monkeypatch, size, rows):
    """piq guards divisions with 1e-8 instead of 1e-10."""
    reference = battery.drawing(*size)
    reference[:, :20, :20] = 90
    picture = battery.noisy(reference, 12)
    x, y = picture[None].double(), reference[None].double()
    expected = float(piq.vif_p(x, y, data_range=255.0))
    monkeypatch.setattr(
        "qa.metrics.vif.row_strips",
        lambda height, width: (slice(t, min(t + rows, height)) for t in range(0, height, rows)),
    )
    assert VIF()(picture[None], reference) == [pytest.approx(expected, abs=1e-7)]


def test_the_comparison_can_fail(battery):
    reference = battery.drawing(64, 97)
    picture = battery.noisy(reference, 12)
    x, y = picture[None].double(), reference[None].double()
    other = float(piq.vif_p(x, y, data_range=255.0, sigma_n_sq=2.1))
    assert VIF()(picture[None], reference) != [pytest.approx(other, abs=1e-3)]
