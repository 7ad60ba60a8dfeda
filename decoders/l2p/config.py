"""What an L2P network is made of, as data: the trunk's sizes and the head's widths.

The trunk is the same in all four variants but for its patch. The head is a U-Net whose levels are
listed from the outermost (full resolution) inwards; each halves the resolution:

    1k   patch 16    1  2  3  4
    4k   patch 64    0  0b 1  2  3  4
    8k   patch 128   8k 0  0b 1  2  3  4
    10k  patch 160   10k_a 0  0b 1  2  3     features are resized to 160x160, whatever their grid
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Convention = Literal["official", "diffusers"]


@dataclass(frozen=True)
class Level:
    """One level of the head. Its convolutions are `enc<name>`, `up<name>` and `dec<name>`."""

    name: str
    enc: int
    """Width of the encoder's output, which is also the skip's."""
    up: int
    """Width of the up-convolution's output; it joins the skip."""
    dec: int
    """Width of the decoder's output."""


@dataclass(frozen=True)
class L2PConfig:
    """Sizes and conventions of one network. The defaults are those of Z-Image (6B)."""

    variant: str
    """1k, 4k, 8k or 10k."""
    patch: int
    """Picture pixels per image token, along each side."""
    levels: tuple[Level, ...]
    """The head, outermost level first."""
    bottleneck: int = 512
    """Width of the head's innermost map."""
    feature_grid: tuple[int, int] | None = None
    """Rows and columns that the head resizes the trunk's features to; None keeps their grid."""
    dim: int = 3840
    heads: int = 30
    layers: int = 30
    refiner_layers: int = 2
    """Blocks of the noise refiner, and of the context refiner."""
    cap_feat_dim: int = 2560
    """Width of the text features."""
    axes_dims: tuple[int, int, int] = (32, 48, 48)
    """Dimensions of a head that rotate with sequence, row and column; they add up to a head."""
    axes_lens: tuple[int, int, int] = (1024, 512, 512)
    """Positions on each axis that the network was made for; those beyond are refused."""
    rope_theta: float = 256.0
    norm_eps: float = 1e-5
    t_scale: float = 1000.0
    in_channels: int = 3
    rounding: Convention = "official"
    """RMSNorm rounds once, at its end (`official`), or also before the weight (`diffusers`)."""
    timestep: Convention = "official"
    """Time is computed in the network's precision (`official`) or in float32 (`diffusers`)."""

    @property
    def adaln(self) -> int:
        """Width of the time embedding that modulates the blocks."""
        return min(self.dim, 256)

    @property
    def feed_forward(self) -> int:
        return int(self.dim / 3 * 8)


INNER = (
    Level("1", 64, 64, 32),
    Level("2", 128, 128, 64),
    Level("3", 256, 256, 128),
)
OUTER = (Level("0", 16, 16, 16), Level("0b", 32, 32, 16))
INNERMOST = Level("4", 512, 512, 256)
VARIANTS = {
    "1k": L2PConfig("1k", 16, (Level("1", 64, 64, 64), *INNER[1:], INNERMOST)),
    "4k": L2PConfig("4k", 64, (*OUTER, *INNER, INNERMOST)),
    "8k": L2PConfig("8k", 128, (Level("_8k", 3, 16, 16), *OUTER, *INNER, INNERMOST)),
    "10k": L2PConfig(
        "10k", 160, (Level("_10k_a", 3, 16, 16), *OUTER, *INNER), feature_grid=(160, 160)
    ),
}
"""The four networks as released, by variant."""
