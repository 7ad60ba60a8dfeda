"""Layers fed in stripes of any heights give what PyTorch's own give on the whole map."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, pad

from decoders.exact import layers

pytestmark = pytest.mark.usefixtures("one_thread")

HEIGHTS = [(1, 1, 1, 1, 1, 1, 1), (7,), (2, 5), (6, 1), (1, 3, 3)]
SAME = 1e-13


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def fed(layer, rows, heights):
    """What the layer gives, stripe by stripe."""
    ends = [sum(heights[: i + 1]) for i in range(len(heights))]
    parts = [rows[:, :, top:end] for top, end in pairwise((0, *ends))]
    return [layer(part, part is parts[-1]) for part in parts]


def convolution(channels=3, **options):
    torch.manual_seed(4)
    return nn.Conv2d(channels, 5, 3, **options).double().requires_grad_(False)


def up(layer, rows):
    return layer(interpolate(rows, scale_factor=2.0, mode="nearest"))


def down(layer, rows):
    return layer(pad(rows, (0, 1, 0, 1)))


KINDS = {
    "convolution": (layers.convolution, {"padding": 1}, lambda layer, rows: layer(rows)),
    "upsampling": (layers.upsampling, {"padding": 1}, up),
    "downsampling": (layers.downsampling, {"stride": 2}, down),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("heights", HEIGHTS, ids=str)
@pytest.mark.parametrize("width", [6, 7])
def test_stripes_of_any_heights(kind, heights, width):
    streamed, options, whole = kind
    layer, rows = convolution(**options), normal(1, 3, sum(heights), width)
    expected = whole(layer, rows)
    found = torch.cat(fed(streamed(layer), rows, heights), 2)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("height", [1, 2, 3])  # a stride of 2 leaves nothing of one row
def test_a_map_of_few_rows(kind, height):
    streamed, options, whole = kind
    height += streamed is layers.downsampling
    layer, rows = convolution(**options), normal(1, 3, height, 4)
    found = fed(streamed(layer), rows, (1,) * height)
    torch.testing.assert_close(torch.cat(found, 2), whole(layer, rows), rtol=0, atol=SAME)


def test_rows_come_as_soon_as_they_can():
    rows = normal(1, 3, 4, 5)
    given = fed(layers.convolution(convolution(padding=1)), rows, (1, 1, 1, 1))
    assert [one.shape[2] for one in given] == [0, 1, 1, 2]
    given = fed(layers.upsampling(convolution(padding=1)), rows, (1, 1, 1, 1))
    assert [one.shape[2] for one in given] == [0, 2, 2, 4]


def test_the_zeros_at_the_edge_come_after_what_is_done_first():
    layer, rows = convolution(padding=1), normal(1, 3, 5, 6)
    found = fed(layers.convolution(layer, lambda values: values + 1), rows, (2, 3))
    expected = layer(rows + 1)
    torch.testing.assert_close(torch.cat(found, 2), expected, rtol=0, atol=SAME)
    before_the_edge = layer(pad(rows, (1, 1, 1, 1)) + 1)[:, :, 1:-1, 1:-1]
    assert (expected - before_the_edge).abs().max() > 0.01  # the other order would be seen


def test_parities_sum_to_the_weights():
    """On a constant map, each parity of the output sees all nine weights."""
    weight = normal(2, 3, 3, 3)
    parts = layers.parities(weight)
    assert set(parts) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for part in parts.values():
        assert part.shape == (2, 3, 2, 2)
        torch.testing.assert_close(part.sum((2, 3)), weight.sum((2, 3)))


def test_a_residual_adds_the_row_it_belongs_to():
    """Two identities, each a row behind: the sum is 2 x, from x that waited two rows."""
    identity = convolution(padding=1)
    identity.weight = nn.Parameter(torch.zeros(3, 3, 3, 3, dtype=torch.float64), False)
    identity.weight[range(3), range(3), 1, 1] = 1
    identity.bias = None
    rows = normal(1, 3, 7, 4)
    front, back = layers.convolution(identity), layers.convolution(identity)
    found = fed(layers.residual(front, back, layers.same), rows, (1, 1, 2, 3))
    assert [one.shape[2] for one in found] == [0, 0, 2, 5]
    assert torch.equal(torch.cat(found, 2), 2 * rows)
