"""The Z-Image transformer as L2P uses it: a noisy picture and a text → one feature per patch.

Image tokens x are patches (row-major; inside a patch rows, columns, then channels) through a linear
layer; text tokens y are features through RMSNorm and a linear layer. Each stream is padded to a
multiple of 32 rows with a learned token of its own. Padding takes part in attention.

    position  text row i at (i, 0, 0), i = 1..T; image patch at (T+1, row, column), T with padding;
              image padding at (0, 0, 0)
    time      t = 1 − σ, τ = 1000 t, c = MLP([cos τω ‖ sin τω]), ω_j = 10000^(−j/128)
    block     x ← x + g1·N( attention( N(x)·s1 ) )        N: RMSNorms, each with its own weight
              x ← x + g2·N( W2( silu(W1 h)·(W3 h) ) ),  h = N(x)·s2
              (s1, g1, s2, g2) = linear(c) in four, s ← 1 + s, g ← tanh g; all 1 for text
    attention q, k pass an RMSNorm over each head and rotate: pairs (2j, 2j+1) by position·ω_j,
              ω_j = 256^(−2j/d) for each axis of d dimensions

Image tokens pass the noise refiner, text tokens the context refiner, then [image, text] the layers.
There is no final norm. Nothing but parameters is stored, so a network that was built on the meta
device is whole as soon as it is filled. Source: arXiv 2511.22699 (Z-Image), arXiv 2605.12013 (L2P).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decoders.kernels import norm_modulate, norm_turn
from decoders.l2p.config import Convention, L2PConfig
from qa.errors import QaError

ROWS = 32
"""Each stream's length is padded to a multiple of this."""
TIME_STEPS = 1000
"""The scheduler counts time as 1000 σ."""
FREQUENCIES, TIME_HIDDEN = 256, 1024


@dataclass(frozen=True)
class Condition:
    """All that stays the same over the steps of one picture. Made by `Trunk.shared`."""

    text: Tensor
    """Text tokens behind the context refiner [L,D]."""
    image_turns: Tensor
    """Positions of the image tokens as unit complex numbers [N,head/2]."""
    turns: Tensor
    """Those of image and text tokens [N+L,head/2]."""


class RMSNorm(nn.Module):
    """x / rms(x) · weight over the last dimension, float32 inside.

    `rounding` says where a half-precision network rounds: "official" once at the end, as PyTorch's
    own operator does; "diffusers" also before the weight. In float32 there is nothing to round.
    """

    def __init__(self, dim: int, eps: float, rounding: Convention) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps, self.rounding = eps, rounding

    def forward(self, x: Tensor, times: Tensor | None = None, plus: Tensor | None = None) -> Tensor:
        """The norm, and where they are given · times + plus."""
        return norm_modulate(x, self.weight, self.eps, times, plus, once=self.once)

    @property
    def once(self) -> bool:
        """Whether it rounds at its end alone."""
        return self.rounding == "official"


class HeadNorm(RMSNorm):
    """x [N,heads,d] → the norm of each head, with each pair (2j, 2j+1) turned."""

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        return norm_turn(x, self.weight, self.eps, turns, self.once)


class TimeEmbedder(nn.Module):
    """[cos τω ‖ sin τω] in the layers' precision (`waves`) → c [A]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(FREQUENCIES, TIME_HIDDEN), nn.SiLU(), nn.Linear(TIME_HIDDEN, width)
        )

    def forward(self, waves: Tensor) -> Tensor:
        return self.mlp(waves[None])[0]


class Attention(nn.Module):
    """x [N,D] → [N,D]: every row sees every row."""

    def __init__(self, config: L2PConfig) -> None:
        super().__init__()
        dim, head = config.dim, config.dim // config.heads
        self.heads = config.heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.to_out = nn.Sequential(nn.Linear(dim, dim, bias=False))
        self.norm_q = HeadNorm(head, config.norm_eps, config.rounding)
        self.norm_k = HeadNorm(head, config.norm_eps, config.rounding)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        inputs = (self.to_q, self.to_k, self.to_v)
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)) for layer in inputs)
        q, k = self.norm_q(q, turns), self.norm_k(k, turns)
        q, k, v = (part.transpose(0, 1)[None] for part in (q, k, v))  # [1,heads,N,d]
        rows = F.scaled_dot_product_attention(q, k, v)
        return self.to_out(rows[0].transpose(0, 1).flatten(1))


class FeedForward(nn.Module):
    """h [N,D] → W2( silu(W1 h)·(W3 h) )."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(h)) * self.w3(h))


