"""FLIP: known ends, its map, and what happens without its package."""

import sys

import pytest
import torch

from qa.errors import Unavailable, UsageError

pytest.importorskip("flip_evaluator", reason="a package that is not everywhere")

from qa.metrics.flip import FLIP, flip_map


def test_white_for_black(battery):
    """No edges; lightness differs by 100, whose 0.7th power lies above the knee."""
    import cases_colour

    primaries = [
        cases_colour.hunt_lab(torch.tensor(rgb).double().view(3, 1, 1).numpy())
        for rgb in ((0, 1, 0), (0, 0, 1))
    ]
    largest = float(cases_colour.hyab(*primaries)[0, 0]) ** 0.7
    expected = 0.95 + 0.05 * (100**0.7 - 0.4 * largest) / (0.6 * largest)
    black = torch.zeros((3, 20, 24), dtype=torch.uint8)
    assert FLIP()(255 - black[None], black) == [pytest.approx(expected, abs=1e-5)]


@pytest.mark.parametrize("ppd", [20, 67, 120])
def test_the_map_is_the_formula(battery, ppd):
    import cases_colour

    reference = battery.drawing(40, 53)
    picture = battery.noisy(reference, 12)
    found = flip_map(picture, reference, ppd)
    expected = cases_colour.flip_formula(picture, reference, ppd)
    assert found.shape == (40, 53)
    assert found.numpy() == pytest.approx(expected, abs=1e-5)
    assert FLIP(ppd)(picture[None], reference) == [pytest.approx(float(found.double().mean()))]


def test_the_formula_can_fail(battery):
    import cases_colour

    reference = battery.drawing(40, 53)
    picture = battery.noisy(reference, 12)
    expected = cases_colour.flip_formula(picture, reference, 60)
    assert flip_map(picture, reference, 67).numpy() != pytest.approx(expected, abs=1e-3)


def test_the_map_shows_where(battery):
    reference = torch.full((3, 60, 60), 128, dtype=torch.uint8)
    picture = reference.clone()
    picture[:, 28:32, 28:32] = 255
    found = flip_map(picture, reference)
    assert found[30, 30] > 0.5
    assert found[:8].max() == found[:, -8:].max() == 0


def test_the_metrics_own_map_has_its_viewing_distance(battery):
    reference = battery.drawing(40, 53)
    picture = battery.noisy(reference, 12)
    near, far = FLIP(20).map(picture, reference), FLIP().map(picture, reference)
    assert torch.equal(near, flip_map(picture, reference, 20))
    assert torch.equal(far, flip_map(picture, reference))
    assert not torch.equal(near, far)
    black = torch.zeros((3, 20, 24), dtype=torch.uint8)
    assert 0.9 < float(FLIP().map(255 - black, black).max()) <= FLIP.full


def test_refusals(monkeypatch):
    picture = torch.zeros((3, 8, 8), dtype=torch.uint8)
    with pytest.raises(UsageError, match="ppd=0"):
        FLIP(ppd=0)
    with pytest.raises(ValueError, match="never resizes"):
        flip_map(picture, picture[:, :7])
    monkeypatch.setitem(sys.modules, "flip_evaluator.nbflip", None)
    with pytest.raises(Unavailable, match="pip install flip-evaluator"):
        FLIP()
