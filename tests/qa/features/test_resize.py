"""Resizing equals Pillow's mode F, bit for bit, and Pillow's 8-bit path is Pillow's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from qa.features.resize import FILTERS, pillow, resize, taps

sides = st.integers(1, 70)
filters = st.sampled_from(sorted(FILTERS))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def by_pillow(x, size, filter):
    """[3,H,W] → [3,h,w] float32, mode F, channel by channel."""
    method = Image.Resampling[filter.upper()]
    images = [Image.fromarray(channel.astype(np.float32)) for channel in x]
    return np.stack([np.asarray(i.resize((size[1], size[0]), method)) for i in images])


def ours(x, size, filter="bicubic", exact=True):
    return resize(torch.tensor(x)[None], size, filter, exact)[0].numpy()


def difference(x, y):
    return float(np.abs(x - y).max())


@settings(max_examples=150, deadline=None)
@given(sides, sides, sides, sides, filters, st.integers(0, 9))
def test_equals_pillow_bit_for_bit(height, width, h, w, filter, seed):
    x = noise(3, height, width, seed=seed)
    expected = by_pillow(x, (h, w), filter)
    assert np.array_equal(ours(x, (h, w), filter), expected)
    assert difference(ours(x, (h, w), filter, exact=False), expected) <= 1e-4


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [((211, 317), (299, 299)), ((31, 17), (299, 299)), ((1, 1), (40, 3)), ((1, 900), (7, 2)),
     ((1500, 2), (3, 40)), ((720, 1280), (299, 299)), ((64, 64), (64, 9)), ((97, 5), (1, 1))],
)  # fmt: skip
def test_shapes(filter, shape, size):
    x = noise(3, *shape)
    expected = by_pillow(x, size, filter)
    assert np.array_equal(ours(x, size, filter), expected)
    assert difference(ours(x, size, filter, exact=False), expected) <= 1e-4


def test_floats_are_taken_as_they_are():
    x = (noise(3, 50, 40) / 3).astype(np.float32)
    assert np.array_equal(ours(x, (20, 33)), by_pillow(x, (20, 33), "bicubic"))


def test_the_order_of_the_passes_shows_in_the_last_bit():
    """Negative control: 40 to 9 and 30 to 28 is a case where columns come first."""
    x = noise(3, 40, 30)
    rows_first = ours(ours(x, (40, 28)), (9, 28))
    expected = by_pillow(x, (9, 28), "bicubic")
    assert np.array_equal(ours(x, (9, 28)), expected)
    assert 0 < difference(rows_first, expected) < 1e-4


def test_torch_antialiasing_is_not_within_the_tolerance():
    """Negative control: the usual stand-in for Pillow fails the check of the fast mode."""
    x = noise(3, 211, 317)
    theirs = functional.interpolate(
        torch.tensor(x)[None].float(), size=(99, 99), mode="bicubic", antialias=True
    )
    assert difference(theirs[0].numpy(), by_pillow(x, (99, 99), "bicubic")) > 1e-4


def test_weights_off_by_a_millionth_would_be_seen(monkeypatch):
    """Negative control."""
    x = noise(3, 60, 60)
    first, weights = taps("bicubic", 60, 20)
    monkeypatch.setattr("qa.features.resize.taps", lambda *_: (first, weights * (1 + 1e-6)))
    assert not np.array_equal(ours(x, (20, 20)), by_pillow(x, (20, 20), "bicubic"))


def test_a_batch_is_its_pictures():
    x = torch.tensor(noise(3, 3, 41, 67))
    one_by_one = torch.cat([resize(picture[None], (30, 90)) for picture in x])
    assert torch.equal(resize(x, (30, 90)), one_by_one)


def test_long_rows_are_cut_without_a_trace():
    """2^18 / 4 columns fit into one piece; here are more."""
    x = noise(3, 3, 70_000 // 3)
    assert np.array_equal(ours(x, (4, 70_000 // 3)), by_pillow(x, (4, 70_000 // 3), "bicubic"))


@pytest.mark.parametrize("filter", FILTERS)
def test_weights_sum_to_one_and_keep_a_flat_picture(filter):
    _, weights = taps(filter, 100, 37)
    assert weights.sum(axis=1) == pytest.approx(np.ones(37), abs=1e-15)
    flat = np.full((3, 100, 50), 77, np.uint8)
    assert difference(ours(flat, (37, 90), filter), np.float32(77)) < 1e-4


def test_halving_with_a_box_is_the_mean_of_two():
    x = np.array([[[0, 10, 20, 40]]] * 3, np.uint8)
    assert ours(x, (1, 2), "box").tolist() == [[[5, 30]]] * 3


def test_the_same_size_is_a_copy():
    x = noise(3, 9, 8)
    assert np.array_equal(ours(x, (9, 8)), x.astype(np.float32))


def test_nothing_is_clipped():
    edge = np.repeat(np.array([0, 0, 0, 255, 255, 255], np.uint8)[None, None], 3, axis=0)
    made = ours(edge, (1, 12))
    assert made.min() < 0
    assert made.max() > 255


@pytest.mark.parametrize("filter", FILTERS)
def test_eight_bits_are_pillows(filter):
    x = torch.tensor(noise(3, 33, 47))
    image = Image.fromarray(x.permute(1, 2, 0).numpy())
    expected = np.asarray(image.resize((20, 50), Image.Resampling[filter.upper()]))
    made = pillow(x, (50, 20), filter)
    assert made.dtype == torch.uint8
    assert np.array_equal(made.permute(1, 2, 0).numpy(), expected)
    # Negative control: rounding mode F is not the same.
    rounded = ours(x.numpy(), (50, 20), "lanczos").clip(0, 255).round()
    assert filter != "lanczos" or (rounded != made.numpy()).any()


def test_refusals():
    x = torch.zeros(1, 3, 4, 4)
    with pytest.raises(ValueError, match="no filter 'cubic'"):
        resize(x, (2, 2), "cubic")
    with pytest.raises(ValueError, match="uint8 or float32"):
        resize(x.double(), (2, 2))
    with pytest.raises(ValueError, match="uint8 or float32"):
        resize(x[0], (2, 2))
    with pytest.raises(ValueError, match="cannot become 0x2"):
        resize(x, (0, 2))
