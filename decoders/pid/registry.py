"""The published PiD checkpoints and how one is loaded.

What a file is cannot be read off its tensors (checkpoints.toml says why), so it is never guessed:
a checkpoint is named, or its hash is one that the asset table or its lock knows.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from decoders import weights
from decoders.pid.adapter import AdapterConfig
from decoders.pid.network import PiDConfig, PiDNetwork
from decoders.spaces import space as find_space
from qa import assets
from qa.errors import UsageError
from qa.files import sha256
from qa.types import LatentSpace

LICENCE = "NVIDIA NSCLv1: NON-COMMERCIAL, for research and evaluation only, outputs included"
PREFIXES = ("net.", "core.")
AUXILIARY = "lq_proj.lq_aux_rgb_head."
"""A head that only training uses; released files come with and without it."""
ASPECT = 1.75
GENERATIONS: Mapping[str, Mapping[str, Any]] = {
    "v1": {"width": 512, "gate": "channel", "padding": "zeros", "pixel_stage": False},
    "v1.5": {"width": 1024, "gate": "token", "padding": "replicate", "pixel_stage": True},
}
"""What the latent adapter of each generation has in common; `base` has none."""


@dataclass(frozen=True)
class Defaults:
    """A teacher's settings where the knobs say nothing."""

    steps: int
    cfg: float
    shift: float
    shift_side: int | None = None
    """Picture side at which `shift` holds. None: the shift is the same for every size."""

    def shift_at(self, height: int, width: int) -> float:
        """The shift for a picture size: shift * sqrt(sqrt(height * width) / shift_side)."""
        if self.shift_side is None:
            return self.shift
        return self.shift * math.sqrt(math.sqrt(height * width) / self.shift_side)


@dataclass(frozen=True)
class Checkpoint:
    """One row of checkpoints.toml, under its own names."""

    name: str
    experiment: str
    type: str
    """Training of its outputs as the release names it: 2k, 2kto4k or 2kto4k_v1pt5."""
    backbones: tuple[str, ...]
    """Tags of the latent models that it decodes, the official one first."""
    generation: Literal["v1", "v1.5", "base"]
    scale: int
    rope: int | None
    sampler: Literal["student", "teacher"]
    trained: tuple[int, int]
    space: LatentSpace | None = None
    """Also says by which convention sigma corrupts a latent: sdxl preserves variance."""
    defaults: Defaults | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of PiDConfig that differ from the released networks' sizes."""
    adapter: Mapping[str, Any] = field(default_factory=dict)
    """Fields of AdapterConfig that differ from its generation's."""
    withdrawn: str = ""
    licence: str = LICENCE

    @property
    def asset(self) -> str | None:
        """Its row in the asset table, or None if it is no longer published."""
        return None if self.withdrawn else f"{self.name}.pth"

    def config(self) -> PiDConfig:
        """The network's sizes."""
        reference = None if self.rope is None else (self.rope, self.rope)
        if self.space is None:
            return PiDConfig(None, reference, **self.sizes)
        # FLUX.2's 128 channels are 2x2 patches; v1.5 takes them apart, v1 does not.
        unpatchify = 2 if (self.space.name, self.generation) == ("flux2", "v1.5") else 1
        adapter = AdapterConfig(
            self.space.channels,
            self.space.factor,
            self.scale,
            unpatchify=unpatchify,
            **{**GENERATIONS[self.generation], **self.adapter},
        )
        return PiDConfig(adapter, reference, **self.sizes)

    def check_size(self, height: int, width: int) -> None:
        """UsageError where the network was never trained on pictures of about this size."""
        least, most = self.trained
        side, aspect = math.sqrt(height * width), max(height, width) / min(height, width)
        if not (least <= side <= most and aspect <= ASPECT):
            raise UsageError(
                f"{width}x{height} pixels are outside the sizes {self.name} was trained on.",
                f"sqrt(width * height) is {side:.0f}, trained on {least} to {most}; "
                f"the aspect ratio is {aspect:.2f}, trained up to {ASPECT}.",
                "use pictures of such sizes, or decoder.untrained_sizes=true",
            )


