"""Pictures of figures without a network: true drawings, and a panel that judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from qa.config import build, compose
from qa.drawings.figures import asks_of, draw_prompt
from qa.types import DecodeRequest, Sample
from suites.geneval.figures import rows
from suites.geneval.panel import GenEvalPanel


def as_picture(image: np.ndarray) -> torch.Tensor:
    """uint8 [H,W,3] → uint8 [3,H,W]"""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def shipped_panel() -> GenEvalPanel:
    """The panel of conf/metric/figures.yaml."""
    return build(compose(["suite=figures"]).group("metric")["figures"], "metric")


def judged(panel: GenEvalPanel, asks: Mapping[str, Any], image: np.ndarray) -> tuple[bool, str]:
    """Whether a picture shows what a row asks for, and why not."""
    (note,) = panel(Sample("a", asks=asks), as_picture(image)[None], None).notes
    return note["correct"], note["reason"]


class Artist:
    """A decoder that draws what the prompt says; a deaf one, the same for all prompts of a tag."""

    space = None
    knobs: frozenset[str] = frozenset()
    licence = "test"
    size = (64, 64)
    needs_prompt = True

    def __init__(self, deaf: bool = False) -> None:
        self.deaf, self.digest = deaf, f"artist-{deaf}"

    def decode(self, requests: Sequence[DecodeRequest]) -> list[torch.Tensor]:
        return [self._draw(request) for request in requests]

    def _draw(self, request: DecodeRequest) -> torch.Tensor:
        prompt = first_of_tag(request.prompt) if self.deaf else request.prompt
        take = int(request.sample.split("/")[1])
        return as_picture(draw_prompt(prompt, take).image).float() / 255


def first_of_tag(prompt: str) -> str:
    """The prompt that a deaf decoder draws in the place of this one."""
    tag = asks_of(prompt)["tag"]
    return next(row["prompt"] for row in rows() if row["tag"] == tag)
