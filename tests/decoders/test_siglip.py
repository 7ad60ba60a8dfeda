"""The SigLIP latent is the tower's tokens under a bare layer norm; the tower is tiny and random."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from decoders import siglip
from decoders.siglip import SiglipEncoder
from qa import images
from qa.errors import QaError, UsageError
from qa.types import LatentSpace, Sample

WIDTH = 12
VISION = {
    "hidden_size": WIDTH, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 224, "patch_size": 14,
}  # fmt: skip


def picture(height: int = 256, width: int = 256):
    generator = torch.Generator().manual_seed(1)
    small = torch.randint(0, 256, (1, 3, 16, 16), generator=generator).float()
    large = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return large[0].round().to(torch.uint8)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A whole SigLIP as it is published, text tower and all."""
    import transformers

    generator = torch.Generator().manual_seed(4)
    text = {"hidden_size": WIDTH, "intermediate_size": 20, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 9}  # fmt: skip
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    model = transformers.SiglipModel(config)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    saved = tmp_path_factory.mktemp("siglip")
    model.save_pretrained(saved)
    return saved


@pytest.fixture(autouse=True)
def _narrow_space(monkeypatch):
    """The space with the tiny tower's width."""
    real = siglip.find_space("rae_siglip2")
    assert (real.channels, real.factor) == (1152, 16)
    narrow = LatentSpace(real.name, WIDTH, real.factor, real.scaling)
    monkeypatch.setattr(siglip, "find_space", lambda name: narrow)


@torch.no_grad()
def by_hand(folder, before, *, antialias: bool = True, affine: bool = False):
    """The tower's own layers up to the last norm, then the norm in words."""
    import transformers

    model = transformers.SiglipVisionModel.from_pretrained(folder, dtype=torch.float32).eval()
    pixels = images.to_unit(before)[None] * 2 - 1
    pixels = torch.nn.functional.interpolate(
        pixels, (224, 224), mode="bicubic", antialias=antialias
    )
    caught = []
    model.post_layernorm.register_forward_hook(lambda *call: caught.append(call))
    output = model(pixels).last_hidden_state
    (h,) = caught[0][1]
    centred = h - h.mean(-1, keepdim=True)
    z = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    tokens = (output if affine else z)[0]
    latent = torch.empty(WIDTH, 16, 16)
    for place, token in enumerate(tokens):
        latent[:, place // 16, place % 16] = token
    return latent


def test_the_latent_is_the_towers_tokens_under_a_bare_norm(folder):
    encoder = SiglipEncoder(str(folder), device="cpu")
    latent = encoder.latent(Sample("a"), picture())
    assert latent.sigma == 0
    assert latent.tensor.dtype == torch.float32
    torch.testing.assert_close(latent.tensor, by_hand(folder, picture()), rtol=1e-4, atol=1e-4)
    assert latent.tensor.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(latent.tensor.square().mean(0), torch.ones(16, 16))


def test_other_readings_would_show(folder):
    latent = SiglipEncoder(str(folder), device="cpu").latent(Sample("a"), picture()).tensor
    for other in (
        by_hand(folder, picture(), affine=True),
        by_hand(folder, picture(), antialias=False),
        by_hand(folder, picture()).mT,
        by_hand(folder, 255 - picture()),
    ):
        assert (latent - other).abs().max() > 0.01


def test_only_one_size_of_picture_and_one_shape_of_tower_fit(folder, tmp_path, monkeypatch):
    encoder = SiglipEncoder(str(folder), device="cpu")
    for size in ((224, 224), (256, 240), (512, 512)):
        with pytest.raises(QaError, match="256x256 only"):
            encoder.latent(Sample("a"), picture(*size))
    with pytest.raises(QaError, match="no picture"):
        encoder.latent(Sample("a"), None)
    wide = LatentSpace("rae_siglip2", 1152, 16, "")
    monkeypatch.setattr(siglip, "find_space", lambda name: wide)
    with pytest.raises(UsageError, match=r"does not belong.*12 values for 14x14"):
        SiglipEncoder(str(folder), device="cpu")


def test_digests_differ_and_foreign_folders_are_refused(folder, tmp_path):
    first = SiglipEncoder(str(folder), device="cpu")
    half = SiglipEncoder(str(folder), dtype="bfloat16", device="cpu")
    near = half.latent(Sample("a"), picture()).tensor
    assert (near - by_hand(folder, picture())).abs().mean() < 0.1
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert SiglipEncoder(str(copy), device="cpu").digest == first.digest
    weights = load_file(copy / "model.safetensors")
    key = "vision_model.encoder.layers.1.mlp.fc1.weight"
    save_file({**weights, key: weights[key] + 1}, copy / "model.safetensors", {"format": "pt"})
    assert len({first.digest, half.digest, SiglipEncoder(str(copy), device="cpu").digest}) == 3

    weights.pop(key)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="missing keys"):
        SiglipEncoder(str(copy), device="cpu")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "clip"}))
    with pytest.raises(UsageError, match="describes a clip"):
        SiglipEncoder(str(copy), device="cpu")
    (copy / "config.json").unlink()
    with pytest.raises(UsageError, match=r"no config\.json"):
        SiglipEncoder(str(copy), device="cpu")
