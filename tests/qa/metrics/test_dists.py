"""DISTS: two consequences of its definition."""

import pytest
import torch
from torchmetrics.functional.image import dists

from qa.metrics.dists import DISTS


def test_symmetric_and_at_most_one(battery, mirror):
    reference = battery.drawing(48, 52)
    metric = DISTS()
    one, other = metric(torch.stack([battery.noisy(reference, 30), 255 - reference]), reference)
    assert metric(reference[None], battery.noisy(reference, 30)) == [pytest.approx(one, abs=1e-5)]
    assert 0 < one < other < 1


def test_torchmetrics_is_left_as_it_was(mirror):
    downloading = dists.vgg16
    DISTS()
    assert dists.vgg16 is downloading
