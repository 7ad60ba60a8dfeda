"""PiD as a Decoder: latent, prompt and seed in, a picture 4 (SigLIP: 8) times larger out.

Pictures pass one at a time. Noise comes from the sample: `initial-noise`, then `renoise-0`, … for
the student's later steps. The network's own output is not clamped here as the release does it:
quantising clamps, and counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from decoders.frame import pick_dtype, settings_digest
from decoders.pid import registry, samplers
from decoders.pid.network import Condition
from decoders.text import TextFeatures
from decoders.text import note as text_note
from qa import seeds
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.numerics import pick_device
from qa.types import DecodeRequest, Knobs


class PiD:
    """A Decoder.

    checkpoint       name in checkpoints.toml; None only with a `path` whose hash is known
    asset            its row in the asset table, used when `path` is None
    path             a local file (.pth or .safetensors)
    text             features of the prompt (decoders.text)
    negative         what a teacher's guidance moves away from
    dtype            float32, or bfloat16: float32 weights under bfloat16 autocast, as released
    untrained_sizes  decode sizes outside the trained range too; the report says so
    size             [height, width] of the text-to-image PixelDiT, which has no latent
    """

    def __init__(
        self,
        checkpoint: str | None,
        text: TextFeatures,
        asset: str | None = None,
        path: str | None = None,
        negative: str = "",
        dtype: str = "float32",
        untrained_sizes: bool = False,
        size: Sequence[int] | None = None,
        device: str = "auto",
    ) -> None:
        self.checkpoint, file = registry.locate(checkpoint, asset, path)
        self.device, self.precision = torch.device(pick_device(device)), pick_dtype(dtype)
        if self.precision == torch.float16:
            raise UsageError("PiD does not run in float16.", "", "decoder.dtype=bfloat16")
        self.network = registry.load(file, self.checkpoint, self.device)
        self.text, self.negative, self.untrained_sizes = text, negative, untrained_sizes
        wanted = self.network.config.text_width
        if text.width != wanted:
            raise UsageError(
                f"The text features ({text.label}) have width {text.width}.",
                f"{self.checkpoint.name} takes {wanted}.",
                "text=gemma, text=none, or features stored with gemma-2-2b-it",
            )
        self.space, self.scale = self.checkpoint.space, self.checkpoint.scale
        self.size = self._size(size)
        self.needs_prompt = text.needs_prompt
        teacher = self.checkpoint.sampler == "teacher"
        self.knobs = frozenset({"steps", "cfg", "shift"} if teacher else {"steps"})
        self.licence = self.checkpoint.licence
        self.notes = (text_note(text), *self._notes())
        settings = (self.checkpoint.name, dtype, str(self.device), negative, str(untrained_sizes))
        self.digest = settings_digest(("pid", *settings, text.digest, sha256(file)))

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width], nominal [0,1], not clamped, one request at a time."""
        return [self._decode(request) for request in requests]

    def check_knobs(self, knobs: Knobs) -> None:
        """ValueError for a step count or shift that the sampler does not have."""
        if self.checkpoint.sampler == "student":
            samplers.student_times(_student_steps(knobs))
        else:
            assert self.checkpoint.defaults is not None
            steps = self.checkpoint.defaults.steps if knobs.steps is None else knobs.steps
            samplers.teacher_times(steps, 1.0 if knobs.shift is None else knobs.shift)

    def _decode(self, request: DecodeRequest) -> Tensor:
        height, width = self._full_size(request)
        with torch.autocast(
            self.device.type, self.precision, enabled=self.precision != torch.float32
        ):
            sample = self._student if self.checkpoint.sampler == "student" else self._teacher
            x0 = sample(request, height, width)
        return ((x0.float() + 1) / 2)[0, :, : request.height, : request.width]

    def _student(self, request: DecodeRequest, height: int, width: int) -> Tensor:
        steps = _student_steps(request.knobs)
        samplers.student_times(steps)  # refuses before any work
        condition = self._condition(request, request.prompt, height, width)
        streams = [seeds.INITIAL_NOISE, *(seeds.renoise(k) for k in range(steps - 1))]
        noise = [self._noise(stream, request, height, width) for stream in streams]
        return samplers.student(lambda x, t: self.network(x, t, condition), noise)

    def _teacher(self, request: DecodeRequest, height: int, width: int) -> Tensor:
        defaults, knobs = self.checkpoint.defaults, request.knobs
        assert defaults is not None
        guidance = defaults.cfg if knobs.cfg is None else knobs.cfg
        condition = self._condition(request, request.prompt, height, width)
        unconditional = None
        if guidance != 1:
            null = self._condition(request, self.negative, height, width)
            unconditional = lambda x, t: self.network(x, t, null)  # noqa: E731
        return samplers.teacher(
            lambda x, t: self.network(x, t, condition),
            self._noise(seeds.INITIAL_NOISE, request, height, width),
            steps=defaults.steps if knobs.steps is None else knobs.steps,
            shift=defaults.shift_at(height, width) if knobs.shift is None else knobs.shift,
            guidance=guidance,
            unconditional=unconditional,
        )

    def _condition(
        self, request: DecodeRequest, prompt: str | None, height: int, width: int
    ) -> Condition:
        # The release feeds text and latent in its own precision, also where autocast would not.
        text = self.text(prompt)[None].to(self.device, self.precision)
        latent = sigma = None
        if request.latent is not None:
            latent = request.latent[None].to(self.device, self.precision)
            sigma = torch.tensor([request.sigma], dtype=torch.float32, device=self.device)
        return self.network.condition(text, height, width, latent, sigma)

    def _noise(self, stream: str, request: DecodeRequest, height: int, width: int) -> Tensor:
        drawn = seeds.noise(stream, request.content, request.seed, (3, height, width))
        return drawn[None].to(self.device)

    def _full_size(self, request: DecodeRequest) -> tuple[int, int]:
        """Height and width that the latent stands for; the request may be cropped from them."""
        if self.space is None:
            height, width = request.height, request.width
        else:
            height, width = self._latent_size(request)
        if not self.untrained_sizes:
            self.checkpoint.check_size(height, width)
        return height, width

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
        if (self.space is None) != (size is not None):
            raise UsageError(
                f"{self.checkpoint.name} {'needs' if size is None else 'takes no'} size.",
                "A latent says how large the picture is; without one the configuration does.",
                "decoder.size=[2048,2048]" if size is None else "decoder.size=null",
            )
        if size is None:
            return None
        height, width = size
        if height % self.network.config.patch or width % self.network.config.patch:
            raise UsageError(
                f"decoder.size={[height, width]} does not fit.",
                f"Sides are multiples of {self.network.config.patch}.",
            )
        return height, width

    def _notes(self) -> list[str]:
        notes = []
        if self.precision != torch.float32:
            notes.append("bfloat16 autocast")
        if self.untrained_sizes:
            notes.append("sizes outside the trained range are allowed")
        if self.checkpoint.withdrawn:
            notes.append(f"withdrawn checkpoint: {self.checkpoint.withdrawn}")
        return notes


def _student_steps(knobs: Knobs) -> int:
    return samplers.STUDENT_STEPS[-1] if knobs.steps is None else knobs.steps
