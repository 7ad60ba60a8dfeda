"""L2P as the system under test: a prompt and a seed → pixels. No latent, no autoencoder.

    x_1 = noise of the sample;  x_0 = `sampler.sample` of it;  pixels = (x_0 + 1) / 2

One request at a time, so a picture does not depend on its neighbours. The state is float32; the
network, and the guidance between its two answers, run in `dtype`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from decoders.frame import pick_dtype, settings_digest
from decoders.l2p.checkpoints import Checkpoint, checkpoint, load
from decoders.l2p.config import Convention
from decoders.l2p.sampler import Velocity, guided, sample, schedule
from decoders.l2p.sizes import check_size
from decoders.text import TextFeatures
from decoders.text import note as text_note
from qa import assets, seeds
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.types import DecodeRequest, Knobs

CONVENTIONS = ("official", "diffusers")


class L2P:
    """A Decoder from text. Knobs that a request leaves open are the checkpoint's defaults.

    `checkpoint` names a row of checkpoints.toml; `path` is its file, or None for `asset` of the
    asset table, which is the checkpoint's own unless another is named. `size` is [height, width],
    or None for the size it was trained for. `negative` is the prompt that guidance leads away from.
    `rounding` and `timestep` choose the arithmetic of the release (`official`) or of diffusers'
    Z-Image (`diffusers`); in float32 they agree. Raises UsageError where size, text features or
    file do not fit the checkpoint.
    """

    space = None
    knobs = frozenset({"steps", "cfg", "shift"})

    def __init__(
        self,
        checkpoint: str,
        path: str | None,
        text: TextFeatures,
        asset: str | None = None,
        size: Sequence[int] | None = None,
        negative: str = "",
        rounding: Convention = "official",
        timestep: Convention = "official",
        dtype: str = "bfloat16",
        device: str = "auto",
    ) -> None:
        self.checkpoint = _find(checkpoint, text, rounding, timestep)
        self.size = _size(self.checkpoint, size)
        self.text, self.negative, self.needs_prompt = text, negative, text.needs_prompt
        self.device = torch.device(pick_device(device))
        precision, file = pick_dtype(dtype), _file(self.checkpoint, path, asset)
        self.network = load(file, self.checkpoint, precision, self.device, rounding, timestep)
        self.licence = self.checkpoint.licence
        self.notes = _notes(self.checkpoint, self.size, text)
        defaults = (self.checkpoint.steps, self.checkpoint.cfg, self.checkpoint.shift)
        settings = (checkpoint, *self.size, *defaults, negative, rounding, timestep, dtype)
        self.digest = settings_digest(
            ("l2p", *map(str, settings), str(self.device), sha256(file), text.digest)
        )

    def check_knobs(self, knobs: Knobs) -> None:
        """Raises UsageError for a dial that the sampler cannot take."""
        steps, cfg, shift = self._dial(knobs)
        schedule(steps, shift)
        if not math.isfinite(cfg):
            raise UsageError(f"knobs.cfg={cfg} cannot work.", "It is a number.", "knobs.cfg=2")

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], nominal [0,1], not clamped, one request at a time.

        Raises QaError for a size other than `size`, UsageError for knobs out of range.
        """
        return [self._draw(request) for request in requests]

    def _draw(self, request: DecodeRequest) -> Tensor:
        if (request.height, request.width) != self.size:
            raise QaError(
                f"{request.sample} asks for height {request.height} and width {request.width}.",
                f"This decoder was built to draw {list(self.size)}.",
                f"decoder.size=[{request.height},{request.width}]",
            )
        self.check_knobs(request.knobs)
        steps, cfg, shift = self._dial(request.knobs)
        sigmas = schedule(steps, shift)
        positive = self._towards(request.prompt)
        velocity = positive if cfg == 1 else guided(positive, self._towards(self.negative), cfg)
        noise = seeds.noise(seeds.INITIAL_NOISE, request.content, request.seed, (3, *self.size))
        return (sample(noise.to(self.device), velocity, sigmas) + 1) / 2

    def _towards(self, prompt: str | None) -> Velocity:
        features = self.text(prompt).to(self.device)
        return lambda x, sigma: self.network.velocity(x, sigma, features)

    def _dial(self, knobs: Knobs) -> tuple[int, float, float]:
        """Steps, cfg and shift: the knob's value, else the checkpoint's."""
        own = self.checkpoint
        steps = own.steps if knobs.steps is None else knobs.steps
        cfg = own.cfg if knobs.cfg is None else knobs.cfg
        shift = own.shift if knobs.shift is None else knobs.shift
        return steps, cfg, shift


def _find(name: str, text: TextFeatures, rounding: str, timestep: str) -> Checkpoint:
    found = checkpoint(name)
    for setting, value in (("rounding", rounding), ("timestep", timestep)):
        if value not in CONVENTIONS:
            raise UsageError(
                f"decoder.{setting}={value} is unknown.", "", f"choose {' or '.join(CONVENTIONS)}"
            )
    if text.width != found.config.cap_feat_dim:
        raise UsageError(
            f"The text features ({text.label}) have width {text.width}.",
            f"{name} was trained with {found.config.cap_feat_dim}.",
            "text=qwen3",
        )
    return found


def _size(own: Checkpoint, size: Sequence[int] | None) -> tuple[int, int]:
    if size is None:
        return own.size
    if len(size) != 2:
        raise UsageError(
            f"decoder.size={list(size)} is no size.", "", "decoder.size=[HEIGHT,WIDTH]"
        )
    height, width = size
    check_size(own.config, height, width)
    return height, width


def _file(own: Checkpoint, path: str | None, asset: str | None) -> Path:
    return Path(path) if path is not None else assets.resolve(asset or own.asset) / own.file


def _notes(own: Checkpoint, size: tuple[int, int], text: TextFeatures) -> tuple[str, ...]:
    notes = [
        text_note(text),
        f"where knobs are left open: {own.steps} steps, cfg {own.cfg:g}, shift {own.shift:g}",
        *own.notes,
    ]
    if not own.trained(*size):
        notes.append(f"{size[1]}x{size[0]} pixels were not trained: {own.name} is for {own.size}")
    return tuple(notes)
