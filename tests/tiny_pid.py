"""PiD at sizes that take no time: random networks, checkpoints on disk, golden files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from decoders.pid import registry
from decoders.pid.adapter import AdapterConfig
from decoders.pid.network import PiDConfig, PiDNetwork

SIZES = {
    "hidden": 32, "heads": 2, "depth": 3, "patch": 16, "pixel_hidden": 4, "pixel_depth": 2,
    "pixel_width": 24, "pixel_heads": 2, "text_width": 12, "text_length": 7,
}  # fmt: skip
V1 = AdapterConfig(16, 8, 4, 8, "channel", "zeros", blocks=2)
V15 = replace(V1, width=12, gate="token", padding="replicate", pixel_stage=True)


def network(adapter: AdapterConfig | None = V1, seed: int = 0, **sizes) -> PiDNetwork:
    """A network in which every parameter is random: zeros and ones would hide paths."""
    model = PiDNetwork(PiDConfig(adapter, (64, 64), **{**SIZES, **sizes}))
    randomise(model, seed)
    return model.eval().requires_grad_(False)


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        w = torch.randn(value.shape, generator=generator)
        if "norm" in name:
            w = 1 + 0.3 * w
        elif value.ndim > 1:
            w = w / value[0].numel() ** 0.5
        else:
            w = 0.1 * w
        value.data.copy_(w)


def row(name: str = "pid_flux_2k", **changes) -> registry.Checkpoint:
    """A released checkpoint's row with the tiny sizes."""
    return replace(registry.find(name), sizes={**SIZES, **changes})


def register(monkeypatch: pytest.MonkeyPatch, *rows: registry.Checkpoint) -> None:
    """Put rows in the place of the released ones of the same names."""
    known = {**registry.checkpoints(), **{row.name: row for row in rows}}
    monkeypatch.setattr(registry, "checkpoints", lambda: known)


def save(path: Path, checkpoint: registry.Checkpoint, prefix: str = "net.", seed: int = 0) -> Path:
    """A checkpoint file of that row, bfloat16 as released; returns its path."""
    from safetensors.torch import save_file

    model = PiDNetwork(checkpoint.config())
    randomise(model, seed)
    state = {
        prefix + key: value.detach().to(torch.bfloat16) for key, value in model.state_dict().items()
    }
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def golden(*parts: str) -> Path:
    """A golden file among the assets; skips where there are none."""
    for root in filter(None, os.environ.get("QA_ASSETS", "").split(os.pathsep)):
        if Path(root, "parity", *parts).exists():
            return Path(root, "parity", *parts)
    pytest.skip(f"QA_ASSETS has no parity/{'/'.join(parts)}")


def goldens(folder: str) -> list[str]:
    """Names of all golden files in a folder of the assets; one that is not there if there are none,
    so that the tests over them say why they skip.
    """
    roots = filter(None, os.environ.get("QA_ASSETS", "").split(os.pathsep))
    files = (file for root in roots for file in Path(root, "parity", folder).glob("*.safetensors"))
    return sorted(file.name for file in files) or ["(no golden file)"]
