"""PiD as a Decoder: seeds, knobs, sizes, text, and the adapter's one call."""

from dataclasses import replace

import pytest
import tiny_pid
import torch

from decoders.pid import registry
from decoders.pid.decoder import PiD
from decoders.text import NoText
from qa import seeds
from qa.errors import QaError, UsageError
from qa.traits import traits
from qa.types import DecodeRequest, Knobs

CELL = 32  # 8 pixels of the autoencoder, times 4


class Words:
    """Text features that depend on the prompt and count how often they are asked for."""

    width, label, licence, digest, needs_prompt = 12, "words", "test", "words-1", True

    def __init__(self):
        self.asked = []

    def __call__(self, prompt):
        self.asked.append(prompt)
        generator = torch.Generator().manual_seed(sum(map(ord, prompt)))
        return torch.randn(7, 12, generator=generator)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds a tiny PiD decoder from a checkpoint file."""

    def decoder(name="pid_flux_2k", text=None, **arguments):
        row = tiny_pid.row(name)
        tiny_pid.register(monkeypatch, row)
        file = tmp_path / f"{name}.safetensors"
        if not file.exists():
            tiny_pid.save(file, row)
        options = {"untrained_sizes": True, "device": "cpu", **arguments}
        return PiD(name, text or NoText(12, 7), path=str(file), **options)

    return decoder


def request(height=64, width=96, seed=0, content="c", **changes):
    generator = torch.Generator().manual_seed(5)
    latent = torch.randn(16, -(-height // CELL), -(-width // CELL), generator=generator)
    return DecodeRequest("s", seed, content, height, width, latent, prompt="a cat", **changes)


def test_traits(build):
    decoder = build()
    assert traits(decoder).scale == 4
    assert not traits(decoder).needs_prompt
    assert decoder.space.name == "flux1"
    assert "NON-COMMERCIAL" in decoder.licence
    assert "none (zeros" in " ".join(decoder.notes)
    assert "outside the trained range" in " ".join(decoder.notes)
    assert not [n for n in build(untrained_sizes=False).notes if "trained range" in n]
    assert decoder.knobs == {"steps"}
    assert build("pid_flux_v1pt5_teacher").knobs == {"steps", "cfg", "shift"}
    assert build(text=Words()).needs_prompt


def test_the_digest_stands_for_weights_and_settings(build, tmp_path):
    digests = [
        build().digest,
        build(text=Words()).digest,
        build(dtype="bfloat16").digest,
        build("pid_sd3_2k").digest,
        build("pid_flux_v1pt5_teacher", negative="bad").digest,
        build("pid_flux_v1pt5_teacher").digest,
    ]
    assert len(set(digests)) == len(digests)
    assert build().digest == digests[0]
    tiny_pid.save(tmp_path / "pid_flux_2k.safetensors", tiny_pid.row(), seed=1)
    assert build().digest != digests[0]


def test_a_picture_is_what_the_sampler_says(build):
    """Noise by stream and step, zeros for text, pixels from [-1,1] to [0,1]: all by hand."""
    decoder, asked = build(), request(seed=3, sigma=0.25)
    x = seeds.noise(seeds.INITIAL_NOISE, "c", 3, (3, 64, 96))[None]
    condition = decoder.network.condition(
        torch.zeros(1, 7, 12), 64, 96, asked.latent[None], torch.tensor([0.25])
    )
    times = torch.tensor((0.999, 0.866, 0.634, 0.342, 0.0))
    with torch.inference_mode():
        for k in range(4):
            v = decoder.network(x, 1000 * times[k : k + 1], condition)
            x0 = (x.double() - times[k].double() * v.double()).float()
            if k < 3:
                fresh = seeds.noise(seeds.renoise(k), "c", 3, (3, 64, 96))
                x = (1 - times[k + 1]) * x0 + times[k + 1] * fresh
        (found,) = decoder.decode([asked])
    assert torch.equal(found, (x0[0] + 1) / 2)


def test_pictures_depend_on_what_they_should(build):
    decoder = build("pid_flux_v1pt5", text=Words())
    with torch.inference_mode():
        (plain,) = decoder.decode([request()])
        others = {
            "seed": request(seed=1),
            "content": request(content="d"),
            "sigma": request(sigma=0.5),
            "steps": request(knobs=Knobs(steps=2)),
            "prompt": replace(request(), prompt="a dog"),
        }
        for what, other in others.items():
            assert not torch.equal(decoder.decode([other])[0], plain), what
        again = decoder.decode([request(seed=1), request(), request(seed=2)])
    assert torch.equal(again[1], plain)
    assert not torch.equal(again[0], again[2])


def test_the_adapter_runs_once_for_a_picture(build):
    decoder = build()
    calls = {"adapter": 0, "network": 0}

    def count(what):
        def hook(*_):
            calls[what] += 1

        return hook

    decoder.network.lq_proj.register_forward_hook(count("adapter"))
    decoder.network.register_forward_hook(count("network"))
    with torch.inference_mode():
        decoder.decode([request(), request(seed=1)])
    assert calls == {"adapter": 2, "network": 8}


def test_a_picture_between_cells_is_padded_and_cropped(build):
    decoder = build()
    with torch.inference_mode():
        (whole,) = decoder.decode([request(64, 96)])
        (cropped,) = decoder.decode([replace(request(64, 96), height=50, width=81)])
    assert torch.equal(cropped, whole[:, :50, :81])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latent": None}, "no latent"),
        ({"latent": torch.zeros(16, 8, 12)}, "1/4 of its size"),
        ({"latent": torch.zeros(4, 2, 3)}, r"need \[16, 2, 3\]"),
        ({"height": 65}, r"need \[16, 3, 3\]"),
    ],
)
def test_a_latent_of_another_size_is_refused(build, change, said):
    with pytest.raises(QaError, match=said):
        build().decode([replace(request(), **change)])


def test_a_picture_of_an_untrained_size_carries_a_remark(build):
    assert (
        build().remark(request())
        == "96x64 pixels are outside the sizes pid_flux_2k was trained on."
    )
    large = replace(request(), height=2048, width=2048, latent=torch.zeros(16, 64, 64))
    assert build().remark(large) == ""


@pytest.mark.parametrize(("name", "negative"), [("pid_flux_2k", "ugly"), ("pid_flux_2k", None)])
def test_a_negative_prompt_that_changes_nothing_is_refused(build, name, negative):
    with pytest.raises(UsageError, match="changes nothing"):
        build(name, negative=negative)


def test_what_can_be_refused_is_refused_before_the_weights_are_read(build, monkeypatch):
    build()
    monkeypatch.setattr(registry, "load", lambda *_: pytest.fail("the weights were read"))
    for arguments in ({"text": NoText(99, 7)}, {"size": [64, 64]}, {"negative": "ugly"}):
        with pytest.raises(UsageError):
            build(**arguments)


def test_guidance_asks_the_adapter_once(build):
    decoder = build("pid_flux_v1pt5_teacher", text=Words())
    calls = []
    decoder.network.lq_proj.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        decoder.decode([request(knobs=Knobs(steps=2))])
    assert len(calls) == 1


def test_untrained_sizes_are_refused_unless_allowed(build):
    with pytest.raises(QaError, match="outside the sizes pid_flux_2k was trained on"):
        build(untrained_sizes=False).decode([request()])


def test_knobs_are_checked_before_anything_runs(build):
    student, teacher = build(), build("pid_flux_v1pt5_teacher")
    for steps in (1, 2, 3, 4, None):
        student.check_knobs(Knobs(steps=steps))
    for steps in (0, 5, 8):
        with pytest.raises(UsageError, match="the student has 1 to 4"):
            student.check_knobs(Knobs(steps=steps))
        with pytest.raises(UsageError, match="the student has 1 to 4"):
            student.decode([request(knobs=Knobs(steps=steps))])
    teacher.check_knobs(Knobs(steps=8))
    nan, inf = float("nan"), float("inf")
    for knobs in (
        Knobs(steps=0), Knobs(shift=0.0), Knobs(shift=nan), Knobs(shift=inf), Knobs(cfg=nan),
        Knobs(cfg=inf),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r"steps|shift|cfg"):
            teacher.check_knobs(knobs)


def test_the_teacher_reads_its_knobs(build):
    words = Words()
    decoder = build("pid_flux_v1pt5_teacher", text=words, negative="blurry")
    small = Knobs(steps=2)
    with torch.inference_mode():
        (plain,) = decoder.decode([request(knobs=small)])
        assert words.asked == ["a cat", "blurry"]
        for change in ({"steps": 3}, {"cfg": 2.0}, {"shift": 3.0}):
            (other,) = decoder.decode([request(knobs=replace(small, **change))])
            assert not torch.equal(other, plain), change
        words.asked.clear()
        decoder.decode([request(knobs=replace(small, cfg=1.0))])
    assert words.asked == ["a cat"]  # without guidance there is nothing to move away from


def test_the_base_model_makes_pictures_from_words(build):
    decoder = build("pixeldit_2kto4k", text=Words(), size=[32, 64])
    assert decoder.space is None
    assert traits(decoder).size == (32, 64)
    asked = DecodeRequest("s", 0, "c", 32, 64, prompt="a cat", knobs=Knobs(steps=2))
    with torch.inference_mode():
        (found,) = decoder.decode([asked])
        (other,) = decoder.decode([replace(asked, prompt="a dog")])
    assert found.shape == (3, 32, 64)
    assert not torch.equal(found, other)
    for size in (
        None,
        [30, 64],
        [64],
        [64, 64, 64],
        64,
        ["a", "b"],
        [0, 0],
        [-16, -16],
        [64.0, 64],
    ):
        with pytest.raises(UsageError, match="is no size of pixeldit_2kto4k"):
            build("pixeldit_2kto4k", size=size)
    with pytest.raises(QaError, match="outside the sizes"):
        build("pixeldit_2kto4k", size=[64, 64], untrained_sizes=False)
    assert build("pixeldit_2kto4k", size=[64, 64]).digest != decoder.digest
    with pytest.raises(UsageError, match="takes no size"):
        build(size=[64, 64])


def test_bfloat16_is_near_float32_and_not_equal(build):
    with torch.inference_mode():
        (exact,) = build().decode([request()])
        (rounded,) = build(dtype="bfloat16").decode([request()])
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().mean() < 0.1 * exact.std()
    with pytest.raises(UsageError, match="float16"):
        build(dtype="float16")


def test_text_of_another_width_is_refused(build):
    with pytest.raises(UsageError, match=r"width 99.*takes 12"):
        build(text=NoText(99, 7))
