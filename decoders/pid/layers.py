"""The parts that PiD's blocks share: norm, gated MLP, rotary positions, attention.

Rotary positions act on adjacent channel pairs, (a, b) → (a cos φ − b sin φ, a sin φ + b cos φ), in
float32. For a head of size h:

    text    pair j of token p:       φ = p · 10000^(−2j/h)
    image   pair 2i of patch (x, y): φ = x · θx^(−4i/h)         i < h/4
            pair 2i+1:               φ = y · θy^(−4i/h)

Patch coordinates run from 0 to 16 whatever the size (`linspace(0, 16, W/P)`). Plain RoPE has
θ = 10⁴; NTK scaling has θx = 10⁴ · (Wp/Rw)^(a/(a−2)) with a = h/2 and R the reference size in
patches, above and below the reference alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from decoders.kernels import norm_modulate, norm_rotate
from decoders.kernels.precision import layer_dtype

EPS = 1e-6
THETA = 10_000.0
SPAN = 16.0


class RMSNorm(nn.Module):
    """x [...,C] → x / rms(x) in float32, cast to the dtype of x, times a weight.

    With shift and scale it is modulated for the layer behind it: norm(x) · (1 + scale) + shift.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = EPS

    def forward(
        self, x: Tensor, shift: Tensor | None = None, scale: Tensor | None = None
    ) -> Tensor:
        if scale is None:
            return norm_modulate(x, self.weight, self.eps)
        return norm_modulate(x, self.weight, self.eps, 1 + scale, shift, dtype=layer_dtype(x))


class HeadNorm(RMSNorm):
    """x [B,heads,T,h] → its norm, channel pairs turned by angles [T,h/2], as attention's input."""

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        return norm_rotate(x, self.weight, self.eps, angles, layer_dtype(x))


class SwiGLU(nn.Module):
    """x [...,C] → w2(SiLU(w1 x) · w3 x), inner width int(8C/3), no biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = int(2 * (4 * channels) / 3)
        self.w1 = nn.Linear(channels, inner, bias=False)
        self.w3 = nn.Linear(channels, inner, bias=False)
        self.w2 = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(silu(self.w1(x)) * self.w3(x))


class JointAttention(nn.Module):
    """Image and text attend to each other; every text slot counts, padding too (no mask)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv_x = nn.Linear(channels, 3 * channels, bias=False)
        self.qkv_y = nn.Linear(channels, 3 * channels, bias=False)
        self.q_norm_x, self.k_norm_x = HeadNorm(channels // heads), HeadNorm(channels // heads)
        self.q_norm_y, self.k_norm_y = HeadNorm(channels // heads), HeadNorm(channels // heads)
        self.proj_x = nn.Linear(channels, channels)
        self.proj_y = nn.Linear(channels, channels)

    def forward(
        self, x: Tensor, y: Tensor, x_angles: Tensor, y_angles: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x [B,N,C] and y [B,L,C] with angles [N,h/2] and [L,h/2] → the same shapes."""
        qx, kx, vx = _split(self.qkv_x(x), self.heads)
        qy, ky, vy = _split(self.qkv_y(y), self.heads)
        qx, kx = self.q_norm_x(qx, x_angles), self.k_norm_x(kx, x_angles)
        qy, ky = self.q_norm_y(qy, y_angles), self.k_norm_y(ky, y_angles)
        out = _attend(torch.cat((qy, qx), 2), torch.cat((ky, kx), 2), torch.cat((vy, vx), 2))
        length = y.shape[1]
        return self.proj_x(out[:, length:]), self.proj_y(out[:, :length])


class SelfAttention(nn.Module):
    """The pixel stage's attention over patches: x [B,N,C], angles [N,h/2] → [B,N,C]."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.q_norm, self.k_norm = HeadNorm(channels // heads), HeadNorm(channels // heads)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        q, k, v = _split(self.qkv(x), self.heads)
        q, k = self.q_norm(q, angles), self.k_norm(k, angles)
        return self.proj(_attend(q, k, v))


def text_angles(length: int, head: int, device: torch.device) -> Tensor:
    """Angles [length, head/2] of text tokens at positions 0..length-1."""
    exponents = torch.arange(0, head, 2, dtype=torch.float32, device=device) / head
    positions = torch.arange(length, dtype=torch.float32, device=device)
    return torch.outer(positions, 1 / THETA**exponents)


def image_angles(
    rows: int,
    columns: int,
    head: int,
    reference: tuple[float, float] | None,
    device: torch.device,
) -> Tensor:
    """Angles [rows*columns, head/2] of a row-major patch grid.

    `reference` is the NTK reference (height, width) in patches; None is plain RoPE.
    """
    exponents = torch.arange(0, head, 4, dtype=torch.float32, device=device)[: head // 4] / head
    sides = []
    for count, place in ((columns, 1), (rows, 0)):
        theta = THETA
        if reference is not None:
            theta *= (count / reference[place]) ** ((head / 2) / (head / 2 - 2))
        positions = torch.linspace(0, SPAN, count, dtype=torch.float32, device=device)
        sides.append(torch.outer(positions, 1 / theta**exponents))
    x, y = sides
    grid = torch.stack(
        (x[None].expand(rows, -1, -1), y[:, None].expand(-1, columns, -1)), -1
    )  # [rows, columns, h/4, 2]
    return grid.reshape(rows * columns, head // 2)


def _split(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """[B,T,3C] → q, k, v, each [B,heads,T,h]."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[B,heads,T,h] → [B,T,C], softmax scale 1/√h."""
    out = scaled_dot_product_attention(q, k, v.to(q.dtype))
    return out.transpose(1, 2).flatten(2)
