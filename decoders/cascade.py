"""A decoder and an upsampler in a row: the classical rival of a decoder that makes larger pictures.

For a picture of HxW pixels at the upsampler's scale s:

    inner decoder    a picture of ceil(H/s) x ceil(W/s) pixels
    upsampler        s times larger along each side
    crop             H x W, right and bottom cut off

`decoders.reduced.Reduced` is the encoder that goes with it. Two upsamplers are here: interpolation
(`Resize`) and any upscaling pipeline of diffusers (`DiffusersUpscale`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from decoders.checks import load_pretrained, loading
from decoders.frame import LOCAL_LICENCE, pick_dtype, settings_digest
from decoders.pipelines import INDEX, read_index
from decoders.spaces import cells
from qa import images, seeds
from qa.errors import QaError, UsageError, said
from qa.files import sha256
from qa.numerics import pick_device
from qa.roles import Decoder
from qa.traits import check_knobs, remark, tokens, traits
from qa.types import DecodeRequest, Knobs

FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")
FIX = "point decoder.upsampler.source at a folder that holds it, in safetensors"
MODEL_FILES = (".json", ".jinja", ".model", ".safetensors", ".txt")
"""What decides how a pipeline computes."""
ANY = ("",)
"""How names begin of tensors that may be left over: published text encoders have some."""


class Upsampler(Protocol):
    """Makes a picture larger. Called from one thread."""

    scale: int
    digest: str
    licence: str

    def __call__(self, pixels: Tensor, request: DecodeRequest) -> Tensor:
        """pixels float32 [3,h,w], nominal [0,1] → float32 [3,s*h,s*w] on the CPU.

        Of the request only `content`, `seed` and `prompt` are looked at.
        """
        ...


class Cascade:
    """A Decoder: `decoder`, then `upsampler`."""

    def __init__(self, decoder: Decoder, upsampler: Upsampler) -> None:
        inner = traits(decoder)
        self.decoder, self.upsampler = decoder, upsampler
        self.space, self.knobs = decoder.space, decoder.knobs
        self.scale = inner.scale * upsampler.scale
        self.size = None
        if inner.size is not None:
            self.size = (inner.size[0] * upsampler.scale, inner.size[1] * upsampler.scale)
        self.needs_prompt = inner.needs_prompt
        self.notes = (*inner.notes, *getattr(upsampler, "notes", ()))
        self.licence = f"{decoder.licence}; upsampler: {upsampler.licence}"
        self.digest = settings_digest(("cascade", decoder.digest, upsampler.digest))

    def check_knobs(self, knobs: Knobs) -> None:
        """As the inner decoder."""
        check_knobs(self.decoder, knobs)

    def remark(self, request: DecodeRequest) -> str:
        """As the inner decoder, of the smaller picture."""
        return remark(self.decoder, self._smaller(request))

    def tokens(self, request: DecodeRequest) -> int | None:
        """As the inner decoder, of the smaller picture."""
        return tokens(self.decoder, self._smaller(request))

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width] on the CPU, clamped only where the upsampler clamps."""
        by = self.upsampler.scale
        smaller = [self._smaller(request) for request in requests]
        made = []
        for request, pixels in zip(requests, self.decoder.decode(smaller), strict=True):
            larger = self.upsampler(pixels.to("cpu", torch.float32), request)
            _check_larger(larger, pixels, by)
            made.append(larger[:, : request.height, : request.width])
        return made

    def _smaller(self, request: DecodeRequest) -> DecodeRequest:
        by = self.upsampler.scale
        return replace(request, height=cells(request.height, by), width=cells(request.width, by))


class Resize:
    """Interpolation by Pillow on the float values: nothing is rounded, nothing clamped.

    bicubic is Keys' cubic with a = -1/2, lanczos has three lobes; edges renormalise the weights.
    """

    licence = "MIT-CMU (Pillow)"

    def __init__(self, filter: str = "bicubic", scale: int = 4) -> None:
        if filter not in FILTERS:
            raise UsageError(f"There is no filter {filter!r}.", f"Known: {', '.join(FILTERS)}.")
        _check_scale(scale)
        self.filter, self.scale = filter, scale
        self.digest = settings_digest(("resize", filter, str(scale)))

    def __call__(self, pixels: Tensor, request: DecodeRequest) -> Tensor:
        """pixels float32 [3,h,w] → float32 [3,s*h,s*w]."""
        from PIL import Image

        _, height, width = pixels.shape
        size = (width * self.scale, height * self.scale)
        how = Image.Resampling[self.filter.upper()]
        channels = [Image.fromarray(channel.numpy()).resize(size, how) for channel in pixels]
        return torch.from_numpy(np.stack([np.asarray(channel) for channel in channels]))