@cache
def checkpoints() -> Mapping[str, Checkpoint]:
    """All rows of checkpoints.toml by name."""
    text = (files("decoders.pid") / "checkpoints.toml").read_text(encoding="utf-8")
    return {name: _parse(name, row) for name, row in tomllib.loads(text).items()}


def find(name: str) -> Checkpoint:
    """The checkpoint of that name; UsageError lists the names that exist."""
    known = checkpoints()
    if name not in known:
        raise UsageError(f"There is no PiD checkpoint {name!r}.", f"Known: {', '.join(known)}.")
    return known[name]


def locate(
    checkpoint: str | Checkpoint | None, asset: str | None, path: str | None
) -> tuple[Checkpoint, Path]:
    """Which checkpoint is meant and where its file lies: at `path`, or an asset (its own if None).

    A row that is not among `checkpoints` is taken as it is.

    Raises UsageError where neither a name nor a known hash says what the file is, and where the
    hash is known to be another checkpoint's; AssetMissing where the file cannot be had.
    """
    named = find(checkpoint) if isinstance(checkpoint, str) else checkpoint
    name = None if named is None else named.name
    if path is None:
        asset = asset or (None if named is None else named.asset)
        if asset is None:
            raise UsageError("It is not said where PiD's weights are.", "", "decoder.path=FILE")
        file = assets.resolve(asset)
    elif not Path(path).is_file():
        raise UsageError(f"There is no file {path}.", "", "decoder.path=FILE")
    else:
        file = Path(path)
    known = identify(file)
    if name is None and known is None:
        raise UsageError(
            f"It is not known which checkpoint {file} is.",
            "Different checkpoints have equal tensors, and its hash is none that is known.",
            f"name it: decoder.checkpoint={', '.join(list(checkpoints())[:3])}, …",
        )
    if name is not None and known not in (None, name):
        raise UsageError(
            f"{file} is {known}, not {name}.",
            "Its hash says so.",
            f"decoder.checkpoint={known}, or another file",
        )
    return named or find(str(known)), file


def identify(file: Path) -> str | None:
    """The checkpoint whose hash this file has, as far as hashes are known."""
    hashes = {
        assets.known_hash(checkpoint.asset): name
        for name, checkpoint in checkpoints().items()
        if checkpoint.asset is not None
    }
    hashes.pop(None, None)
    return hashes.get(sha256(file)) if hashes else None


def load(file: Path, checkpoint: Checkpoint, device: torch.device) -> PiDNetwork:
    """The network of a file, float32; strict.

    Keys may start with `net.`, `core.` or nothing; a training-only RGB head is dropped. Raises
    UsageError naming the first keys that do not fit.
    """
    state = clean(weights.read_state(file))
    network = weights.on_meta(lambda: PiDNetwork(checkpoint.config()))
    weights.load_strict(
        network,
        state,
        what=f"{checkpoint.name} (PiD {checkpoint.generation}, {checkpoint.space or 'no latent'})",
        source=str(file),
        dtype=torch.float32,
        device=device,
    )
    return network


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict under the network's own names, without the training-only head."""
    plain = weights.strip_prefix(state, PREFIXES)
    return {key: value for key, value in plain.items() if not key.startswith(AUXILIARY)}


def _parse(name: str, row: Mapping[str, Any]) -> Checkpoint:
    space, defaults = row.get("space"), row.get("defaults")
    return Checkpoint(
        name=name,
        experiment=row["experiment"],
        type=row["type"],
        backbones=tuple(row["backbones"]),
        generation=row["generation"],
        scale=row["scale"],
        rope=row.get("rope"),
        sampler=row["sampler"],
        trained=(row["trained"][0], row["trained"][1]),
        space=None if space is None else find_space(space),
        defaults=None if defaults is None else Defaults(**defaults),
        withdrawn=row.get("withdrawn", ""),
    )
