"""DISTS: consequences of its definition, and tiles."""

from dataclasses import replace

import pytest
import torch
from torchmetrics.functional.image import dists

from qa.errors import UsageError
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


SIZES = [((32, 330), 64), ((129, 40), 50), ((33, 34), 16), ((32, 65), 32)]


@pytest.mark.parametrize(("size", "tile"), SIZES)
def test_tiles_do_not_change_the_value(battery, mirror, size, tile):
    reference = battery.drawing(*size)
    pictures = torch.stack([reference, battery.noisy(reference, 5), battery.noisy(reference, 20)])
    whole, tiled = DISTS(tile=10_000), DISTS(tile=tile)
    assert whole.facts == tiled.facts
    assert tiled(pictures, reference) == pytest.approx(whole(pictures, reference), abs=1e-7)


def test_tiles_that_read_no_neighbours_do(battery, mirror):
    """The same comparison fails without what is read around a tile."""
    reference = battery.drawing(64, 256)
    picture = battery.noisy(reference, 20)
    metric = DISTS(tile=64)
    value = metric(picture[None], reference)
    metric._reaches = [replace(reach, before=0, after=0) for reach in metric._reaches]
    assert metric(picture[None], reference) != pytest.approx(value, abs=1e-5)


def test_tiles_of_no_size():
    with pytest.raises(UsageError, match="tile=-1"):
        DISTS(tile=-1)
