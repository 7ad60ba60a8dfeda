"""High-frequency energy against values derived by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from qa.errors import UsageError
from qa.metrics.spectrum import (
    HighFrequencyEnergy,
    HighFrequencyExcess,
    energy,
    floor,
    high_frequency_ratio,
)

SIDE = 128


def wave(cycles, amplitude=60.0, axis=1):
    """A grey sinusoid of so many cycles along one axis of 128 pixels."""
    phase = 2 * np.pi * cycles * np.arange(SIDE) / SIDE + 0.3
    line = 128 + amplitude * np.sin(phase)
    plane = np.broadcast_to(line if axis == 1 else line[:, None], (SIDE, SIDE))
    return torch.from_numpy(np.rint(plane).astype(np.uint8)).expand(3, -1, -1)


def noisy(deviation, seed=0, mean=128):
    values = np.random.default_rng(seed).normal(mean, deviation, (1, SIDE, SIDE))
    return torch.from_numpy(np.rint(values).astype(np.uint8)).expand(3, -1, -1)


def flat(level):
    return torch.full((3, SIDE, SIDE), level, dtype=torch.uint8)


def transform(picture, cut=0.25):
    """Energy from the full complex transform, without a floor."""
    y = np.tensordot([0.299, 0.587, 0.114], picture.numpy().astype(float), 1)
    w = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in y.shape))
    power = np.abs(np.fft.fft2(w * (y - (w * y).sum() / w.sum()))) ** 2
    fy, fx = (np.fft.fftfreq(n) for n in y.shape)
    return power[np.hypot(fy[:, None], fx) > cut].sum() / (y.size * (w * w).sum())


ROUNDING = (1 - math.pi / 16) / 12
"""Energy above 1/4 of a grey picture's rounding, its channels being rounded alike."""
ROUNDED = 2 * math.sqrt(2 / 64 / 12)
"""Standard error of a wave's amplitude, in levels, and so of its energy relative to amplitude: of
128 rounded values the window weighs about half. Twice, as energy goes with the square."""


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("cycles", [35, 47, 61])
def test_a_wave_above_the_cut_has_all_its_energy(cycles, axis):
    """32 cycles are 1/4 a pixel; the window spreads by 2. A wave's variance is half its amplitude
    squared, whatever the window."""
    expected = pytest.approx(60**2 / 2 + ROUNDING, rel=4 * ROUNDED / 60)
    assert energy(wave(cycles, axis=axis)) == expected


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("cycles", [1, 10, 24, 29])
def test_a_wave_below_the_cut_has_none(cycles, axis):
    """But its rounding."""
    assert energy(wave(cycles, axis=axis)) < 2 * ROUNDING


def test_the_cut_is_a_circle():
    """24 cycles on both axes: each below 32, their length 33.9 above it."""
    plane = wave(24, 30).double() + wave(24, 30, axis=0).double() - 128
    product = 128 + (wave(24, 60).double() - 128) * (wave(24, 60, axis=0).double() - 128) / 60
    assert energy(plane.round().to(torch.uint8)) < 3 * ROUNDING  # a sum: no diagonal wave
    assert energy(product.round().to(torch.uint8)) == pytest.approx(60**2 / 4, rel=1e-2)


def test_white_noise_has_the_share_of_the_plane():
    """All but a disc of radius 1/4 in a unit square. 128^2 / 2 independent values of relative
    variance 2, of which the window leaves a quarter or so."""
    share = 1 - math.pi / 16
    assert energy(noisy(20)) == pytest.approx(share * (20**2 + 1 / 12), rel=0.1)
    smaller = energy(noisy(20), cut=0.125)
    assert smaller == pytest.approx((1 - math.pi / 64) * (20**2 + 1 / 12), rel=0.1)


def test_colour_counts_as_luma():
    """Alone, the blue channel has 0.114 of the amplitude."""
    blue = flat(128).clone()
    blue[2] = wave(48)[2]
    assert energy(blue) == pytest.approx(0.114**2 * energy(wave(48)), rel=1e-3)


