"""decode and encode against diffusers' own, untiled.

In float64 the tiny networks agree to 1e-12 where the arithmetic is the same and to 1e-3 or worse
where it is not, so that nothing hides behind rounding; float32 is held to 1e-5 in FLUX.1's own
configuration.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from decoders import exact
from decoders.exact import layers, moments, passes
from decoders.exact.passes import Plan, needed, planned, run
from decoders.exact.structure import read
from qa.errors import UsageError

pytestmark = pytest.mark.usefixtures("one_thread")

SAME = 1e-12
BAR = 1e-5
ROOM = (1, 1.5, 2, 4)
"""Maps kept, in units of the floor: nothing but y; h too; what is narrow; all."""
WITHOUT_ATTENTION = {"layers_per_block": 1, "mid_block_add_attention": False}
CONFIGURATIONS = {
    "one level": {"channels": (8,)},
    "two levels": {"channels": (4, 12), "norm_num_groups": 2},
    "narrow in the middle": {"channels": (16, 8, 24), "norm_num_groups": 8},
    "no attention, one layer": WITHOUT_ATTENTION,
    "quant convolutions": {"use_quant_conv": True, "use_post_quant_conv": True},
    "FLUX.2": {
        "family": "AutoencoderKLFlux2",
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "decoder_block_out_channels": (4, 8, 16, 16),
    },
}
FLUX = {"channels": (128, 256, 512, 512), "norm_num_groups": 32, "latent_channels": 16}


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=dtype)


def decoded(model, z):
    with torch.inference_mode():
        return model.decode(z).sample


def encoded(model, pixels):
    with torch.inference_mode():
        return model.encode(pixels).latent_dist


def plans(chain, given):
    """Every way to keep maps, with stripes of one row, of a few, and of the whole picture."""
    floor, row = needed(chain, given)
    for stripe in (1, 3 * row, 1000 * row):
        for room in ROOM:
            yield Plan(int(floor * room), stripe)


def apart(one, other):
    assert one.shape == other.shape
    return (one - other).abs().max().item()


@pytest.fixture(scope="module")
def tiny(build):
    return build().double()


@pytest.fixture(scope="module")
def flux(build):
    return build(**FLUX)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5)], ids=str)
def test_decode_is_the_untiled_decode(size, tiny):
    z, chain = normal(1, 4, *size), read(tiny.decoder)
    expected = decoded(tiny, z)
    with torch.inference_mode():
        for plan in plans(chain, z):
            assert apart(run(chain, z, plan), expected) < SAME, plan


@pytest.mark.parametrize("size", [(8, 8), (9, 15), (22, 35)], ids=str)
def test_encode_is_the_untiled_encode(size, tiny):
    pixels, chain = normal(1, 3, *size), read(tiny.encoder)
    expected = encoded(tiny, pixels).parameters
    with torch.inference_mode():
        for plan in plans(chain, pixels):
            assert apart(run(chain, pixels, plan), expected) < SAME, plan


@pytest.mark.parametrize("options", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_configuration(options, build):
    model = build(**options).double()
    z, pixels = normal(2, 4, 3, 5), normal(2, 3, 25, 18)
    assert apart(exact.decode(model, z), decoded(model, z)) < SAME
    assert apart(exact.encode(model, pixels), encoded(model, pixels).mean) < SAME
    chain, row = read(model.decoder), needed(read(model.decoder), z)[1]
    with torch.inference_mode():
        first = z[:1] if model.post_quant_conv is None else model.post_quant_conv(z[:1])
        pictures = run(chain, first, Plan(needed(chain, z)[0], 2 * row))
    assert apart(pictures, decoded(model, z[:1])) < SAME


def test_a_picture_does_not_depend_on_its_batch(tiny):
    z = normal(3, 4, 3, 4)
    alone = [exact.decode(tiny, one) for one in z.split(1)]
    assert torch.equal(exact.decode(tiny, z), torch.cat(alone))


@pytest.mark.parametrize("size", [(8, 12), (7, 9)], ids=str)
def test_float32_in_the_configuration_of_flux(size, flux):
    z = normal(1, 16, *size, dtype=torch.float32)
    pixels = normal(1, 3, 8 * size[0], 8 * size[1], dtype=torch.float32)
    assert apart(exact.decode(flux, z), decoded(flux, z)) <= BAR
    assert apart(exact.encode(flux, pixels), encoded(flux, pixels).mean) <= BAR
    chain = read(flux.decoder)
    floor, row = needed(chain, z)
    with torch.inference_mode():
        assert apart(run(chain, z, Plan(floor, 5 * row)), decoded(flux, z)) <= BAR


@pytest.mark.grid
@pytest.mark.parametrize("size", [(61, 45), (64, 64)], ids=str)
def test_float32_in_the_configuration_of_flux_at_larger_sizes(size, flux):
    """With stripes of the usual height, and of the least."""
    z = normal(1, 16, *size, dtype=torch.float32)
    floor, row = needed(read(flux.decoder), z)
    least = floor + passes.STRIPES * passes.LEAST_ROWS * row
    expected = decoded(flux, z)
    for budget in (None, least):
        assert apart(exact.decode(flux, z, budget), expected) <= BAR
    pixels = normal(1, 3, 8 * size[0] - 5, 8 * size[1] - 1, dtype=torch.float32)
    assert apart(exact.encode(flux, pixels), encoded(flux, pixels).mean) <= BAR


@pytest.mark.filterwarnings("ignore:There are modules")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_as_near_to_the_truth_as_untiled(dtype, tiny):
    z = normal(1, 4, 9, 11)
    truth, model = decoded(tiny, z), copy.deepcopy(tiny).to(dtype)
    untiled, ours = decoded(model, z.to(dtype)), exact.decode(model, z.to(dtype))
    assert ours.dtype == dtype
    error, allowed = ((one.double() - truth).square().mean().sqrt() for one in (ours, untiled))
    assert error < 1.5 * allowed
    assert allowed > 1e-4  # rounding is seen at all


class LastStripe(moments.Moments):
    """The fault: moments of a tile in place of the picture's."""

    def add(self, rows):
        self._means, self._variances = [], []
        super().add(rows)


