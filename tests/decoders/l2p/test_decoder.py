"""L2P in the role of a decoder, with tiny networks and text features that are made up."""

import inspect
import sys
from importlib import resources
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import yaml
from l2p_reference import tiny, weights_of
from safetensors.torch import save_file
from tiny_l2p import NAME, SIZE, Letters, register, row, save

from decoders.l2p import registry
from decoders.l2p.decoder import L2P
from qa import assets, seeds
from qa.errors import AssetMissing, QaError, UsageError
from qa.types import DecodeRequest, Knobs


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Weights of a tiny network, whose row stands in the place of the released one."""
    register(monkeypatch, row())
    return str(save(tmp_path / "tiny.safetensors", row()))


def build(file, text=None, **changes):
    given = {"path": file, "dtype": "float32", "device": "cpu", **changes}
    return L2P(NAME, text or Letters(), **given)


def request(prompt="a cat", seed=0, size=SIZE, content="c", **knobs):
    return DecodeRequest("s", seed, content, *size, prompt=prompt, knobs=Knobs(**knobs))


def test_the_role(file):
    decoder = build(file)
    assert decoder.space is None
    assert decoder.knobs == {"steps", "cfg", "shift"}
    assert decoder.size == (64, 128)
    assert decoder.needs_prompt is True
    (pixels,) = decoder.decode([request()])
    assert pixels.dtype == torch.float32
    assert pixels.shape == (3, 64, 128)
    assert pixels.isfinite().all()


def test_two_steps_by_hand(file):
    """σ = 1, 0.75, 0 at shift 3; w = 2; noise of the request; pixels (x + 1) / 2, not clamped."""
    decoder, text = build(file), Letters()
    x = seeds.noise(seeds.INITIAL_NOISE, "c", 3, (3, 64, 128))
    with torch.inference_mode():
        for now, after in pairwise(torch.tensor([1.0, 0.75, 0.0])):
            pos = decoder.network.velocity(x, now, text("a cat"))
            neg = decoder.network.velocity(x, now, text(""))
            x = x + (neg + 2.0 * (pos - neg)) * (after - now)
    (pixels,) = decoder.decode([request(seed=3)])
    assert torch.equal(pixels, (x + 1) / 2)
    assert pixels.min() < 0
    assert pixels.max() > 1


def test_a_picture_depends_on_content_seed_and_prompt_alone(file):
    decoder = build(file)
    requests = [request(), request(seed=1), request(content="d"), request("a dog"), request()]
    together = decoder.decode(requests)
    for pixels, one in zip(together, requests, strict=True):
        assert torch.equal(pixels, decoder.decode([one])[0])
    assert torch.equal(together[0], together[4])
    for other in together[1:4]:
        assert not torch.allclose(together[0], other, atol=1e-3)


@pytest.mark.parametrize("knobs", [{"steps": 3}, {"cfg": 1.0}, {"cfg": 3.0}, {"shift": 5.0}])
def test_every_knob_changes_the_picture(file, knobs):
    decoder = build(file)
    before, after = decoder.decode([request(), request(**knobs)])
    assert not torch.allclose(before, after, atol=1e-3)


def test_knobs_at_the_defaults_change_nothing(file):
    decoder = build(file)
    open_, given = decoder.decode([request(), request(steps=2, cfg=2.0, shift=3.0)])
    assert torch.equal(open_, given)


def test_without_guidance_the_negative_is_not_asked(file):
    text = Letters()
    decoder = build(file, text, negative="blurry")
    decoder.decode([request(cfg=1.0)])
    assert text.asked == ["a cat"]
    decoder.decode([request()])
    assert text.asked == ["a cat", "a cat", "blurry"]


@pytest.mark.parametrize(
    "knobs", [{"steps": 0}, {"steps": -3}, {"shift": 0.0}, {"cfg": float("nan")}], ids=str
)
def test_an_impossible_dial_is_refused(file, knobs):
    decoder = build(file)
    decoder.check_knobs(Knobs(steps=1, cfg=0.0, shift=0.5))
    with pytest.raises(UsageError, match=r"knobs\.\w+=.* cannot work"):
        decoder.check_knobs(Knobs(**knobs))
    with pytest.raises(UsageError, match=r"knobs\.\w+=.* cannot work"):
        decoder.decode([request(**knobs)])


def test_another_size_than_was_built_for_is_refused(file):
    with pytest.raises(QaError, match=r"height 128 and width 64.*\[64, 128\]"):
        build(file).decode([request(size=(128, 64))])


REFUSED = [
    ({"size": [48, 80]}, "cannot draw a picture of height 48 and width 80.*no multiple of 32"),
    ({"rounding": "other"}, r"decoder\.rounding=other"),
    ({"timestep": "other"}, r"decoder\.timestep=other"),
    ({"dtype": "int8"}, "is no precision"),
    ({"device": "tpu"}, "is no device"),
    ({"size": [128, 64]}, "not trained on pictures of height 128 and width 64"),
    ({"negative": None}, r"decoder\.negative=None is no text"),
    ({"negative": 5}, r"decoder\.negative=5 is no text"),
    *(
        ({"size": size}, r"decoder\.size=.* is no size.*two whole numbers above 0")
        for size in (64, [64], [64, 64, 3], [64.5, 64], ["a", "b"], "ab", [0, 0], [-64, -128],
                     [], [None, 64], [True, 64])
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), REFUSED, ids=str)
@pytest.mark.parametrize("place", ["path", "asset"])
def test_what_cannot_work_is_refused_before_weights_are_touched(
    file, changes, says, place, monkeypatch
):
    touched = untouchable(monkeypatch)
    with pytest.raises(UsageError, match=says):
        build(file if place == "path" else None, **changes)
    assert touched == []
    build(file)
    assert touched == ["load", "sha256"]


def untouchable(monkeypatch):
    """A list that fills when weights are looked for, read or hashed."""
    touched = []
    modules = {"resolve": assets, "load": registry, "sha256": sys.modules[L2P.__module__]}
    found = {"resolve": "", "load": SimpleNamespace(step=None), "sha256": ""}
    for name, module in modules.items():
        told = lambda *args, name=name: touched.append(name) or found[name]  # noqa: E731
        monkeypatch.setattr(module, name, told)
    return touched


def test_an_untrained_size_must_be_allowed_and_is_noted(file):
    with pytest.raises(UsageError) as raised:
        build(file, size=[128, 64])
    assert "trained for [64, 128]" in raised.value.why
    assert raised.value.fix == "decoder.size=[64,128], or decoder.untrained_sizes=true"
    decoder = build(file, size=[128, 64], untrained_sizes=True)
    assert decoder.size == (128, 64)
    assert "64x128 pixels were not trained" in "\n".join(decoder.notes)


def test_an_impossible_size_is_refused_even_if_untrained_ones_are_allowed(file):
    with pytest.raises(UsageError, match="cannot draw"):
        build(file, size=[720, 720], untrained_sizes=True)


def test_8k_was_trained_at_smaller_sizes_too(tmp_path, monkeypatch):
    register(monkeypatch, row("8k", size=(256, 256)))
    path = str(save(tmp_path / "8k.safetensors", row("8k")))
    decoder = L2P("l2p_8k", Letters(), path=path, size=[128, 256], device="cpu")
    assert "not trained" not in "\n".join(decoder.notes)
    with pytest.raises(UsageError, match=r"trained for \[256, 256\] and for smaller ones"):
        L2P("l2p_8k", Letters(), path=path, size=[256, 384], device="cpu")


def test_text_features_of_another_width_are_refused(file, monkeypatch):
    touched, text = untouchable(monkeypatch), Letters()
    text.width = 2304
    with pytest.raises(UsageError, match=r"\(letters\) have width 2304.*l2p_1k takes 10") as raised:
        build(file, text)
    assert raised.value.fix == "text=qwen3, or text=none text.width=10"
    assert registry.find("l2p_4k").config.cap_feat_dim == 2560
    assert touched == []


def test_an_unknown_checkpoint_and_a_file_that_is_not_there_are_refused(file, monkeypatch):
    touched = untouchable(monkeypatch)
    with pytest.raises(UsageError, match=r"no L2P checkpoint 'l2p_2k'.*l2p_1k, l2p_4k"):
        L2P("l2p_2k", Letters(), path=file)
    with pytest.raises(UsageError, match="There is no file absent"):
        build("absent.safetensors")
    assert touched == []


def test_the_digest_stands_for_everything_that_changes_pictures(file, tmp_path, monkeypatch):
    other = Letters()
    other.digest = "letters-2"
    weights = weights_of(tiny("1k"))
    weights["x_pad_token"] += 1
    changed = str(tmp_path / "changed.safetensors")
    save_file(weights, changed)
    digests = [
        build(file).digest,
        build(changed).digest,
        build(file, other).digest,
        build(file, size=[128, 64], untrained_sizes=True).digest,
        build(file, negative="blurry").digest,
        build(file, rounding="diffusers").digest,
        build(file, timestep="diffusers").digest,
        build(file, dtype="bfloat16").digest,
    ]
    register(monkeypatch, row(shift=5.0))
    digests.append(build(file).digest)
    assert len(set(digests)) == len(digests)
    register(monkeypatch, row(shift=3.0))
    assert build(file).digest == digests[0]


def test_notes_say_text_licence_and_defaults(file):
    notes = "\n".join(build(file).notes)
    assert "letters (none)" in notes
    assert "no licence file" in build(file).licence
    assert "2 steps, cfg 2, shift 3" in notes
    assert "not trained" not in notes


def test_half_precision_draws_too(file):
    (exact,), (rough,) = (
        build(file, dtype=dtype, timestep="diffusers").decode([request()])
        for dtype in ("float32", "bfloat16")
    )
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (exact - rough).abs().mean() < 0.2 * exact.std()


def test_without_a_path_the_asset_table_is_asked(file, tmp_path, monkeypatch):
    def resolve(name):
        asked.append(name)
        raise AssetMissing(f"{name} is not at hand.")

    asked: list[str] = []
    monkeypatch.setattr(assets, "resolve", resolve)
    with pytest.raises(AssetMissing):
        build(None)
    with pytest.raises(AssetMissing):
        build(None, asset="other")
    assert asked == ["l2p-1k", "other"]
    monkeypatch.setattr(assets, "resolve", lambda name: tmp_path)
    save_file(weights_of(tiny("1k")), tmp_path / "model-1k-merge.safetensors")
    assert build(None).digest == build(file).digest


@pytest.mark.parametrize("name", ["l2p_1k", "l2p_4k", "l2p_8k", "l2p_10k"])
def test_the_configuration_says_what_the_checkpoint_does(name):
    text = (resources.files("qa.conf") / "decoder" / f"{name}.yaml").read_text()
    node = yaml.safe_load(text)["decoder"]
    own = registry.find(name)
    assert (node["checkpoint"], node["asset"], tuple(node["size"])) == (name, own.asset, own.size)
    assert f"{own.steps} steps with guidance {own.cfg:g}" in text
    assert set(node) - {"_target_"} == set(inspect.signature(L2P).parameters)
    assert node["untrained_sizes"] is False


def test_its_arguments_stand_in_the_order_of_pids():
    from decoders.pid.decoder import PiD

    own = [name for name in inspect.signature(L2P).parameters if name not in CONVENTIONS]
    assert own == list(inspect.signature(PiD).parameters)


CONVENTIONS = ("rounding", "timestep")


def test_text_features_that_need_no_prompt_are_believed(file):
    text = Letters()
    text.needs_prompt = False
    decoder = build(file, text)
    assert decoder.needs_prompt is False
    assert len(decoder.decode([request(prompt=None)])) == 1
