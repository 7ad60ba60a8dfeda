"""The latent spaces' arithmetic, from its definition."""

import pytest
import torch

from decoders.spaces import (
    AFFINE,
    QWEN_MEAN,
    QWEN_STD,
    SPACES,
    Affine,
    PatchNorm,
    cells,
    patchify,
    space,
    unpatchify,
)
from qa.errors import UsageError


def test_the_spaces_that_share_a_shape_are_still_different():
    assert len(set(SPACES.values())) == len(SPACES)
    assert [name for name, entry in SPACES.items() if entry.noise == "vp"] == ["sdxl"]
    assert set(SPACES) - set(AFFINE) == {"flux2", "rae_dinov2", "rae_siglip2"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sd1", 0.3643), ("sdxl", 0.2605), ("sd3", 1.5305 * 1.9391), ("flux1", 0.3611 * 1.8841),
     ("flux2_raw", 2.0), ("dcae", 0.82814), ("mini", 2.0)],
)  # fmt: skip
def test_what_becomes_of_the_value_two(name, expected):
    z = torch.full((SPACES[name].channels, 1, 1), 2.0)
    normalised = AFFINE[name].normalise(z)
    torch.testing.assert_close(normalised, torch.full_like(z, expected))
    torch.testing.assert_close(AFFINE[name].denormalise(normalised), z)


def test_each_channel_of_qwen_has_its_own_statistics():
    z = torch.tensor(QWEN_MEAN)[:, None, None] + torch.tensor(QWEN_STD)[:, None, None]
    torch.testing.assert_close(AFFINE["qwen"].normalise(z), torch.ones(16, 1, 1))
    torch.testing.assert_close(AFFINE["qwen"].denormalise(torch.ones(1, 16, 1, 1)), z[None])


def test_the_scaling_in_words_is_the_scaling_in_numbers():
    for name, affine in AFFINE.items():
        text = SPACES[name].scaling
        if name == "qwen":
            continue  # sixteen numbers have no short form
        z = 0.75
        value = eval(text, {"z": z})
        assert affine.normalise(torch.full((1, 1, 1), z)).item() == pytest.approx(value)


def test_patches_become_channels_row_by_row():
    z = torch.arange(2 * 4 * 6, dtype=torch.float32).reshape(1, 2, 4, 6)
    patched = patchify(z)
    assert list(patched.shape) == [1, 8, 2, 3]
    for c in range(2):
        for y in range(2):
            for x in range(2):
                assert torch.equal(patched[0, c * 4 + y * 2 + x], z[0, c, y::2, x::2])
    assert torch.equal(unpatchify(patched), z)


def test_patch_norm_uses_mean_variance_and_epsilon():
    norm = PatchNorm(torch.full((4,), 3.0), torch.full((4,), 4.0))
    z = torch.full((1, 1, 2, 2), 5.0)
    expected = torch.full((1, 4, 1, 1), 2 / (4 + 1e-4) ** 0.5)
    torch.testing.assert_close(norm.normalise(z), expected)
    torch.testing.assert_close(norm.denormalise(expected), z)


def test_the_identity_changes_nothing():
    z = torch.randn(3, 2, 2)
    assert torch.equal(Affine().normalise(z), z)


@pytest.mark.parametrize(("pixels", "expected"), [(1, 1), (8, 1), (9, 2), (16, 2)])
def test_cells_cover_the_picture(pixels, expected):
    assert cells(pixels, 8) == expected


def test_an_unknown_space_lists_the_known_ones():
    with pytest.raises(UsageError, match="flux1"):
        space("flux3")
