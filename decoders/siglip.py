"""SigLIP 2 as latent source: its vision tower's tokens, as PiD's `siglip` checkpoint takes them.

A picture of 256x256 pixels becomes 16x16 tokens of 1152 values:

    x  = resize(picture, 224x224, bicubic with antialiasing)
    x' = (x - 1/2) / (1/2)                         the processor's normalisation
    h  = transformer(x')                           [256, 1152], one token for 14x14 pixels of x
    z  = (h - mean(h)) / sqrt(var(h) + 1e-6)       the tower's last layer norm without its weights

with mean and variance over a token's values. z laid out as [1152,16,16] is the latent, whose cell
stands for 16x16 pixels of the picture.

`AutoencoderRAE` of diffusers has a SigLIP 2 too, but of another shape: it derives the heads from a
head size of 64 and keeps the default width of the MLP, where so400m has heads of 72 and 4304.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from decoders.checks import load_pretrained
from decoders.frame import LOCAL_LICENCE, encode_picture, pick_dtype, settings_digest
from decoders.spaces import space as find_space
from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.types import Latent, Sample

SPACE = "rae_siglip2"
SIDE = 256
EPS = 1e-6
FILES = ("config.json", "model.safetensors")
UNUSED = ("text_model.", "logit_scale", "logit_bias")
"""Parts of a whole SigLIP that a vision tower leaves alone."""


class SiglipEncoder:
    """A LatentSource. `source` is a local folder, or None for `asset` of the asset table.

    Pictures of another size than 256x256 are refused, and so is a tower that gives no 16x16 tokens
    of the space's width.
    """

    scale = 1

    def __init__(
        self,
        source: str | None = None,
        asset: str = "siglip2-so400m-patch14-224",
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        folder = Path(source) if source is not None else assets.resolve(asset)
        self.licence = LOCAL_LICENCE if source is not None else assets.find(asset).licence
        self.space = find_space(SPACE)
        self.network = Tower(folder, torch.device(pick_device(device)), pick_dtype(dtype))
        hashes = (f"{name}={sha256(folder / name)}" for name in FILES)
        settings = ("siglip encoder", str(self.space), dtype, str(self.network.device))
        self.digest = settings_digest((*settings, *hashes))

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """picture uint8 [3,256,256] → latent float32 [1152,16,16]."""
        return Latent(encode_picture(self.network, sample, picture))


class Tower:
    """The vision tower as the half of a `decoders.frame.Network` that `encode_picture` asks for."""

    size: int | None = SIDE

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.space, self.device, self.dtype = find_space(SPACE), device, dtype
        model = _load(folder)
        config = model.config
        rows, rest = divmod(config.image_size, config.patch_size)
        if rest or (config.hidden_size, SIDE) != (self.space.channels, rows * self.space.factor):
            raise UsageError(
                f"The vision tower in {folder} does not belong to {self.space}.",
                f"It has {config.hidden_size} values for {config.patch_size}x{config.patch_size} "
                f"pixels of {config.image_size}x{config.image_size}.",
                "take siglip2-so400m-patch14-224",
            )
        self.side = config.image_size
        model.post_layernorm = nn.LayerNorm(config.hidden_size, EPS, elementwise_affine=False)
        self.model = model.eval().requires_grad_(False).to(device, dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        x = interpolate(pixels, (self.side, self.side), mode="bicubic", antialias=True)
        tokens = self.model(((x - 0.5) / 0.5).to(self.dtype)).last_hidden_state
        rows = SIDE // self.space.factor
        return tokens.mT.unflatten(2, (rows, rows)).to(torch.float32)


def _load(folder: Path) -> Any:
    import transformers

    for name in FILES:
        if not (folder / name).is_file():
            raise UsageError(
                f"{folder} holds no {name}.",
                f"A SigLIP is loaded from {' and '.join(FILES)}.",
                "point encoder.source at the right folder",
            )
    found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if found not in ("siglip", "siglip_vision_model"):
        raise UsageError(f"{folder / 'config.json'} describes a {found}.", "A SigLIP is needed.")
    return load_pretrained(
        transformers.SiglipVisionModel,
        folder,
        fix="fetch the folder again, or point encoder.source at another one",
        unused=UNUSED,
        dtype=torch.float32,
        attn_implementation="sdpa",
    )
