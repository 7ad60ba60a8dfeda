"""The vision transformer of DINOv2 and of CLIP, one picture to one vector.

    [N,3,s,s] ─ patches p x p ─► [N,T,d] ─ class token in front, positions added ─► [N,1+T,d]
    each block:   x += g1 * attention(norm1(x));   x += g2 * mlp(norm2(x))
    class token ─ norm ─► [N,d] (DINOv2), ─ projection ─► [N,e] (CLIP)

Heads are 64 wide, the mlp is 4 d wide. The two differ in

              scales g   activation                norm epsilon   norm in front   projection
    DINOv2    learned    GELU                      1e-6           no              no
    CLIP      1          x sigmoid(1.702 x)        1e-5           yes             yes

Depth, width, patch and side are read off the tensors. Sources: Dosovitskiy et al., ICLR 2021;
Oquab et al., TMLR 2024; Radford et al., ICML 2021.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn
from torch.nn import functional

from qa.features.weights import State, fill, refusal

HEAD = 64
OFFSET = 0.1
"""DINOv2 adds it to the wanted grid before it takes the ratio to its own (see `stretched`)."""

DINOV2_NAMES = {
    r"cls_token": "token",
    r"pos_embed": "positions",
    r"patch_embed\.proj\.": "patches.",
    r"blocks\.(\d+)\.attn\.": r"blocks.\1.",
    r"blocks\.(\d+)\.ls([12])\.gamma": r"blocks.\1.scale\2",
    r"blocks\.(\d+)\.mlp\.": r"blocks.\1.",
}
CLIP_NAMES = {
    r"class_embedding": "token",
    r"positional_embedding": "positions",
    r"conv1\.": "patches.",
    r"ln_pre\.": "norm_before.",
    r"ln_post\.": "norm.",
    r"proj$": "projection",
    r"transformer\.resblocks\.(\d+)\.attn\.in_proj_": r"blocks.\1.qkv.",
    r"transformer\.resblocks\.(\d+)\.attn\.out_proj\.": r"blocks.\1.proj.",
    r"transformer\.resblocks\.(\d+)\.ln_([12])\.": r"blocks.\1.norm\2.",
    r"transformer\.resblocks\.(\d+)\.mlp\.c_fc\.": r"blocks.\1.fc1.",
    r"transformer\.resblocks\.(\d+)\.mlp\.c_proj\.": r"blocks.\1.fc2.",
}
VISUAL = "visual."


class VisionTransformer(nn.Module):
    """float32 [N,3,side,side] → [N,width]."""

    def __init__(self, d: int, depth: int, patch: int, side: int, clip: bool, out: int) -> None:
        super().__init__()
        self.side, self.width = side, out
        self.patches = nn.Conv2d(3, d, patch, stride=patch, bias=not clip)
        self.token = nn.Parameter(torch.empty(d))
        self.positions = nn.Parameter(torch.empty(1 + (side // patch) ** 2, d))
        epsilon = 1e-5 if clip else 1e-6
        self.norm_before = nn.LayerNorm(d, epsilon) if clip else nn.Identity()
        self.blocks = nn.ModuleList(_Block(d, epsilon, clip) for _ in range(depth))
        self.norm = nn.LayerNorm(d, epsilon)
        self.projection = nn.Parameter(torch.empty(d, out)) if clip else None

    def forward(self, pictures: Tensor) -> Tensor:
        x: Tensor = self.patches(pictures).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), 1, -1), x], dim=1) + self.positions
        x = self.norm_before(x)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x[:, 0])
        return x if self.projection is None else x @ self.projection


class _Block(nn.Module):
    def __init__(self, d: int, epsilon: float, clip: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, epsilon), nn.LayerNorm(d, epsilon)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        self.scale1 = None if clip else nn.Parameter(torch.empty(d))
        self.scale2 = None if clip else nn.Parameter(torch.empty(d))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._scaled(self._attention(self.norm1(x)), self.scale1)
        return x + self._scaled(self._mlp(self.norm2(x)), self.scale2)

    def _scaled(self, x: Tensor, scale: Tensor | None) -> Tensor:
        return x if scale is None else x * scale

    def _mlp(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.fc1(x)
        quick = self.scale1 is None  # CLIP
        active = hidden * torch.sigmoid(1.702 * hidden) if quick else functional.gelu(hidden)
        made: Tensor = self.fc2(active)
        return made

    def _attention(self, x: Tensor) -> Tensor:
        n, tokens, d = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, d // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        mixed: Tensor = functional.scaled_dot_product_attention(q, k, v)
        made: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, d))
        return made


def dinov2(state: State, name: str, side: int) -> VisionTransformer:
    """DINOv2 from its release's layout, for pictures of `side` pixels; UsageError for another."""
    named = _renamed({key: v for key, v in state.items() if key != "mask_token"}, DINOV2_NAMES)
    _check(named, name)
    patch = named["patches.weight"].shape[-1]
    named["token"] = named["token"].flatten()
    named["positions"] = stretched(named["positions"].flatten(0, -2), side // patch)
    return _filled(named, name, side // patch * patch, clip=False)


def clip(state: State, name: str) -> VisionTransformer:
    """CLIP's picture half from OpenAI's layout; its text half is left out. UsageError otherwise."""
    visual = {k.removeprefix(VISUAL): v for k, v in state.items() if k.startswith(VISUAL)}
    named = _renamed(visual, CLIP_NAMES)
    _check(named, name)
    grid = math.isqrt(len(named["positions"]) - 1)
    return _filled(named, name, grid * named["patches.weight"].shape[-1], clip=True)


def stretched(positions: Tensor, grid: int) -> Tensor:
    """Positions [1+G*G,d] of the training grid → [1+grid*grid,d], as DINOv2 does.

    Bicubic (a = -3/4), not antialiased, with steps of G / (grid + 0.1) instead of G / grid: the
    original passes (grid + 0.1) / G as scale factor, and the last bits of all features hang on it.
    """
    before = math.isqrt(len(positions) - 1)
    if before == grid:
        return positions
    plane = positions[1:].T.reshape(1, -1, before, before)
    ratio = (grid + OFFSET) / before
    plane = functional.interpolate(
        plane, scale_factor=(ratio, ratio), mode="bicubic", align_corners=False
    )
    return torch.cat([positions[:1], plane[0].flatten(1).T])


def _renamed(state: State, names: dict[str, str]) -> State:
    """Keys in this module's names; one that no rule knows stays, for the refusal to name."""
    renamed: State = {}
    for key, value in state.items():
        for pattern, plain in names.items():
            key, found = re.subn(f"^{pattern}", plain, key)
            if found:
                break
        renamed[key] = value
    return renamed


def _check(named: State, name: str) -> None:
    """UsageError unless the tensors say how large a network it is, and heads of 64 fit."""
    missing = [key for key in ("token", "positions", "patches.weight") if key not in named]
    if missing:
        raise refusal(name, f"It has no {', '.join(missing)}.")
    if len(named["patches.weight"]) % HEAD:
        raise refusal(name, f"Its width {len(named['patches.weight'])} does not divide into heads.")


def _filled(named: State, name: str, side: int, clip: bool) -> VisionTransformer:
    d, _, _, patch = named["patches.weight"].shape
    depth = len({key.split(".")[1] for key in named if key.startswith("blocks.")})
    out = named["projection"].shape[1] if "projection" in named else d
    with torch.device("meta"):
        network = VisionTransformer(d, depth, patch, side, clip, out)
    fill(network, named, name)
    return network
