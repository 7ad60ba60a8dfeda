"""PiD as a Decoder: latent, prompt and seed in, a picture 4 (SigLIP: 8) times larger out.

Pictures pass one at a time. Noise comes from the sample: `initial-noise`, then `renoise-0`, … for
the student's later steps. The network's own output is not clamped here as the release does it:
quantising clamps, and counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from decoders.frame import pick_dtype, settings_digest
from decoders.pid import registry, samplers
from decoders.pid.network import Condition
from decoders.steps import Steps
from decoders.text import TextFeatures
from decoders.text import note as text_note
from qa import seeds
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.transfer import to_device
from qa.types import DecodeRequest, Knobs


class PiD:
    """A Decoder.

    checkpoint       name in checkpoints.toml, or a row that is not among them; None only with a
                     `path` whose hash is known
    text             features of the prompt (decoders.text)
    asset            a row of the asset table; None: the checkpoint's own
    path             a local file (.pth or .safetensors) instead of the asset
    negative         what a teacher's guidance moves away from
    dtype            float32, or bfloat16: float32 weights under bfloat16 autocast, as released
    untrained_sizes  decode sizes outside the trained range too; the report says so
    size             [height, width] of the text-to-image PixelDiT, which has no latent

    Raises UsageError for settings that do not fit the checkpoint, before its weights are read.
    """

    def __init__(
        self,
        checkpoint: str | registry.Checkpoint | None,
        text: TextFeatures,
        asset: str | None = None,
        path: str | None = None,
        negative: str = "",
        dtype: str = "float32",
        untrained_sizes: bool = False,
        size: Sequence[int] | None = None,
        device: str = "auto",
    ) -> None:
        self.device, self.precision = torch.device(pick_device(device)), pick_dtype(dtype)
        if self.precision == torch.float16:
            raise UsageError("PiD does not run in float16.", "", "decoder.dtype=bfloat16")
        self.checkpoint, file = registry.locate(checkpoint, asset, path)
        self.text, self.negative, self.untrained_sizes = text, negative, untrained_sizes
        self.space, self.scale = self.checkpoint.space, self.checkpoint.scale
        self.size = self._size(size)
        self._check_text()
        self.needs_prompt = text.needs_prompt
        self.knobs = frozenset({"steps"} if self._student else {"steps", "cfg", "shift"})
        self.licence = self.checkpoint.licence
        self.notes = (text_note(text), *self._notes())
        settings = (repr(self.checkpoint), dtype, str(self.device), negative, str(self.size))
        self.digest = settings_digest(
            ("pid", *settings, str(untrained_sizes), text.digest, sha256(file))
        )
        self.network = registry.load(file, self.checkpoint, self.device)
        self._step = Steps(self.network, self.network)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], nominal [0,1], not clamped, one request at a time."""
        return [self._decode(request) for request in requests]

    def check_knobs(self, knobs: Knobs) -> None:
        """UsageError for a dial that the sampler does not have."""
        steps, guidance, shift = self._dial(knobs, 1, 1)
        try:
            if self._student:
                samplers.student_times(steps)
            else:
                samplers.teacher_times(steps, shift)
            if not math.isfinite(guidance):
                raise ValueError(f"cfg {guidance}: it is a number")
        except ValueError as error:
            raise UsageError(
                f"{self.checkpoint.name} cannot be set like this.", f"{error}.", "change knobs.*"
            ) from error

    def remark(self, request: DecodeRequest) -> str:
        """What is special about one picture: a size that training never saw."""
        try:
            self.checkpoint.check_size(*self._full_size(request))
        except QaError as error:
            return error.what
        return ""

    def tokens(self, request: DecodeRequest) -> int:
        """Patches of one picture: what the joint blocks attend over beside the text."""
        height, width = self._full_size(request)
        return (height // self.network.config.patch) * (width // self.network.config.patch)

    @property
    def _student(self) -> bool:
        return self.checkpoint.sampler == "student"

    def _dial(self, knobs: Knobs, height: int, width: int) -> tuple[int, float, float]:
        """Steps, guidance and shift: the knob's value, else the checkpoint's."""
        own = self.checkpoint.defaults
        if own is None:
            steps = samplers.STUDENT_STEPS[-1] if knobs.steps is None else knobs.steps
            return steps, 1.0, 1.0
        return (
            own.steps if knobs.steps is None else knobs.steps,
            own.cfg if knobs.cfg is None else knobs.cfg,
            own.shift_at(height, width) if knobs.shift is None else knobs.shift,
        )

    def _decode(self, request: DecodeRequest) -> Tensor:
        height, width = self._full_size(request)
        if not self.untrained_sizes:
            self.checkpoint.check_size(height, width)
        self.check_knobs(request.knobs)
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            x0 = self._sample(request, height, width)
        return ((x0.float() + 1) / 2)[0, :, : request.height, : request.width]

    def _sample(self, request: DecodeRequest, height: int, width: int) -> Tensor:
        condition = self._condition(request, height, width)
        steps, guidance, shift = self._dial(request.knobs, height, width)
        if self._student:
            noise = samplers.Noise(steps, lambda k: self._noise(_stream(k), request, height, width))
            return samplers.student(self._velocity(condition), noise)
        negative = None
        if guidance != 1:
            null = self.network.with_text(condition, self._features(self.negative))
            negative = self._velocity(null)
        return samplers.teacher(
            self._velocity(condition),
            self._noise(seeds.INITIAL_NOISE, request, height, width),
            steps=steps,
            shift=shift,
            guidance=guidance,
            negative=negative,
        )

    def _velocity(self, condition: Condition) -> samplers.Velocity:
        return lambda x, t: self._step(x, t, condition)

    def _condition(self, request: DecodeRequest, height: int, width: int) -> Condition:
        latent = sigma = None
        if request.latent is not None:
            latent = request.latent[None].to(self.device, self.precision)
            sigma = torch.tensor([request.sigma], dtype=torch.float32, device=self.device)
        text = self._features(request.prompt)
        return self.network.condition(text, height, width, latent, sigma)

    def _features(self, prompt: str | None) -> Tensor:
        # The release feeds text and latent in its own precision, also where autocast would not.
        return self.text(prompt)[None].to(self.device, self.precision)

    def _noise(self, stream: str, request: DecodeRequest, height: int, width: int) -> Tensor:
        drawn = seeds.noise(stream, request.content, request.seed, (3, height, width))
        return to_device(drawn[None], self.device)

    def _full_size(self, request: DecodeRequest) -> tuple[int, int]:
        """Height and width that the latent stands for; the request may be cropped from them."""
        if self.space is None:
            return request.height, request.width
        return self._latent_size(request)

    def _latent_size(self, request: DecodeRequest) -> tuple[int, int]:
        assert self.space is not None
        if request.latent is None:
            raise QaError(
                f"There is no latent for {request.sample}.", f"The decoder takes {self.space}."
            )
        cell = self.space.factor * self.scale
        rows, columns = -(-request.height // cell), -(-request.width // cell)
        if list(request.latent.shape) != [self.space.channels, rows, columns]:
            raise QaError(
                f"The latent of {request.sample} has shape {list(request.latent.shape)}.",
                f"{request.width}x{request.height} pixels, {self.scale} times the size of "
                f"{self.space}, need {[self.space.channels, rows, columns]}.",
                f"encode the picture at 1/{self.scale} of its size (decoders.reduced.Reduced)",
            )
        return rows * cell, columns * cell

    def _size(self, size: Sequence[int] | None) -> tuple[int, int] | None:
        name, patch = self.checkpoint.name, self.checkpoint.config().patch
        if self.space is not None:
            if size is not None:
                raise UsageError(
                    f"{name} takes no size.", "Its latent has one.", "decoder.size=null"
                )
            return None
        sides = list(size) if isinstance(size, Sequence) else []
        if len(sides) != 2 or not all(
            isinstance(side, int) and side > 0 and side % patch == 0 for side in sides
        ):
            raise UsageError(
                f"decoder.size={size} is no size of {name}.",
                f"It is [height, width], both multiples of {patch}.",
                "decoder.size=[2048,2048]",
            )
        if not self.untrained_sizes:
            self.checkpoint.check_size(*sides)
        return sides[0], sides[1]

    def _check_text(self) -> None:
        wanted = self.checkpoint.config().text_width
        if self.text.width != wanted:
            raise UsageError(
                f"The text features ({self.text.label}) have width {self.text.width}.",
                f"{self.checkpoint.name} takes {wanted}.",
                "text=gemma, text=none, or features stored with gemma-2-2b-it",
            )
        if not isinstance(self.negative, str) or (self._student and self.negative):
            raise UsageError(
                f"decoder.negative={self.negative} changes nothing.",
                f"{self.checkpoint.name} has no guidance." if self._student else "It is a text.",
                'decoder.negative=""',
            )

    def _notes(self) -> list[str]:
        notes = []
        if self.precision != torch.float32:
            notes.append("bfloat16 autocast")
        if self.untrained_sizes:
            notes.append("sizes outside the trained range are allowed")
        if self.checkpoint.withdrawn:
            notes.append(f"withdrawn checkpoint: {self.checkpoint.withdrawn}")
        return notes


def _stream(step: int) -> str:
    return seeds.renoise(step - 1) if step else seeds.INITIAL_NOISE
