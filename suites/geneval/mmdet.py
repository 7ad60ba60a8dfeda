"""The official checkpoint of GenEval's detector, read without mmdet.

mmdet's Mask2Former and transformers' are one network under two sets of names. This file puts the
tensors of a checkpoint of mmdet 2.x under the names of the hub's checkpoints, which every version
of transformers reads. Three of them also change form:

    qkv, in_proj        [3d,...] = query, key, value   → three tensors [d,...]
    downsample          the four cells of a 2 x 2 patch lie along one axis of 4C values: mmdet
                        (nn.Unfold) as (channel, row, column) → Swin and transformers as
                        (column, row, channel)
    position index      not learned; compared with what transformers computes, and left out

Every tensor of the file has to be known and every one of the network filled. Pictures are prepared
as mmdet's test pipeline does: OpenCV's bilinear, grey (128) below and right, then normalised. A
square picture becomes 800 x 800 and has no border.

Names: mmdet 2.x and mmcv 1.x (Apache-2.0), configuration
mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.errors import UsageError, said
from qa.features.weights import locate
from qa.untrusted import named_tensors, not_finite, read_checkpoint
from suites.geneval.detector import CLASSES
from suites.geneval.mask2former import (
    COMPUTED,
    FLOOR,
    Mask2Former,
    Preparation,
    load_network,
    refusal,
)

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
ASSET = "mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco_20220504_001756-743b7d99.pth"
PUBLISHED = "743b7d99"
"""How the SHA-256 of the published file begins: mmdet writes it into a file's name."""
GREY = (128.0, 128.0, 128.0)
RENAMED = {"computer mouse": "mouse", "tv remote": "remote", "computer keyboard": "keyboard"}
"""GenEval's names of three classes → COCO's, which a checkpoint carries."""

BACKBONE = "model.pixel_level_module.encoder."
PIXELS = "model.pixel_level_module.decoder."
DECODER = "model.transformer_module."
NAMES = {
    r"backbone\.patch_embed\.projection\.": BACKBONE + "embeddings.patch_embeddings.projection.",
    r"backbone\.patch_embed\.norm\.": BACKBONE + "embeddings.norm.",
    r"backbone\.stages\.(\d+)\.downsample\.": BACKBONE + r"encoder.layers.\1.downsample.",
    r"backbone\.stages\.(\d+)\.blocks\.(\d+)\.": BACKBONE + r"encoder.layers.\1.blocks.\2.",
    **{rf"backbone\.norm{n}\.": f"{BACKBONE}hidden_states_norms.stage{n + 1}." for n in range(4)},
    r"panoptic_head\.pixel_decoder\.input_convs\.": PIXELS + "input_projections.",
    r"panoptic_head\.pixel_decoder\.lateral_convs\.0\.": PIXELS + "adapter_1.",
    r"panoptic_head\.pixel_decoder\.output_convs\.0\.": PIXELS + "layer_1.",
    r"panoptic_head\.pixel_decoder\.mask_feature\.": PIXELS + "mask_projection.",
    r"panoptic_head\.pixel_decoder\.level_encoding\.weight": PIXELS + "level_embed",
    r"panoptic_head\.pixel_decoder\.encoder\.layers\.": PIXELS + "encoder.layers.",
    r"panoptic_head\.transformer_decoder\.layers\.": DECODER + "decoder.layers.",
    r"panoptic_head\.transformer_decoder\.post_norm\.": DECODER + "decoder.layernorm.",
    r"panoptic_head\.query_embed\.": DECODER + "queries_embedder.",
    r"panoptic_head\.query_feat\.": DECODER + "queries_features.",
    r"panoptic_head\.level_embed\.": DECODER + "level_embed.",
    **{
        rf"panoptic_head\.mask_embed\.{2 * n}\.":
        f"{DECODER}decoder.mask_predictor.mask_embedder.{n}.0." for n in range(3)
    },
    r"panoptic_head\.cls_embed\.": "class_predictor.",
}  # fmt: skip
"""Beginnings of mmdet's names → of the hub's. The first that fits counts."""
INNER = {
    re.escape(BACKBONE): {
        r"\.norm1\.": ".layernorm_before.",
        r"\.norm2\.": ".layernorm_after.",
        r"\.attn\.w_msa\.proj\.": ".attention.output.dense.",
        r"\.attn\.w_msa\.": ".attention.self.",
        r"\.ffn\.layers\.0\.0\.": ".intermediate.dense.",
        r"\.ffn\.layers\.1\.": ".output.dense.",
    },
    re.escape(PIXELS): {
        r"\.conv\.": ".0.",
        r"\.gn\.": ".1.",
        r"\.attentions\.0\.": ".self_attn.",
        r"\.norms\.0\.": ".self_attn_layer_norm.",
        r"\.norms\.1\.": ".final_layer_norm.",
    },
    re.escape(DECODER): {
        r"\.attentions\.0\.attn\.": ".cross_attn.",
        r"\.attentions\.1\.attn\.": ".self_attn.",
        r"\.norms\.0\.": ".cross_attn_layer_norm.",
        r"\.norms\.1\.": ".self_attn_layer_norm.",
        r"\.norms\.2\.": ".final_layer_norm.",
    },
    f"{re.escape(PIXELS)}|{re.escape(DECODER)}": {
        r"\.ffns\.0\.layers\.0\.0\.": ".fc1.",
        r"\.ffns\.0\.layers\.1\.": ".fc2.",
    },
}
"""Beginning of a hub's name → parts of mmdet's names inside it → of the hub's."""
SPLIT = {
    ".attention.self.qkv.": [f".attention.self.{part}." for part in ("query", "key", "value")],
    ".self_attn.in_proj_": [f".self_attn.{part}_proj." for part in "qkv"],
}
"""Part of a name → the three that take its place."""


