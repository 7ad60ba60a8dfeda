"""FSIM and FSIMc: what follows from their definition."""

import pytest
import torch

from qa.errors import UsageError
from qa.metrics.fsim import FSIM


def test_symmetric(battery):
    reference = battery.drawing(40, 60)
    picture = battery.noisy(reference, 10)
    for colour in ("yiq", "rgb"):
        value = pytest.approx(FSIM(colour=colour)(picture[None], reference)[0], abs=1e-12)
        assert FSIM(colour=colour)(reference[None], picture) == [value]


def test_colour_counts_in_fsimc_alone(battery):
    """0.299 x 24 - 0.587 x 20 + 0.114 x 40 = -0.004: another colour of the same luma."""
    reference = battery.drawing(40, 60).clamp(40, 200)
    picture = (reference.int() + torch.tensor([24, -20, 40]).view(3, 1, 1)).byte()
    assert FSIM()(picture[None], reference)[0] > 1 - 1e-6
    assert FSIM(colour="rgb")(picture[None], reference)[0] < 0.999


def test_grey_pictures_have_no_chroma_to_differ_in(battery):
    reference = battery.drawing(40, 60)[:1].expand(3, -1, -1)
    picture = battery.noisy(reference[:1], 10).expand(3, -1, -1)
    value = pytest.approx(FSIM()(picture[None], reference)[0], abs=1e-6)
    assert FSIM(colour="rgb")(picture[None], reference) == [value]


@pytest.mark.parametrize("colour", ["yiq", "rgb"])
def test_a_flat_reference_has_no_features(battery, colour):
    flat = torch.tensor([10, 200, 90], dtype=torch.uint8).view(3, 1, 1).expand(3, 20, 20)
    with pytest.raises(ValueError, match="flat"):
        FSIM(colour=colour)(battery.drawing(20, 20)[None], flat)
    assert FSIM(colour=colour)(flat[None], battery.drawing(20, 20))[0] < 0.9


def test_unknown_colour():
    with pytest.raises(UsageError, match="colour=lab"):
        FSIM(colour="lab")
