"""TAESD in its released layout: tiny autoencoders as one flat state dict for each half.

Keys are positions in a sequential stack of 3x3 convolutions with 64 channels (padding 1):

    encoder  conv 3→64, Block, 3 × (conv stride 2 without bias, 3 Blocks), conv 64→C
    decoder  3·tanh(x/3), conv C→64, ReLU, 3 × (3 Blocks, nearest ×2, conv without bias), Block,
             conv 64→3
    Block    x ← ReLU(x + conv(ReLU(conv(ReLU(conv(x))))))
    pooled   (FLUX.2 only, the three Blocks at the lowest resolution) first
             x ← x + conv1x1(ReLU(GroupNorm(4 groups, conv1x1(x)))), 64→256→64, without biases

Pictures are [0,1] on both sides and latents are the family's scaled ones; nothing is sampled.
Channels and pooling are read off the weights, so one adapter serves SD, SDXL, SD3, FLUX.1 and
FLUX.2 (`taef2`, 32 channels, factor 8). Networks by Ollin Boer Bohan, MIT:
github.com/madebyollin/taesd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from decoders.frame import NO_KNOBS, decode_request, encode_picture, pick_dtype, settings_digest
from decoders.spaces import space as find_space
from decoders.weights import check_finite, check_floats, read_state
from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.types import DecodeRequest, Latent, LatentSpace, Sample

WIDTH = 64
POOLED_WIDTH = 256
SUFFIXES = (".safetensors", ".pth")


class Block(nn.Module):
    """x [N,64,h,w] → the same shape; with `pooled`, the FLUX.2 path comes first."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH)
        )
        self.pool = _pooled_path() if pooled else None

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class SoftClamp(nn.Module):
    """3·tanh(x/3): keeps latents within ±3."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def encoder(channels: int, pooled: bool) -> nn.Sequential:
    """pixels [N,3,8h,8w] in [0,1] → latents [N,channels,h,w]."""
    stages: list[nn.Module] = [_conv(3, WIDTH), Block(False)]
    for lowest in (False, False, True):
        stages.append(_conv(WIDTH, WIDTH, stride=2, bias=False))
        stages += [Block(pooled and lowest) for _ in range(3)]
    return nn.Sequential(*stages, _conv(WIDTH, channels))


def decoder(channels: int, pooled: bool) -> nn.Sequential:
    """latents [N,channels,h,w] → pixels [N,3,8h,8w], nominal [0,1], not clamped."""
    stages: list[nn.Module] = [SoftClamp(), _conv(channels, WIDTH), nn.ReLU()]
    for lowest in (True, False, False):
        stages += [Block(pooled and lowest) for _ in range(3)]
        stages += [nn.Upsample(scale_factor=2), _conv(WIDTH, WIDTH, bias=False)]
    return nn.Sequential(*stages, Block(False), _conv(WIDTH, 3))


class _TAESD:
    """What encoder and decoder share.

    `path` is a folder, or None for the asset table. `space` must have as many channels as the
    weights; which family they were trained for is not written in the file.
    """

    half: str
    licence = "MIT"

    def __init__(
        self,
        name: str,
        space: str,
        path: str | None = None,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        file = _file(path, f"{name}_{self.half}")
        self.network = Half(file, find_space(space), self.half, dtype, device)
        self.space = self.network.space
        settings = (str(self.space), str(self.network.dtype), str(self.network.device))
        self.digest = settings_digest((f"taesd {self.half}", *settings, sha256(file)))


class TAESDEncoder(_TAESD):
    """A LatentSource: `PATH/<name>_encoder.pth` or `.safetensors`."""

    half = "encoder"
    scale = 1

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """picture uint8 [3,H,W] → latent float32 [C, ceil(H/8), ceil(W/8)]."""
        return Latent(encode_picture(self.network, sample, picture))


class TAESDDecoder(_TAESD):
    """A Decoder: `PATH/<name>_decoder.pth` or `.safetensors`."""

    half = "decoder"
    knobs = NO_KNOBS

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], nominal [0,1], not clamped, one request at a time."""
        return [decode_request(self.network, request) for request in requests]


class Half:
    """One half of a TAESD as a `decoders.frame.Network`; the other half's method is not used."""

    size: int | None = None

    def __init__(self, file: Path, space: LatentSpace, half: str, dtype: str, device: str) -> None:
        self.space, self.dtype = space, pick_dtype(dtype)
        self.device = torch.device(pick_device(device))
        weights = read_state(file)
        wanted = _build(file, weights, half)
        check_floats(weights, str(file))
        check_finite(weights, str(file))
        channels = _channels(weights, half)
        if (channels, 8) != (space.channels, space.factor):
            raise UsageError(
                f"{file} has latents of {channels} channels at factor 8.",
                f"The space is {space}.",
                "name the space of the family that the file belongs to",
            )
        self.model = wanted.eval().requires_grad_(False).to(self.device, self.dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        return self.model(pixels.to(self.dtype)).to(torch.float32)

    def decode(self, latent: Tensor) -> Tensor:
        return self.model(latent.to(self.dtype)).to(torch.float32)


def _build(file: Path, weights: Mapping[str, Tensor], half: str) -> nn.Sequential:
    build = encoder if half == "encoder" else decoder
    pooled = any(".pool." in key for key in weights)
    channels = _channels(weights, half)
    if channels is None:
        raise UsageError(f"{file} is no TAESD {half}.", "Its first or last convolution is missing.")
    model = build(channels, pooled)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise UsageError(f"{file} is no TAESD {half}.", why[:300]) from error
    return model


def _channels(weights: Mapping[str, Tensor], half: str) -> int | None:
    key, axis = ("14.weight", 0) if half == "encoder" else ("1.weight", 1)
    if key not in weights or weights[key].ndim != 4:
        return None
    return weights[key].shape[axis]


def _file(path: str | None, stem: str) -> Path:
    if path is None:
        return assets.resolve(stem + ".pth")
    for suffix in SUFFIXES:
        if (Path(path) / (stem + suffix)).is_file():
            return Path(path) / (stem + suffix)
    raise UsageError(
        f"{path} holds no {stem}.pth and no {stem}.safetensors.",
        "",
        "decoder.path=FOLDER with both halves, or leave it out to use the asset table",
    )


def _conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def _pooled_path() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(WIDTH, POOLED_WIDTH, 1, bias=False),
        nn.GroupNorm(4, POOLED_WIDTH),
        nn.ReLU(),
        nn.Conv2d(POOLED_WIDTH, WIDTH, 1, bias=False),
    )
