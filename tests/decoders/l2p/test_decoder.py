"""L2P in the role of a decoder, with tiny networks and text features that are made up."""

import inspect
from dataclasses import replace
from importlib import resources
from itertools import pairwise

import pytest
import torch
import yaml
from l2p_reference import tiny, weights_of
from safetensors.torch import save_file

from decoders.l2p.checkpoints import CHECKPOINTS
from decoders.l2p.decoder import L2P
from qa import seeds
from qa.errors import AssetMissing, QaError, UsageError
from qa.types import DecodeRequest, Knobs

SIZE = [64, 128]


class Letters:
    """Text features from the letters of a prompt."""

    width = 10
    label = "letters"
    licence = "none"
    digest = "letters-1"
    needs_prompt = True

    def __init__(self):
        self.asked = []

    def __call__(self, prompt):
        self.asked.append(prompt)
        rows = [[ord(letter) * (n + 1) / 100 % 1 for n in range(10)] for letter in f"<{prompt}>"]
        return torch.tensor(rows)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Weights of a tiny network under the name of a checkpoint with two steps."""
    config = tiny("1k")
    row = replace(CHECKPOINTS["l2p_1k"], name="tiny", config=config, steps=2)
    monkeypatch.setitem(CHECKPOINTS, "tiny", row)
    path = tmp_path / "tiny.safetensors"
    save_file(weights_of(config), path)
    return str(path)


def build(file, text=None, **changes):
    given = {"size": SIZE, "dtype": "float32", "device": "cpu", **changes}
    return L2P("tiny", file, text or Letters(), **given)


def request(prompt="a cat", seed=0, size=tuple(SIZE), content="c", **knobs):
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


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": [720, 720]}, "cannot draw"),
        ({"size": [64]}, r"is no size"),
        ({"rounding": "other"}, r"decoder\.rounding=other"),
        ({"timestep": "other"}, r"decoder\.timestep=other"),
        ({"dtype": "int8"}, "is no precision"),
    ],
)
def test_what_cannot_work_is_refused_at_once(file, changes, says):
    with pytest.raises(UsageError, match=says):
        build(file, **changes)


def test_text_features_of_another_width_are_refused(file):
    text = Letters()
    text.width = 2304
    with pytest.raises(UsageError, match=r"\(letters\) have width 2304.*trained with 10"):
        build(file, text)


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
        build(file, size=[128, 64]).digest,
        build(file, negative="blurry").digest,
        build(file, rounding="diffusers").digest,
        build(file, timestep="diffusers").digest,
        build(file, dtype="bfloat16").digest,
    ]
    monkeypatch.setitem(CHECKPOINTS, "tiny", replace(CHECKPOINTS["tiny"], shift=5.0))
    digests.append(build(file).digest)
    assert len(set(digests)) == len(digests)
    monkeypatch.setitem(CHECKPOINTS, "tiny", replace(CHECKPOINTS["tiny"], shift=3.0))
    assert build(file).digest == digests[0]


def test_notes_say_text_licence_defaults_and_an_untrained_size(file):
    notes = "\n".join(build(file).notes)
    assert "letters (none)" in notes
    assert "no licence file" in build(file).licence
    assert "2 steps, cfg 2, shift 3" in notes
    assert "128x64 pixels were not trained" in notes


def test_the_trained_size_is_the_default_and_needs_no_note(file, monkeypatch):
    monkeypatch.setitem(CHECKPOINTS, "tiny", replace(CHECKPOINTS["tiny"], size=(64, 64 * 2)))
    decoder = build(file, size=None)
    assert decoder.size == (64, 128)
    assert "not trained" not in "\n".join(decoder.notes)


def test_half_precision_draws_too(file):
    (exact,), (rough,) = (
        build(file, dtype=dtype, timestep="diffusers").decode([request()])
        for dtype in ("float32", "bfloat16")
    )
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (exact - rough).abs().mean() < 0.2 * exact.std()


def test_without_a_path_the_asset_table_is_asked(file, tmp_path, monkeypatch):
    from qa import assets

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
    assert build(None).licence == build(file).licence == CHECKPOINTS["l2p_1k"].licence


@pytest.mark.parametrize("name", ["l2p_1k", "l2p_4k", "l2p_8k", "l2p_10k"])
def test_the_configuration_says_what_the_checkpoint_does(name):
    text = (resources.files("qa.conf") / "decoder" / f"{name}.yaml").read_text()
    node = yaml.safe_load(text)["decoder"]
    row = CHECKPOINTS[name]
    assert (node["checkpoint"], node["asset"], tuple(node["size"])) == (name, row.asset, row.size)
    assert f"{row.steps} steps with guidance {row.cfg:g}" in text
    assert set(node) - {"_target_"} == set(inspect.signature(L2P).parameters)


def test_text_features_that_need_no_prompt_are_believed(file):
    text = Letters()
    text.needs_prompt = False
    decoder = build(file, text)
    assert decoder.needs_prompt is False
    assert len(decoder.decode([request(prompt=None)])) == 1
