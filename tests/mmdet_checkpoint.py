"""Checkpoints with the names and shapes of mmdet 2.x's Mask2Former on Swin, drawn, of any size.

`built` makes transformers' network of one, through the loader.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suites.geneval.mask2former import load_network
from suites.geneval.mmdet import hub_layout

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Sizes:
    """Of a network; as they stand, those of GenEval's detector."""

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    d: int = 256
    encoder: int = 6
    encoder_hidden: int = 1024
    decoder: int = 9
    decoder_hidden: int = 2048
    queries: int = 100
    classes: int = 80
    attention_heads: int = 8


TINY = Sizes(
    width=8, depths=(2, 1, 2, 1), heads=(1, 2, 2, 4), window=3, d=32, encoder=2, encoder_hidden=24,
    decoder=4, decoder_hidden=40, queries=7, attention_heads=4,
)  # fmt: skip


def description(sizes: Sizes) -> Any:
    """The same network as transformers describes it."""
    from transformers import Mask2FormerConfig, SwinConfig

    backbone = SwinConfig(
        embed_dim=sizes.width, depths=list(sizes.depths), num_heads=list(sizes.heads),
        window_size=sizes.window, out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    return Mask2FormerConfig(
        backbone_config=backbone, num_labels=sizes.classes, num_queries=sizes.queries,
        feature_size=sizes.d, mask_feature_size=sizes.d, hidden_dim=sizes.d,
        encoder_layers=sizes.encoder, encoder_feedforward_dim=sizes.encoder_hidden,
        decoder_layers=sizes.decoder + 1, dim_feedforward=sizes.decoder_hidden,
        num_attention_heads=sizes.attention_heads,
    )  # fmt: skip


def built(state: dict[str, Tensor], sizes: Sizes = TINY) -> Any:
    """The network that the loader makes of a checkpoint's tensors."""
    named = hub_layout(state)
    network = load_network("tiny", None, config=description(sizes), state_dict=named)
    return network.eval().requires_grad_(False)


def drawn(sizes: Sizes, seed: int = 0) -> dict[str, Tensor]:
    """A checkpoint of drawn float32 values; norms near 1, so that signals neither die nor grow."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in layout(sizes):
        value = torch.randn(shape, generator=generator)
        if name.endswith("relative_position_index"):
            state[name] = positions(sizes.window)
        elif len(shape) > 1:
            state[name] = value / math.sqrt(math.prod(shape[1:]))
        else:
            norm = name.endswith("weight")
            state[name] = 0.2 * value + float(norm)
    return state


def positions(window: int) -> Tensor:
    """Row of the bias table for each pair of cells of a window, as a loop."""
    cells = [(y, x) for y in range(window) for x in range(window)]
    side = 2 * window - 1
    return torch.tensor(
        [[(y - v + window - 1) * side + x - u + window - 1 for v, u in cells] for y, x in cells]
    )


def layout(sizes: Sizes) -> Shapes:
    """Every tensor's name and shape."""
    yield from _backbone(sizes)
    yield from _pixel_decoder(sizes)
    d, head = sizes.d, "panoptic_head."
    for n in range(sizes.decoder):
        layer = f"{head}transformer_decoder.layers.{n}."
        for a in (0, 1):
            yield f"{layer}attentions.{a}.attn.in_proj_weight", (3 * d, d)
            yield f"{layer}attentions.{a}.attn.in_proj_bias", (3 * d,)
            yield from _linear(f"{layer}attentions.{a}.attn.out_proj", d, d)
        yield from _mlp(f"{layer}ffns.0.layers.", d, sizes.decoder_hidden)
        for n_norm in range(3):
            yield from _norm(f"{layer}norms.{n_norm}", d)
    yield from _norm(f"{head}transformer_decoder.post_norm", d)
    yield f"{head}query_embed.weight", (sizes.queries, d)
    yield f"{head}query_feat.weight", (sizes.queries, d)
    yield f"{head}level_embed.weight", (3, d)
    yield from _linear(f"{head}cls_embed", sizes.classes + 1, d)
    for n in (0, 2, 4):
        yield from _linear(f"{head}mask_embed.{n}", d, d)


def _backbone(sizes: Sizes) -> Shapes:
    yield "backbone.patch_embed.projection.weight", (sizes.width, 3, 4, 4)
    yield "backbone.patch_embed.projection.bias", (sizes.width,)
    yield from _norm("backbone.patch_embed.norm", sizes.width)
    side = 2 * sizes.window - 1
    for stage, (depth, heads) in enumerate(zip(sizes.depths, sizes.heads, strict=True)):
        c = sizes.width * 2**stage
        for block in range(depth):
            name = f"backbone.stages.{stage}.blocks.{block}."
            yield from _norm(f"{name}norm1", c)
            yield f"{name}attn.w_msa.relative_position_bias_table", (side**2, heads)
            yield f"{name}attn.w_msa.relative_position_index", (sizes.window**2,) * 2
            yield from _linear(f"{name}attn.w_msa.qkv", 3 * c, c)
            yield from _linear(f"{name}attn.w_msa.proj", c, c)
            yield from _norm(f"{name}norm2", c)
            yield from _mlp(f"{name}ffn.layers.", c, 4 * c)
        if stage < 3:
            yield from _norm(f"backbone.stages.{stage}.downsample.norm", 4 * c)
            yield f"backbone.stages.{stage}.downsample.reduction.weight", (2 * c, 4 * c)
        yield from _norm(f"backbone.norm{stage}", c)


def _pixel_decoder(sizes: Sizes) -> Shapes:
    name, d = "panoptic_head.pixel_decoder.", sizes.d
    for n, stage in enumerate((3, 2, 1)):
        yield f"{name}input_convs.{n}.conv.weight", (d, sizes.width * 2**stage, 1, 1)
        yield f"{name}input_convs.{n}.conv.bias", (d,)
        yield from _norm(f"{name}input_convs.{n}.gn", d)
    for n in range(sizes.encoder):
        layer, points = f"{name}encoder.layers.{n}.", sizes.attention_heads * 3 * 4
        yield from _linear(f"{layer}attentions.0.sampling_offsets", 2 * points, d)
        yield from _linear(f"{layer}attentions.0.attention_weights", points, d)
        yield from _linear(f"{layer}attentions.0.value_proj", d, d)
        yield from _linear(f"{layer}attentions.0.output_proj", d, d)
        yield from _mlp(f"{layer}ffns.0.layers.", d, sizes.encoder_hidden)
        yield from _norm(f"{layer}norms.0", d)
        yield from _norm(f"{layer}norms.1", d)
    yield f"{name}level_encoding.weight", (3, d)
    yield f"{name}lateral_convs.0.conv.weight", (d, sizes.width, 1, 1)
    yield from _norm(f"{name}lateral_convs.0.gn", d)
    yield f"{name}output_convs.0.conv.weight", (d, d, 3, 3)
    yield from _norm(f"{name}output_convs.0.gn", d)
    yield f"{name}mask_feature.weight", (d, d, 1, 1)
    yield f"{name}mask_feature.bias", (d,)


def _linear(name: str, out: int, d: int) -> Shapes:
    yield f"{name}.weight", (out, d)
    yield f"{name}.bias", (out,)


def _norm(name: str, d: int) -> Shapes:
    yield f"{name}.weight", (d,)
    yield f"{name}.bias", (d,)


def _mlp(name: str, d: int, hidden: int) -> Shapes:
    yield from _linear(f"{name}0.0", hidden, d)
    yield from _linear(f"{name}1", d, hidden)
