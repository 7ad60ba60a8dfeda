"""`L2PNetwork` for a batch whose texts are equally long: what training needs, nothing else.

The class computes one sample at a time, so that a picture never depends on its neighbours. Here the
same modules run over [B,N,D] instead of [N,D]; a test holds both equal. Two things are written in
another way because it is several times faster where autograd runs on a CPU: pairs are turned with
real numbers, and attention is two products around a softmax (96 rows are too few for a fused one).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decoders.l2p.network import L2PNetwork
from decoders.l2p.trunk import (
    FREQUENCIES,
    ROWS,
    Attention,
    Block,
    RMSNorm,
    patchify,
    positions,
    rotations,
    tau,
)
from decoders.mini.l2p import CONFIG, places

SHIFT = 3.0
"""Of noise levels in training: s = SHIFT u / (1 + (SHIFT - 1) u)."""
Turns = tuple[Tensor, Tensor]
"""cos and sin, each [N,1,d/2]"""


class Model(nn.Module):
    """The network of `decoders.mini.l2p` and the table of its words, with the loss of a batch.

    `marks` is for training alone: it names what is in a patch from the rows inside the trunk.
    """

    def __init__(self, words: Sequence[str], kinds: int) -> None:
        super().__init__()
        self.words = words
        self.network = L2PNetwork(CONFIG)
        self.table = nn.Parameter(torch.randn(len(words) + 1, CONFIG.cap_feat_dim))
        self.marks = nn.Linear(CONFIG.dim, kinds)
        start_head(self.network)

    def forward(self, x: Tensor, s: Tensor, said: Sequence[str]) -> tuple[Tensor, Tensor]:
        """x [B,3,64,64] at noise levels s [B] -> v [B,3,64,64], and scores of kinds [B,64,K]."""
        rows = torch.tensor([places(prompt, self.words) for prompt in said], device=x.device)
        v, middle = velocities(self.network, x, s, self.table[rows])
        return v, self.marks(middle)

    def losses(
        self, x: Tensor, said: Sequence[str], kinds: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """|v - (e - x)|^2 at x_s = (1-s) x + s e, and cross-entropy of the kinds; each [B].

        x [B,3,64,64], kinds int64 [B,64]; s = 3u / (1 + 2u), u uniform and spread evenly over the
        batch.
        """
        noise = torch.randn(x.shape, generator=generator).to(x.device)
        u = (torch.arange(len(x)) + torch.rand(len(x), generator=generator)) / len(x)
        s = (SHIFT * u / (1 + (SHIFT - 1) * u)).to(x.device)
        level = s[:, None, None, None]
        v, scores = self((1 - level) * x + level * noise, s, said)
        named = F.cross_entropy(scores.float().transpose(1, 2), kinds, reduction="none")
        return (v.float() - (noise - x)).square().mean((1, 2, 3)), named.mean(1)


@torch.no_grad()
def start_head(network: L2PNetwork) -> None:
    """Weights of the head that keep the size of a signal; it has no norm that would restore it.

    E silu(z)^2 = 0.356 for z ~ N(0,1), so a convolution after an activation has gain 1/sqrt(0.356).
    """
    for name, layer in network.local_decoder.named_modules():
        if isinstance(layer, nn.Conv2d):
            gain = 0.1 if name.startswith("out") else 1 / math.sqrt(0.356)
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
            nn.init.zeros_(layer.bias)


def velocities(
    network: L2PNetwork, images: Tensor, sigmas: Tensor, texts: Tensor
) -> tuple[Tensor, Tensor]:
    """images [B,3,H,W], sigmas [B], texts [B,T,cap_feat_dim] -> v [B,3,H,W] and rows [B,N,D].

    The rows are those of the patches after two thirds of the layers. Weights are float32.
    """
    config, patch = network.config, network.config.patch
    grid = images.shape[2] // patch, images.shape[3] // patch
    patches = torch.stack([patchify(image, patch) for image in images])
    c = network.t_embedder.mlp(_waves(sigmas, config.t_scale))
    x = _pad(network.all_x_embedder[f"{patch}-1"](patches), network.x_pad_token)
    normed, linear = network.cap_embedder
    y = _pad(linear(_norm(normed, texts)), network.cap_pad_token)
    places = positions(x.shape[1], y.shape[1], grid)
    turns_x, turns_y = (_turns(rotations(part, config), images.device) for part in places)
    for block in network.noise_refiner:
        x = _block(block, x, turns_x, c)
    for block in network.context_refiner:
        y = _block(block, y, turns_y)
    rows = torch.cat([x, y], dim=1)
    cos, sin = (torch.cat(parts) for parts in zip(turns_x, turns_y, strict=True))
    for depth, block in enumerate(network.layers):
        if depth == 2 * len(network.layers) // 3:
            middle = rows[:, : grid[0] * grid[1]]
        rows = _block(block, rows, (cos, sin), c)
    features = rows[:, : grid[0] * grid[1]].transpose(1, 2).unflatten(2, grid)
    return -network.local_decoder(images, features), middle


def _waves(sigmas: Tensor, scale: float) -> Tensor:
    """Noise levels [B] -> cosines and sines of their times, float32 [B,256]."""
    half = FREQUENCIES // 2
    times = torch.stack([tau(sigma, scale, torch.float32) for sigma in sigmas])
    steps = torch.arange(half, dtype=torch.float32)
    angles = times[:, None] * torch.exp(-math.log(10000) * steps / half)
    return torch.cat([angles.cos(), angles.sin()], dim=1).to(sigmas.device)


def _block(block: Block, x: Tensor, turns: Turns, c: Tensor | None = None) -> Tensor:
    s1 = g1 = s2 = g2 = torch.ones(1, device=x.device)
    if c is not None:
        s1, g1, s2, g2 = block.adaLN_modulation(c)[:, None].chunk(4, dim=-1)
        s1, s2, g1, g2 = 1 + s1, 1 + s2, g1.tanh(), g2.tanh()
    rows = _attention(block.attention, _norm(block.attention_norm1, x) * s1, turns)
    x = x + g1 * _norm(block.attention_norm2, rows)
    rows = block.feed_forward(_norm(block.ffn_norm1, x) * s2)
    return x + g2 * _norm(block.ffn_norm2, rows)


def _attention(layer: Attention, x: Tensor, turns: Turns) -> Tensor:
    q, k, v = (
        to(x).unflatten(-1, (layer.heads, -1)) for to in (layer.to_q, layer.to_k, layer.to_v)
    )
    q, k = _rotate(_norm(layer.norm_q, q), turns), _rotate(_norm(layer.norm_k, k), turns)
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))  # [B,heads,N,d]
    rows = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(dim=-1).to(v.dtype) @ v
    return layer.to_out(rows.transpose(1, 2).flatten(2))


def _rotate(x: Tensor, turns: Turns) -> Tensor:
    """Each pair (2j, 2j+1) of x [B,N,heads,d] turned; a product of complex numbers written out."""
    cos, sin = (part.to(x.dtype) for part in turns)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def _norm(layer: RMSNorm, x: Tensor) -> Tensor:
    return F.rms_norm(x, layer.weight.shape, layer.weight.to(x.dtype), layer.eps)


def _turns(unit: Tensor, device: torch.device) -> Turns:
    return unit.real[:, None].to(device), unit.imag[:, None].to(device)


def _pad(rows: Tensor, token: Tensor) -> Tensor:
    padding = token.to(rows.dtype).expand(len(rows), -rows.shape[1] % ROWS, -1)
    return torch.cat([rows, padding], dim=1)
