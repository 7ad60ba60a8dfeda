"""Noise belongs to a sample, not to a place in a batch."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
import torch

from qa import seeds
from qa.errors import QaError
from qa.files import digest
from qa.run import evaluate
from qa.seeds import (
    DIFFUSION_NOISE,
    INITIAL_NOISE,
    LATENT_NOISE,
    UPSAMPLE_NOISE,
    check_pins,
    content,
    generator_seed,
    noise,
    renoise,
)
from qa.types import Sample


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


@pytest.mark.parametrize(("shape", "pin"), seeds.PINS.items())
def test_the_streams_are_those_of_every_earlier_run(shape, pin):
    """A change here (a new PyTorch, say) makes old baselines incomparable: raise STREAM_VERSION."""
    drawn = noise(INITIAL_NOISE, "golden", 3, shape)
    assert hashlib.sha256(drawn.numpy().tobytes()).hexdigest()[:16] == pin


def test_the_pins_are_five_and_reach_both_ways_of_drawing():
    """Below 16 values, a multiple of 16, and neither."""
    counts = {math.prod(shape) for shape in seeds.PINS}
    assert len(counts) == len(seeds.PINS) == 5
    assert any(count < 16 for count in counts)
    assert any(count % 16 == 0 for count in counts)
    assert any(count > 16 and count % 16 for count in counts)
    check_pins()


@pytest.fixture
def other_noise(monkeypatch):
    """A PyTorch that draws other numbers."""
    real = seeds._draw
    monkeypatch.setattr(seeds, "_draw", lambda *named: real(*named) + 1)
    seeds._changed.cache_clear()
    yield
    seeds._changed.cache_clear()


def test_other_noise_is_said_with_what_to_do(other_noise):
    with pytest.raises(QaError) as caught:
        check_pins()
    assert caught.value.exit_code == 1
    assert "(3, 64, 64)" in str(caught.value)
    assert "raise STREAM_VERSION" in str(caught.value)


def test_other_noise_stops_a_run_before_anything_is_decoded(other_noise, workdir, toy):
    with pytest.raises(QaError, match="not the noise of earlier runs"):
        evaluate(*toy())
    assert not Path("runs").exists()


def test_takes_of_one_prompt_have_noise_of_their_own_and_first_takes_keep_theirs():
    one, other = Sample("a", prompt="x"), Sample("b", prompt="x", take=1)
    assert content(one) == digest([None, "x"]), "as before there were takes"
    assert content(one) == content(Sample("c", prompt="x", group="g", asks={"cat": 1}))
    assert content(one) != content(other)
    assert not torch.equal(noise(INITIAL_NOISE, content(one), 0, (4,)),
                           noise(INITIAL_NOISE, content(other), 0, (4,)))  # fmt: skip
