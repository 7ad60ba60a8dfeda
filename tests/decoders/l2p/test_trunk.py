"""The trunk against diffusers' own Z-Image transformer, and its two conventions."""

import warnings
from dataclasses import replace

import pytest
import torch
from l2p_reference import tiny, weights_of

from decoders.l2p.network import L2PNetwork
from decoders.l2p.trunk import RMSNorm, patchify, positions, rotations, tau
from decoders.weights import load_strict, on_meta

CASES = {"padded image": ((48, 80), 33), "no padding": ((64, 128), 32), "short": ((16, 16), 5)}


def config_of(**changes):
    return replace(
        tiny("1k"),
        **{"rounding": "diffusers", "timestep": "diffusers", "norm_eps": 1e-5, **changes},
    )


def ours(config, weights, image, sigma, text, dtype):
    network = on_meta(lambda: L2PNetwork(config))
    load_strict(network, weights, what="network", source="here", dtype=dtype)
    with torch.inference_mode():
        condition = network.shared(text.to(dtype), *image.shape[1:])
        features = network.features(image.to(dtype), network.waves(sigma), condition)
    return features.flatten(1).T


def theirs(config, weights, image, sigma, text, dtype):
    """Hidden states before diffusers' final layer; image tokens come first."""
    from diffusers import ZImageTransformer2DModel

    model = ZImageTransformer2DModel(
        all_patch_size=(config.patch,), all_f_patch_size=(1,), in_channels=3, dim=config.dim,
        n_layers=config.layers, n_refiner_layers=config.refiner_layers, n_heads=config.heads,
        n_kv_heads=config.heads, cap_feat_dim=config.cap_feat_dim,
        axes_dims=list(config.axes_dims), axes_lens=list(config.axes_lens),
    )  # fmt: skip
    trunk = {key: value for key, value in weights.items() if not key.startswith("local_decoder.")}
    loaded = model.load_state_dict(trunk, strict=False)
    assert not loaded.unexpected_keys
    assert all(key.startswith("all_final_layer.") for key in loaded.missing_keys)
    seen = []
    model.all_final_layer[f"{config.patch}-1"].register_forward_pre_hook(
        lambda module, args, named: seen.append(args[0] if args else named["x"]), with_kwargs=True
    )
    time = (1000 - torch.tensor([sigma]) * 1000) / 1000
    with torch.inference_mode():
        model.eval().to(dtype)(
            [image.to(dtype)[:, None]], time, [text.to(dtype)],
            patch_size=config.patch, f_patch_size=1,
        )  # fmt: skip
    return seen[0][0]


def both(case, dtype, **changes):
    """Our image tokens and theirs; `changes` are made to our network only."""
    (height, width), tokens = CASES[case]
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(3, height, width, generator=generator)
    text = torch.randn(tokens, 10, generator=generator)
    weights = weights_of(config_of())
    expected = theirs(config_of(), weights, image, 0.43, text, dtype)
    found = ours(config_of(**changes), weights, image, 0.43, text, dtype)
    return found, expected[: len(found)]


@pytest.mark.parametrize("case", list(CASES))
def test_it_equals_diffusers_in_float32(case):
    found, expected = both(case, torch.float32)
    assert expected.std() > 0.3
    assert (found - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("case", list(CASES))
def test_it_equals_diffusers_bit_for_bit_in_bfloat16(case):
    found, expected = both(case, torch.bfloat16)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"rope_theta": 10000.0}, {"norm_eps": 1e-2}, {"t_scale": 999.0},
        {"axes_dims": (12, 8, 4)},
    ],
    ids=str,
)  # fmt: skip
def test_another_constant_does_not_equal_diffusers(change):
    found, expected = both("padded image", torch.float32, **change)
    assert (found - expected).abs().max() > 1e-3


@pytest.mark.parametrize("change", [{"rounding": "official"}, {"timestep": "official"}], ids=str)
def test_conventions_differ_in_bfloat16_only(change):
    found, expected = both("padded image", torch.float32, **change)
    assert (found - expected).abs().max() <= 1e-5
    found, expected = both("padded image", torch.bfloat16, **change)
    assert not torch.equal(found, expected)


def test_official_rounding_rounds_once():
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    weight = (1 + 0.3 * torch.randn(64, generator=torch.Generator().manual_seed(1))).bfloat16()
    exact = x.double() / (x.double().square().mean(1, True) + 1e-5).sqrt()
    answers = {}
    for rounding in ("official", "diffusers"):
        norm = RMSNorm(64, 1e-5, rounding)
        norm.weight = torch.nn.Parameter(weight, requires_grad=False)
        answers[rounding] = norm(x)
    assert torch.equal(answers["official"], (exact * weight.double()).bfloat16())
    assert torch.equal(answers["diffusers"], exact.bfloat16() * weight)
    assert not torch.equal(answers["official"], answers["diffusers"])


def test_time_in_bfloat16_is_coarse_and_exact_in_float32():
    """1000 σ = 988.64, 951.22, 3.7; bfloat16 keeps 8 bits at each step."""
    sigmas = torch.tensor([0.988636, 0.951219, 0.0037])
    coarse = [tau(sigma, 1000, torch.bfloat16).item() for sigma in sigmas]
    fine = [tau(sigma, 1000, torch.float32).item() for sigma in sigmas]
    assert coarse == [12, 48, 996]
    assert fine == pytest.approx([11.364, 48.781, 996.3], abs=1e-3)
    assert tau(1.0, 1000, torch.bfloat16).item() == 0


def test_patches_run_rows_first_and_channels_fastest():
    image = torch.arange(3 * 4 * 6).reshape(3, 4, 6)
    patches = patchify(image, 2)
    assert patches.shape == (6, 12)
    for row in range(2):
        for column in range(3):
            cell = image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            expected = [cell[c, y, x] for y in range(2) for x in range(2) for c in range(3)]
            assert patches[row * 3 + column].tolist() == [value.item() for value in expected]


def test_positions_by_hand():
    x, y = positions(4, 2, (1, 3))
    assert y.tolist() == [[1, 0, 0], [2, 0, 0]]
    assert x.tolist() == [[3, 0, 0], [3, 0, 1], [3, 0, 2], [0, 0, 0]]


def test_turns_are_exact_far_out():
    """Angles are float64 products: in float32 the product itself would already be rounded."""
    config = replace(tiny("1k"), axes_lens=(1 << 20, 8, 8))
    turn = rotations(torch.tensor([[1_000_003, 0, 0]]), config)[0]
    angle = torch.tensor(1_000_003 * 256 ** (-2 / 8), dtype=torch.float64).float()
    assert turn[1].item() == torch.polar(torch.tensor(1.0), angle).item()
    assert turn[4].item() == 1


def test_nothing_but_parameters_is_stored():
    """So that a network built on the meta device is whole once it is filled."""
    network = on_meta(lambda: L2PNetwork(tiny("8k")))
    assert list(network.buffers()) == []
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="diffusers")
        yield
