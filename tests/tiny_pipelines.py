"""Every family of latent diffusion pipeline, tiny and random, in diffusers' layout on disk.

Built from the libraries' own classes with the VAEs of tiny_vaes.py. The tokenizers know a few words
and the text encoders a few numbers; FLUX.2 gets a Qwen3 where the real one has a Mistral 3, since
the pipeline asks no more of it than hidden states.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny_vaes
import torch

WIDTH = 8
"""Channels of every text encoder."""
WORDS = 1000
HEADS = {"num_attention_heads": 2, "attention_head_dim": 8}
FAMILIES = ("flux", "flux2", "flux2_klein", "sd3", "sdxl", "qwenimage", "zimage")
VAES = {"flux": tiny_vaes.FLUX1, "flux2": tiny_vaes.FLUX2, "flux2_klein": tiny_vaes.FLUX2,
        "sd3": tiny_vaes.SD3, "sdxl": tiny_vaes.SDXL, "qwenimage": tiny_vaes.QWEN,
        "zimage": tiny_vaes.FLUX1}  # fmt: skip
STEPS = 4
ROWS, COLUMNS = 32, 48
"""Height and width of what they make; not equal, so that swapping them shows."""


def save(family: str, folder: Path) -> Path:
    """Writes the family's pipeline to `folder`, the same at every call."""
    import diffusers

    torch.manual_seed(7)
    parts = _BUILDERS[family](diffusers) | {"vae": tiny_vaes.build(VAES[family])}
    name = {"flux": "FluxPipeline", "flux2": "Flux2Pipeline", "flux2_klein": "Flux2KleinPipeline",
            "sd3": "StableDiffusion3Pipeline", "sdxl": "StableDiffusionXLPipeline",
            "qwenimage": "QwenImagePipeline", "zimage": "ZImagePipeline"}[family]  # fmt: skip
    getattr(diffusers, name)(**parts).save_pretrained(folder)
    return folder


def settings(family: str, folder: Path, /, **changes: Any) -> dict[str, Any]:
    """Arguments of `decoders.capture.Pipeline` for a saved tiny pipeline."""
    given = {
        "family": family,
        "source": str(folder),
        "repo": None,
        "revision": None,
        "download": False,
        "licence": "test",
        "steps": STEPS,
        "guidance": 3.0,
        "negative": " " if family == "qwenimage" else None,
        "height": ROWS,
        "width": COLUMNS,
        "dtype": "float32",
        "offload": False,
        "device": "cpu",
        "capture": [2, "x0"],
        "seed": 0,
    }
    return given | changes


def _tokenizer(length: int = 64) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    text = "a cat red blue dog on the mat system Describe image by user assistant im_start im_end"
    words = ["<pad>", "<unk>", "<eos>", *text.split()]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>",
        bos_token="<eos>", model_max_length=length,
    )  # fmt: skip
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for c in m.content %}{{ c.text }} {% endfor %}{% endif %}{% endfor %} assistant"
    )
    return tokenizer


def _clip(projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=WIDTH, projection_dim=WIDTH,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=77,
        bos_token_id=2, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _t5(width: int = WIDTH) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=WORDS, d_model=width, d_kv=4, d_ff=WIDTH, num_layers=1, num_heads=2
    )
    return T5EncoderModel(config).eval()


def _qwen3(layers: int) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=1, head_dim=4,
    )  # fmt: skip
    return Qwen3ForCausalLM(config).eval()


def _flow(diffusers: Any, **options: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**options)


def _flux(diffusers: Any) -> dict[str, Any]:
    return {
        "transformer": diffusers.FluxTransformer2DModel(
            in_channels=64, num_layers=1, num_single_layers=1, **HEADS, joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH, guidance_embeds=True, axes_dims_rope=(4, 2, 2),
        ),
        "scheduler": _flow(diffusers, shift=3.0, use_dynamic_shifting=True),
        "text_encoder": _clip(False),
        "tokenizer": _tokenizer(77),
        "text_encoder_2": _t5(),
        "tokenizer_2": _tokenizer(),
    }  # fmt: skip


def _flux2(diffusers: Any, layers: int = 31, guided: bool = True) -> dict[str, Any]:
    return {
        "transformer": diffusers.Flux2Transformer2DModel(
            in_channels=128, num_layers=1, num_single_layers=1, **HEADS,
            joint_attention_dim=3 * WIDTH, timestep_guidance_channels=8,
            axes_dims_rope=(2, 2, 2, 2), guidance_embeds=guided,
        ),
        "scheduler": _flow(diffusers, shift=3.0, use_dynamic_shifting=True),
        "text_encoder": _qwen3(layers),
        "tokenizer": _tokenizer(),
    }  # fmt: skip


def _klein(diffusers: Any) -> dict[str, Any]:
    return _flux2(diffusers, 28, guided=False) | {"is_distilled": True}


def _sd3(diffusers: Any) -> dict[str, Any]:
    return {
        "transformer": diffusers.SD3Transformer2DModel(
            sample_size=16, patch_size=2, in_channels=16, num_layers=1, **HEADS,
            joint_attention_dim=2 * WIDTH, caption_projection_dim=16,
            pooled_projection_dim=2 * WIDTH, pos_embed_max_size=16,
        ),
        "scheduler": _flow(diffusers, shift=3.0),
        **{f"text_encoder{i}": _clip(True) for i in ("", "_2")},
        **{f"tokenizer{i}": _tokenizer(77) for i in ("", "_2", "_3")},
        "text_encoder_3": _t5(2 * WIDTH),
    }  # fmt: skip


def _sdxl(diffusers: Any) -> dict[str, Any]:
    return {
        "unet": diffusers.UNet2DConditionModel(
            sample_size=4, in_channels=4, out_channels=4, block_out_channels=(8, 8),
            layers_per_block=1, norm_num_groups=4, attention_head_dim=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=2 * WIDTH, addition_embed_type="text_time",
            addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + WIDTH,
            use_linear_projection=True,
        ),
        "scheduler": diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
            timestep_spacing="leading", steps_offset=1,
        ),
        "text_encoder": _clip(False),
        "tokenizer": _tokenizer(77),
        "text_encoder_2": _clip(True),
        "tokenizer_2": _tokenizer(77),
    }  # fmt: skip


def _qwenimage(diffusers: Any) -> dict[str, Any]:
    return {
        "transformer": diffusers.QwenImageTransformer2DModel(
            in_channels=64, out_channels=16, num_layers=1, **HEADS, joint_attention_dim=WIDTH,
            axes_dims_rope=(4, 2, 2),
        ),
        "scheduler": _flow(diffusers, use_dynamic_shifting=True, shift_terminal=0.02),
        "text_encoder": _qwen3(1),
        "tokenizer": _tokenizer(),
    }  # fmt: skip


def _zimage(diffusers: Any) -> dict[str, Any]:
    return {
        "transformer": diffusers.ZImageTransformer2DModel(
            in_channels=16, dim=16, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
            cap_feat_dim=WIDTH, axes_dims=[4, 2, 2], axes_lens=[64, 16, 16],
        ),
        "scheduler": _flow(diffusers, shift=3.0),
        "text_encoder": _qwen3(2),
        "tokenizer": _tokenizer(),
    }  # fmt: skip


_BUILDERS = {
    "flux": _flux,
    "flux2": _flux2,
    "flux2_klein": _klein,
    "sd3": _sd3,
    "sdxl": _sdxl,
    "qwenimage": _qwenimage,
    "zimage": _zimage,
}
