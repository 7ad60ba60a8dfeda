"""A cascade decodes small, enlarges exactly by its scale and crops; its parts are checked alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from toys import Pool, Sampler

from decoders.cascade import Cascade, DiffusersUpscale, Resize
from decoders.reduced import Reduced
from decoders.spaces import SPACES
from qa import images
from qa.config import build, compose
from qa.errors import QaError, UsageError
from qa.traits import traits
from qa.types import DecodeRequest, Knobs, Sample

TINY = {"steps": 2, "guidance": 3.0, "options": {"noise_level": 20}, "device": "cpu"}


class Ramp:
    """Pixels that say where they are, beyond [0,1] too, and remember what was asked."""

    space, digest, licence = SPACES["mini"], "ramp", "A"
    knobs = frozenset({"steps"})
    notes = ("seen",)

    def decode(self, requests):
        self.asked = [(one.height, one.width) for one in requests]
        return [torch.arange(one.width).expand(3, one.height, one.width) - 0.5 for one in requests]

    def check_knobs(self, knobs):
        if knobs.steps == 3:
            raise ValueError("three is refused")


def request(height: int, width: int, seed: int = 0, sample: str = "a", prompt=None):
    return DecodeRequest(sample, seed, sample, height, width, torch.zeros(16, 1, 1), prompt=prompt)


@pytest.mark.parametrize("scale", [1, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (16, 24), (13, 30)], ids=str)
def test_decodes_small_enlarges_and_crops(scale, size):
    inner = Ramp()
    cascade = Cascade(inner, Resize("nearest", scale))
    height, width = size
    (pixels,) = cascade.decode([request(height, width)])
    assert inner.asked == [(-(-height // scale), -(-width // scale))]
    assert list(pixels.shape) == [3, height, width]
    expected = torch.arange(width) // scale - 0.5
    assert torch.equal(pixels, expected.expand(3, height, width))


def test_traits_come_from_both_parts():
    cascade = Cascade(Ramp(), Resize("bicubic", 4))
    assert traits(cascade).scale == cascade.scale == 4
    assert Cascade(cascade, Resize("bicubic", 2)).scale == 8
    assert (cascade.space, cascade.knobs) == (Ramp.space, Ramp.knobs)
    assert cascade.notes == Ramp.notes
    assert cascade.licence.startswith("A; upsampler: MIT-CMU")
    with pytest.raises(ValueError, match="three"):
        cascade.check_knobs(Knobs(steps=3))
    cascade.check_knobs(Knobs(steps=2))
    digests = {Cascade(Ramp(), Resize(how, by)).digest for how in ("bicubic", "lanczos")
               for by in (2, 4)}  # fmt: skip
    assert len({*digests, Cascade(Sampler(), Resize()).digest, Ramp.digest}) == 6


def test_an_upsampler_of_another_scale_is_refused():
    class Wrong:
        scale, digest, licence = 4, "", ""

        def __call__(self, pixels, request):
            return pixels.repeat_interleave(2, 1).repeat_interleave(2, 2)

    with pytest.raises(QaError, match=r"made \[3, 4, 4\] of \[3, 2, 2\].*scale 4"):
        Cascade(Ramp(), Wrong()).decode([request(8, 8)])


@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_resize_keeps_constants_and_is_linear_in_the_values(how):
    resize = Resize(how, 4)
    flat = resize(torch.full((3, 5, 7), 1.75), request(20, 28))
    assert list(flat.shape) == [3, 20, 28]
    torch.testing.assert_close(flat, torch.full((3, 20, 28), 1.75), rtol=0, atol=1e-6)
    one, two = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    both = resize(one - 2 * two, request(20, 28))
    parts = resize(one, request(20, 28)) - 2 * resize(two, request(20, 28))
    torch.testing.assert_close(both, parts, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("how", "reach"), [("bilinear", 1), ("bicubic", 2)])
def test_resize_keeps_a_ramp_straight_away_from_the_edges(how, reach):
    """Pixel centres: output x lies at (x + 1/2) / 4 - 1/2 of the input."""
    ramp = torch.arange(12.0).expand(3, 6, 12).contiguous()
    across = Resize(how, 4)(ramp, request(24, 48))
    place = (torch.arange(48) + 0.5) / 4 - 0.5
    inside = slice(4 * reach, -4 * reach)
    expected = place.expand(3, 24, 48)
    torch.testing.assert_close(across[..., inside], expected[..., inside], rtol=0, atol=1e-5)
    assert (across[..., inside] - expected.roll(1, -1)[..., inside]).abs().min() > 0.2
    nearest = Resize("nearest", 4)(ramp, request(24, 48))
    assert (nearest[..., inside] - expected[..., inside]).abs().max() > 0.3


def test_bicubic_is_keys_with_a_minus_half_and_does_not_clamp():
    step = torch.zeros(3, 1, 8)
    step[..., 4:] = 1
    row = Resize("bicubic", 2)(step, request(2, 16))[0, 0].double()

    def keys(x, a=-0.5):
        x = abs(x)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        return near if x <= 1 else a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    for x in range(4, 12):  # out of the edges' reach
        place = (x + 0.5) / 2 - 0.5
        expected = sum(keys(place - i) for i in range(4, 8))
        assert row[x].item() == pytest.approx(expected, abs=1e-6)
    assert row.min() < -0.01
    assert row.max() > 1.01
    assert row[7].item() != pytest.approx(sum(keys(3.25 - i, -0.75) for i in range(4, 8)), abs=1e-3)


def test_through_the_eightfold_pool_the_sizes_meet():
    picture = torch.randint(0, 256, (3, 70, 45), dtype=torch.uint8)
    encoder, cascade = Reduced(Pool(), 4), Cascade(Sampler(0.0), Resize("nearest", 4))
    assert encoder.scale == cascade.scale
    latent = encoder.latent(Sample("a"), picture).tensor
    (pixels,) = cascade.decode([replace(request(70, 45), latent=latent)])
    assert list(pixels.shape) == [3, 70, 45]
    block = images.to_unit(picture[:, :32, :32]).mean((1, 2))
    torch.testing.assert_close(pixels[:, 0, 0], block, rtol=0, atol=0.5 / 255)


@pytest.mark.parametrize("name", ["vae_mini_bicubic"])
def test_the_configuration_makes_pictures_of_the_references_size(name):
    config = compose([f"decoder={name}", "device=cpu"])
    decoder = build(config.group("decoder"), "decoder")
    encoder = build(config.group("encoder"), "encoder")
    assert (decoder.space, decoder.scale) == (encoder.space, encoder.scale)
    y, x = np.mgrid[0:150, 0:131]
    wave = 128 + 100 * np.sin(x / 40) * np.cos(y / 50)
    picture = torch.from_numpy(wave).round().to(torch.uint8).expand(3, 150, 131)
    latent = encoder.latent(Sample("a"), picture).tensor
    (pixels,) = decoder.decode([replace(request(150, 131), latent=latent)])
    error = (images.quantise(pixels).picture.float() - picture.float()).square().mean()
    wrong = (images.quantise(pixels).picture.float() - picture.flip(-1).float()).square().mean()
    assert 10 * error < wrong


@pytest.fixture(scope="session")
def upscaler(tmp_path_factory):
    """StableDiffusionUpscalePipeline, tiny and random, on disk."""
    import diffusers
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(2)
    words = {word: place for place, word in enumerate(["<s>", "</s>", "<unk>", "a", "cat", "dog"])}
    one = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    one.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=one, bos_token="<s>", eos_token="</s>", pad_token="</s>",
        unk_token="<unk>", model_max_length=8,
    )  # fmt: skip
    text = transformers.CLIPTextConfig(
        vocab_size=6, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=8, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=7, out_channels=4, block_out_channels=(8, 16),
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=16, attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), num_class_embeds=1000,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8), norm_num_groups=4, scaling_factor=0.08333,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("upscaler")
    diffusers.StableDiffusionUpscalePipeline(
        vae=vae, text_encoder=transformers.CLIPTextModel(text), tokenizer=tokenizer, unet=unet,
        low_res_scheduler=diffusers.DDPMScheduler(), scheduler=diffusers.DDIMScheduler(),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_a_pipeline_gives_what_it_gives_by_hand(upscaler):
    import diffusers

    from qa.seeds import UPSAMPLE_NOISE, generator_seed

    pixels = torch.rand(3, 8, 16) * 1.2 - 0.1
    made = DiffusersUpscale(str(upscaler), **TINY)(pixels, request(32, 64, 3, prompt="a cat"))
    picture = (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    pipeline = diffusers.StableDiffusionUpscalePipeline.from_pretrained(upscaler)
    seed = generator_seed(UPSAMPLE_NOISE, "a", 3)
    (expected,) = pipeline(
        "a cat", Image.fromarray(picture), 2, 3.0, 20, output_type="np",
        generator=torch.Generator().manual_seed(seed),
    ).images  # fmt: skip
    assert made.dtype == torch.float32
    torch.testing.assert_close(made, torch.from_numpy(expected).permute(2, 0, 1), rtol=0, atol=1e-6)
    assert 0 <= made.min() < made.max() <= 1


def test_noise_belongs_to_sample_and_seed_and_the_prompt_is_read(upscaler):
    upscale = DiffusersUpscale(str(upscaler), **TINY)
    cascade = Cascade(Ramp(), upscale)
    asked = [
        request(30, 50, 0), request(30, 50, 1), request(30, 50, 0, "b"),
        request(30, 50, 0, prompt="a dog"),
    ]  # fmt: skip
    made = cascade.decode(asked)
    backwards = cascade.decode(asked[::-1])[::-1]
    for one, first, second in zip(asked, made, backwards, strict=True):
        assert list(first.shape) == [3, 30, 50]
        assert torch.equal(first, second)
        assert torch.equal(first, cascade.decode([one])[0])
    for other in made[1:]:
        assert not torch.equal(made[0], other)
    (empty,) = cascade.decode([request(30, 50, 0, prompt="")])
    assert torch.equal(empty, made[0])  # no prompt is the empty one


def test_odd_sizes_are_padded_by_the_edge(upscaler):
    upscale = DiffusersUpscale(str(upscaler), **TINY)
    pixels = torch.rand(3, 5, 11)
    rows, columns = torch.arange(8).clamp(max=4), torch.arange(16).clamp(max=10)
    whole = upscale(pixels[:, rows][:, :, columns], request(1, 1))
    assert torch.equal(upscale(pixels, request(1, 1)), whole[:, :20, :44])
    with pytest.raises(QaError, match="multiple"):
        DiffusersUpscale(str(upscaler), **TINY, multiple=1)(pixels, request(1, 1))
    with pytest.raises(QaError, match="At scale 2"):
        DiffusersUpscale(str(upscaler), **TINY, scale=2)(pixels, request(1, 1))


def test_digests_stand_for_settings_and_weights(upscaler, tmp_path):
    import shutil

    folder = str(upscaler)
    variants = [{}, {"steps": 3}, {"guidance": 1.0}, {"options": {"noise_level": 10}},
                {"multiple": 16}, {"dtype": "bfloat16"}]  # fmt: skip
    digests = {DiffusersUpscale(folder, **{**TINY, **more}).digest for more in variants}
    assert len(digests) == len(variants)
    copy = shutil.copytree(upscaler, tmp_path / "copy")
    assert DiffusersUpscale(str(copy), **TINY).digest in digests
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace('"linear"', '"scaled_linear"'))
    assert DiffusersUpscale(str(copy), **TINY).digest not in digests


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pipeline": "NoSuchPipeline"}, "has no NoSuchPipeline"),
        ({"pipeline": "AutoencoderKL"}, "has no AutoencoderKL"),
        ({"pipeline": "LDMSuperResolutionPipeline", "options": {}}, "takes no guidance_scale"),
        ({"options": {"noise": 1}}, "takes no noise"),
        ({"scale": 0}, "no count of pixels"),
    ],
)
def test_what_cannot_work_is_refused_at_once(more, message, upscaler):
    with pytest.raises(UsageError, match=message):
        DiffusersUpscale(str(upscaler), **{**TINY, **more})


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_network_with_a_missing_tensor_is_refused(part, upscaler, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(upscaler, tmp_path / "copy")
    (file,) = (copy / part).glob("*.safetensors")
    weights = load_file(file)
    save_file({**weights, "left_over": torch.ones(1)}, file, {"format": "pt"})
    DiffusersUpscale(str(copy), **TINY)
    weights.pop(max(name for name in weights if name.endswith("weight")))
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(UsageError, match=r"missing keys|cannot be loaded"):
        DiffusersUpscale(str(copy), **TINY)


def test_folders_that_hold_no_pipeline_are_refused(upscaler, tmp_path):
    import shutil

    with pytest.raises(UsageError, match=r"no model_index\.json"):
        DiffusersUpscale(str(tmp_path), **TINY)
    copy = shutil.copytree(upscaler, tmp_path / "copy")
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        DiffusersUpscale(str(copy), **TINY)
    with pytest.raises(UsageError, match="no filter"):
        Resize("cubic")


@pytest.mark.parametrize(
    ("index", "why"),
    [
        ("[]", "no JSON object"), ("null", "no JSON object"), ("{", "Expecting"),
        ("\xff", "decode"),
        ("[" * 100_000, "nests too deep"), ('{"vae": []}', "vae is no library and class"),
        ('{"vae": ["diffusers"]}', "vae is no"), ('{"vae": ["diffusers", 3]}', "vae is no"),
        ('{"vae": [["diffusers"], "x"]}', "vae is no"),
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_an_index_that_is_none_is_refused(index, why, tmp_path):
    (tmp_path / "model_index.json").write_bytes(index.encode("latin1"))
    with pytest.raises(UsageError, match=rf"describes no pipeline\. .*{why}"):
        DiffusersUpscale(str(tmp_path), **TINY)


def test_negative_control_an_index_without_parts_is_read(tmp_path):
    """Null pairs stand for what a pipeline does without; the rest is up to diffusers."""
    (tmp_path / "model_index.json").write_text('{"vae": [null, null], "_class_name": "x"}')
    with pytest.raises(UsageError, match="cannot be loaded"):
        DiffusersUpscale(str(tmp_path), **TINY)