class ShortHalo(layers.Sliding):
    """The fault: one row too few is carried, and zeros take its place."""

    def __call__(self, rows, last):
        result = super().__call__(rows, last)
        self._carried[:, :, :1] = 0
        return result


FAULTS = {
    "moments of a tile": (passes, "Moments", LastStripe),
    "halo one short": (layers, "Sliding", ShortHalo),
    "parities the wrong way": (
        layers,
        "parities",
        lambda weight, right=layers.parities: {
            (1 - row, column): part for (row, column), part in right(weight).items()
        },
    ),
    "no shortcut": (layers, "shortcut", lambda block: torch.zeros_like),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_are_seen(fault, build, monkeypatch):
    model = build((8, 8, 8, 8)).double()
    z, chain = normal(1, 4, 4, 5), read(model.decoder)
    expected = decoded(model, z)
    floor, row = needed(chain, z)
    with torch.inference_mode():
        assert apart(run(chain, z, Plan(floor, 4 * row)), expected) < SAME
        monkeypatch.setattr(*fault)
        assert apart(run(chain, z, Plan(floor, 4 * row)), expected) > 100 * BAR


@pytest.mark.parametrize("half", ["decoder", "encoder"])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_live_tensors_stay_within_the_budget(half, factor, build, live):
    """The floor is a map of 8 channels at full size; untiled, the decoder has 6 of those alive.

    That is derived: the first block of the last level has 16 channels at full size, and holds x,
    norm(x) and silu(norm(x)) at once. The widest of these must never exist.
    """
    model = build()
    part = getattr(model, half)
    given = normal(1, *((4, 16, 12) if half == "decoder" else (3, 128, 96)), dtype=torch.float32)
    chain, known = read(part), (*model.parameters(), given)
    floor, row = needed(chain, given)
    assert (floor, row) == (8 * 128 * 96 * 4, (16 if half == "decoder" else 8) * 96 * 4)
    budget = factor * floor + passes.STRIPES * passes.LEAST_ROWS * row
    with torch.inference_mode(), live(*known) as ours:
        result = run(chain, given, planned(chain, given, budget))
    assert ours.peak - result.nbytes <= budget
    assert ours.largest < floor
    if half == "decoder":
        with torch.inference_mode(), live(*known) as untiled:
            result = part(given)
        assert untiled.peak == 6 * floor
        assert untiled.largest == 2 * floor


def test_a_budget_below_the_least_is_refused(tiny, build):
    z, chain = normal(1, 4, 16, 16), read(tiny.decoder)
    floor, row = needed(chain, z)
    least = floor + passes.STRIPES * passes.LEAST_ROWS * row
    assert planned(chain, z, least).stripe == passes.LEAST_ROWS * row
    assert exact.decode(tiny, z[:, :, :2], least).shape == (1, 3, 16, 128)
    with pytest.raises(UsageError, match=f"{least - 1} bytes is too small.*16x16.*{least}"):
        exact.decode(tiny, z, least - 1)


def test_attention_counts_in_the_floor(build):
    """With one level nothing is larger than the latent, so what attention holds decides."""
    z = normal(1, 4, 8, 8, dtype=torch.float32)
    with_, without = (build((8,), mid_block_add_attention=on) for on in (True, False))
    assert needed(read(with_.decoder), z)[0] == passes.LATENTS * 8 * 64 * 4
    assert needed(read(without.decoder), z)[0] == 8 * 64 * 4


def test_gradients_are_not_recorded(build):
    model = build().requires_grad_(True)
    assert not exact.decode(model, torch.zeros(1, 4, 1, 1)).requires_grad
    assert isinstance(model.decoder.conv_in.weight, nn.Parameter)
