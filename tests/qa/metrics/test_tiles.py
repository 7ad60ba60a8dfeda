"""Tiles give the features of the whole picture: each output once, with all it looks at."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torchmetrics.functional.image.dists import L2pooling
from torchvision.models import alexnet, vgg

from qa.metrics.tiles import Reach, reaches, tiles

ALEX = (Reach(4, 2, 8), Reach(8, 18, 32), Reach(16, 34, 64), Reach(16, 50, 80), Reach(16, 66, 96))


class Doubled(L2pooling):
    """L2 pooling whose filter is float64 like the rest."""

    def __init__(self, channels):
        super().__init__(channels=channels)
        self.double()


def network(kind):
    """Stages with the geometry of AlexNet, VGG16 or DISTS, two channels wide, in float64.

    Weights are positive means, so that no feature dies on the way.
    """
    generator = torch.Generator().manual_seed(0)

    def conv(inputs, kernel, stride=1, padding=1):
        layer = nn.Conv2d(inputs, 2, kernel, stride, padding, dtype=torch.float64)
        drawn = torch.rand(layer.weight.shape, dtype=torch.float64, generator=generator)
        layer.weight.data = drawn * 2 / layer.weight[0].numel()
        layer.bias.data.zero_()
        return [layer, nn.ReLU()]

    if kind == "alex":
        return [
            nn.Sequential(*conv(3, 11, 4, 2)),
            nn.Sequential(nn.MaxPool2d(3, 2), *conv(2, 5, padding=2)),
            nn.Sequential(nn.MaxPool2d(3, 2), *conv(2, 3)),
            nn.Sequential(*conv(2, 3)),
            nn.Sequential(*conv(2, 3)),
        ]
    stages = [nn.Sequential(*conv(3, 3), *conv(2, 3))]
    for convolutions in (2, 3, 3, 3):
        pool = nn.MaxPool2d(2, 2) if kind == "vgg" else Doubled(2)
        stages.append(nn.Sequential(pool, *(m for _ in range(convolutions) for m in conv(2, 3))))
    return stages


def features(stages, x):
    found = []
    for stage in stages:
        x = stage(x)
        found.append(x)
    return found


def together(stages, layers, picture, tile):
    """Every layer's features, put together from tiles; None where the parts do not fit."""
    rows = [{} for _ in stages]
    for part in tiles(*picture.shape[2:], tile, layers):
        made = features(stages, part.crop(picture))
        for row, feature, reach in zip(rows, made, layers, strict=True):
            row.setdefault(part.rows.keep.start, []).append(part.kept(feature, reach))
    return [torch.cat([torch.cat(r, dim=3) for r in row.values()], dim=2) for row in rows]


def largest_error(stages, layers, size, tile):
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(1, 3, *size, dtype=torch.float64, generator=generator)
    with torch.inference_mode():
        whole = features(stages, picture)
        parts = together(stages, layers, picture, tile)
    assert [p.shape for p in parts] == [w.shape for w in whole]
    assert all(w.max() > 0.05 for w in whole)
    return max(float((p - w).abs().max()) for p, w in zip(parts, whole, strict=True))


SIZES = [((81, 300), 32), ((301, 97), 64), ((160, 257), 100), ((64, 65), 16), ((255, 90), 1000)]


@pytest.mark.parametrize("kind", ["alex", "vgg", "dists"])
@pytest.mark.parametrize(("size", "tile"), SIZES)
def test_features_are_those_of_the_whole(kind, size, tile):
    stages = network(kind)
    assert largest_error(stages, reaches(stages), size, tile) < 1e-12


@pytest.mark.parametrize("kind", ["alex", "vgg", "dists"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_two_strides_less_around_a_tile_are_too_little(kind, side):
    """The same comparison fails: what is read around a tile is needed, on either side."""
    stages = network(kind)
    layers = reaches(stages)
    short = [replace(v, **{side: getattr(layers[-1], side) - 32}) for v in layers]
    assert largest_error(stages, short, (90, 400), 32) > 1e-9


def test_a_grid_that_is_not_the_strides():
    """The comparison fails too where tiles do not start on the coarsest layer's grid."""
    stages = network("alex")
    halved = [replace(v, stride=min(v.stride, 8)) for v in reaches(stages)]
    with pytest.raises((AssertionError, RuntimeError)):
        assert largest_error(stages, halved, (90, 300), 24) < 1e-12


def test_reaches_of_the_released_networks():
    """AlexNet by hand: 11/4/2, pool 3/2, 5/1/2, pool 3/2, three times 3/1/1."""
    with torch.device("meta"):
        alex, deep = alexnet(weights=None).features, vgg.make_layers(vgg.cfgs["D"])
    cuts = (0, 2, 5, 8, 10, 12)
    assert tuple(reaches([alex[a:b] for a, b in pairwise(cuts)])) == ALEX
    whole = reaches([deep[:30]])[0]
    assert (whole.stride, whole.before + 1 + whole.after) == (16, 196)  # VGG16's receptive field


@pytest.mark.parametrize("length", [*range(31, 80), 1024, 1025, 4096])
@pytest.mark.parametrize("tile", [1, 16, 33, 1024])
def test_tiles_cover_a_side_once_and_are_no_larger_than_asked(length, tile):
    parts = list(tiles(length, 1, tile, ALEX))
    assert [i for p in parts for i in range(p.rows.keep.start, p.rows.keep.stop)] == [
        *range(length)
    ]
    assert all(p.rows.keep.stop - p.rows.keep.start <= -(-tile // 16) * 16 for p in parts)
    assert len(parts) == 1 or length > tile
    assert [p.rows.last for p in parts] == [False] * (len(parts) - 1) + [True]