class Block(nn.Module):
    """x [N,D] → [N,D]. `c` [A] modulates it; blocks of the context refiner have no modulation."""

    def __init__(self, config: L2PConfig, modulated: bool) -> None:
        super().__init__()
        dim = config.dim
        self.attention = Attention(config)
        self.feed_forward = FeedForward(dim, config.feed_forward)
        self.attention_norm1 = RMSNorm(dim, config.norm_eps, config.rounding)
        self.attention_norm2 = RMSNorm(dim, config.norm_eps, config.rounding)
        self.ffn_norm1 = RMSNorm(dim, config.norm_eps, config.rounding)
        self.ffn_norm2 = RMSNorm(dim, config.norm_eps, config.rounding)
        if modulated:
            self.adaLN_modulation = nn.Sequential(nn.Linear(config.adaln, 4 * dim))

    def forward(self, x: Tensor, turns: Tensor, c: Tensor | None = None) -> Tensor:
        s1 = g1 = s2 = g2 = None
        if c is not None:
            s1, g1, s2, g2 = self.adaLN_modulation(c[None]).chunk(4, dim=1)
            s1, s2, g1, g2 = 1 + s1, 1 + s2, g1.tanh(), g2.tanh()
        rows = self.attention(self.attention_norm1(x, times=s1), turns)
        x = self.attention_norm2(rows, times=g1, plus=x)
        rows = self.feed_forward(self.ffn_norm1(x, times=s2))
        return self.ffn_norm2(rows, times=g2, plus=x)


class Trunk(nn.Module):
    """Everything of an L2P network but its head, under the released names."""

    def __init__(self, config: L2PConfig) -> None:
        super().__init__()
        self.config = config
        dim, patch = config.dim, config.patch
        self.all_x_embedder = nn.ModuleDict(
            {f"{patch}-1": nn.Linear(patch * patch * config.in_channels, dim)}
        )
        self.t_embedder = TimeEmbedder(config.adaln)
        self.cap_embedder = nn.Sequential(
            RMSNorm(config.cap_feat_dim, config.norm_eps, config.rounding),
            nn.Linear(config.cap_feat_dim, dim),
        )
        self.x_pad_token = nn.Parameter(torch.zeros(1, dim))
        self.cap_pad_token = nn.Parameter(torch.zeros(1, dim))
        self.noise_refiner = _blocks(config, config.refiner_layers, modulated=True)
        self.context_refiner = _blocks(config, config.refiner_layers, modulated=False)
        self.layers = _blocks(config, config.layers, modulated=True)

    def shared(self, text: Tensor, height: int, width: int) -> Condition:
        """What the steps of a picture share; text [T,cap_feat_dim], T >= 1.

        Text is in the network's precision and on its device. Raises QaError for positions beyond
        `axes_lens`.
        """
        grid = height // self.config.patch, width // self.config.patch
        y = _pad(self.cap_embedder(text), self.cap_pad_token)
        patches = grid[0] * grid[1]
        turns_x, turns_y = (
            rotations(where, self.config).to(text.device)
            for where in positions(patches + -patches % ROWS, len(y), grid)
        )
        for block in self.context_refiner:
            y = block(y, turns_y)
        return Condition(y, turns_x, torch.cat([turns_x, turns_y]))

    def waves(self, sigma: float | Tensor) -> Tensor:
        """What the time embedder takes, [256], computed in float32 on the CPU."""
        weight, half = self.t_embedder.mlp[0].weight, FREQUENCIES // 2
        precision = weight.dtype if self.config.timestep == "official" else torch.float32
        steps = torch.arange(half, dtype=torch.float32)
        angles = tau(sigma, self.config.t_scale, precision) * torch.exp(
            -math.log(10000) * steps / half
        )
        return torch.cat([angles.cos(), angles.sin()]).to(weight.device, weight.dtype)

    def features(self, image: Tensor, waves: Tensor, condition: Condition) -> Tensor:
        """image [C,H,W] at the noise level of `waves` → [D,H/P,W/P].

        The image is in the network's precision and on its device; nothing is computed or read on
        the CPU.
        """
        patch = self.config.patch
        grid = image.shape[1] // patch, image.shape[2] // patch
        c = self.t_embedder(waves)
        x = _pad(self.all_x_embedder[f"{patch}-1"](patchify(image, patch)), self.x_pad_token)
        for block in self.noise_refiner:
            x = block(x, condition.image_turns, c)
        rows = torch.cat([x, condition.text])
        for block in self.layers:
            rows = block(rows, condition.turns, c)
        return rows[: grid[0] * grid[1]].T.unflatten(1, grid)


