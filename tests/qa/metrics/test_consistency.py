"""Low-resolution PSNR against values derived by hand."""

import math

import pytest
import torch

from qa.errors import UsageError
from qa.features.resize import resize
from qa.metrics.consistency import LowResolutionPSNR, ceiling

ONE_LEVEL = 10 * math.log10(255**2)


def flat(level, height=32, width=48):
    return torch.full((3, height, width), level, dtype=torch.uint8)


def drawn(seed=0, height=64, width=96):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(40, 216, (3, height, width), generator=generator, dtype=torch.uint8)


def test_a_constant_shift_survives_the_reduction():
    """The filter's weights sum to 1."""
    values = LowResolutionPSNR()(torch.stack([flat(101), flat(110)]), flat(100))
    assert values == [pytest.approx(ONE_LEVEL, abs=1e-4), pytest.approx(ONE_LEVEL - 20, abs=1e-4)]


def test_what_the_reduction_takes_away_is_free():
    """A checkerboard: weights are symmetric and its signs are not, so it leaves nothing but where
    the filter is cut off on both axes, in the corners."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    reference = drawn()
    checkered = reference + ((x + y) % 2).to(torch.uint8) * 40  # a checkerboard of 20, and 20 more
    free, bound = LowResolutionPSNR()(torch.stack([checkered, reference + 20]), reference + 20)
    assert bound == ceiling(4)
    assert free > 60
    assert LowResolutionPSNR()(checkered[None], reference)[0] == pytest.approx(
        ONE_LEVEL - 20 * math.log10(20), abs=0.05
    )


def test_position_is_not_free():
    reference = drawn()
    assert LowResolutionPSNR()(reference.roll(4, dims=2)[None], reference)[0] < 30


def test_the_ceiling_is_what_rounding_leaves():
    """A picture before and after rounding to levels; 3 * 120^2 reduced errors, so the mean of their
    squares is known to 1 % (0.04 dB) or so, neighbours being dependent."""
    generator = torch.Generator().manual_seed(3)
    exact = 100 + 50 * torch.rand((1, 3, 512, 512), generator=generator)
    error = resize(exact.round().to(torch.uint8), (128, 128)) - resize(exact, (128, 128))
    inner = error[..., 4:-4, 4:-4].double()  # cut-off filters average over fewer pixels
    psnr = 10 * math.log10(255**2 / float(inner.square().mean()))
    assert psnr == pytest.approx(ceiling(4), abs=0.12)


@pytest.mark.parametrize("by", [2, 4, 8])
def test_noise_costs_what_its_variance_is_of_that_of_rounding(by):
    """1/12 has the ceiling. At least 3 * 32^2 / 2 independent errors: the mean of their squares is
    known to 4 %, or 0.15 dB; both pictures are rounded."""
    generator = torch.Generator().manual_seed(by)
    noise = 128 + 10 * torch.randn((3, 384, 384), generator=generator)
    found = LowResolutionPSNR(by)(noise.round().to(torch.uint8)[None], flat(128, 384, 384))[0]
    assert found == pytest.approx(ceiling(by) - 10 * math.log10(12 * 100 + 1), abs=0.45)


@pytest.mark.parametrize("by", [2, 3, 4, 8])
def test_the_ceiling_grows_with_the_reduction(by):
    """Averaging over n values divides the variance by n: close to a box of by x by pixels."""
    box = 10 * math.log10(255**2 * 12 * by**2)
    assert ceiling(by) == pytest.approx(box, abs=2)


def test_identical_pictures_have_the_ceiling():
    reference = drawn()
    for by in (2, 4):
        assert LowResolutionPSNR(by)(reference[None], reference) == [ceiling(by)]


def test_odd_sizes_are_reduced_to_whole_pixels():
    reference = drawn(height=67, width=101)
    assert LowResolutionPSNR()(reference[None], reference) == [ceiling(4)]
    assert LowResolutionPSNR()(drawn(1, 67, 101)[None], reference)[0] < 40


@pytest.mark.parametrize(("by", "side"), [(2, 8), (4, 16), (8, 32)])
def test_the_least_side_is_the_filter(by, side):
    metric = LowResolutionPSNR(by)
    assert metric(flat(9, side, side)[None], flat(9, side, side)) == [ceiling(by)]
    with pytest.raises(ValueError, match=f"is {side - 1} pixels.*at least {side}"):
        metric(flat(9, side - 1, side)[None], flat(9, side - 1, side))


@pytest.mark.parametrize("by", [1, 0, -4])
def test_no_reduction(by):
    with pytest.raises(UsageError, match=f"by={by} is no reduction"):
        LowResolutionPSNR(by)
