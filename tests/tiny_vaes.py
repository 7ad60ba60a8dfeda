"""Every family of image autoencoder, tiny and random, and its arithmetic by hand.

Sizes are the smallest that diffusers' classes allow. `by_hand` says with diffusers' own calls what
the adapters must give: pixels [1,3,H,W] in [0,1] → (normalised latent, pixels again).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from decoders.spaces import QWEN_MEAN, QWEN_STD

SEED = 3
WEIGHTS = "diffusion_pytorch_model.safetensors"
SCALES = {"sd1": (0.18215, None), "sdxl": (0.13025, None), "sd3": (1.5305, 0.0609),
          "flux1": (0.3611, 0.1159)}  # fmt: skip


@dataclass(frozen=True)
class Case:
    family: str
    space: str
    side: int
    """A picture side that the network takes without padding."""

    def __str__(self) -> str:
        return f"{self.family}-{self.space}"


SD1 = Case("AutoencoderKL", "sd1", 16)
SDXL = Case("AutoencoderKL", "sdxl", 16)
SD3 = Case("AutoencoderKL", "sd3", 16)
FLUX1 = Case("AutoencoderKL", "flux1", 16)
FLUX2 = Case("AutoencoderKLFlux2", "flux2", 32)
FLUX2_RAW = Case("AutoencoderKLFlux2", "flux2_raw", 16)
QWEN = Case("AutoencoderKLQwenImage", "qwen", 16)
WAN = Case("AutoencoderKLWan", "qwen", 16)
DCAE = Case("AutoencoderDC", "dcae", 64)
RAE = Case("AutoencoderRAE", "rae_dinov2", 32)
TINY = Case("AutoencoderTiny", "sd1", 16)
CASES = [SD1, SDXL, SD3, FLUX1, FLUX2, FLUX2_RAW, QWEN, WAN, DCAE, RAE, TINY]


def build(case: Case):
    """The case's network, the same at every call."""
    torch.manual_seed(SEED)
    import diffusers

    if case.family == "AutoencoderKL":
        return diffusers.AutoencoderKL(**_kl(case.space)).eval()
    model = getattr(diffusers, case.family)(**OPTIONS[case.family]).eval()
    if case.family == "AutoencoderKLFlux2":
        model.bn.running_mean.copy_(torch.randn(128))
        model.bn.running_var.copy_(torch.rand(128) + 0.5)
    return model


def by_hand(case: Case, model, pixels):
    """pixels [1,3,H,W] in [0,1] → (normalised latent, pixels again)."""
    x = pixels * 2 - 1
    match case.family, case.space:
        case "AutoencoderKL", _:
            scale, shift = model.config.scaling_factor, model.config.shift_factor or 0.0
            latent = (model.encode(x).latent_dist.mode() - shift) * scale
            output = model.decode(latent / scale + shift).sample
        case "AutoencoderKLFlux2", "flux2_raw":
            latent = model.encode(x).latent_dist.mode()
            output = model.decode(latent).sample
        case "AutoencoderKLFlux2", _:
            latent, output = _flux2_by_hand(model, x)
        case "AutoencoderDC", _:
            latent = model.encode(x).latent * 0.41407
            output = model.decode(latent / 0.41407).sample
        case "AutoencoderRAE", _:
            latent = model.encode(pixels).latent
            return latent, model.decode(latent).sample
        case "AutoencoderTiny", _:
            latent = model.encode(x).latents
            output = model.decode(latent).sample
        case _:
            mean = torch.tensor(QWEN_MEAN).view(1, -1, 1, 1, 1)
            std = torch.tensor(QWEN_STD).view(1, -1, 1, 1, 1)
            frames = (model.encode(x.unsqueeze(2)).latent_dist.mode() - mean) / std
            latent = frames.squeeze(2)
            output = model.decode(frames * std + mean).sample.squeeze(2)
    return latent, (output + 1) / 2


def change_config(folder: Path, target: Path, **changes) -> Path:
    """A copy of a saved model whose configuration says something else."""
    target.mkdir()
    config = json.loads((folder / "config.json").read_text()) | changes
    (target / "config.json").write_text(json.dumps(config))
    (target / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    return target


def _flux2_by_hand(model, x):
    z = model.encode(x).latent_dist.mode()
    n, c, h, w = z.shape
    z = z.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    mean = model.bn.running_mean.view(1, -1, 1, 1)
    std = torch.sqrt(model.bn.running_var.view(1, -1, 1, 1) + 1e-4)
    latent = (z.reshape(n, c * 4, h // 2, w // 2) - mean) / std
    z = (latent * std + mean).reshape(n, c, 2, 2, h // 2, w // 2)
    z = z.permute(0, 1, 4, 2, 5, 3).reshape(n, c, h, w)
    return latent, model.decode(z).sample


def _kl(space: str) -> dict:
    scale, shift = SCALES[space]
    return {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (4, 4, 8, 8),
        "norm_num_groups": 4,
        "latent_channels": 4 if space in ("sd1", "sdxl") else 16,
        "scaling_factor": scale,
        "shift_factor": shift,
    }


OPTIONS = {
    "AutoencoderKLFlux2": {
        "block_out_channels": (4, 4, 8, 8),
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
    "AutoencoderKLQwenImage": {"base_dim": 4, "num_res_blocks": 1},
    "AutoencoderKLWan": {"base_dim": 4, "num_res_blocks": 1},
    "AutoencoderDC": {
        **{f"{half}_block_out_channels": (8, 8, 8, 8, 16, 32) for half in ("encoder", "decoder")},
        **{f"{half}_layers_per_block": (1,) * 6 for half in ("encoder", "decoder")},
        **{f"{half}_qkv_multiscales": ((),) * 6 for half in ("encoder", "decoder")},
        **{f"{half}_block_types": ("ResBlock",) * 5 + ("EfficientViTBlock",)
           for half in ("encoder", "decoder")},
        "attention_head_dim": 8,
        "scaling_factor": 0.41407,
    },
    "AutoencoderRAE": {
        "encoder_num_hidden_layers": 1,
        "decoder_hidden_size": 16,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 16,
        "encoder_input_size": 28,
        "patch_size": 16,
        "latents_mean": torch.linspace(-1, 1, 768 * 4).reshape(768, 2, 2),
        "latents_std": torch.linspace(0.5, 1.5, 768 * 4).reshape(768, 2, 2),
    },
    "AutoencoderTiny": {
        "encoder_block_out_channels": (8,) * 4,
        "decoder_block_out_channels": (8,) * 4,
        "num_encoder_blocks": (1,) * 4,
        "num_decoder_blocks": (1,) * 4,
    },
}  # fmt: skip
