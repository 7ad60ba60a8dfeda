"""PiD's network: noisy picture, time, text and latent in; flow velocity out.

    x_t = (1 − t) x0 + t ε         v = ε − x0, what the network predicts

The backbone is PixelDiT's: joint text/image blocks on patches, then pixel blocks whose modulation
comes from the patch tokens. Without an adapter it is the text-to-image PixelDiT itself.

    picture ─► patches ─► s [B,N,D] ─► joint blocks × depth ─► SiLU(temb + s) ──┐ (modulation)
                              ▲ gated latent features, every second block       ▼
    picture ─► pixels + position ─────────────────────────► u [B,N,P²,d] ─► pixel blocks ─► v

Time enters as τ = 1000 t through [cos(τ f), sin(τ f)], f_i = exp(−ln(10) · i/128): the longest
period is 10, not the usual 10000. Module names are those of the released state dicts.

Source: arXiv 2605.23902; layout and constants of the code released with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from decoders.pid.adapter import Adapter, AdapterConfig, Gate, LatentFeatures
from decoders.pid.blocks import FinalLayer, JointBlock, PixelBlock, Projection, TimeEmbedder
from decoders.pid.layers import image_angles, text_angles


@dataclass(frozen=True)
class PiDConfig:
    """Sizes of the network. The defaults are those of every released checkpoint."""

    adapter: AdapterConfig | None
    """None: the text-to-image PixelDiT, which has no latent."""
    rope_reference: tuple[int, int] | None
    """Height and width in pixels at which NTK scaling is neutral; None for plain RoPE."""
    hidden: int = 1536
    heads: int = 24
    depth: int = 14
    patch: int = 16
    pixel_hidden: int = 16
    pixel_depth: int = 2
    pixel_width: int = 1152
    pixel_heads: int = 16
    text_width: int = 2304
    text_length: int = 300


@dataclass(frozen=True)
class Condition:
    """All that stays the same over the steps of one picture. Made by `PiDNetwork.condition`."""

    text: Tensor
    """Embedded text tokens [B,L,D]."""
    latent: LatentFeatures | None
    sigma: Tensor
    """Noise level of the latent, float32 [B]."""
    text_angles: Tensor
    patch_angles: Tensor
    pixel_angles: Tensor
    across: Tensor
    """Sinusoids of each pixel column, float32 [W,d/2]."""
    down: Tensor
    """The same of each row, float32 [H,d/2]."""
    rows: int
    """Patches along the height."""
    columns: int


class PiDNetwork(nn.Module):
    """`condition` once per picture, then `forward` once per step.

    A step copies nothing between the CPU and a GPU and waits for neither (`decoders.steps`).
    """

    def __init__(self, config: PiDConfig) -> None:
        super().__init__()
        self.config = config
        hidden, area = config.hidden, config.patch**2
        self.y_pos_embedding = nn.Parameter(torch.zeros(1, config.text_length, hidden))
        self.pixel_embedder = Projection(3, config.pixel_hidden)
        self.s_embedder = Projection(3 * area, hidden)
        self.t_embedder = TimeEmbedder(hidden)
        self.y_embedder = Projection(config.text_width, hidden, norm=True)
        self.patch_blocks = nn.ModuleList(
            JointBlock(hidden, config.heads) for _ in range(config.depth)
        )
        self.pixel_blocks = nn.ModuleList(PixelBlock(config) for _ in range(config.pixel_depth))
        self.final_layer = FinalLayer(config.pixel_hidden)
        if config.adapter is not None:
            self.lq_proj = Adapter(config.adapter, hidden, config.patch, config.depth)
            if config.adapter.pixel_stage:
                self.pit_lq_gate = Gate(hidden, config.adapter.gate)

    def condition(
        self,
        text: Tensor,
        height: int,
        width: int,
        latent: Tensor | None = None,
        sigma: Tensor | None = None,
    ) -> Condition:
        """What the steps of a picture share.

        text [B,T,text_width] (slots beyond `text_length` are dropped), latent [B,C,h,w] and its
        noise level sigma [B] in [0,1] (None: 0). Raises ValueError for sides that are no multiple
        of the patch, and for a latent where the network takes none or lacks one.
        """
        patch = self.config.patch
        if height % patch or width % patch or min(height, width) < patch:
            raise ValueError(f"{width}x{height} pixels: sides are multiples of {patch}")
        if (latent is None) != (self.config.adapter is None):
            raise ValueError("a latent is given exactly where the network has an adapter")
        rows, columns = height // patch, width // patch
        features = None if latent is None else self.lq_proj(latent, rows, columns)
        if sigma is None:
            sigma = torch.zeros(len(text), device=text.device)
        tokens, angles = self._embed(text)
        half = self.config.pixel_hidden // 2
        return Condition(
            tokens,
            features,
            sigma.float(),
            angles,
            self._image_angles(rows, columns, self.config.hidden // self.config.heads, text.device),
            self._image_angles(
                rows, columns, self.config.pixel_width // self.config.pixel_heads, text.device
            ),
            _sinusoids(width, half, text.device),
            _sinusoids(height, half, text.device),
            rows,
            columns,
        )

    def with_text(self, condition: Condition, text: Tensor) -> Condition:
        """The same picture and latent with other text [B,T,text_width], for guidance."""
        tokens, angles = self._embed(text)
        return replace(condition, text=tokens, text_angles=angles)

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Noisy picture x [B,3,H,W], t [B] in 0..1000 → velocity v = noise − x0, [B,3,H,W]."""
        temb = self.t_embedder(t)[:, None]
        s, y = self.s_embedder(self._patches(x)), condition.text
        modulation, features = silu(temb), condition.latent
        for index, block in enumerate(self.patch_blocks):
            if features is not None and index % self.lq_proj.config.interval == 0:
                place = index // self.lq_proj.config.interval
                gate = self.lq_proj.gate_modules[place]
                s = gate(s, features.joint[place], condition.sigma)
            s, y = block(s, y, modulation, condition.patch_angles, condition.text_angles)
        s = silu(temb + s)
        if features is not None and features.pixel is not None:
            s = self.pit_lq_gate(s, features.pixel, condition.sigma)
        u = self._pixels(x, condition.across, condition.down)
        for block in self.pixel_blocks:
            u = block(u, s, condition.pixel_angles)
        return self._picture(self.final_layer(u), condition.rows, condition.columns)

    def _embed(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B,T,text_width] → tokens [B,L,D] and their angles."""
        text = text[:, : self.config.text_length]
        tokens = self.y_embedder(text) + self.y_pos_embedding[:, : text.shape[1]]
        head = self.config.hidden // self.config.heads
        return tokens, text_angles(text.shape[1], head, text.device)

    def _image_angles(self, rows: int, columns: int, head: int, device: torch.device) -> Tensor:
        reference = self.config.rope_reference
        scaled = None
        if reference is not None:
            scaled = (reference[0] / self.config.patch, reference[1] / self.config.patch)
        return image_angles(rows, columns, head, scaled, device)

    def _patches(self, x: Tensor) -> Tensor:
        """[B,3,H,W] → [B,N,3·P²]; inside a patch channel-major, then row, then column."""
        p = self.config.patch
        x = x.unflatten(3, (-1, p)).unflatten(2, (-1, p))  # [B,3,rows,P,columns,P]
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def _pixels(self, x: Tensor, across: Tensor, down: Tensor) -> Tensor:
        """[B,3,H,W] → [B,N,P²,d]: colours embedded, plus the pixel's place in the whole picture."""
        p = self.config.patch
        colours = self.pixel_embedder(x.permute(0, 2, 3, 1))  # [B,H,W,d]
        height, width = x.shape[2:]
        across, down = across[None].expand(height, -1, -1), down[:, None].expand(-1, width, -1)
        u = colours + torch.cat((across, down), -1).to(colours.dtype)
        u = u.unflatten(2, (-1, p)).unflatten(1, (-1, p))  # [B,rows,P,columns,P,d]
        return u.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _picture(self, values: Tensor, rows: int, columns: int) -> Tensor:
        """[B,N,P²,3] → [B,3,H,W]."""
        p = self.config.patch
        values = values.unflatten(1, (rows, columns)).unflatten(3, (p, p))
        return values.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def _sinusoids(count: int, size: int, device: torch.device) -> Tensor:
    """[sin(p ω), cos(p ω)] for p = 0..count-1, ω_k = 10000^(−2k/size): float32 [count, size].

    In float64 on the CPU: not every device has it.
    """
    omega = 10_000.0 ** -(torch.arange(size // 2, dtype=torch.float64) / (size / 2))
    angles = torch.outer(torch.arange(count, dtype=torch.float64), omega)
    return torch.cat((angles.sin(), angles.cos()), -1).float().to(device)
