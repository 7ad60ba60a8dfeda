"""Latents of a diffusion model that is stopped on its way ("early termination").

A pipeline of N steps has noise levels sigma_0 > ... > sigma_N = 0; after K steps its latent is at
level sigma_K. `Pipeline` looks at it after the steps asked for and stops the pipeline at the last
of them: no further call of the network is made. The VAE is never loaded.

One prompt at a time, with a generator of its own on the CPU, seeded from the sample's content:
a latent depends neither on its neighbours nor on the device's generator.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from decoders.capture.families import FAMILIES, check_vae, to_space
from decoders.capture.loop import Item
from decoders.capture.place import VAE, fetch, find
from decoders.checks import loading
from decoders.frame import LOCAL_LICENCE, pick_dtype
from decoders.spaces import space as find_space
from qa import seeds
from qa.errors import Unavailable, UsageError
from qa.files import digest
from qa.numerics import pick_device
from qa.types import Latent

END = "x0"
STRIDE = 16
"""Sides are multiples of it: 8 pixels a latent cell, 2x2 cells a token."""
SHAPING = ("pipeline", "space", "denoiser", "scheduler", "guidance")
"""What of a family is part of a latent's identity."""
LIBRARIES = ("diffusers", "transformers", "torch")


class _Stop(Exception):
    """The last latent is there. Raised through the pipeline, whose own way to stop early goes on
    to use the VAE.
    """


