"""Latents made elsewhere and stored one file each.

`DIR/<sample id>.safetensors` (an id may contain "/", then it names subfolders) holds the tensor
`latent` [C,h,w] and, in the header's metadata:

    space    name of an entry of `decoders.spaces.SPACES`; the same in every file
    sigma    noise level left in the latent, in [0, 1]; 0 when absent
    prompt   the text it was made from, if any
    source   what made it, in words, if known
    licence  terms of the weights that made it, if known

A folder may hold several of these, one for each step at which a diffusion model was stopped, as
`qa latents` writes them: `step24/`, `step26/`, `x0/` (the end). `capture` says which is meant.

Other entries are kept but not looked at here; `qa latents` adds `identity` (a digest of all that
shaped the latent, by which a stopped capture continues), `seed`, and for a diffusion model `step`
and `steps`. Files whose names begin as `qa.files.PARTIAL` does are being written and not read.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from decoders.checks import read_unchanged
from decoders.spaces import space as find_space
from decoders.weights import to_bytes
from qa.errors import QaError, UsageError
from qa.files import PARTIAL, sha256, write_bytes
from qa.types import Latent, LatentSpace, Sample

SUFFIX = ".safetensors"
TENSOR = "latent"
END = "x0"
STEP = re.compile(r"step([1-9]\d*)")
FLOATS = ("F16", "BF16", "F32", "F64")
NO_FACTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Header:
    """What a file says before its values are read."""

    path: Path
    space: str
    sigma: float
    prompt: str | None
    source: str | None
    licence: str
    sha256: str


class StoredLatents:
    """A folder of safetensors as a LatentSource.

    The constructor reads and hashes every file, so that `digest` stands for their content; a file
    that changes afterwards is refused when it is used. Raises UsageError for an empty folder, for
    files that disagree on their space and for headers that do not fit it.

    Of a folder of steps, `capture` is the step, or None for the end; `captures` are the steps that
    there are, rising. UsageError for a step that is not there.

    `licence` holds the terms that its files name (`licence` in their metadata), sorted and joined;
    "" where none does.
    """

    def __init__(self, path: str, capture: int | None = None) -> None:
        self.captures = _captures(Path(path))
        self.path = _captured(Path(path), self.captures, capture)
        self._headers = _headers(self.path)
        names = {header.space: header for header in self._headers.values()}
        if len(names) > 1:
            listed = "; ".join(f"{name}: {names[name].path}" for name in sorted(names))
            raise UsageError(
                f"The latents in {path} come from different spaces.",
                f"One of each: {listed}.",
                "keep one folder for each space",
            )
        self.space: LatentSpace = find_space(next(iter(names)))
        for header in self._headers.values():
            _check_shape(header.path, self.space)
        terms = {header.licence for header in self._headers.values()} - {""}
        self.licence = "; ".join(sorted(terms))
        lines = (f"{key}\x1f{header.sha256}" for key, header in sorted(self._headers.items()))
        self.digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def latent(self, sample: Sample, picture: Tensor | None) -> Latent:
        """The stored latent of the sample, float32 [C,h,w]; the picture is not looked at."""
        header = self.header(sample.id)
        data = read_unchanged(header.path, header.sha256)
        tensor = load(data)[TENSOR].to(torch.float32)
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise QaError(
                f"The latent of {sample.id} holds NaN or infinity.",
                f"{bad} of {tensor.numel()} values in {header.path.name}.",
                "store it again from a finite latent",
            )
        return Latent(tensor, header.sigma)

    def header(self, sample: str) -> Header:
        """Metadata of one sample's latent; QaError where there is none."""
        file_of(self.path, sample)
        if sample not in self._headers:
            raise QaError(
                f"There is no latent for sample {sample}.",
                f"{sample + SUFFIX} does not exist.",
                "store it, or leave the sample out of the suite",
            )
        return self._headers[sample]


def file_of(folder: Path, sample: str) -> Path:
    """Where a sample's latent lies in a folder; UsageError for an id that names no file of its own.

    "./a" would name the file of "a"; a name that begins as unfinished files do would not be read.
    """
    path = PurePosixPath(sample)
    outside = not path.parts or path.is_absolute() or ".." in path.parts or "\\" in sample
    if outside or path.as_posix() != sample or path.name.startswith(PARTIAL):
        raise UsageError(
            f"Sample id {sample!r} does not name a file of the folder.",
            f"An id is a plain relative path, without '.', '..' and '//', not begun by {PARTIAL}.",
            "rename the sample",
        )
    return folder / (sample + SUFFIX)


