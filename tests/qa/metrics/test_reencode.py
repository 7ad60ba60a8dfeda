"""What comes back when a decoded picture is encoded again."""

import math

import pytest
import torch

from qa.metrics.reencode import Reencode

Z = torch.tensor([[[3.0, 4.0]]])


def test_the_value_by_hand():
    again = [Z, torch.zeros_like(Z), 2 * Z, Z + torch.tensor([[[0.0, 1.0]]])]
    assert Reencode()(Z, again) == [0.0, 1.0, 1.0, pytest.approx(1 / 5, abs=1e-15)]


@pytest.mark.parametrize(
    ("latent", "again", "message"),
    [
        (torch.zeros(1, 1, 2), Z, "zero everywhere"),
        (Z, torch.zeros(1, 2, 2), r"encodes to \[1, 2, 2\], its latent is \[1, 1, 2\]"),
        (Z, Z * math.nan, "NaN or infinity"),
    ],
)
def test_what_has_no_value_is_refused(latent, again, message):
    with pytest.raises(ValueError, match=message):
        Reencode()(latent, [again])