def mmdet(weights: str = "released", floor: float = FLOOR, device: str = "cpu") -> Mask2Former:
    """GenEval's own detector: the asset, or a file of the same layout.

    Raises AssetMissing where the asset is not at hand, UsageError for a file of another network.
    """
    source = locate(weights, ASSET)
    state = read(source.path, source.name)
    try:
        state = hub_layout(state, source.name)
    except (RuntimeError, ValueError) as error:  # it cannot be cut or folded as it should be
        raise refusal(source.name, f"A tensor has another shape: {said(error)}.") from error
    network = load_network(source.name, None, config=architecture(), state_dict=state)
    if broken := not_finite(network.state_dict()):
        raise refusal(source.name, f"{len(broken)} tensors hold NaN or infinity, as {broken[0]}.")
    official = source.sha256.startswith(PUBLISHED)
    return Mask2Former(
        network,
        Preparation("opencv", GREY),
        label="Mask2Former Swin-S of mmdet, GenEval's own"
        if official
        else f"Mask2Former of mmdet from {Path(source.name).name}, not GenEval's file",
        licence=source.licence,
        files={"weights": source.sha256},
        floor=floor,
        device=device,
    )


def architecture() -> Any:
    """transformers' description of the network."""
    import transformers

    swin: Any = transformers.SwinConfig  # typed too narrowly in transformers
    whole: Any = transformers.Mask2FormerConfig
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = swin(
        embed_dim=96, depths=[2, 2, 18, 2], num_heads=[3, 6, 12, 24], window_size=7,
        out_features=stages,
    )  # fmt: skip
    return whole(backbone_config=backbone, num_labels=len(CLASSES), num_queries=100)


def read(path: Path, name: str) -> State:
    """The state dict of a checkpoint of mmdet that holds tensors and plain values only.

    Nothing in it is run (`weights_only`). UsageError for another file, or one of other classes.
    """
    try:
        content = read_checkpoint(path)
        state = named_tensors(content["state_dict"])
    except (ValueError, TypeError, LookupError) as error:  # the latter two: it has no such part
        raise refusal(name, f"It is no checkpoint of mmdet: {said(error)}.") from error
    meta = content.get("meta")
    known = meta.get("CLASSES") if isinstance(meta, Mapping) else None
    wanted = [RENAMED.get(cls, cls) for cls in CLASSES]
    if isinstance(known, list | tuple) and list(known) != wanted:
        raise UsageError(
            f"{name} was trained on other classes.",
            f"They begin with {', '.join(map(str, known[:3]))} and are {len(known)}.",
            f"use {ASSET}",
        )
    return state


def hub_layout(state: Mapping[str, Tensor], name: str = "The state dict") -> State:
    """mmdet's tensors under the hub's names and in its forms; UsageError for one that is unknown.

    The weight of "no object" in the training loss is added: the hub's checkpoints carry it.
    """
    import torch

    made: State = {}
    for key, value in state.items():
        plain = hub_name(key)
        split = next((part for part in SPLIT if plain and part in plain), None)
        if plain is None:
            raise refusal(name, f"Its tensor {key} belongs to no Mask2Former of mmdet 2.x.")
        if plain.endswith(COMPUTED):
            _check_index(value, f"{name}: {key}")
        elif split is not None:
            thirds = zip(SPLIT[split], value.chunk(3), strict=True)
            made |= {plain.replace(split, part): third.contiguous() for part, third in thirds}
        else:
            made[plain] = from_unfold(value) if ".downsample." in plain else value
    if "class_predictor.bias" in made:
        made["criterion.empty_weight"] = torch.ones_like(made["class_predictor.bias"])
        made["criterion.empty_weight"][-1] = 0.1
    return made


def hub_name(key: str) -> str | None:
    """The hub's name for mmdet's, before anything is split; None for one that is not known."""
    for pattern, begins in NAMES.items():
        plain, found = re.subn(f"^{pattern}", begins, key)
        if found:
            break
    else:
        return None
    for where, parts in INNER.items():
        if re.match(where, plain):
            for pattern, part in parts.items():
                plain = re.sub(pattern, part, plain)
    return plain


def from_unfold(value: Tensor) -> Tensor:
    """Last axis 4C as (channel, row, column) → 4C as (column, row, channel)."""
    cells = value.reshape(*value.shape[:-1], -1, 2, 2)
    return cells.transpose(-1, -3).flatten(-3).contiguous()


def _check_index(index: Tensor, name: str) -> None:
    """Refuses a table of positions that is not Swin's: (dy + w - 1)(2w - 1) + dx + w - 1."""
    import torch

    w = math.isqrt(len(index)) if index.ndim else 0
    if index.shape != (w * w, w * w):  # what it is compared with is never larger than itself
        raise refusal(name, f"It is {list(index.shape)}, no table of relative positions.")
    y, x = torch.arange(w).repeat_interleave(w), torch.arange(w).repeat(w)
    dy, dx = y[:, None] - y, x[:, None] - x
    if not torch.equal(index, (dy + w - 1) * (2 * w - 1) + dx + w - 1):
        raise refusal(name, "It is not the table of relative positions that Swin computes.")