def metadata(file: Path) -> dict[str, str]:
    """What a file's header says; UsageError if it is no safetensors file."""
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{file} is no safetensors file.", str(error), "store it again") from error


def write(
    path: Path,
    latent: Tensor,
    *,
    space: str,
    sigma: float = 0.0,
    prompt: str | None = None,
    source: str | None = None,
    licence: str | None = None,
    facts: Mapping[str, str] = NO_FACTS,
) -> None:
    """Stores one latent [C,h,w], whole or not at all, in the form that `StoredLatents` reads.

    `facts` are further entries of the metadata. Equal arguments give equal bytes.
    """
    said = {**facts, "space": space, "sigma": repr(float(sigma))}
    words = {"prompt": prompt, "source": source, "licence": licence}
    said |= {key: text for key, text in words.items() if text is not None}
    write_bytes(path, to_bytes({TENSOR: latent.detach().to("cpu").contiguous()}, said))


def _captures(folder: Path) -> tuple[int, ...]:
    """Steps that a folder has folders of, rising."""
    names = [entry.name for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
    return tuple(sorted(int(found[1]) for found in map(STEP.fullmatch, names) if found))


def _captured(folder: Path, captures: tuple[int, ...], capture: int | None) -> Path:
    """The folder of one step; the folder itself where it has no steps."""
    if capture is None:
        return folder / END if (folder / END).is_dir() else folder
    if capture not in captures:
        there = f"steps {', '.join(map(str, captures))}" if captures else "no steps"
        raise UsageError(
            f"{folder} has no latents of step {capture}.",
            f"It holds {there}.",
            "knobs.capture=STEP, or leave it away for the end",
        )
    return folder / f"step{capture}"


def _headers(folder: Path) -> dict[str, Header]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "", "latents.path=FOLDER")
    found = (file for file in folder.rglob("*" + SUFFIX) if file.is_file())
    files = sorted(file for file in found if not file.name.startswith(PARTIAL))
    if not files:
        raise UsageError(
            f"{folder} holds no latents.",
            f"A latent is a file <sample id>{SUFFIX}.",
            "latents.path=FOLDER",
        )
    return {file.relative_to(folder).as_posix()[: -len(SUFFIX)]: _header(file) for file in files}


def _header(file: Path) -> Header:
    said = metadata(file)
    if "space" not in said:
        raise UsageError(
            f"{file} does not say which latent space it is from.",
            f"Its metadata has {sorted(said) or 'no entries'}.",
            "write it with decoders.latents.write(path, latent, space=...)",
        )
    return Header(
        file,
        said["space"],
        _sigma(file, said),
        said.get("prompt"),
        said.get("source"),
        said.get("licence", ""),
        sha256(file),
    )


def _sigma(file: Path, said: Mapping[str, str]) -> float:
    text = said.get("sigma", "0")
    try:
        sigma = float(text)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma <= 1:
        raise UsageError(
            f"{file} gives sigma as {text!r}.", "It is a noise level in [0, 1].", "store it again"
        )
    return sigma


def _check_shape(file: Path, space: LatentSpace) -> None:
    with safe_open(file, framework="pt") as opened:
        if TENSOR not in opened.keys():  # noqa: SIM118 - a safetensors handle is no mapping
            held = ", ".join(opened.keys()) or "nothing"
            raise UsageError(f"{file} has no tensor {TENSOR!r}.", f"It holds {held}.")
        part = opened.get_slice(TENSOR)
        shape, dtype = list(part.get_shape()), part.get_dtype()
    if len(shape) != 3 or shape[0] != space.channels or 0 in shape:
        raise UsageError(
            f"{file} holds a latent of shape {shape}.",
            f"Space {space} needs [{space.channels}, h, w].",
            "store it as [C,h,w], without a batch axis, under the right space",
        )
    if dtype not in FLOATS:
        raise UsageError(
            f"{file} holds {dtype} values.", f"A latent is one of {', '.join(FLOATS)}."
        )
