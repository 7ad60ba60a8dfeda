"""Does this installation compute what L2P computes?   python -m decoders.l2p.check FILE...

A golden file holds one forward pass of a tiny network and no weights: they follow a rule.

    weights   for each key of the metadata's `shapes`, w = randn(shape) from a generator seeded with
              the key's CRC-32; keys with "norm", and cap_embedder.0.weight, are 1 + 0.3 w; other
              tensors of two or more dimensions 1.4 w / √(product of all dimensions but the first);
              other vectors 0.1 w
    tensors   inputs.image [3,H,W], inputs.text [T,cap_feat_dim], output [3,H,W], the velocity
    metadata  config (the trunk's, as diffusers names it), patch, variant, sigma, shapes

Everything runs in float32 on the CPU. One line is printed for each file: the largest |difference|
of the velocity. Exit code: 0 all within tolerance, 1 not, 2 no file given.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoders.golden import Golden, difference, read, report
from decoders.l2p.config import VARIANTS, L2PConfig, Level
from decoders.l2p.network import L2PNetwork
from decoders.weights import load_strict, on_meta

TOLERANCES = {"velocity": 2e-4}
"""Largest difference; the velocities of a golden file have a spread of a few units."""
PARTS = (("enc", 0), ("up", 1), ("dec", 0))
"""Convolutions of a level and their places inside their blocks, as Level lists them."""


def main(arguments: Sequence[str]) -> int:
    """One line for each file; the exit code."""
    return report("L2P", check, TOLERANCES, arguments)


def check(path: Path, others: Sequence[Path] = ()) -> dict[str, float]:
    """Largest |difference| of the velocity; infinite where one is not finite.

    Raises one of `decoders.golden.PROBLEMS` for a file that is no golden file of L2P.
    """
    golden = read(path)
    with torch.inference_mode():
        return {"velocity": difference(_velocity(golden), golden.tensors["output"])}


def _velocity(golden: Golden) -> Tensor:
    image, text = golden.tensors["inputs.image"], golden.tensors["inputs.text"]
    config = config_of(golden.metadata, image)
    network = on_meta(lambda: L2PNetwork(config))
    load_strict(
        network,
        {key: weight(key, shape) for key, shape in golden.metadata["shapes"].items()},
        what=f"L2P {config.variant} network",
        source=str(golden.path),
        dtype=torch.float32,
    )
    return network.velocity(image, float(golden.metadata["sigma"]), text)


def weight(key: str, shape: Sequence[int]) -> Tensor:
    """The tensor that the rule gives a key, float32."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    w = torch.randn(tuple(shape), generator=generator)
    if "norm" in key or key == "cap_embedder.0.weight":
        return 1 + 0.3 * w
    if w.ndim >= 2:
        return w * 1.4 / math.sqrt(math.prod(shape[1:]))
    return 0.1 * w


def config_of(metadata: Mapping[str, Any], image: Tensor) -> L2PConfig:
    """The network of a golden file: its trunk from the metadata, the head's widths from the shapes.

    The grid to which the 10k head resizes features is the one that the picture asks for.
    """
    trunk, shapes = metadata["config"], metadata["shapes"]
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


def _key(part: str, level: Level, at: int) -> str:
    return f"local_decoder.{part}{level.name}.{at}.weight"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
