"""The released checkpoints, as data, and the one way in which their files are loaded.

Loading is strict: every tensor of the variant's layout, of its shape, and no other. Two repacked
forms are accepted beside the released one: keys that begin with `model.diffusion_model.`, and
q, k, v in one tensor `attention.qkv.weight`, in this order. Quantised files are refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders.l2p.config import VARIANTS, Convention, L2PConfig
from decoders.l2p.network import L2PNetwork
from decoders.weights import load_strict, on_meta, read_state, strip_prefix
from qa.errors import UsageError

PREFIXES = ("model.diffusion_model.",)
FUSED = "attention.qkv.weight"
EMBEDDER = re.compile(r"all_x_embedder\.(\d+)-1\.weight")
HEAD = "local_decoder."


@dataclass(frozen=True)
class Checkpoint:
    """One row of checkpoints.toml."""

    name: str
    config: L2PConfig
    asset: str
    """Its row in the table of downloadable files."""
    file: str
    """The weights inside that asset."""
    size: tuple[int, int]
    """Height and width that it was trained for."""
    smaller: bool
    """Whether it was trained at all sizes up to as many pixels."""
    steps: int
    cfg: float
    shift: float
    licence: str
    notes: tuple[str, ...]
    beside: str | None = None
    """What the keys of tensors begin with that lie in its file and are not the network's."""

    def trained(self, height: int, width: int) -> bool:
        """Whether training saw this size."""
        fewer = height * width <= self.size[0] * self.size[1]
        return (height, width) == self.size or (self.smaller and fewer)


@cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """All rows of checkpoints.toml by name: l2p_1k, l2p_4k, l2p_8k, l2p_10k."""
    text = (files("decoders.l2p") / "checkpoints.toml").read_text(encoding="utf-8")
    return {name: _parse(name, row) for name, row in tomllib.loads(text).items()}


def find(name: str) -> Checkpoint:
    """The checkpoint of that name; UsageError lists the names that exist."""
    known = checkpoints()
    if name not in known:
        raise UsageError(
            f"There is no L2P checkpoint {name!r}.",
            f"Known: {', '.join(known)}.",
            "decoder.checkpoint=l2p_1k",
        )
    return known[name]


def load(
    file: Path,
    checkpoint: Checkpoint,
    device: torch.device | str,
    dtype: torch.dtype,
    rounding: Convention = "official",
    timestep: Convention = "official",
) -> L2PNetwork:
    """The network of a file, in eval mode, every tensor cast to `dtype` on `device`; strict.

    Raises UsageError for a file that is another network, naming what it is and the first keys that
    are wrong, and for quantised weights; QaError for a file that cannot be read.
    """
    state = split_qkv(strip_prefix(read_state(file), PREFIXES))
    if checkpoint.beside is not None:
        state = {key: v for key, v in state.items() if not key.startswith(checkpoint.beside)}
    config = replace(checkpoint.config, rounding=rounding, timestep=timestep)
    network = on_meta(lambda: L2PNetwork(config))
    wanted, found = f"L2P {config.variant} network", kind(state)
    load_strict(
        network,
        state,
        what=wanted,
        source=str(file),
        dtype=dtype,
        device=device,
        hint="" if found == f"an {wanted}" else f"it looks like {found}",
    )
    return network


def split_qkv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict with each fused [q; k; v] as three tensors."""
    separate: dict[str, Tensor] = {}
    for key, value in state.items():
        if not key.endswith(FUSED) or value.ndim != 2 or len(value) % 3:
            separate[key] = value
            continue
        stem = key.removesuffix("qkv.weight")
        for name, part in zip("qkv", value.chunk(3), strict=True):
            separate[f"{stem}to_{name}.weight"] = part
    return separate


def kind(state: Mapping[str, Tensor]) -> str:
    """What a state dict looks like, in words."""
    found = next((match for match in map(EMBEDDER.fullmatch, state) if match), None)
    if found is None:
        return "no Z-Image network"
    patch = int(found[1])
    if not any(key.startswith(HEAD) for key in state):
        return f"a Z-Image network of patch {patch} without L2P's head"
    variants = [name for name, config in VARIANTS.items() if config.patch == patch]
    return f"an L2P {variants[0]} network" if variants else f"an L2P network of patch {patch}"


def _parse(name: str, row: Mapping[str, Any]) -> Checkpoint:
    height, width = row["size"]
    return Checkpoint(
        name,
        VARIANTS[row["variant"]],
        asset=row["asset"],
        file=row["file"],
        size=(height, width),
        smaller={"this one": False, "up to this many pixels": True}[row["sizes"]],
        steps=row["steps"],
        cfg=row["cfg"],
        shift=row["shift"],
        licence=row["licence"],
        notes=tuple(row["notes"]),
    )
