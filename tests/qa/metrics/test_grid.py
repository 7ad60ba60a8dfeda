"""The patch grid against values derived by hand."""

import numpy as np
import pytest
import torch

from qa.errors import UsageError
from qa.metrics.grid import PatchGrid, _sides

SIDE, P = 128, 16


def stairs(plain, border, patch=P, offset=0, side=SIDE):
    """A grey picture whose every difference is `plain`, on the patches' borders `border`.

    Both along x and along y; signs alternate so that values stay within 8 bits.
    """
    t = np.arange(1, side)
    steps = np.where((t - offset) % patch == 0, border, plain) * np.where(t % 2, 1, -1)
    line = np.concatenate([[0], steps.cumsum()])
    line -= line.min()
    plane = line[:, None] + line
    assert plane.max() <= 255
    return torch.from_numpy(plane.astype(np.uint8)).expand(3, -1, -1)


def texture(seed, side=256):
    """A stationary picture: noise, blurred a little so that neighbours are alike."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 60, (3, side + 2, side + 2))
    smooth = sum(noise[:, i : i + side, j : j + side] for i in range(3) for j in range(3)) / 9
    return 128 + smooth


def seamed(picture, strength, seed=9):
    """With a shade of its own for each patch, of this standard deviation in levels."""
    patches = np.random.default_rng(seed).normal(0, 1, [n // P for n in picture.shape[1:]])
    shades = strength * patches.repeat(P, 0).repeat(P, 1)
    return torch.from_numpy(np.rint((picture + shades).clip(0, 255)).astype(np.uint8))


def value(picture, **arguments):
    return PatchGrid(**arguments)(picture[None], None)[0]


@pytest.mark.parametrize(("plain", "border"), [(4, 4), (4, 8), (4, 5), (0, 1), (0, 9), (6, 0)])
def test_known_differences(plain, border):
    """f(a, b) = (a - b) / (a + b + 1) at every border and distance."""
    expected = (border - plain) / (border + plain + 1)
    assert value(stairs(plain, border)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("patch", [2, 7, 8, 32])
def test_other_patches(patch):
    assert value(stairs(2, 3, patch), patch=patch) == pytest.approx(1 / 6, abs=1e-12)


def test_the_grid_must_be_where_it_is_looked_for():
    """Half a patch off, the strong difference is at distance 8 on both sides: two of 16 terms."""
    shifted = stairs(4, 12, offset=8)
    assert value(shifted, offset=8) == pytest.approx(8 / 17, abs=1e-12)
    assert value(shifted) == pytest.approx(-8 / 17 / 8, abs=1e-12)
    assert value(stairs(4, 12), offset=8) == pytest.approx(-8 / 17 / 8, abs=1e-12)


def test_a_grid_of_another_period_is_not_seen():
    assert abs(value(stairs(4, 12, patch=13))) < 0.05


@pytest.mark.parametrize("level", [0, 7, 255])
def test_flat_pictures_have_none(level):
    assert value(torch.full((3, 40, 50), level, dtype=torch.uint8)) == 0


def test_without_a_grid_it_is_zero_on_average():
    """Over 12 textures, within 4 standard errors of the mean; with a faint grid it is not."""
    plain, faint = (
        np.array([value(seamed(texture(seed), strength)) for seed in range(12)])
        for strength in (0, 4)
    )
    assert abs(plain.mean()) < 4 * plain.std(ddof=1) / np.sqrt(12)
    assert faint.mean() > 4 * faint.std(ddof=1) / np.sqrt(12)


def test_of_any_picture_the_offsets_cancel():
    """Differences t and t + k meet twice, with opposite signs, when each column has been a border
    once. Only what lies next to the first and the last border does not meet again: k values of at
    most 1 at either end, 72 for k = 1..8, of 16 for each of the 1000 borders 16..1015."""
    line = np.random.default_rng(2).integers(0, 256, 1024)
    line[300:700] = 40
    picture = torch.from_numpy(line.astype(np.uint8)).expand(3, 31, -1)
    sides = [_sides(picture, P, offset) for offset in range(P)]
    assert sum(map(len, sides)) == 1000
    assert max(abs(float(side.mean())) for side in sides) > 0.05
    assert abs(float(torch.cat(sides).mean())) <= 72 / 16 / 1000


def test_it_grows_with_the_strength_of_the_grid():
    values = [value(seamed(texture(0), strength)) for strength in (0, 2, 4, 8, 16, 32)]
    assert values == sorted(set(values))


def test_brightness_does_not_matter():
    picture = stairs(2, 7)
    assert value(picture + 60) == value(picture)


def test_each_axis_is_half_of_it():
    only = stairs(4, 8)[:, :1].expand(-1, SIDE, -1)
    assert value(only) == pytest.approx(4 / 13 / 2, abs=1e-12)
    assert value(only.transpose(1, 2)) == value(only)


def test_colour_seams_count():
    picture = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    picture[2] = stairs(0, 6)[0]
    assert value(picture) == pytest.approx(2 / 3, abs=1e-12)  # 6 levels in one of three channels


def test_patch_sides_begin_at_the_offset_too():
    """Flat above the first patch: a side that reached into it would have a smaller mean."""
    picture = stairs(4, 8, offset=8)[:, :1].expand(-1, SIDE, -1).clone()
    picture[:, :8] = 128
    assert value(picture, offset=8) == pytest.approx(4 / 13 / 2, abs=1e-12)


def test_getting_busier_to_the_right_is_no_grid():
    """Differences c that grow by 1 a pixel, from 20 to 147: k / 2c more than at distance k on one
    side (0.03) and less on the other, which leaves (k / 2c)^2."""
    steps = np.arange(20, 147) * np.where(np.arange(127) % 2, 1, -1)
    line = 150 + np.concatenate([[0], steps.cumsum()])
    assert line.min() >= 0
    assert line.max() <= 255
    picture = torch.from_numpy(line.astype(np.uint8)).expand(3, SIDE, -1)
    assert abs(value(picture)) < 0.005


def test_one_hard_edge_on_a_border_is_one_patch_side_in_many():
    picture = torch.zeros((3, 256, 256), dtype=torch.uint8)
    picture[:, :, 128:] = 255
    assert value(picture) == pytest.approx(255 / 256 * 16 / (2 * 15 * 16), abs=1e-12)


def test_a_partial_patch_at_the_end_is_left_out():
    """A last border counts when half a patch lies behind it."""
    picture = stairs(4, 8)
    assert value(picture[:, :, : 96 + 9]) == pytest.approx(4 / 13, abs=1e-12)
    spoilt = picture.clone()
    spoilt[:, 112 + 9 :] = 0  # below the last half patch that counts
    assert value(spoilt[:, :121]) == value(picture[:, :121])


def test_two_patches_are_needed():
    assert value(stairs(4, 8)[:, :32, :32]) == pytest.approx(4 / 13, abs=1e-12)
    with pytest.raises(ValueError, match=r"is 31 pixels.*at least 32"):
        value(stairs(4, 8)[:, :31])
    with pytest.raises(ValueError, match="at least 37"):
        value(stairs(4, 8)[:, :36], offset=5)


@pytest.mark.parametrize("arguments", [{"patch": 1}, {"patch": 0}, {"offset": 16}, {"offset": -1}])
def test_no_grid(arguments):
    with pytest.raises(UsageError, match=r"has no inside|is not in 0\.\.15"):
        PatchGrid(**arguments)
