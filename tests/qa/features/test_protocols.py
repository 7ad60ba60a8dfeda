"""What the network is shown equals what each protocol's owner shows it."""

import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional

from qa.features.protocols import PROTOCOLS, centred, tf1_bilinear

SHAPES = [(64, 96), (299, 299), (411, 137), (33, 600)]
shapes = pytest.mark.parametrize("shape", SHAPES)


def shown(protocol, picture):
    return PROTOCOLS[protocol].prepare(picture[None])


def clean_fid(mode, picture):
    from cleanfid.resize import build_resizer

    with warnings.catch_warnings():  # it switches all warnings off for the process
        x = build_resizer(mode)(picture.permute(1, 2, 0).numpy())
    return torch.from_numpy(np.ascontiguousarray(x)).permute(2, 0, 1)[None]


@shapes
def test_clean(picture, shape):
    x = picture(*shape)
    assert torch.equal(shown("clean", x), (clean_fid("clean", x) - 128) / 128)


@shapes
def test_ttur(picture, shape):
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x as reference,
    )

    x = picture(*shape)
    theirs = reference(x[None].float(), size=(299, 299), align_corners=False)
    assert torch.equal(shown("ttur", x), (theirs - 128) / 128)


@shapes
def test_pytorch_fid(picture, shape):
    """As its own InceptionV3 prepares: resize_input and normalize_input of [0,1] floats."""
    x = picture(*shape)
    resized = functional.interpolate(x[None] / 255, size=(299, 299), mode="bilinear")
    assert torch.equal(shown("pytorch-fid", x), 2 * resized - 1)
    theirs = clean_fid("legacy_pytorch", x) / 255 * 2 - 1
    assert (shown("pytorch-fid", x) - theirs).abs().max() < 1e-6


@shapes
def test_tm(picture, shape):
    x = picture(*shape)
    theirs = functional.interpolate(
        x[None].float(), size=(299, 299), mode="bilinear", align_corners=False, antialias=True
    )
    assert torch.equal(shown("tm", x), (theirs - 128) / 128)


def test_none_leaves_the_size(picture):
    x = picture(80, 90)
    assert torch.equal(shown("none", x), (x[None].float() - 128) / 128)


def test_levels():
    """128 is the middle for all but pytorch-fid, whose middle is 127.5."""
    levels = torch.tensor([0, 128, 255], dtype=torch.uint8)
    for name, ends in {"clean": (-1, 0, 127 / 128), "pytorch-fid": (-1, 1 / 255, 1)}.items():
        made = [float(shown(name, level.expand(3, 20, 20)).mean()) for level in levels]
        assert made == pytest.approx(ends, abs=1e-6)


def test_at_299_all_protocols_but_one_agree(picture):
    x = picture(299, 299)
    for name in ("clean", "ttur", "tm", "none"):
        assert torch.equal(shown(name, x), centred(x[None].float()))
    assert not torch.equal(shown("pytorch-fid", x), centred(x[None].float()))


def test_elsewhere_protocols_are_different_pictures(picture):
    """Negative control: none of the equalities above holds for another protocol."""
    made = {name: shown(name, picture(411, 137)) for name in ("clean", "ttur", "pytorch-fid", "tm")}
    for a in made:
        for b in made:
            assert a == b or (made[a] - made[b]).abs().max() > 0.01


def test_tf1_by_hand():
    """From 4 to 2 cells: every other cell. From 2 to 4: cells at 0, 1/2, 1 and 1."""
    line = torch.tensor([10, 20, 40, 80], dtype=torch.uint8).expand(1, 3, 1, 4)
    assert tf1_bilinear(line, (1, 2))[0, 0].tolist() == [[10, 40]]
    assert tf1_bilinear(line[..., :2], (1, 4))[0, 0].tolist() == [[10, 15, 20, 20]]
