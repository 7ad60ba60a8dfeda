"""Pictures at several noise levels: one noise for all, by the convention of the space."""

import pytest
import torch
from toyruns import make_pictures

from decoders.capture.levels import Levels
from decoders.capture.loop import Item
from decoders.spaces import space
from qa import images, seeds
from qa.errors import UsageError
from qa.types import Latent, Sample

CLEAN = torch.linspace(-1, 1, 4 * 2 * 3).reshape(4, 2, 3)


class Encoder:
    digest = "encoder"

    def __init__(self, name="sd1", sigma=0.0):
        self.space, self.sigma, self.seen = space(name), sigma, []

    def latent(self, sample, picture):
        self.seen.append(picture)
        return Latent(CLEAN, self.sigma)


def item(image=None):
    return Item(Sample("a", image=image), "content")


@pytest.mark.parametrize(
    ("name", "kept"), [("sd1", lambda s: 1 - s), ("sdxl", lambda s: (1 - s**2) ** 0.5)]
)
def test_all_levels_share_one_noise(name, kept):
    levels = Levels(Encoder(name), [0.4, 0, 1, 0.2], 3)
    assert list(levels.facts) == ["sigma0", "sigma0.2", "sigma0.4", "sigma1"]
    made = levels.latents(item(), levels.facts)
    assert torch.equal(made["sigma0"].tensor, CLEAN)
    noise = seeds.noise(seeds.LATENT_NOISE, "content", 3, CLEAN.shape)
    for folder, sigma in (("sigma0.2", 0.2), ("sigma0.4", 0.4), ("sigma1", 1.0)):
        assert made[folder].sigma == sigma
        wanted = kept(sigma) * CLEAN + sigma * noise
        assert torch.allclose(made[folder].tensor, wanted, atol=1e-6)
    other = Levels(Encoder(name), [0.2], 4)
    assert not torch.equal(other.latents(item(), ["sigma0.2"])["sigma0.2"].tensor,
                           made["sigma0.2"].tensor)  # fmt: skip
    assert other.identity != levels.identity


def test_the_encoder_sees_the_picture_as_a_run_reads_it(tmp_path):
    file = make_pictures(tmp_path / "p", 1) / "p00.png"
    encoder = Encoder()
    Levels(encoder, [0], 0).latents(item(file), ["sigma0"])
    assert torch.equal(encoder.seen[0], images.read(file))


def test_a_damaged_picture_is_a_problem_of_that_sample(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"no picture")
    with pytest.raises(images.ImageProblem, match="not a picture"):
        Levels(Encoder(), [0], 0).latents(item(file), ["sigma0"])


def test_noise_is_not_put_on_noise():
    levels = Levels(Encoder(sigma=0.3), [0, 0.2], 0)
    assert levels.latents(item(), ["sigma0"])["sigma0"].sigma == 0.3
    with pytest.raises(ValueError, match="already carries noise"):
        levels.latents(item(), ["sigma0.2"])


def test_the_licence_is_the_encoders():
    encoder = Encoder()
    assert Levels(encoder, [0], 0).licence == ""
    encoder.licence = "ask first"
    assert Levels(encoder, [0], 0).licence == "ask first"


@pytest.mark.parametrize("sigmas", [[], [0.2, 0.2], [-0.1], [1.5], [float("nan")]])
def test_what_is_no_level_is_refused(sigmas):
    with pytest.raises(UsageError, match="no noise levels"):
        Levels(Encoder(), sigmas, 0)


def test_levels_that_differ_have_folders_that_differ():
    close = Levels(Encoder(), [0.123456789, 0.12345678], 0)
    assert len(close.facts) == 2
