"""The released checkpoints, as data, and the one way in which their files are loaded.

Loading is strict: every tensor of the variant's layout, of its shape, and no other. Two repacked
forms are accepted beside the released one: keys that all begin with `model.diffusion_model.`, and
q, k, v in one tensor `attention.qkv.weight`, in this order. Quantised files are refused.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders.l2p.config import VARIANTS, Convention, L2PConfig
from decoders.l2p.network import L2PNetwork
from decoders.weights import load_strict, misfit, on_meta, read_state, strip_prefix
from qa.errors import UsageError

PREFIXES = ("model.diffusion_model.",)
FUSED = "attention.qkv.weight"
FLOATS = (torch.float32, torch.bfloat16, torch.float16)
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
    fingerprint: str
    tensors: int
    parameters: int
    licence: str
    notes: tuple[str, ...]

    def trained(self, height: int, width: int) -> bool:
        """Whether training saw this size."""
        fewer = height * width <= self.size[0] * self.size[1]
        return (height, width) == self.size or (self.smaller and fewer)


def checkpoint(name: str) -> Checkpoint:
    """The released checkpoint of this name; UsageError for another."""
    if name not in CHECKPOINTS:
        raise UsageError(
            f"There is no L2P checkpoint {name!r}.",
            f"Known: {', '.join(CHECKPOINTS)}.",
            "decoder.checkpoint=l2p_1k",
        )
    return CHECKPOINTS[name]


def load(
    file: Path,
    wanted: Checkpoint,
    dtype: torch.dtype,
    device: torch.device | str,
    rounding: Convention = "official",
    timestep: Convention = "official",
) -> L2PNetwork:
    """The network of a file, in eval mode, every tensor cast to `dtype` on `device`.

    Raises UsageError for a file that is another network, naming what it is and the first keys that
    are wrong, and for quantised weights; QaError for a file that cannot be read.
    """
    if not file.is_file():
        raise UsageError(f"{file} is not a file.", "", "decoder.path=FILE.safetensors")
    state = split_qkv(strip_prefix(read_state(file), PREFIXES))
    quantised = [key for key, value in state.items() if value.dtype not in FLOATS]
    if quantised:
        raise UsageError(
            f"{file} holds quantised weights.",
            f"{quantised[0]} is {str(state[quantised[0]].dtype).removeprefix('torch.')}, and "
            f"{len(quantised) - 1} more tensors are no plain floats.",
            "use the released file: measure what was released, not its repack",
        )
    config = replace(wanted.config, rounding=rounding, timestep=timestep)
    network = on_meta(lambda: L2PNetwork(config))
    what = f"L2P {config.variant} network"
    if misfit(network, state):
        raise _another(file, what, state, network)
    load_strict(network, state, what=what, source=str(file), dtype=dtype, device=device)
    return network


def fingerprint(shapes: Mapping[str, Sequence[int]]) -> str:
    """MD5 over names and shapes: `name:d0_d1_…` and `name` of every tensor, sorted, with commas."""
    lines = [f"{name}:{'_'.join(map(str, shape))}" for name, shape in shapes.items()]
    return hashlib.md5(",".join(sorted([*lines, *shapes])).encode()).hexdigest()


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


def _another(file: Path, what: str, state: Mapping[str, Tensor], network: L2PNetwork) -> UsageError:
    return UsageError(
        f"{file} holds no {what}: it looks like {kind(state)}.",
        misfit(network, state),
        "name the checkpoint that the file really is, or fetch the file again",
    )


def _read() -> dict[str, Checkpoint]:
    text = Path(__file__).with_name("checkpoints.toml").read_text(encoding="utf-8")
    return {name: _row(name, row) for name, row in tomllib.loads(text).items()}


def _row(name: str, row: dict[str, Any]) -> Checkpoint:
    smaller = {"this one": False, "up to this many pixels": True}[row.pop("sizes")]
    height, width = row.pop("size")
    return Checkpoint(
        name,
        VARIANTS[row.pop("variant")],
        size=(height, width),
        smaller=smaller,
        notes=tuple(row.pop("notes")),
        **row,
    )


CHECKPOINTS = _read()
"""By name: l2p_1k, l2p_4k, l2p_8k, l2p_10k."""