def tau(sigma: float | Tensor, scale: float, precision: torch.dtype) -> Tensor:
    """Noise level → τ = scale·(1 − σ), a float32 scalar on the CPU.

    Every operation on the scheduler's 1000 σ rounds to `precision`. bfloat16 moves τ by up to 2.7
    of 1000, and networks that were trained so expect it; float32 leaves it alone.
    """
    time = (torch.as_tensor(sigma, dtype=torch.float32).cpu() * TIME_STEPS).to(precision)
    return ((TIME_STEPS - time) / TIME_STEPS * scale).to(torch.float32)


def patchify(image: Tensor, patch: int) -> Tensor:
    """image [C,H,W] → [H/P·W/P, P·P·C], the channel running fastest."""
    grid = image.unflatten(2, (-1, patch)).unflatten(1, (-1, patch))  # [C,h,P,w,P]
    return grid.permute(1, 3, 2, 4, 0).flatten(2).flatten(0, 1)


def positions(image: int, text: int, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Places (sequence, row, column) of `image` and `text` rows, int64 [image,3] and [text,3].

    Both counts include padding; `grid` is the true grid of patches.
    """
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij")
    x = torch.zeros(image, 3, dtype=torch.int64)
    after = torch.full_like(rows, text + 1)
    x[: rows.numel()] = torch.stack([after, rows, columns], dim=-1).flatten(0, 1)
    y = torch.zeros(text, 3, dtype=torch.int64)
    y[:, 0] = torch.arange(1, text + 1)
    return x, y


def rotations(where: Tensor, config: L2PConfig) -> Tensor:
    """Places [N,3] → unit complex numbers, complex64 [N, head/2], on the CPU.

    Angles are float64 products rounded to float32. Raises QaError for a place beyond `axes_lens`.
    """
    for axis, length in enumerate(config.axes_lens):
        last = int(where[:, axis].max())
        if last >= length:
            raise QaError(
                f"Position {last} on axis {('of the sequence', 'of rows', 'of columns')[axis]} "
                f"is beyond the network's {length}.",
                "The text or the picture is too large for it.",
                "shorten the prompt or draw a smaller picture",
            )
    angles = []
    for axis, dims in enumerate(config.axes_dims):
        omega = config.rope_theta ** -(torch.arange(0, dims, 2, dtype=torch.float64) / dims)
        angles.append(where[:, axis, None].to(torch.float64) * omega)
    turn = torch.cat(angles, dim=1).to(torch.float32)
    return torch.polar(torch.ones_like(turn), turn)


def _pad(rows: Tensor, token: Tensor) -> Tensor:
    return torch.cat([rows, token.expand(-len(rows) % ROWS, -1)])


def _blocks(config: L2PConfig, count: int, modulated: bool) -> nn.ModuleList:
    return nn.ModuleList(Block(config, modulated) for _ in range(count))
