"""Noise belongs to a sample, not to a place in a batch."""

from __future__ import annotations

import hashlib

import pytest
import torch

from qa.seeds import (
    DIFFUSION_NOISE,
    INITIAL_NOISE,
    LATENT_NOISE,
    UPSAMPLE_NOISE,
    generator_seed,
    noise,
    renoise,
)


def test_equal_names_give_equal_noise_and_any_other_name_does_not():
    def draw(stream=INITIAL_NOISE, content="a", seed=0):
        return noise(stream, content, seed, (3, 8, 8))

    assert torch.equal(draw(), draw())
    others = [
        draw(content="b"),
        draw(seed=1),
        draw(LATENT_NOISE),
        draw(DIFFUSION_NOISE),
        draw(UPSAMPLE_NOISE),
        draw(renoise(0)),
        draw(renoise(1)),
    ]
    for other in others:
        assert (draw() - other).abs().max() > 0.5


def test_every_picture_and_seed_has_a_generator_of_its_own():
    seeds = {generator_seed(INITIAL_NOISE, f"s{i}", k) for i in range(200) for k in range(4)}
    assert len(seeds) == 800
    assert len({i + k for i in range(200) for k in range(4)}) == 203, "what seed + i would give"


def test_the_parts_of_a_name_do_not_run_into_each_other():
    assert generator_seed("a", "b1", 2) != generator_seed("a", "b", 12)


def test_noise_is_standard_normal():
    draw = noise(INITIAL_NOISE, "a", 0, (3, 256, 256))
    assert draw.dtype == torch.float32
    assert draw.mean().abs() < 4 / draw.numel() ** 0.5
    assert draw.std() == pytest.approx(1, abs=0.01)


def test_global_state_neither_matters_nor_changes():
    before = noise(INITIAL_NOISE, "a", 0, (4,))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert torch.equal(noise(INITIAL_NOISE, "a", 0, (4,)), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_streams_keep_their_names():
    """A stream of another name is other noise: stored latents and old runs would not compare."""
    names = (LATENT_NOISE, INITIAL_NOISE, DIFFUSION_NOISE, UPSAMPLE_NOISE, renoise(2))
    assert names == (
        "latent-noise", "initial-noise", "diffusion-noise", "upsample-noise", "renoise-2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "golden"),
    [
        ((4,), "df862b7720f6dfec"),
        ((75,), "93fe26249e4641df"),
        ((16, 8, 8), "8a8f136c18402ee0"),
        ((3, 64, 64), "0360f8fdbce1c690"),
        ((3, 255, 257), "8370a249f893ce3e"),
    ],
)
def test_the_streams_are_those_of_every_earlier_run(shape, golden):
    """A change here (a new PyTorch, say) makes old baselines incomparable: raise STREAM_VERSION."""
    drawn = noise(INITIAL_NOISE, "golden", 3, shape)
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16] == golden
