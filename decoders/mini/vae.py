"""A small image autoencoder, factor 8 and 16 channels: the latent space of the demo.

Any 8x8 block of pixels is first described linearly (the 16 strongest principal components of such
blocks, scaled to unit variance); a convolutional network on each side adds what a linear map
cannot say. Training therefore starts from a working codec, and the latents are close to N(0, 1) per
channel by construction, as a diffusion model wants them.

Network and recipe are this project's own. Its parts are textbook: residual blocks (He et al. 2016,
arXiv:1512.03385) with GroupNorm (arXiv:1803.08494) and SiLU (arXiv:1702.03118), and sub-pixel
convolution (arXiv:1609.05158). The module needs torch, NumPy and safetensors, nothing else.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

FACTOR = 8
CHANNELS = 16
WIDTHS = (48, 96, 128)  # at 1/2, 1/4 and 1/8 of the resolution
GROUPS = 8
FORMAT = "mini-vae/1"


class ResBlock(nn.Module):
    """Two 3x3 convolutions around an identity: [N,C,h,w] -> [N,C,h,w]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


def _head(width: int, out: int) -> nn.Sequential:
    """GroupNorm, SiLU, 3x3 convolution that starts at zero: the shortcut speaks alone at first."""
    conv = nn.Conv2d(width, out, 3, padding=1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), conv)


def _up(width: int, out: int) -> nn.Sequential:
    """Twice the resolution: [N,width,h,w] -> [N,out,2h,2w]."""
    return nn.Sequential(nn.Conv2d(width, 4 * out, 1), nn.PixelShuffle(2))


class MiniVAE(nn.Module):
    """Pixels to latents and back.

    ```
    pixels [N,3,8h,8w] in [0,1] ── 2x-1 ──┬── 8x8 linear ─────────────────────────────(+)── mean
                                          └── 1/2: 48 ── 1/4: 96 ── 1/8: 128, 128 ──┬──┘    │
                                                                                    └─ logvar
                                                       z = mean + exp(logvar/2) noise       │
                                          ┌─────────────────────────────────────────────────┘
    pixels [N,3,8h,8w]  ◄── (x+1)/2 ──(+)─┼── 8x8 linear (transposed)
    nominal [0,1], not clamped         └──┴── 1/8: 128, 128 ── 1/4: 96, 96 ── 1/2: 48, 48
    ```

    Numbers are widths, one per residual block. `widths` may be changed for tests; each must be a
    multiple of 8, the number of normalisation groups.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) != 3 or any(w % GROUPS for w in widths):
            raise ValueError(f"widths must be three multiples of {GROUPS}, got {tuple(widths)}")
        a, b, c = self.widths = tuple(widths)
        self.linear_in = nn.Conv2d(3, CHANNELS, FACTOR, stride=FACTOR)
        self.linear_out = nn.ConvTranspose2d(CHANNELS, 3, FACTOR, stride=FACTOR)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(12, a, 3, padding=1), ResBlock(a),
            nn.Conv2d(a, b, 3, stride=2, padding=1), ResBlock(b),
            nn.Conv2d(b, c, 3, stride=2, padding=1), ResBlock(c), ResBlock(c),
            _head(c, 2 * CHANNELS),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(CHANNELS, c, 3, padding=1), ResBlock(c), ResBlock(c),
            _up(c, b), ResBlock(b), ResBlock(b),
            _up(b, a), ResBlock(a), ResBlock(a),
            _head(a, 12), nn.PixelShuffle(2),
        )  # fmt: skip

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents.

        pixels float32 [N,3,H,W] in [0,1], H and W multiples of 8 -> two of [N,16,H/8,W/8].
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or any(n % FACTOR for n in pixels.shape[2:]):
            raise ValueError(
                f"pixels must be [N,3,H,W] with H and W multiples of {FACTOR}, "
                f"got {list(pixels.shape)}; crop or pad the picture first"
            )
        x = pixels * 2 - 1
        mean, logvar = self.encoder(x).float().chunk(2, dim=1)
        # The linear part carries the signal: it stays in float32 under autocast.
        with torch.autocast(x.device.type, enabled=False):
            return self.linear_in(x) + mean, logvar

    def decode(self, latents: Tensor) -> Tensor:
        """Latents float32 [N,16,h,w] -> pixels [N,3,8h,8w], nominal [0,1], not clamped."""
        if latents.ndim != 4 or latents.shape[1] != CHANNELS:
            raise ValueError(f"latents must be [N,{CHANNELS},h,w], got {list(latents.shape)}")
        detail = self.decoder(latents).float()
        with torch.autocast(latents.device.type, enabled=False):
            return (self.linear_out(latents) + detail) / 2 + 0.5

    def forward(self, pixels: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels -> (pixels again, mean, logvar); noise [N,16,H/8,W/8] ~ N(0,1) or none."""
        mean, logvar = self.encode(pixels)
        latents = mean if noise is None else mean + (logvar / 2).exp() * noise
        return self.decode(latents), mean, logvar

    @torch.no_grad()
    def start_from(self, blocks: np.ndarray) -> None:
        """Set the linear maps to PCA whitening in closed form.

        blocks: float [K,3,8,8], pixels in [0,1], K in the tens of thousands. With blocks x = 2p-1,
        mean m, covariance U diag(l) U', the maps are U(x-m)/sqrt(l) and m + U sqrt(l) z.
        """
        x = blocks.reshape(len(blocks), -1).astype(np.float64) * 2 - 1
        mean = x.mean(0)
        power, axes = np.linalg.eigh((x - mean).T @ (x - mean) / len(x))
        power, axes = power[::-1][:CHANNELS], axes[:, ::-1][:, :CHANNELS]
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(CHANNELS)])
        into, out = (axes / np.sqrt(power)).T, (axes * np.sqrt(power)).T
        shape = self.linear_in.weight.shape
        self.linear_in.weight.copy_(torch.from_numpy(into.reshape(shape)))
        self.linear_in.bias.copy_(torch.from_numpy(-into @ mean))
        self.linear_out.weight.copy_(torch.from_numpy(out.reshape(shape)))
        # The bias of a transposed convolution is one number per colour, so is the mean then.
        self.linear_out.bias.copy_(torch.from_numpy(mean.reshape(3, -1).mean(1)))

    def save(self, path: Path, **facts: str) -> None:
        """Write the weights as float16 safetensors; sizes and facts go into the header."""
        tensors = {k: v.detach().cpu().half().contiguous() for k, v in self.state_dict().items()}
        header = {"format": FORMAT, "widths": ",".join(map(str, self.widths)), **facts}
        save_file(tensors, path, metadata=header)

    @staticmethod
    def load(path: Path | str, device: torch.device | str = "cpu") -> "MiniVAE":
        """Read weights written by `save`: strict, float32 in memory, ready for inference."""
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise ValueError(f"{path} is {header.get('format', 'of unknown format')}, not {FORMAT}")
        model = MiniVAE([int(width) for width in header["widths"].split(",")])
        model.load_state_dict(load_file(path), strict=True)
        return model.to(device).eval().requires_grad_(False)
