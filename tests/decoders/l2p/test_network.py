"""The whole network against the float64 reference: values, batches, what is refused, full width."""

from dataclasses import replace

import pytest
import torch
from l2p_reference import SIGMA, Facts, inputs_of, shapes_of, tiny, velocity, weights_of

from decoders.l2p.config import VARIANTS
from decoders.l2p.network import L2PNetwork
from decoders.weights import load_strict, on_meta
from qa.errors import QaError, UsageError


def built(config, weights=None, dtype=torch.float32) -> L2PNetwork:
    network = on_meta(lambda: L2PNetwork(config))
    weights = weights_of(config) if weights is None else weights
    load_strict(network, weights, what="network", source="here", dtype=dtype)
    return network


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_it_equals_the_reference(variant):
    """In float64 all but the turning of q and k, and the waves of time, which are float32."""
    config = tiny(variant)
    weights, (image, text) = weights_of(config), inputs_of(config, tokens=33)
    expected = velocity(config, weights, image, SIGMA, text, Facts())
    with torch.inference_mode():
        found = built(config, weights, torch.float64).velocity(image, SIGMA, text)
        single = built(config, weights)(image[None], torch.tensor([SIGMA]), [text])[0]
    assert found.dtype == torch.float64
    assert (found - expected).abs().max() < 1e-5
    assert single.dtype == torch.float32
    assert (single - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_sample_does_not_depend_on_its_batch():
    """Bit for bit, with texts of 3, 40 and 32 tokens and three noise levels."""
    config = tiny("1k")
    network = built(config)
    samples = [inputs_of(config, tokens, seed) for seed, tokens in enumerate((3, 40, 32))]
    images = torch.stack([image for image, _ in samples])
    texts, sigmas = [text for _, text in samples], torch.tensor([1.0, 0.5, 0.09375])
    with torch.inference_mode():
        together = network(images, sigmas, texts)
        for index in range(3):
            alone = network.velocity(images[index], sigmas[index], texts[index])
            assert torch.equal(together[index], alone)
            other = network.velocity(images[index], sigmas[index], texts[index - 1])
            assert not torch.allclose(alone, other, atol=1e-3)


def test_texts_and_pictures_must_be_as_many():
    config = tiny("1k")
    image, text = inputs_of(config)
    with pytest.raises(ValueError, match="zip"):
        built(config)(image[None], torch.ones(1), [text, text])


def test_half_precision_stays_near_single():
    """With time in float32: in bfloat16 the network would be asked at another noise level."""
    config = replace(tiny("1k"), timestep="diffusers")
    image, text = inputs_of(config)
    with torch.inference_mode():
        exact = built(config).velocity(image, SIGMA, text)
        network = built(config, dtype=torch.bfloat16)
        rough = network.velocity(image, SIGMA, text)
        batch = network(image[None], torch.tensor([SIGMA]), [text])[0]
    assert rough.dtype == torch.bfloat16
    assert batch.dtype == torch.float32
    assert torch.equal(batch, rough.to(torch.float32))
    assert 0 < (batch - exact).abs().mean() < 0.1 * exact.std()


@pytest.mark.parametrize("tokens", [0, 160])
def test_a_text_without_tokens_or_beyond_the_positions_is_refused(tokens):
    """160 positions: 0 to 159; 159 rows are padded to 160, whose last is 160."""
    config = tiny("1k")
    image, _ = inputs_of(config)
    with pytest.raises(QaError, match=r"text features have shape \[0, 10\]|beyond the network's 1"):
        built(config).velocity(image, SIGMA, torch.zeros(tokens, 10))


def test_the_longest_text_still_works():
    config = tiny("1k")
    image, _ = inputs_of(config)
    with torch.inference_mode():
        assert built(config).velocity(image, SIGMA, torch.ones(128, 10)).isfinite().all()


def test_text_features_of_another_width_are_refused():
    config = tiny("1k")
    image, _ = inputs_of(config)
    with pytest.raises(QaError, match=r"\[5, 11\].*\[T,10\]"):
        built(config).velocity(image, SIGMA, torch.zeros(5, 11))


@pytest.mark.parametrize(("variant", "size"), [("1k", (720, 720)), ("10k", (320, 320))])
def test_an_impossible_size_is_refused_before_any_work(variant, size):
    """A network without memory could not even begin."""
    network = on_meta(lambda: L2PNetwork(VARIANTS[variant]))
    with pytest.raises(UsageError, match="cannot draw"):
        network.velocity(torch.zeros(3, *size), SIGMA, torch.zeros(5, 2560))


def test_the_10k_head_needs_its_grid():
    """2x4 patches and features resized to 5x10; on 1x2 patches nothing would fit."""
    config = tiny("10k")
    image, text = inputs_of(config)
    with torch.inference_mode():
        fits = built(config).velocity(image, SIGMA, text)
    assert fits.shape == (3, 320, 640)
    with pytest.raises(UsageError, match=r"choose decoder\.size=\[320,640\]"):
        built(config).velocity(torch.zeros(3, 320, 320), SIGMA, text)


@pytest.mark.slow
def test_full_width_with_one_layer_of_each_kind():
    """3840 channels, 30 heads, the released head: 64x128 pixels on the CPU in seconds."""
    config = replace(VARIANTS["1k"], layers=1, refiner_layers=1)
    shapes = shapes_of(config)
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, shape in shapes.items():
        scale = 1.4 / (shape[1] if len(shape) > 1 else 100) ** 0.5
        weights[key] = torch.empty(shape).uniform_(-scale, scale, generator=generator)
        if "norm" in key or key == "cap_embedder.0.weight":
            weights[key] += 1
    image = torch.randn(3, 64, 128, generator=generator)
    text = torch.randn(5, 2560, generator=generator)
    with torch.inference_mode():
        found = built(config, weights).velocity(image, SIGMA, text)
        expected = velocity(config, weights, image, SIGMA, text, Facts())
    count = sum(weight.numel() for weight in weights.values())
    assert count == 6_166_464_515 - (29 + 1) * 180_910_336 - 176_962_816
    assert expected.std() > 1e-3
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