def test_brightness_does_not_count():
    assert energy(noisy(9, mean=90)) == pytest.approx(energy(noisy(9, mean=150)), rel=1e-9)


@pytest.mark.parametrize("factor", [0.5, 1, 1.25, 2])
def test_the_ratio_of_two_waves(factor):
    """Energy goes with the square of the amplitude."""
    picture, reference = wave(47, 60 * factor), wave(47)
    known, ratio = factor**2, high_frequency_ratio(picture, reference)
    assert ratio == pytest.approx(known, rel=4 * ROUNDED / 60 * (1 + 1 / factor))
    assert HighFrequencyEnergy()(picture[None], reference) == [min(ratio, 1)]
    assert HighFrequencyExcess()(picture[None], reference) == [max(math.log2(ratio), 0)]


def test_energy_and_excess_are_the_ratio():
    """Nothing is lost by telling it apart: r = energy * 2^excess."""
    reference = noisy(10)
    for picture in (noisy(3, 1), noisy(30, 2)):
        (share,), (excess,) = (
            metric()(picture[None], reference)
            for metric in (HighFrequencyEnergy, HighFrequencyExcess)
        )
        expected = high_frequency_ratio(picture, reference)
        assert share * 2**excess == pytest.approx(expected, rel=1e-12)
        assert (share < 1) != (excess > 0)


def test_blur_is_softness_and_noise_is_excess():
    reference = noisy(25)
    blurred = torch.from_numpy(ndimage.uniform_filter(reference.numpy(), (0, 3, 3)))
    grainy = (reference.int() + noisy(25, 3).int() - 128).clamp(0, 255).to(torch.uint8)
    pictures = torch.stack([blurred, reference, grainy])
    share, excess = HighFrequencyEnergy()(pictures, reference), HighFrequencyExcess()(
        pictures, reference)  # fmt: skip
    assert share[0] < 0.1
    assert share[1:] == [1, 1]
    assert excess[:2] == [0, 0]
    assert excess[2] == pytest.approx(1, abs=0.1)  # twice the variance


def test_the_same_energy_elsewhere_is_not_seen():
    """What the docstring warns of: other noise of the same strength."""
    assert high_frequency_ratio(noisy(25, 1), noisy(25, 2)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("cut", [0.25, 0.4])
def test_the_floor_is_the_energy_of_rounding(cut):
    """Smooth channels that are rounded independently: errors are even over one level."""
    values = 100 + 50 * np.random.default_rng(5).random((3, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(values, (0, 6, 6)) + np.linspace(0, 60, SIDE)
    assert transform(torch.from_numpy(np.rint(smooth)), cut) == pytest.approx(floor(cut), rel=0.1)


def test_flat_pictures_have_a_value():
    pictures = torch.stack([flat(0), flat(255), noisy(20)])
    assert HighFrequencyEnergy()(pictures, flat(77)) == [1, 1, 1]
    known = energy(noisy(20)) / floor(0.25)
    assert HighFrequencyExcess()(pictures, flat(77)) == [0, 0, pytest.approx(math.log2(known))]
    gone = floor(0.25) / energy(noisy(20))
    assert HighFrequencyEnergy()(flat(9)[None], noisy(20)) == [pytest.approx(gone)]


@pytest.mark.parametrize("size", [(16, 17), (31, 64), (64, 33)])
def test_odd_and_even_sizes_agree_with_the_full_transform(size):
    """The real transform leaves out half of the values; all but two columns count twice."""
    picture = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(1))
    picture = picture.to(torch.uint8)
    assert energy(picture) == pytest.approx(transform(picture), rel=1e-12)


@pytest.mark.parametrize("cut", [0, 0.5, -0.1, 2])
def test_no_cut(cut):
    with pytest.raises(UsageError, match=f"cut={cut} is no cut"):
        HighFrequencyEnergy(cut)


def test_the_function_refuses_other_sizes():
    with pytest.raises(ValueError, match="never resizes"):
        high_frequency_ratio(flat(1)[..., 1:], flat(1))
