"""mmdet's Mask2Former once more, slowly: functions on a checkpoint's own tensors, in float64.

`Reference` computes what mmdet 2.x makes of a checkpoint (`mmdet_checkpoint`). `Facts` holds what a
wrong mapping onto another implementation would get wrong; changing one gives the answer of that
mapping.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from mmdet_checkpoint import Sizes
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Facts:
    """The right answers."""

    cells: tuple[str, ...] = ("channel", "row", "column")
    """How a 2 x 2 patch lies along the axis that downsampling reduces."""
    parts: tuple[int, ...] = (0, 1, 2)
    """Which third of qkv and in_proj are query, key and value."""
    cross_first: bool = True
    """Whether a decoder layer's first attention is the one on the picture."""
    coarse_first: bool = True
    """Whether level 0 is the one with the fewest cells."""


@dataclass(frozen=True)
class Reference:
    """What mmdet computes from a checkpoint `state`."""

    state: dict[str, Tensor]
    sizes: Sizes
    facts: Facts = field(default_factory=Facts)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels [3,H,W], multiples of 32 → class logits [Q,K+1], mask logits [Q,H/4,W/4]."""
        features = self.backbone(pixels.double()[None])
        mask_features, levels = self.pixel_decoder(features)
        return self.decoder(mask_features, levels)

    def get(self, name: str) -> Tensor:
        return self.state[name].double()

    def linear(self, x: Tensor, name: str) -> Tensor:
        bias = f"{name}.bias"
        made = x @ self.get(f"{name}.weight").T
        return made + self.get(bias) if bias in self.state else made

    def norm(self, x: Tensor, name: str) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x * self.get(f"{name}.weight") + self.get(f"{name}.bias")

    def mlp(self, x: Tensor, name: str, active: Callable[[Tensor], Tensor]) -> Tensor:
        return self.linear(active(self.linear(x, f"{name}0.0")), f"{name}1")

    def conv(self, x: Tensor, name: str, active: bool = False) -> Tensor:
        """Convolution, group norm of 32 groups, perhaps ReLU."""
        weight, bias = self.get(f"{name}.conv.weight"), self.state.get(f"{name}.conv.bias")
        x = functional.conv2d(
            x, weight, None if bias is None else bias.double(), padding=weight.shape[-1] // 2
        )
        x = functional.group_norm(x, 32, self.get(f"{name}.gn.weight"), self.get(f"{name}.gn.bias"))
        return x.relu() if active else x

    def backbone(self, x: Tensor) -> list[Tensor]:
        """[1,3,H,W] → four maps [1,C,h,w], finest first."""
        name = "backbone.patch_embed."
        x = functional.conv2d(
            x, self.get(f"{name}projection.weight"), self.get(f"{name}projection.bias"), stride=4
        )
        x = self.norm(x[0].permute(1, 2, 0), f"{name}norm")
        maps = []
        for stage, depth in enumerate(self.sizes.depths):
            for block in range(depth):
                name = f"backbone.stages.{stage}.blocks.{block}."
                x = x + self.windows(self.norm(x, f"{name}norm1"), name, stage, block % 2)
                x = x + self.mlp(
                    self.norm(x, f"{name}norm2"), f"{name}ffn.layers.", functional.gelu
                )
            maps.append(self.norm(x, f"backbone.norm{stage}").permute(2, 0, 1)[None])
            if stage < 3:
                x = self.merged(x, f"backbone.stages.{stage}.downsample.")
        return maps

    def merged(self, x: Tensor, name: str) -> Tensor:
        """[h,w,C] → [h/2,w/2,2C]; odd sides get a border of zeros."""
        x = functional.pad(x, (0, 0, 0, x.shape[1] % 2, 0, x.shape[0] % 2))
        axes = {"row": 1, "column": 3, "channel": 4}
        cells = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, x.shape[2])
        order = [axes[axis] for axis in self.facts.cells]
        flat = cells.permute(0, 2, *order).flatten(2)
        return self.linear(self.norm(flat, f"{name}norm"), f"{name}reduction")

    def windows(self, x: Tensor, name: str, stage: int, shifted: int) -> Tensor:
        """Attention within windows of [h,w,C]; every other block moves them by half a window."""
        w, heads = self.sizes.window, self.sizes.heads[stage]
        height, width, c = x.shape
        x = functional.pad(x, (0, 0, 0, -width % w, 0, -height % w))
        shift = w // 2 if shifted else 0
        region = self._regions(x.shape[0], w, shift)[:, None] * 3 + self._regions(
            x.shape[1], w, shift
        )
        x = x.roll((-shift, -shift), (0, 1))
        bias = self.get(f"{name}attn.w_msa.relative_position_bias_table")
        bias = bias[self.state[f"{name}attn.w_msa.relative_position_index"]].permute(2, 0, 1)
        made = torch.zeros_like(x)
        for top in range(0, x.shape[0], w):
            for left in range(0, x.shape[1], w):
                part = slice(top, top + w), slice(left, left + w)
                cells, label = x[part].reshape(w * w, c), region[part].flatten()
                apart = -100.0 * (label[:, None] != label).double() if shift else 0.0
                qkv = self.linear(cells, f"{name}attn.w_msa.qkv").chunk(3, -1)
                q, k, v = (
                    qkv[part_].reshape(w * w, heads, -1).transpose(0, 1)
                    for part_ in self.facts.parts
                )
                weights = (q @ k.transpose(1, 2) / math.sqrt(c // heads) + bias + apart).softmax(-1)
                made[part] = (weights @ v).transpose(0, 1).reshape(w, w, c)
        made = self.linear(made, f"{name}attn.w_msa.proj")
        return made.roll((shift, shift), (0, 1))[:height, :width]

    @staticmethod
    def _regions(length: int, w: int, shift: int) -> Tensor:
        """Which parts of a shifted side were neighbours before it was shifted."""
        place = torch.arange(length)
        return (place >= length - w).long() + (place >= length - shift).long()

    def pixel_decoder(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Four maps → features of the masks [d,H/4,W/4] and three levels [d,h,w]."""
        name = "panoptic_head.pixel_decoder."
        maps = [features[3 - n] for n in range(3)]
        maps = [self.conv(x, f"{name}input_convs.{n}")[0] for n, x in enumerate(maps)]
        shapes = [x.shape[1:] for x in maps]
        embed = self.get(f"{name}level_encoding.weight")
        place = torch.cat([sines(s, self.sizes.d) + embed[n] for n, s in enumerate(shapes)])
        points = torch.cat([centres(s) for s in shapes])
        x = torch.cat([m.flatten(1).T for m in maps])
        for n in range(self.sizes.encoder):
            layer = f"{name}encoder.layers.{n}."
            seen = self.deformable(x, place, points, shapes, f"{layer}attentions.0.")
            x = self.norm(x + seen, f"{layer}norms.0")
            x = self.norm(x + self.mlp(x, f"{layer}ffns.0.layers.", torch.relu), f"{layer}norms.1")
        parts = x.split([h * w for h, w in shapes])
        levels = [p.T.reshape(-1, h, w) for p, (h, w) in zip(parts, shapes, strict=True)]
        fine = self.conv(features[0], f"{name}lateral_convs.0")
        fine = fine + enlarged(levels[-1][None], fine.shape[2:])
        fine = self.conv(fine, f"{name}output_convs.0", active=True)
        weight, bias = self.get(f"{name}mask_feature.weight"), self.get(f"{name}mask_feature.bias")
        return functional.conv2d(fine, weight, bias)[0], levels

    def deformable(
        self, x: Tensor, place: Tensor, points: Tensor, shapes: list[torch.Size], name: str
    ) -> Tensor:
        """Every token looks at four points of each level, near its own place."""
        heads, tokens = self.sizes.attention_heads, len(x)
        offsets = self.linear(x + place, f"{name}sampling_offsets").view(tokens, heads, 3, 4, 2)
        weights = self.linear(x + place, f"{name}attention_weights").view(tokens, heads, 12)
        weights = weights.softmax(-1).view(tokens, heads, 3, 4)
        values = self.linear(x, f"{name}value_proj").split([h * w for h, w in shapes])
        made = x.new_zeros(heads, x.shape[1] // heads, tokens)
        for n, (h, w) in enumerate(shapes):
            value = values[n].T.reshape(heads, -1, h, w)
            where = points[:, None, None] + offsets[:, :, n] / torch.tensor([w, h])
            seen = functional.grid_sample(
                value, 2 * where.transpose(0, 1) - 1, align_corners=False
            )  # [heads, c, tokens, 4]
            made = made + (seen * weights[:, :, n].transpose(0, 1)[:, None]).sum(-1)
        return self.linear(made.flatten(0, 1).T, f"{name}output_proj")

    def decoder(self, mask_features: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        head = "panoptic_head."
        embed = self.get(f"{head}level_embed.weight")
        order = levels if self.facts.coarse_first else levels[::-1]
        cells = [x.flatten(1).T + embed[n] for n, x in enumerate(order)]
        places = [sines(x.shape[1:], self.sizes.d) for x in order]
        x, queries = self.get(f"{head}query_feat.weight"), self.get(f"{head}query_embed.weight")
        classes, masks = self.answers(x, mask_features)
        for n in range(self.sizes.decoder):
            layer, level = f"{head}transformer_decoder.layers.{n}.", n % 3
            shape = order[level].shape[1:]
            hidden = (enlarged(masks[None], shape)[0].flatten(1).sigmoid() < 0.5).double()
            hidden[hidden.all(1)] = 0
            cross, own = ("0", "1") if self.facts.cross_first else ("1", "0")
            seen = self.attention(
                x + queries, cells[level] + places[level], cells[level],
                f"{layer}attentions.{cross}.attn.", hidden,
            )  # fmt: skip
            x = self.norm(x + seen, f"{layer}norms.0")
            seen = self.attention(x + queries, x + queries, x, f"{layer}attentions.{own}.attn.")
            x = self.norm(x + seen, f"{layer}norms.1")
            x = self.norm(x + self.mlp(x, f"{layer}ffns.0.layers.", torch.relu), f"{layer}norms.2")
            classes, masks = self.answers(x, mask_features)
        return classes, masks

    def answers(self, x: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(x, "panoptic_head.transformer_decoder.post_norm")
        mask = x
        for n in (0, 2, 4):
            mask = self.linear(mask if n == 0 else mask.relu(), f"panoptic_head.mask_embed.{n}")
        classes = self.linear(x, "panoptic_head.cls_embed")
        return classes, torch.einsum("qc,chw->qhw", mask, mask_features)

    def attention(
        self, q: Tensor, k: Tensor, v: Tensor, name: str, hidden: Tensor | None = None
    ) -> Tensor:
        """Attention of many heads; `hidden` [Q,N] is 1 where a query must not look."""
        weights = self.get(f"{name}in_proj_weight").chunk(3)
        biases = self.get(f"{name}in_proj_bias").chunk(3)
        heads = self.sizes.attention_heads
        q, k, v = (
            (x @ weights[part].T + biases[part]).reshape(len(x), heads, -1).transpose(0, 1)
            for x, part in zip((q, k, v), self.facts.parts, strict=True)
        )
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if hidden is not None:
            scores = scores.masked_fill(hidden.bool(), -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)
        return self.linear(mixed, f"{name}out_proj")


def sines(shape: torch.Size, d: int) -> Tensor:
    """Position of each cell as sines and cosines, [h*w,d]: rows in the first half of d."""
    h, w = shape
    rates = 10000.0 ** (torch.arange(d // 2).double() // 2 * 2 / (d // 2))
    halves = []
    for steps, last in ((torch.arange(1, h + 1).repeat_interleave(w), h),
                        (torch.arange(1, w + 1).repeat(h), w)):  # fmt: skip
        angle = steps.double()[:, None] / (last + 1e-6) * 2 * math.pi / rates
        halves.append(torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], -1).flatten(1))
    return torch.cat(halves, 1)


def centres(shape: torch.Size) -> Tensor:
    """x and y of each cell's centre, in [0,1], [h*w,2]."""
    h, w = shape
    y, x = torch.arange(h).repeat_interleave(w), torch.arange(w).repeat(h)
    return torch.stack([(x + 0.5) / w, (y + 0.5) / h], -1).double()


def enlarged(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)