class Pipeline:
    """A maker: the latents of a diffusers pipeline after the steps `capture`.

    family     an entry of `decoders.capture.families.FAMILIES`
    source     a local folder in diffusers' layout, or None for `repo` at `revision`
    download   fetch what the cache lacks of `repo`; otherwise AssetMissing says how to
    licence    of the weights, as shown to the user and written beside the latents
    steps, guidance, negative   as the pipeline takes them
    height, width               of the picture that its VAE would decode
    dtype      float32, bfloat16 or float16
    offload    keep only the part that works on the device (accelerate)
    capture    step numbers 1..steps-1, and x0 for the end
    seed       seed index, with the sample's content the seed of its noise

    Nothing is loaded until `load`. Raises UsageError for settings that cannot work and
    AssetMissing where the weights cannot be had.
    """

    def __init__(
        self, family: str, source: str | None, repo: str | None, revision: str | None,
        download: bool, licence: str, steps: int, guidance: float, negative: str | None,
        height: int, width: int, dtype: str, offload: bool, device: str,
        capture: int | str | Sequence[int | str], seed: int,
    ) -> None:  # fmt: skip
        if family not in FAMILIES:
            raise UsageError(f"There is no family {family!r}.", f"Known: {', '.join(FAMILIES)}.")
        self.family, self.space = FAMILIES[family], find_space(FAMILIES[family].space)
        self.decoder = self.family.decoder
        self.steps, self.guidance, self.negative = steps, guidance, negative
        self.height, self.width, self.seed = height, width, seed
        self.dtype, self.device, self.offload = pick_dtype(dtype), pick_device(device), offload
        self._check_settings()
        self.folders = folders(capture, steps)
        self.licence = licence if source is None else LOCAL_LICENCE
        self._expected = {"_class_name": self.family.pipeline, "scheduler": self.family.scheduler}
        self.place = find(source, repo, revision, self._expected, licence, download)
        if self.place.folder is not None:
            check_vae(self.family, self.place.folder / VAE / "config.json", self.space)
        self.identity = self._identity(dtype)
        self.source = (
            f"{self.family.pipeline} of {self.place.name}, {steps} steps, guidance {guidance}, "
            f"{width}x{height}, {dtype}, seed {seed}"
        )
        self.facts: Mapping[str, Mapping[str, str]] = {
            folder: {"step": str(step), "steps": str(steps), "seed": str(seed)}
            for step, folder in self.folders.items()
        }
        self._pipe: Any = None

    def load(self) -> None:
        """Fetches the weights if need be and loads them; every tensor must be in the files."""
        import diffusers

        kind = getattr(diffusers, self.family.pipeline)
        folder = fetch(self.place, kind, self._expected)
        fix = "fetch the folder again, or point pipeline.source at another one"
        with loading(self.family.pipeline, folder, fix):
            pipe = kind.from_pretrained(
                folder,
                dtype=self.dtype,
                local_files_only=True,
                use_safetensors=True,
                vae=None,
            )
        _check_weights(folder / self.family.denoiser, getattr(pipe, self.family.denoiser))
        pipe.set_progress_bar_config(disable=True)
        if not self.offload:
            pipe.to(self.device)
        else:
            _offload(pipe, self.device)
        self._pipe = pipe

    def latents(self, item: Item, wanted: Collection[str]) -> dict[str, Latent]:
        """Latents float32 [C,h,w] of the sample's prompt after the steps of the wanted folders."""
        if self._pipe is None:
            self.load()
        steps = {step: folder for step, folder in self.folders.items() if folder in wanted}
        last = max(steps)
        made: dict[str, Latent] = {}

        def look(pipe: Any, index: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            step = index + 1
            if step in steps:
                sigma = float(pipe.scheduler.sigmas[step])
                made[steps[step]] = self._latent(tensors["latents"], sigma)
            if step == last:
                raise _Stop
            return tensors

        try:
            self._pipe(**self._arguments(item), callback_on_step_end=look)
        except _Stop:
            pass
        finally:
            self._pipe.maybe_free_model_hooks()
        return made

    def _arguments(self, item: Item) -> dict[str, Any]:
        seed = seeds.generator_seed(seeds.DIFFUSION_NOISE, item.content, self.seed)
        said = {"negative_prompt": self.negative} if self.negative is not None else {}
        return {
            "prompt": item.sample.prompt,
            **said,
            "height": self.height,
            "width": self.width,
            "num_inference_steps": self.steps,
            self.family.guidance: self.guidance,
            "generator": torch.Generator("cpu").manual_seed(seed),
            "output_type": "latent",
        }

    def _latent(self, latents: torch.Tensor, sigma: float) -> Latent:
        rows, columns = self.height // self.space.factor, self.width // self.space.factor
        x = self.family.unpack(latents.detach().to("cpu", torch.float32), rows, columns)
        if list(x.shape) != [1, self.space.channels, rows, columns]:
            raise ValueError(
                f"the pipeline's latents are {list(latents.shape)}, not those of "
                f"{self.width}x{self.height} pixels in {self.space}"
            )
        return to_space(x[0].clone(), sigma, self.space)

    def _identity(self, dtype: str) -> str:
        settings = [
            self.steps, self.guidance, self.negative, self.height, self.width, dtype, self.seed
        ]  # fmt: skip
        return digest({
            "weights": self.place.identity,
            "family": [repr(getattr(self.family, name)) for name in SHAPING],
            "settings": settings,
            "device": self.device.partition(":")[0],
            "versions": {name: version(name) for name in LIBRARIES},
        })  # fmt: skip

    def _check_settings(self) -> None:
        for name in ("steps", "height", "width"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise UsageError(f"pipeline.{name}={value} cannot work.", "It is 1 or more.")
        guidance = self.guidance
        if type(guidance) not in (int, float) or not math.isfinite(guidance):
            raise UsageError(
                f"pipeline.guidance={guidance} cannot work.",
                "It is a finite number.",
                "leave pipeline.guidance away for the pipeline's usual one",
            )
        for side in (self.height, self.width):
            if side < STRIDE or side % STRIDE:
                raise UsageError(
                    f"{self.width}x{self.height} is no size of this pipeline.",
                    f"Both sides are multiples of {STRIDE}.",
                    "pipeline.height=512 pipeline.width=512",
                )
        if self.negative is not None and not self.family.negative:
            raise UsageError(
                f"pipeline.negative={self.negative!r} changes nothing.",
                f"{self.family.pipeline} reads no negative prompt here.",
                "pipeline.negative=null",
            )


def folders(capture: int | str | Sequence[int | str], steps: int) -> dict[int, str]:
    """Step → name of its folder, in order; x0 stands for the last step."""
    listed = isinstance(capture, Sequence) and not isinstance(capture, str)
    asked = list(capture) if listed else [capture]
    found = {}
    for entry in asked:
        if entry == END:
            found[steps] = END
        elif isinstance(entry, int) and not isinstance(entry, bool) and 0 < entry < steps:
            found[entry] = f"step{entry}"
        else:
            last = f"Step {steps} is the end: {END}." if entry == steps else ""
            raise UsageError(
                f"capture={entry} is no step to look at.",
                f"Of {steps} steps, 1 to {steps - 1} and {END} are. {last}".strip(),
                f"capture=[{END}]",
            )
    if not found or len(found) < len(asked):
        raise UsageError(f"capture={asked} names no step, or one twice.", "", f"capture=[{END}]")
    return dict(sorted(found.items()))


def _check_weights(folder: Path, model: torch.nn.Module) -> None:
    """Refuses a network of which a tensor is in no file: diffusers would fill it at random."""
    held: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as opened:
            held |= set(opened.keys())
    absent = sorted(set(model.state_dict()) - held)
    if absent:
        raise UsageError(
            f"The weights in {folder} are not complete.",
            f"{len(absent)} tensors are missing, e.g. {absent[0]}.",
            "fetch the folder again",
        )


def _offload(pipe: Any, device: str) -> None:
    if not device.startswith("cuda"):
        raise UsageError("pipeline.offload=true needs a GPU.", f"The device is {device}.")
    try:
        pipe.enable_model_cpu_offload(device=device)
    except ImportError as error:
        raise Unavailable(
            "pipeline.offload=true needs accelerate.", "", "pip install accelerate"
        ) from error
