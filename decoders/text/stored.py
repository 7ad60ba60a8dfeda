"""Text features as files, one for each prompt, and as zeros.

`DIR/<any name>.safetensors` holds the tensor `features` [T,D] and, in the header's metadata:

    prompt    the exact text that they stand for; "" is a prompt too
    encoder   what made them; the same in every file of a folder
    licence   terms of the encoder's weights, if known

`decoders.text.encoders` caches in this form, so its cache folder can be handed on as it is:
`text=stored text.path=DIR`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from decoders.checks import read_unchanged
from decoders.frame import settings_digest
from decoders.weights import to_bytes
from qa.errors import QaError, UsageError
from qa.files import PARTIAL, sha256, write_bytes

SUFFIX = ".safetensors"
TENSOR = "features"
FLOATS = ("F16", "BF16", "F32")
UNKNOWN_LICENCE = "not stated: text features from a folder"
SHOWN = 60
"""Characters of a prompt that an error shows."""


@dataclass(frozen=True)
class Header:
    """What a file says before its values are read."""

    path: Path
    prompt: str
    encoder: str
    licence: str
    width: int


class Stored:
    """A folder of features as text features.

    The constructor reads every header and hashes every file; a file that changes afterwards is
    refused when it is used. Raises UsageError for an empty folder, for files of several encoders or
    widths, and for two files with one prompt.
    """

    needs_prompt = True

    def __init__(self, path: str) -> None:
        self._headers = _headers(Path(path))
        first = next(iter(self._headers.values()))
        self.width = first.width
        self.licence = "; ".join(sorted({one.licence for one in self._headers.values()}))
        self._hashes = {prompt: sha256(one.path) for prompt, one in self._headers.items()}
        self.digest = settings_digest(("stored text", *sorted(self._hashes.values())))
        self.label = f"stored: {first.encoder}"

    def __call__(self, prompt: str | None) -> Tensor:
        """The stored features of exactly this prompt, float32 [T,width]; QaError without them."""
        if prompt is None:
            raise no_prompt(self.label)
        if prompt not in self._headers:
            raise QaError(
                f"There are no stored text features for the prompt {shown(prompt)}.",
                f"The folder has {len(self._headers)} others, made by {self.label}.",
                "encode it with text=gemma or text=qwen3, whose cache is such a folder",
            )
        file = self._headers[prompt].path
        return _finite(load(read_unchanged(file, self._hashes[prompt]))[TENSOR], file.name)


class NoText:
    """Zeros [tokens,width] whatever the prompt."""

    needs_prompt = False
    licence = ""
    label = "none (zeros; not what the network was trained with)"

    def __init__(self, width: int = 2304, tokens: int = 300) -> None:
        if width < 1 or tokens < 1:
            raise UsageError(
                f"Text features of {tokens} tokens with {width} values are none.",
                "Both are 1 or more.",
                "text.width=2304 text.tokens=300",
            )
        self.width, self.tokens = width, tokens
        self.digest = settings_digest(("no text", str(width), str(tokens)))

    def __call__(self, prompt: str | None) -> Tensor:
        """float32 [tokens,width], all zero."""
        return torch.zeros(self.tokens, self.width)


def write(path: Path, features: Tensor, *, prompt: str, encoder: str, licence: str = "") -> None:
    """Stores one prompt's features [T,D] in the form that `Stored` reads, whole or not at all."""
    metadata = {"prompt": prompt, "encoder": encoder} | ({"licence": licence} if licence else {})
    write_bytes(path, to_bytes({TENSOR: features.detach().to("cpu").contiguous()}, metadata))


def read(path: Path, *, prompt: str, encoder: str, width: int) -> Tensor | None:
    """What `write` stored for this prompt and encoder, as float32; None where it is not there.

    None also for a file that is damaged or holds something else: a cache makes it again.
    """
    try:
        found = header(path)
        if (found.prompt, found.encoder, found.width) != (prompt, encoder, width):
            return None
        return _finite(load(path.read_bytes())[TENSOR], path.name)
    except (QaError, SafetensorError, OSError):
        return None


def header(file: Path) -> Header:
    """Metadata and shape of one file; UsageError for a file that holds no text features."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            if TENSOR not in opened.keys():  # noqa: SIM118 - a safetensors handle is no mapping
                raise UsageError(f"{file} has no tensor {TENSOR!r}.", "", "store it again")
            part = opened.get_slice(TENSOR)
            shape, dtype = list(part.get_shape()), part.get_dtype()
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{file} is no safetensors file.", str(error), "store it again") from error
    missing = [key for key in ("prompt", "encoder") if key not in metadata]
    if missing:
        raise UsageError(
            f"{file} does not say its {' and '.join(missing)}.",
            f"Its metadata has {sorted(metadata) or 'no entries'}.",
            "write it with decoders.text.stored.write(path, features, prompt=..., encoder=...)",
        )
    if len(shape) != 2 or 0 in shape or dtype not in FLOATS:
        raise UsageError(
            f"{file} holds features {dtype} {shape}.",
            f"They are [tokens, width] in one of {', '.join(FLOATS)}.",
            "store them without a batch axis",
        )
    licence = metadata.get("licence", UNKNOWN_LICENCE)
    return Header(file, metadata["prompt"], metadata["encoder"], licence, shape[1])


def no_prompt(label: str) -> QaError:
    """What is said where a sample has no prompt and the features need one."""
    return QaError(
        "There is no prompt.",
        f"The text features ({label}) are made from one; an empty prompt would be one.",
        "give the sample a prompt, or text=none to run without text",
    )


def shown(prompt: str) -> str:
    """A prompt in quotation marks, cut to what fits into a message."""
    return repr(prompt if len(prompt) <= SHOWN else prompt[:SHOWN] + "…")


def _headers(folder: Path) -> dict[str, Header]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "", "text.path=FOLDER")
    files = sorted(file for file in folder.rglob("*" + SUFFIX) if not file.name.startswith(PARTIAL))
    if not files:
        raise UsageError(
            f"{folder} holds no text features.", f"They are files *{SUFFIX}.", "text.path=FOLDER"
        )
    found: dict[str, Header] = {}
    for one in map(header, files):
        if one.prompt in found:
            raise UsageError(
                f"Two files hold the prompt {shown(one.prompt)}.",
                f"{found[one.prompt].path} and {one.path}.",
                "keep one of them",
            )
        found[one.prompt] = one
    kinds = {(one.encoder, one.width): one.path for one in found.values()}
    if len(kinds) > 1:
        listed = "; ".join(
            f"{encoder}, {width} wide: {path}" for (encoder, width), path in sorted(kinds.items())
        )
        raise UsageError(
            f"The text features in {folder} were not made by one encoder.",
            f"One of each: {listed}.",
            "keep one folder for each encoder",
        )
    return found


def _finite(features: Tensor, name: str) -> Tensor:
    features = features.to(torch.float32)
    bad = int((~torch.isfinite(features)).sum())
    if bad:
        raise QaError(
            f"The text features of {name} hold NaN or infinity.",
            f"{bad} of {features.numel()} values.",
            "make them again, in float32 or bfloat16",
        )
    return features
