"""L2P at sizes that take no time: a row for a tiny network, its file, features of its prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from l2p_reference import tiny, weights_of

from decoders.l2p import registry
from decoders.text.stored import write
from qa.types import MetricFacts

SIZE = (64, 128)
"""32 patches, as few as the 1k network takes."""
NAME = "l2p_1k"


def row(variant: str = "1k", **changes) -> registry.Checkpoint:
    """A released checkpoint's row with a tiny network, trained for SIZE, and two steps."""
    own = registry.find(f"l2p_{variant}")
    return replace(own, **{"config": tiny(variant), "size": SIZE, "steps": 2, **changes})


def register(monkeypatch: pytest.MonkeyPatch, *rows: registry.Checkpoint) -> None:
    """Put rows in the place of the released ones of the same names."""
    known = {**registry.checkpoints(), **{row.name: row for row in rows}}
    monkeypatch.setattr(registry, "checkpoints", lambda: known)


def save(path: Path, checkpoint: registry.Checkpoint) -> Path:
    """A checkpoint file of that row, float32; returns its path."""
    from safetensors.torch import save_file

    save_file(weights_of(checkpoint.config), path)
    return path


def features(prompt: str | None) -> torch.Tensor:
    """A prompt's features [T,10], from its letters."""
    rows = [[ord(letter) * (n + 1) / 100 % 1 for n in range(10)] for letter in f"<{prompt}>"]
    return torch.tensor(rows)


def store(folder: Path, *prompts: str) -> Path:
    """Features of these prompts as a folder for `text=stored`."""
    for index, prompt in enumerate(prompts):
        file = folder / f"{index}.safetensors"
        write(file, features(prompt), prompt=prompt, encoder="letters", licence="none")
    return folder


class Letters:
    """The same features as text features, which remember what they were asked."""

    width = 10
    label = "letters"
    licence = "none"
    digest = "letters-1"
    needs_prompt = True

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def __call__(self, prompt: str | None) -> torch.Tensor:
        self.asked.append(prompt)
        return features(prompt)


class Brightness:
    """A metric that looks at no reference: the mean of all values over 255."""

    def __init__(self) -> None:
        self.facts = MetricFacts(
            "brightness", "higher", "", "mean", "none", {"version": 1}, paired=False
        )

    def __call__(self, pictures: torch.Tensor, reference: torch.Tensor | None) -> list[float]:
        assert reference is None
        return [picture.double().mean().item() / 255 for picture in pictures]
