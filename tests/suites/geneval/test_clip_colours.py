"""CLIP's answer about a colour, against the same steps done with the libraries themselves."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from qa.errors import AssetMissing, QaError, UsageError
from suites.geneval.clip_colours import DEVIATION, MEAN, ClipColours, cut, middle
from suites.geneval.detector import COLOURS

SIDE = 28
BOX = np.array([10, 20, 70, 50, 0.9], np.float32)


def write_clip(folder):
    """A CLIP of a few thousand drawn values, with letters for words."""
    from transformers import CLIPConfig, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 2, "initializer_range": 0.5}  # fmt: skip
    letters = [chr(c) for c in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", "-", "-</w>", *letters,
             *(letter + "</w>" for letter in letters)]  # fmt: skip
    vocabulary = {word: number for number, word in enumerate(words)}
    text = {**small, "vocab_size": len(words), "max_position_embeddings": 77, "bos_token_id": 0,
            "eos_token_id": 1, "pad_token_id": 1}  # fmt: skip
    config = CLIPConfig(
        text_config=text, vision_config={**small, "image_size": SIDE, "patch_size": 14},
        projection_dim=16,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        CLIPModel(config).save_pretrained(folder)
    tokenizer(vocabulary).save_pretrained(folder)
    return folder


def tokenizer(vocabulary):
    from transformers import CLIPTokenizer

    return CLIPTokenizer(
        vocab=vocabulary, merges=[], unk_token="<|endoftext|>", bos_token="<|startoftext|>",
        eos_token="<|endoftext|>", pad_token="<|endoftext|>",
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder):
    return ClipColours(str(folder))


@pytest.fixture(scope="module")
def picture():
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (3, 64, 90), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def mask():
    y, x = np.mgrid[:64, :90]
    return ((x - 40) / 30) ** 2 + ((y - 35) / 15) ** 2 < 1


def image_of(picture):
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


def by_hand(folder, crop, cls, sentences=None):
    """Ten cosines: torchvision's transform, transformers' whole model, one sentence at a time."""
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(folder).eval()
    words = CLIPTokenizer.from_pretrained(folder)
    look = transforms.Compose([
        transforms.Resize(SIDE, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(SIDE), transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION),
    ])  # fmt: skip
    pixels = look(crop)[None]
    cosines = []
    for colour in COLOURS:
        texts = []
        for sentence in sentences or (
            f"a photo of a {colour} {cls}", f"a photo of a {colour}-colored {cls}",
            f"a photo of a {colour} object",
        ):  # fmt: skip
            with torch.no_grad():
                out = model(pixel_values=pixels, **words(sentence, return_tensors="pt"))
            texts.append(out.text_embeds[0])  # of length 1 already
        mean = torch.stack(texts).mean(0)
        cosines.append(float(mean / mean.norm() @ out.image_embeds[0]))
    return torch.tensor(cosines)


def test_cosines_are_those_of_the_libraries(clip, folder, picture, mask):
    grey = Image.new("RGB", (90, 64), "#999")
    shown = Image.composite(image_of(picture), grey, Image.fromarray(mask))
    wanted = by_hand(folder, shown.crop(tuple(BOX[:4])), "teddy bear")
    found = clip.cosines(cut(picture, BOX, mask), "teddy bear")
    assert torch.allclose(found, wanted, atol=1e-5)
    other = clip.cosines(cut(picture, BOX, mask), "cup")
    assert not torch.allclose(other, wanted, atol=1e-3)


def test_the_answer_is_the_largest_cosine(clip, picture, mask):
    boxes, masks = np.stack([BOX, BOX + 5]), np.stack([mask, ~mask])
    found = clip.colours(picture, "car", boxes, masks)
    for name, box, shape in zip(found, boxes, masks, strict=True):
        cosines = clip.cosines(cut(picture, box, shape), "car")
        assert name == COLOURS[int(cosines.argmax())]
        assert len(cosines) == len(COLOURS) == 10
    assert clip.colours(picture, "car", boxes[:0], masks[:0]) == []
    assert len(clip.colours(picture, "car", boxes, None)) == 2


def test_neighbours_do_not_change_an_answer(clip, picture, mask):
    alone = clip.cosines(cut(picture, BOX, mask), "dog")
    clip.colours(picture, "dog", np.stack([BOX] * 3), np.stack([mask] * 3))
    assert torch.equal(alone, clip.cosines(cut(picture, BOX, mask), "dog"))


def test_outside_the_mask_is_999(picture, mask):
    crop = cut(picture, np.array([0, 0, 90, 64, 1.0]), mask)
    inside = torch.from_numpy(mask)
    assert (crop[:, ~inside] == 0x99).all()
    assert torch.equal(crop[:, inside], picture[:, inside])
    assert torch.equal(cut(picture, np.array([0, 0, 90, 64, 1.0]), None), picture)


@pytest.mark.parametrize("box", [(10.5, 20.5, 70.5, 50.5), (9.5, 3.49, 88.51, 60.0)])
def test_corners_are_rounded_as_pillow_does(picture, box):
    wanted = np.asarray(image_of(picture).crop(box))
    found = cut(picture, np.array([*box, 1.0]), None).permute(1, 2, 0).numpy()
    assert (found == wanted).all()


def test_a_box_without_pixels_is_an_error(picture):
    with pytest.raises(ValueError, match="holds no pixel"):
        cut(picture, np.array([10, 10, 10, 20, 1.0]), None)


@pytest.mark.parametrize("size", [(28, 28), (30, 41), (61, 33), (7, 90), (300, 29), (28, 29)])
def test_the_middle_is_torchvisions(size):
    generator = torch.Generator().manual_seed(sum(size))
    crop = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)
    look = transforms.Compose([
        transforms.Resize(SIDE, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(SIDE),
    ])  # fmt: skip
    wanted = np.asarray(look(image_of(crop)))
    assert (middle(crop, SIDE).permute(1, 2, 0).numpy() == wanted).all()


def test_the_ends_of_a_long_object_are_not_looked_at():
    crop = torch.full((3, 28, 280), 60, dtype=torch.uint8)
    crop[:, :, :100] = crop[:, :, 180:] = 255
    assert (middle(crop, SIDE) == 60).all()


def test_drawn_weights_are_refused(clip):
    with pytest.raises(QaError, match="failed its self test"):
        clip.check()


def test_a_digest_stands_for_the_files(clip, folder, tmp_path):
    import shutil

    other = shutil.copytree(folder, tmp_path / "other")
    assert ClipColours(str(other)).digest == clip.digest
    config = json.loads((other / "config.json").read_text())
    config["vision_config"]["layer_norm_eps"] = 1e-3
    (other / "config.json").write_text(json.dumps(config))
    assert ClipColours(str(other)).digest != clip.digest


def test_folders_that_hold_something_else(folder, tmp_path, monkeypatch):
    import shutil

    from safetensors.torch import load_file, save_file

    with pytest.raises(UsageError, match=r"There is no config\.json, model\.safetensors"):
        ClipColours(str(tmp_path))
    partial = shutil.copytree(folder, tmp_path / "partial")
    state = load_file(partial / "model.safetensors")
    save_file({k: v for k, v in state.items() if "visual_projection" not in k},
              partial / "model.safetensors", {"format": "pt"})  # fmt: skip
    with pytest.raises(UsageError, match="visual_projection"):
        ClipColours(str(partial))
    monkeypatch.setenv("QA_ASSETS", str(tmp_path))
    monkeypatch.setenv("QA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QA_OFFLINE", "1")
    with pytest.raises(AssetMissing, match="clip-vit-large-patch14"):
        ClipColours()
