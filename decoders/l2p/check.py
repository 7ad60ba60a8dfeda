"""Does this installation compute what L2P computes?   python -m decoders.l2p.check FILE...

A golden file holds one forward pass of a tiny network and no weights: they follow a rule.

    weights   for each key of the metadata's `shapes`, w = randn(shape) from a generator seeded with
              the key's CRC-32; keys with "norm", and cap_embedder.0.weight, are 1 + 0.3 w; other
              tensors of two or more dimensions 1.4 w / √(product of all dimensions but the first);
              other vectors 0.1 w
    tensors   inputs.image [3,H,W], inputs.text [T,cap_feat_dim], output [3,H,W], the velocity
    metadata  config (the trunk's, as diffusers names it), patch, variant, sigma, shapes

Everything runs in float32 on the CPU. One line for each file; exit 0 where all agree within the
tolerance, 1 where one does not or is no such file, 2 without a file.
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from decoders.l2p.config import VARIANTS, L2PConfig, Level
from decoders.l2p.network import L2PNetwork
from decoders.weights import load_strict, on_meta
from qa.errors import QaError

TOLERANCE = 2e-4
"""Largest difference of a velocity; those of a golden file have a spread of a few units."""
Shapes = Mapping[str, Sequence[int]]


def main(files: Sequence[str]) -> int:
    """Checks each file and prints a line for it; returns the exit code."""
    if not files:
        print("usage: python -m decoders.l2p.check FILE...", file=sys.stderr)
        return 2
    worst = 0
    for file in files:
        try:
            variant, difference = check(Path(file))
        except QaError as error:
            print(f"{file}  {' '.join(str(error).split())}")
            worst = 1
            continue
        passed = difference <= TOLERANCE
        verdict = "ok" if passed else f"FAIL, above {TOLERANCE:g}"
        print(f"{Path(file).name}  {variant}  max |difference| {difference:.1e}  {verdict}")
        worst = worst if passed else 1
    return worst


def check(file: Path) -> tuple[str, float]:
    """The file's variant and the largest difference from its output, NaN where there is one.

    Raises QaError for a file that is no golden file of L2P.
    """
    metadata, tensors = _read(file)
    try:
        output, found = tensors["output"], _velocity(file, metadata, tensors)
        if found.shape != output.shape:
            raise ValueError(f"its output has shape {list(output.shape)}")
        return metadata["variant"], (found - output).abs().max().item()
    except KeyError as error:
        raise _no_golden(file, f"It lacks {error}.") from error
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise _no_golden(file, f"{type(error).__name__}: {error}") from error


@torch.inference_mode()
def _velocity(file: Path, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Tensor:
    shapes = {key: tuple(shape) for key, shape in json.loads(metadata["shapes"]).items()}
    image, text = tensors["inputs.image"], tensors["inputs.text"]
    config = config_of(metadata, shapes, image)
    network = on_meta(lambda: L2PNetwork(config))
    load_strict(
        network,
        {key: weight(key, shape) for key, shape in shapes.items()},
        what=f"L2P {config.variant}",
        source=str(file),
        dtype=torch.float32,
    )
    return network.velocity(image, float(metadata["sigma"]), text)


def weight(key: str, shape: Sequence[int]) -> Tensor:
    """The tensor that the rule gives a key, float32."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    w = torch.randn(tuple(shape), generator=generator)
    if "norm" in key or key == "cap_embedder.0.weight":
        return 1 + 0.3 * w
    if w.ndim >= 2:
        return w * 1.4 / math.sqrt(math.prod(shape[1:]))
    return 0.1 * w


def config_of(metadata: Mapping[str, str], shapes: Shapes, image: Tensor) -> L2PConfig:
    """The network of a golden file: its trunk from the metadata, the head's widths from the shapes.

    The grid to which the 10k head resizes features is the one that the picture asks for.
    """
    trunk: dict[str, Any] = json.loads(metadata["config"])
    released = VARIANTS[metadata["variant"]]
    levels = tuple(
        Level(level.name, *(shapes[_key(part, level, at)][0] for part, at in PARTS))
        for level in released.levels
    )
    scale = 2 ** len(levels)
    fixed = (image.shape[1] // scale, image.shape[2] // scale)
    return replace(
        released,
        patch=int(metadata["patch"]),
        levels=levels,
        bottleneck=shapes["local_decoder.bottleneck.0.weight"][0],
        feature_grid=None if released.feature_grid is None else fixed,
        dim=trunk["dim"],
        heads=trunk["n_heads"],
        layers=trunk["n_layers"],
        refiner_layers=trunk["n_refiner_layers"],
        cap_feat_dim=trunk["cap_feat_dim"],
        axes_dims=tuple(trunk["axes_dims"]),
        axes_lens=tuple(trunk["axes_lens"]),
        rope_theta=trunk["rope_theta"],
        norm_eps=trunk["norm_eps"],
        t_scale=trunk["t_scale"],
    )


PARTS = (("enc", 0), ("up", 1), ("dec", 0))
"""Convolutions of a level and their places inside their blocks, as Level lists them."""


def _key(part: str, level: Level, at: int) -> str:
    return f"local_decoder.{part}{level.name}.{at}.weight"


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(file, framework="pt") as opened:
            keys = list(opened.keys())
            return opened.metadata() or {}, {key: opened.get_tensor(key) for key in keys}
    except (SafetensorError, OSError) as error:
        raise _no_golden(file, f"It cannot be read: {error}.") from error


def _no_golden(file: Path, why: str) -> QaError:
    return QaError(f"{file.name} is no golden file of L2P.", why)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
