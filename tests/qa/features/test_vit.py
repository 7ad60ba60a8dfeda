"""Our transformer equals transformers' on files in the layouts of DINOv2 and OpenAI's CLIP.

The files have every key of the released ones and small drawn tensors: width 128 (two heads), two
blocks. What a released file has more of is width and depth.
"""

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from precision import confirm
from torch import nn
from torch.nn import functional

from qa.errors import UsageError
from qa.features import vit
from qa.features.extractors import CLIPFeatures, DINOv2Features
from qa.features.vit import stretched

D, DEPTH, OUT = 128, 2, 48


def drawn(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.randn(s, generator=generator) * 0.15 for k, s in shapes.items()}


def dinov2_state(grid=37):
    shapes = {
        "cls_token": (1, 1, D), "pos_embed": (1, 1 + grid**2, D), "mask_token": (1, D),
        "patch_embed.proj.weight": (D, 3, 14, 14), "patch_embed.proj.bias": (D,),
        "norm.weight": (D,), "norm.bias": (D,),
    }  # fmt: skip
    for i in range(DEPTH):
        for name, shape in {
            "norm1.weight": (D,), "norm1.bias": (D,), "norm2.weight": (D,), "norm2.bias": (D,),
            "attn.qkv.weight": (3 * D, D), "attn.qkv.bias": (3 * D,),
            "attn.proj.weight": (D, D), "attn.proj.bias": (D,),
            "ls1.gamma": (D,), "ls2.gamma": (D,),
            "mlp.fc1.weight": (4 * D, D), "mlp.fc1.bias": (4 * D,),
            "mlp.fc2.weight": (D, 4 * D), "mlp.fc2.bias": (D,),
        }.items():  # fmt: skip
            shapes[f"blocks.{i}.{name}"] = shape
    return drawn(shapes)


def clip_state(grid=4):
    shapes = {
        "visual.class_embedding": (D,), "visual.positional_embedding": (1 + grid**2, D),
        "visual.conv1.weight": (D, 3, 14, 14), "visual.proj": (D, OUT),
        "positional_embedding": (77, 8), "text_projection": (8, OUT), "logit_scale": (),
        "transformer.resblocks.0.ln_1.weight": (8,),
    }  # fmt: skip
    for norm in ("ln_pre", "ln_post"):
        shapes |= {f"visual.{norm}.weight": (D,), f"visual.{norm}.bias": (D,)}
    for i in range(DEPTH):
        for name, shape in {
            "attn.in_proj_weight": (3 * D, D), "attn.in_proj_bias": (3 * D,),
            "attn.out_proj.weight": (D, D), "attn.out_proj.bias": (D,),
            "ln_1.weight": (D,), "ln_1.bias": (D,), "ln_2.weight": (D,), "ln_2.bias": (D,),
            "mlp.c_fc.weight": (4 * D, D), "mlp.c_fc.bias": (4 * D,),
            "mlp.c_proj.weight": (D, 4 * D), "mlp.c_proj.bias": (D,),
        }.items():  # fmt: skip
            shapes[f"visual.transformer.resblocks.{i}.{name}"] = shape
    return {key: value.half() for key, value in drawn(shapes).items()}


def split(state, pattern, names):
    """A fused tensor of queries, keys and values as three."""
    made = {}
    for key, value in state.items():
        found = re.search(pattern, key)
        if not found:
            made[key] = value
            continue
        for name, part in zip(names, value.chunk(3), strict=True):
            made[key.replace(found[0], name + found[1])] = part
    return made


def bicubic_positions(positions, grid):
    """DINOv2's interpolation once more, in float64: a = -3/4, steps of G / (grid + 0.1)."""
    before = math.isqrt(len(positions) - 1)
    plane = positions[1:].double().numpy().reshape(before, before, -1)

    def kernel(x, a=-0.75):
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    matrix = np.zeros((grid, before))
    for i in range(grid):
        centre = (i + 0.5) * before / (grid + 0.1) - 0.5
        for j in range(math.floor(centre) - 1, math.floor(centre) + 3):
            matrix[i, min(max(j, 0), before - 1)] += kernel(centre - j)
    made = np.einsum("ia,jb,abd->ijd", matrix, matrix, plane).reshape(grid * grid, -1)
    return torch.cat([positions[:1], torch.from_numpy(made).float()])


