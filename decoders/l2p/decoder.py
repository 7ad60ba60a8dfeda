"""L2P as the system under test: a prompt and a seed → pixels. No latent, no autoencoder.

    x_1 = noise of the sample;  x_0 = `sampler.sample` of it;  pixels = (x_0 + 1) / 2

One request at a time, so a picture does not depend on its neighbours. The state is float32; the
network, and the guidance between its two answers, run in `dtype`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from decoders.frame import pick_dtype, settings_digest
from decoders.l2p import registry
from decoders.l2p.config import Convention
from decoders.l2p.registry import Checkpoint
from decoders.l2p.sampler import Velocity, guided, sample, schedule
from decoders.l2p.sizes import check_size
from decoders.steps import Steps
from decoders.text import TextFeatures
from decoders.text import note as text_note
from qa import assets, seeds
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.transfer import to_device
from qa.types import DecodeRequest, Knobs

CONVENTIONS = ("official", "diffusers")


class L2P:
    """A Decoder from text. Knobs that a request leaves open are the checkpoint's defaults.

    checkpoint       name in checkpoints.toml, or a row that is not among them
    text             features of the prompt (decoders.text)
    asset            a row of the asset table; None: the checkpoint's own
    path             a local file (.safetensors) instead of the asset
    negative         what guidance moves away from
    dtype            float32, bfloat16 as released, or float16
    untrained_sizes  draw a possible size that training never saw; the report says so
    size             [height, width] of the pictures; None: the size that it was trained for
    rounding         RMSNorm of the release (official) or of diffusers' Z-Image (diffusers)
    timestep         time likewise; in float32 both agree

    Raises UsageError for settings that do not fit the checkpoint, before its weights are read.
    """

    space = None
    knobs = frozenset({"steps", "cfg", "shift"})

    def __init__(
        self,
        checkpoint: str | Checkpoint,
        text: TextFeatures,
        asset: str | None = None,
        path: str | None = None,
        negative: str = "",
        dtype: str = "bfloat16",
        untrained_sizes: bool = False,
        size: Sequence[int] | None = None,
        rounding: Convention = "official",
        timestep: Convention = "official",
        device: str = "auto",
    ) -> None:
        named = isinstance(checkpoint, str)
        self.checkpoint = registry.find(checkpoint) if named else checkpoint
        self.size = _size(self.checkpoint, size, untrained_sizes)
        _check_text(self.checkpoint, text, negative)
        _check_convention("rounding", rounding)
        _check_convention("timestep", timestep)
        self.device, precision = torch.device(pick_device(device)), pick_dtype(dtype)
        self.text, self.negative, self.needs_prompt = text, negative, text.needs_prompt
        self.licence = self.checkpoint.licence
        self.notes = _notes(self.checkpoint, self.size, text)
        file = _file(self.checkpoint, asset, path)
        self.network = registry.load(
            file, self.checkpoint, self.device, precision, rounding, timestep
        )
        self._step = Steps(self.network, self.network.step)
        defaults = (self.checkpoint.steps, self.checkpoint.cfg, self.checkpoint.shift)
        row = (self.checkpoint.name, *self.size, *defaults)
        settings = (*row, negative, rounding, timestep, dtype)
        self.digest = settings_digest(
            ("l2p", *map(str, settings), str(self.device), sha256(file), text.digest)
        )

    def check_knobs(self, knobs: Knobs) -> None:
        """UsageError for a dial that the sampler does not have."""
        steps, cfg, shift = self._dial(knobs)
        schedule(steps, shift)
        if not math.isfinite(cfg):
            raise UsageError(f"knobs.cfg={cfg} cannot work.", "It is finite.", "knobs.cfg=2")

    @torch.inference_mode()
    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], nominal [0,1], not clamped, one request at a time.

        Raises QaError for a size other than `size`, UsageError for knobs out of range.
        """
        return [self._draw(request) for request in requests]

    def tokens(self, request: DecodeRequest) -> int:
        """Patches of one picture: the trunk's image tokens."""
        patch = self.checkpoint.config.patch
        return (request.height // patch) * (request.width // patch)

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
        # Before the loop: a copy to the device would wait for the step before it.
        waves = {sigma.item(): self.network.waves(sigma) for sigma in sigmas[:-1]}
        positive = self._towards(request.prompt, waves)
        velocity = positive
        if cfg != 1:
            velocity = guided(positive, self._towards(self.negative, waves), cfg)
        noise = seeds.noise(seeds.INITIAL_NOISE, request.content, request.seed, (3, *self.size))
        return (sample(to_device(noise, self.device), velocity, sigmas) + 1) / 2

    def _towards(self, prompt: str | None, waves: Mapping[float, Tensor]) -> Velocity:
        """The velocity for a prompt; `waves` are the network's times by noise level."""
        condition = self.network.condition(self.text(prompt), *self.size)
        return lambda x, sigma: self._step(x, waves[sigma.item()], condition)

    def _dial(self, knobs: Knobs) -> tuple[int, float, float]:
        """Steps, cfg and shift: the knob's value, else the checkpoint's."""
        own = self.checkpoint
        steps = own.steps if knobs.steps is None else knobs.steps
        cfg = own.cfg if knobs.cfg is None else knobs.cfg
        shift = own.shift if knobs.shift is None else knobs.shift
        return steps, cfg, shift


def _size(own: Checkpoint, size: Sequence[int] | None, untrained: bool) -> tuple[int, int]:
    if size is None:
        return own.size
    sides = list(size) if isinstance(size, Sequence) else []
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise UsageError(
            f"decoder.size={size} is no size.",
            "It is [height, width], two whole numbers above 0.",
            f"decoder.size=[{own.size[0]},{own.size[1]}]",
        )
    height, width = sides
    check_size(own.config, height, width)
    if not untrained and not own.trained(height, width):
        smaller = " and for smaller ones" if own.smaller else ""
        raise UsageError(
            f"{own.name} was not trained on pictures of height {height} and width {width}.",
            f"It was trained for {list(own.size)}{smaller}.",
            f"decoder.size=[{own.size[0]},{own.size[1]}], or decoder.untrained_sizes=true",
        )
    return height, width


def _check_text(own: Checkpoint, text: TextFeatures, negative: str) -> None:
    wanted = own.config.cap_feat_dim
    if text.width != wanted:
        raise UsageError(
            f"The text features ({text.label}) have width {text.width}.",
            f"{own.name} takes {wanted}.",
            f"text=qwen3, or text=none text.width={wanted}",
        )
    if not isinstance(negative, str):
        raise UsageError(
            f"decoder.negative={negative} is no text.",
            "Guidance moves away from a prompt, which may be empty.",
            'decoder.negative=""',
        )


def _check_convention(setting: str, value: str) -> None:
    if value not in CONVENTIONS:
        raise UsageError(
            f"decoder.{setting}={value} is unknown.",
            "",
            f"choose decoder.{setting}={' or '.join(CONVENTIONS)}",
        )


def _file(own: Checkpoint, asset: str | None, path: str | None) -> Path:
    file = Path(path) if path is not None else assets.resolve(asset or own.asset) / own.file
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", "", "decoder.path=FILE")
    return file


def _notes(own: Checkpoint, size: tuple[int, int], text: TextFeatures) -> tuple[str, ...]:
    notes = [
        text_note(text),
        f"where knobs are left open: {own.steps} steps, cfg {own.cfg:g}, shift {own.shift:g}",
        *own.notes,
    ]
    if not own.trained(*size):
        notes.append(f"{size[1]}x{size[0]} pixels were not trained: {own.name} is for {own.size}")
    return tuple(notes)
