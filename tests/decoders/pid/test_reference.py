"""PiD against a second, slow writing of its equations, and what a single wrong fact would do."""

import math
from dataclasses import fields, replace
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import pytest
import tiny_pid
import torch
from pid_reference import RIGHT, velocity
from tiny_pid import V1, V15

from decoders.golden import read
from decoders.pid import samplers
from decoders.pid.adapter import AdapterConfig
from decoders.pid.network import PiDConfig, PiDNetwork

DOUBLE = 5e-6
"""The network in float64, of the output's deviation: angles, σ and norms stay float32 in it."""
SINGLE = 3e-5
"""The same in float32."""
SAMPLER = 1e-6
"""A sampler: a student's state and a teacher's velocity are float32."""


class Case(NamedTuple):
    """A network and a picture; `latent` is the latent's grid."""

    adapter: AdapterConfig | None = V1
    latent: tuple[int, int] | None = (2, 4)
    size: tuple[int, int] = (64, 128)
    patch: int = 16
    reference: tuple[int, int] | None = (64, 64)
    words: int = 7


CASES = {
    "v1": Case(),
    "v1_patch_8": Case(replace(V1, factor=4), size=(32, 64), patch=8, reference=(32, 32)),
    "v1_flux2": Case(replace(V1, channels=128, factor=16), latent=(1, 2)),
    "v1_siglip": Case(
        replace(V1, channels=20, factor=8, scale=8), latent=(1, 2), patch=8, reference=(32, 32)
    ),
    "v15": Case(V15),
    "v15_patch_8": Case(replace(V15, factor=4), size=(32, 64), patch=8, reference=(32, 32)),
    "v15_flux2": Case(replace(V15, channels=128, factor=16, unpatchify=2), latent=(1, 2)),
    "ratio_1": Case(replace(V1, factor=4), latent=(4, 8)),
    "fold_2": Case(replace(V1, channels=6, factor=2), latent=(8, 16)),
    "odd_grid": Case(size=(48, 80), latent=(2, 3)),
    "odd_grid_ratio_1": Case(replace(V1, factor=4), size=(48, 80), latent=(2, 4)),
    "odd_grid_fold_2": Case(replace(V1, channels=6, factor=2), size=(48, 80), latent=(5, 9)),
    "text_to_image": Case(None, latent=None),
    "plain_rope": Case(reference=None),
    "oblong_reference": Case(V15, size=(96, 64), latent=(3, 2), reference=(48, 144)),
    "one_row": Case(size=(16, 64), latent=(1, 2)),
    "six_words": Case(V15, words=6),
    "eight_words": Case(V15, words=8),
    "every_block": Case(replace(V1, interval=1)),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On a busy machine threads that wait for each other make small sums far slower."""
    before, _ = torch.get_num_threads(), torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(case):
    """Two frequencies for a pixel's position; queries and keys so small that an eps shows."""
    model = tiny_pid.network(case.adapter, seed=3, patch=case.patch, pixel_hidden=8)
    model.config = replace(model.config, rope_reference=case.reference)
    for name, weight in model.named_parameters():
        if "attn.qkv" in name:
            weight[: 2 * len(weight) // 3] *= 0.03
    return model


def inputs(case, batch=2, text_width=12):
    """x, t, text, latent and σ; both pictures differ in all of them."""
    generator = torch.Generator().manual_seed(5)

    def noise(*shape):
        return torch.randn(shape, generator=generator)

    x, text = noise(batch, 3, *case.size), noise(batch, case.words, text_width)
    t, sigma = torch.tensor([866.0, 341.5][:batch]), torch.tensor([0.37, 0.0625][:batch])
    if case.adapter is None:
        return x, t, text, None, None
    return x, t, text, noise(batch, case.adapter.channels, *case.latent), sigma


def answer(model, x, t, text, latent, sigma):
    return model(x, t, model.condition(text, *x.shape[2:], latent, sigma))


@cache
def reference(name, facts=RIGHT):
    model = network(CASES[name])
    return velocity(model.config, model.state_dict(), *inputs(CASES[name]), facts)


def off(found, wanted):
    """The greatest difference, in deviations of the wanted output."""
    assert found.shape == wanted.shape
    return ((found.double() - wanted).abs().max() / wanted.std()).item()


@pytest.mark.parametrize("name", CASES)
def test_the_network_is_the_reference(name):
    model, given = network(CASES[name]), inputs(CASES[name])
    single = answer(model, *given)
    assert single.dtype == torch.float32
    x, t, text, latent, sigma = given
    latent = latent if latent is None else latent.double()
    double = answer(model.double(), x.double(), t, text.double(), latent, sigma)
    assert off(single, reference(name)) < SINGLE
    assert off(double, reference(name)) < DOUBLE


WRONG = [
    ("norm_eps", 1e-5), ("group_eps", 1e-3), ("groups", 2), ("gelu", "tanh"),
    ("time_period", 10_000.0), ("time_cos_first", False), ("silu_on_c", False),
    ("text_position", False), ("patch_order", "yxc"), ("patch_order", "cxy"), ("token_order", "xy"),
    ("chunks", (1, 0, 2, 4, 3, 5)), ("chunks", (3, 4, 5, 0, 1, 2)), ("chunks", (0, 2, 1, 3, 5, 4)),
    ("pixel_chunks", (1, 0, 2, 4, 3, 5)), ("pixel_chunks", (3, 4, 5, 0, 1, 2)),
    ("one_plus", False), ("swiglu_gate", "w3"), ("qkv", "kqv"), ("qkv", "vqk"), ("score_power", -1),
    ("theta", 5_000.0), ("span", 15.0), ("ends_at_span", False), ("ntk", False),
    ("ntk_ends", False), ("ntk_clamped", True), ("reference_in_patches", False),
    ("reference_order", "xy"), ("pair_order", "yx"), ("pairs_adjacent", False), ("rotation", -1),
    ("text_rope", False), ("text_start", 1), ("text_theta", 5_000.0), ("pixel_rope", False),
    ("unpatchify_order", "yxc"), ("unpatchify_order", "cxy"), ("fold_order", "yxc"),
    ("fold_order", "cxy"), ("resize", "bilinear"), ("padding", "zeros"), ("padding", "replicate"),
    ("gate_sign", 1), ("gate_exp", False), ("gate_tokens_first", False), ("first_injection", 1),
    ("last_silu", False), ("last_time", False), ("pixel_stage", False), ("position_order", "yx"),
    ("position_sin_first", False), ("position_theta", 1_000.0), ("position_of_picture", False),
    ("pixel_order", "xy"), ("modulation_order", "mpd"), ("modulation_order", "pdm"),
    ("flat_order", "dp"),
]  # fmt: skip
SHOWS = {
    "ntk_clamped": "odd_grid", "reference_order": "oblong_reference",
    "unpatchify_order": "v15_flux2", "fold_order": "fold_2",
}  # fmt: skip
"""The case in which a fact shows, where it is not `v15_patch_8`; replicate padding is v1's."""


@cache
def found(name):
    return answer(network(CASES[name]), *inputs(CASES[name]))


@pytest.mark.parametrize(("fact", "value"), WRONG)
def test_a_wrong_fact_is_far_off(fact, value):
    name = "v1_patch_8" if value == "replicate" else SHOWS.get(fact, "v15_patch_8")
    assert off(found(name), reference(name, replace(RIGHT, **{fact: value}))) > 10 * SINGLE


def test_every_fact_is_tried():
    assert {fact for fact, _ in WRONG} == {field.name for field in fields(RIGHT)}


@pytest.mark.parametrize("name", ["v1", "v15"])
def test_pictures_of_a_batch_are_on_their_own(name):
    """σ, t, text and latent of one picture do not reach another."""
    model, given = network(CASES[name]), inputs(CASES[name])
    second = answer(model, *(part[1:] for part in given))
    assert off(second, reference(name)[1:]) < SINGLE
    assert off(second, reference(name)[:1]) > 0.1


def golden_config(names):
    """The network of a golden file, whose configuration has the official names."""
    adapter = AdapterConfig(
        names["lq_latent_channels"], names["latent_spatial_down_factor"], names["sr_scale"],
        names["lq_hidden_dim"], "token" if names["pit_lq_inject"] else "channel",
        names["lq_conv_padding_mode"], names["lq_latent_unpatchify_factor"],
        names["pit_lq_inject"], names["lq_interval"], names["lq_num_res_blocks"],
    )  # fmt: skip
    return PiDConfig(
        adapter, (names["rope_ref_h"], names["rope_ref_w"]), names["hidden_size"],
        names["num_groups"], names["patch_depth"], names["patch_size"],
        names["pixel_hidden_size"], names["pixel_depth"], names["pixel_attn_hidden_size"],
        names["pixel_num_groups"], names["txt_embed_dim"], names["txt_max_length"],
    )  # fmt: skip


@pytest.mark.parametrize("name", tiny_pid.goldens("pid"))
def test_the_reference_is_the_golden_output(name):
    golden = read(tiny_pid.golden("pid", name))
    config, tensors = golden_config(golden.metadata["config"]), golden.tensors
    weights = {key.removeprefix("weights."): value for key, value in tensors.items()}
    given = [tensors[f"inputs.{key}"] for key in ("x", "t", "y", "lq_latent", "degrade_sigma")]
    assert off(velocity(config, weights, *given), tensors["output"]) < SINGLE
    wrong = velocity(config, weights, *given, replace(RIGHT, norm_eps=1e-5))
    assert off(wrong, tensors["output"]) > 10 * SINGLE


FULL = {
    "v1": Case(AdapterConfig(16, 8, 4, 512, "channel", "zeros"), (2, 3), (64, 96)),
    "v15": Case(AdapterConfig(16, 8, 4, 1024, "token", "replicate", 1, True), (2, 3), (64, 96)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_released_widths(name):
    """All widths are the released ones, with one block of either kind."""
    case = FULL[name]._replace(words=300, reference=(2048, 2048))
    model = PiDNetwork(PiDConfig(case.adapter, case.reference, depth=1, pixel_depth=1))
    tiny_pid.randomise(model, 7)
    given, state = inputs(case, 1, 2304), model.state_dict()
    with torch.no_grad():
        answered = answer(model.eval(), *given)
    assert off(answered, velocity(model.config, state, *given)) < SINGLE
    wrong = replace(RIGHT, span=15.0)
    assert off(answered, velocity(model.config, state, *given, wrong)) > 10 * SINGLE


def field(seed):
    """A random smooth velocity, for float32 and float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(3, 3, generator=generator, dtype=torch.float64)

    def v(x, t):
        mixed = torch.einsum("oc,bchw->bohw", mixing.to(x.dtype), x)
        return torch.sin(mixed + (t.to(x.dtype) / 300)[:, None, None, None]) - 0.3 * x

    return v


def noises(count):
    generator = torch.Generator().manual_seed(11)
    return [torch.randn(2, 3, 4, 5, generator=generator) for _ in range(count)]


def student(v, noise, times):
    x = noise[0].double()
    for k, (time, then) in enumerate(pairwise(times)):
        clean = x - time * v(x, torch.full((len(x),), 1000 * time))
        x = (1 - then) * clean + then * noise[k + 1] if then else clean
    return x


STUDENT = {
    1: [1.0, 0.0], 2: [0.999, 0.634, 0.0], 3: [0.999, 0.866, 0.342, 0.0],
    4: [0.999, 0.866, 0.634, 0.342, 0.0],
}  # fmt: skip
"""The places round(4k/n) of 0.999, 0.866, 0.634, 0.342, 0; of 1.33 and 2.67 these are 1 and 3."""


@pytest.mark.parametrize("steps", STUDENT)
def test_the_students_steps(steps):
    v, noise, times = field(1), noises(steps), STUDENT[steps]
    found = samplers.student(v, noise)
    assert off(found, student(v, noise, times)) < SAMPLER
    assert off(found, student(v, noise, [0.999 * time for time in times])) > 100 * SAMPLER
    if steps > 1:
        assert off(found, student(v, [noise[0]] * steps, times)) > 100 * SAMPLER


def teacher(v, null, x, steps, shift, guidance, power=1):
    """DPM-Solver++ 2M with λ, h, r and φ as on paper; r enters to the power of minus `power`."""
    times = [
        shift * q / (1 + (shift - 1) * q) for q in (0.999 * k / steps for k in range(steps, -1, -1))
    ]
    heights = [math.log((1 - t) / t) if t else math.inf for t in times]
    before = h_before = None
    for k, (t, then) in enumerate(pairwise(times)):
        at, h = torch.full((len(x),), 1000 * t), heights[k + 1] - heights[k]
        clean = x - t * (null(x, at) + guidance * (v(x, at) - null(x, at)))
        towards = clean
        if 0 < k < steps - 1:
            towards = clean + (h / h_before) ** power * (clean - before) / 2
        x = then / t * x - (1 - then) * math.expm1(-h) * towards
        before, h_before = clean, h
    return x


@pytest.fixture
def double():
    """float64 for a sampler's own times too: at t = 0.9998, 1 / (1 - t) lifts rounding to 1e-3."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 25])
@pytest.mark.parametrize(("shift", "guidance"), [(6.0, 5.0), (4.0, 1.0), (1.0, 2.75)])
def test_the_teachers_steps(steps, shift, guidance):
    v, null, noise = field(1), field(2), noises(1)[0]
    given = {"steps": steps, "shift": shift, "guidance": guidance}
    found = samplers.teacher(v, noise, **given, negative=null)
    assert off(found, teacher(v, null, noise, **given)) < SAMPLER
    wrong = [{"guidance": guidance + 0.1}, {"shift": shift + 0.1}, {"power": -1}, {"power": 0}]
    shown = {1: 1, 2: 2}.get(steps, 4)  # one step has one time, and r needs three
    for change in wrong[:shown]:
        assert off(found, teacher(v, null, noise, **{**given, **change})) > 100 * SAMPLER