def transformers_dinov2(state, positions):
    from transformers import Dinov2Config, Dinov2Model

    model = Dinov2Model(
        Dinov2Config(hidden_size=D, num_hidden_layers=DEPTH, num_attention_heads=D // 64,
                     image_size=224, patch_size=14, layer_norm_eps=1e-6)
    )  # fmt: skip
    names = [
        ("cls_token", "embeddings.cls_token"), ("mask_token", "embeddings.mask_token"),
        ("pos_embed", "embeddings.position_embeddings"),
        ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
        ("blocks.", "encoder.layer."), (".attn.proj.", ".attention.o_proj."),
        (".ls1.gamma", ".layer_scale1.lambda1"), (".ls2.gamma", ".layer_scale2.lambda1"),
    ]  # fmt: skip
    state = state | {"pos_embed": positions[None]}
    kinds = [f"attention.{x}_proj" for x in "qkv"]
    renamed = {}
    for key, value in split(state, r"attn\.qkv(\.\w+)", kinds).items():
        for old, new in names:
            key = key.replace(old, new)
        renamed[re.sub(r"^norm\.", "layernorm.", key)] = value
    model.load_state_dict(renamed, strict=True)
    return model.eval()


def transformers_clip(state):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(hidden_size=D, intermediate_size=4 * D, num_hidden_layers=DEPTH,
                         num_attention_heads=D // 64, image_size=56, patch_size=14,
                         projection_dim=OUT, hidden_act="quick_gelu")
    )  # fmt: skip
    names = [
        ("class_embedding", "vision_model.embeddings.class_embedding"),
        ("positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        ("conv1.", "vision_model.embeddings.patch_embedding."),
        ("ln_pre.", "vision_model.pre_layrnorm."), ("ln_post.", "vision_model.post_layernorm."),
        ("transformer.resblocks.", "vision_model.encoder.layers."),
        (".attn.out_proj.", ".self_attn.out_proj."), (".ln_1.", ".layer_norm1."),
        (".ln_2.", ".layer_norm2."), (".c_fc.", ".fc1."), (".c_proj.", ".fc2."),
    ]  # fmt: skip
    visual = {
        k.removeprefix("visual."): v.float() for k, v in state.items() if k.startswith("visual.")
    }
    kinds = [f"self_attn.{x}_proj." for x in "qkv"]
    renamed = {}
    for key, value in split(visual, r"attn\.in_proj_(\w+)", kinds).items():
        for old, new in names:
            key = key.replace(old, new)
        renamed[key] = value
    renamed["visual_projection.weight"] = renamed.pop("proj").T.contiguous()
    model.load_state_dict(renamed, strict=True)
    return model.eval()


def by_pillow(picture, side, mean, deviation):
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    levels = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    made = (levels - np.float32(mean)) / np.float32(deviation)
    return torch.from_numpy(made).permute(2, 0, 1)[None]


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture
def dinov2_file(tmp_path):
    torch.save(dinov2_state(), tmp_path / "dinov2.pth")
    return str(tmp_path / "dinov2.pth")


@torch.inference_mode()
def test_dinov2_equals_transformers(dinov2_file, picture):
    state, x = dinov2_state(), picture(90, 150)
    positions = bicubic_positions(state["pos_embed"][0], 16)
    theirs = transformers_dinov2(state, positions)(by_pillow(x, 224, *IMAGENET)).pooler_output
    made = DINOv2Features(dinov2_file)(x, "")
    assert made.shape == (1, D)
    difference = float((made - theirs).abs().max())
    assert difference < 2e-6
    first = float(made[0, 0]), float(theirs[0, 0])
    confirm("fd_dinov2 first feature", *first, 2e-6, "transformers, drawn network", difference)
    # Negative controls: positions stretched by 16/37 exactly, and the other order of levels.
    plane = state["pos_embed"][0, 1:].T.reshape(1, D, 37, 37)
    plain = functional.interpolate(plane, size=(16, 16), mode="bicubic")[0].flatten(1).T
    other = transformers_dinov2(state, torch.cat([state["pos_embed"][0, :1], plain]))
    assert (other(by_pillow(x, 224, *IMAGENET)).pooler_output - made).abs().max() > 2e-5
    assert (DINOv2Features(dinov2_file)(x.flip(0), "") - made).abs().max() > 1e-3


def test_users_of_one_file_share_its_network(dinov2_file, tmp_path, monkeypatch):
    """Of both kinds, whatever it is called."""
    torch.save(clip_state(), tmp_path / "clip.pth")
    clip_file, build, calls = str(tmp_path / "clip.pth"), vit.VisionTransformer, []
    monkeypatch.setattr(vit, "VisionTransformer", lambda *a: calls.append(1) or build(*a))
    users = [DINOv2Features(dinov2_file), DINOv2Features(dinov2_file, "ultrapixel299x3")]
    assert len(calls) == 1
    users += [CLIPFeatures(clip_file), CLIPFeatures(clip_file, "hific256")]
    assert len(calls) == 2
    assert len({user.id for user in users}) == 4


def test_positions_equal_an_independent_writing():
    positions = torch.randn(1 + 37**2, 6, generator=torch.Generator().manual_seed(0))
    assert (stretched(positions, 16) - bicubic_positions(positions, 16)).abs().max() < 1e-5
    assert torch.equal(stretched(positions, 37), positions)


def openai_archive(state, file, save_script):
    """A TorchScript archive with those names in it, as OpenAI released them."""
    root = nn.Module()
    for key, value in state.items():
        *path, leaf = key.split(".")
        place = root
        for part in path:
            if part not in place._modules:
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_parameter(leaf, nn.Parameter(value, requires_grad=False))
    return str(save_script(root, file))


@torch.inference_mode()
@pytest.mark.parametrize("archive", [True, False], ids=["torchscript", "state dict"])
def test_clip_equals_transformers(tmp_path, picture, save_script, archive):
    state, x = clip_state(), picture(90, 151)
    file = tmp_path / "clip.pt"
    name = openai_archive(state, file, save_script) if archive else str(file)
    if not archive:
        torch.save(state, file)
    square = x[:, :, 30:120]  # (151 - 90) // 2 = 30
    theirs = transformers_clip(state)(by_pillow(square, 56, *OPENAI)).image_embeds
    made = CLIPFeatures(name)(x, "")
    assert made.shape == (1, OUT)
    assert made.norm() == pytest.approx(1, abs=1e-6)
    assert (made - theirs / theirs.norm()).abs().max() < 2e-6
    # Negative control: GELU instead of its quick form, and a crop one pixel further.
    exact = transformers_clip(state)
    for layer in exact.vision_model.encoder.layers:
        layer.mlp.activation_fn = nn.GELU()
    other = exact(by_pillow(square, 56, *OPENAI)).image_embeds
    assert (made - other / other.norm()).abs().max() > 1e-5
    shifted = transformers_clip(state)(by_pillow(x[:, :, 31:121], 56, *OPENAI)).image_embeds
    assert (made - shifted / shifted.norm()).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("blocks.1.ls2.gamma"), "missing: blocks.1.scale2"),
        (lambda s: s.update({"register_tokens": torch.zeros(1, 4, D)}), "not expected: register"),
        (lambda s: s.pop("pos_embed"), "It has no positions"),
        (lambda s: s.update({"norm.weight": torch.zeros(5)}), "norm.weight .5. instead of"),
    ],
)
def test_other_weights_are_refused(tmp_path, change, said):
    state = dinov2_state()
    change(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(UsageError, match=said):
        DINOv2Features(str(tmp_path / "x.pth"))


def test_each_refuses_the_others_file(tmp_path, dinov2_file):
    torch.save(clip_state(), tmp_path / "clip.pth")
    with pytest.raises(UsageError, match="It has no token"):
        DINOv2Features(str(tmp_path / "clip.pth"))
    with pytest.raises(UsageError, match="It has no token"):
        CLIPFeatures(dinov2_file)