class DiffusersUpscale:
    """An upscaling pipeline of diffusers, from a local folder in its layout.

        pipeline   class name: StableDiffusionUpscalePipeline (x4),
                   StableDiffusionLatentUpscalePipeline (x2), LDMSuperResolutionPipeline (x4), …
        scale      by how much it enlarges; the result is checked
        steps      sampler steps
        guidance   classifier-free guidance, or None for a pipeline that has none
        options    further arguments of its call, e.g. {noise_level: 20}
        multiple   pictures are padded to multiples of it, right and bottom, by repeating the edge;
                   what that adds is cut off again

    The pipeline gets the picture as it would be saved, in 8 bits: every pipeline takes that form,
    while each reads float values in a range of its own. Its answer lies in [0,1], clamped by the
    pipeline. Prompts come from the request ("" without one), noise from a generator of the sample
    and seed on the CPU, and pictures pass one at a time.
    """

    licence = LOCAL_LICENCE

    def __init__(
        self,
        source: str,
        pipeline: str = "StableDiffusionUpscalePipeline",
        scale: int = 4,
        steps: int = 75,
        guidance: float | None = 9.0,
        options: Mapping[str, Any] | None = None,
        multiple: int = 8,
        dtype: str = "float32",
        device: str = "auto",
    ) -> None:
        _check_scale(scale)
        _check_scale(multiple)
        self.source, self.pipeline, self.scale, self.multiple = source, pipeline, scale, multiple
        self.dtype, self.device = pick_dtype(dtype), pick_device(device)
        self.arguments = {"num_inference_steps": steps, **(options or {})}
        if guidance is not None:
            self.arguments["guidance_scale"] = guidance
        self._takes_prompt = self._check_arguments()
        settings = (pipeline, str(scale), str(multiple), dtype, self.device)
        asked = (f"{name}={value!r}" for name, value in sorted(self.arguments.items()))
        self.digest = settings_digest((*settings, *asked, *self._hashes()))
        self._loaded = self._load()

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, request: DecodeRequest) -> Tensor:
        """pixels float32 [3,h,w] → float32 [3,s*h,s*w] in [0,1]."""
        from PIL import Image

        _, height, width = pixels.shape
        right, bottom = -width % self.multiple, -height % self.multiple
        padded = pad(pixels[None], (0, right, 0, bottom), mode="replicate")[0]
        picture = images.quantise(padded).picture.permute(1, 2, 0).numpy()
        seed = seeds.generator_seed(seeds.UPSAMPLE_NOISE, request.content, request.seed)
        prompt = {"prompt": request.prompt or ""} if self._takes_prompt else {}
        output = self._loaded(
            image=Image.fromarray(picture),
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
            **prompt,
            **self.arguments,
        ).images[0]
        larger = torch.from_numpy(np.asarray(output, np.float32)).permute(2, 0, 1)
        _check_larger(larger, padded, self.scale)
        return larger[:, : height * self.scale, : width * self.scale]

    def _load(self) -> Any:
        import diffusers

        with loading(self.pipeline, Path(self.source), FIX):
            loaded = getattr(diffusers, self.pipeline).from_pretrained(
                self.source, local_files_only=True, use_safetensors=True, **self._networks()
            )
        loaded.set_progress_bar_config(disable=True)
        return loaded.to(self.device)

    def _networks(self) -> dict[str, Any]:
        """The pipeline's networks by name, none of whose tensors is missing.

        Loaded one by one: a pipeline says nothing of tensors that it made up.
        """
        networks = {}
        for name, (library, made) in _parts(Path(self.source) / INDEX).items():
            if library not in ("diffusers", "transformers"):
                continue
            kind = getattr(import_module(library), made, None)
            if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
                continue
            folder = Path(self.source) / name
            networks[name] = load_pretrained(kind, folder, fix=FIX, unused=ANY).to(self.dtype)
        return networks

    def _check_arguments(self) -> bool:
        """Whether the pipeline takes a prompt; UsageError for arguments that it does not take."""
        import diffusers

        known = getattr(diffusers, self.pipeline, None)
        if not (inspect.isclass(known) and issubclass(known, diffusers.DiffusionPipeline)):
            raise UsageError(f"diffusers {diffusers.__version__} has no {self.pipeline}.")
        taken = inspect.signature(known.__call__).parameters
        wrong = [name for name in ("image", "generator", *self.arguments) if name not in taken]
        if wrong:
            raise UsageError(
                f"{self.pipeline} takes no {', '.join(wrong)}.",
                f"It takes {', '.join(name for name in taken if name != 'self')}.",
                "decoder.upsampler.guidance=null for a pipeline without guidance",
            )
        return "prompt" in taken

    def _hashes(self) -> list[str]:
        root = Path(self.source)
        if not (root / INDEX).is_file():
            raise UsageError(
                f"{root} holds no {INDEX}.",
                "A pipeline is loaded from a folder in diffusers' layout.",
                "decoder.upsampler.source=FOLDER",
            )
        files = sorted(file for file in root.rglob("*") if file.suffix in MODEL_FILES)
        return [f"{file.relative_to(root).as_posix()}={sha256(file)}" for file in files]


def _parts(index: Path) -> dict[str, tuple[str | None, str]]:
    """A pipeline's parts by name: library and class. Those that it does without are left out."""
    try:
        return read_index(index)[1]
    except ValueError as error:
        raise UsageError(f"{index} describes no pipeline.", f"{said(error)}.", FIX) from error


def _check_larger(larger: Tensor, pixels: Tensor, scale: int) -> None:
    wanted = [3, pixels.shape[1] * scale, pixels.shape[2] * scale]
    if list(larger.shape) != wanted:
        raise QaError(
            f"The upsampler made {list(larger.shape)} of {list(pixels.shape)}.",
            f"At scale {scale} it is {wanted}.",
            "set decoder.upsampler.scale to what it does, and multiple to what it rounds sizes to",
        )


def _check_scale(value: int) -> None:
    if value < 1:
        raise UsageError(f"{value} is no count of pixels.", "It is 1 or more.")
