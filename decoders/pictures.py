"""Pictures made elsewhere, by sample id and seed: any other system can be judged.

For sample `id` and seed index k, one of these exists in the folder (any suffix of
`qa.images.SUFFIXES`, upper or lower case; an id may contain "/", then it names subfolders):

    DIR/<id>/seed<k>.<ext>
    DIR/<id>_seed<k>.<ext>
    DIR/<id>.<ext>           stands for every seed: a deterministic system

Folders of another layout have a function that says which file shows which sample (`files`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from decoders.frame import NO_KNOBS
from qa import images
from qa.errors import QaError, UsageError
from qa.files import sha256
from qa.types import DecodeRequest, LatentSpace

Files = Mapping[str, Sequence[Path]]
"""Sample id, or id and seed as above → its files; more than one is an error of that sample."""


class Pictures:
    """A Decoder that reads. The folder is listed and hashed once, when it is built.

    `files` is the dotted name of a function (folder) → `Files`, for another layout.
    """

    space: LatentSpace | None = None
    knobs = NO_KNOBS
    licence = "not stated: pictures made elsewhere"

    def __init__(self, path: str, files: str | None = None) -> None:
        self.path = Path(path)
        self._files: Files = _lister(files)(self.path)
        self.digest = _digest(self.path, self._files, whose=files is not None)

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width] in [0,1]; QaError for a picture that cannot be used."""
        return [self._pixels(request) for request in requests]

    def size_of(self, sample: str) -> tuple[int, int]:
        """Height and width of a sample's pictures, where no reference says so."""
        height, width = self._read(self._file(sample, 0)).shape[1:]
        return height, width

    def _read(self, file: Path) -> Tensor:
        try:
            return images.read(file)
        except images.ImageProblem as error:
            raise images.ImageProblem(f"{file.relative_to(self.path)}: {error}") from error

    def _pixels(self, request: DecodeRequest) -> Tensor:
        file = self._file(request.sample, request.seed)
        picture = self._read(file)
        height, width = picture.shape[1:]
        if (height, width) != (request.height, request.width):
            raise QaError(
                f"{file.relative_to(self.path)} is {width}x{height} pixels.",
                f"Sample {request.sample} is {request.width}x{request.height}.",
                "make the pictures in the size of the reference",
            )
        return images.to_unit(picture)

    def _file(self, sample: str, seed: int) -> Path:
        stems = (f"{sample}/seed{seed}", f"{sample}_seed{seed}", sample)
        found = [file for stem in stems for file in self._files.get(stem, ())]
        if len(found) > 1:
            names = ", ".join(file.relative_to(self.path).as_posix() for file in found)
            raise QaError(
                f"Several pictures stand for {sample}, seed {seed}.",
                f"Found {names}.",
                "keep one of them",
            )
        if not found:
            raise QaError(
                f"There is no picture for {sample}, seed {seed}.",
                f"None of {', '.join(stem + '.*' for stem in stems)} exists.",
                "add the picture",
            )
        return found[0]


def _digest(folder: Path, files: Files, whose: bool) -> str:
    """SHA-256 over names and contents, and where asked for over whose pictures they are."""
    shown = {(file, name if whose else "") for name, found in files.items() for file in found}
    lines = [
        "\x1f".join([file.relative_to(folder).as_posix(), sha256(file), *filter(None, [name])])
        for file, name in shown
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _lister(name: str | None) -> Callable[[Path], Files]:
    if name is None:
        return _index
    from qa.config import function

    lister: Callable[[Path], Files] = function(name)
    return lister


def _index(folder: Path) -> Files:
    """Path inside the folder, with and without its suffix → the picture files of that name.

    With it, because a suite's id keeps the suffix where two of its pictures differ in nothing else.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "", "decoder.path=FOLDER")
    index: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in images.SUFFIXES and file.is_file():
            inside = file.relative_to(folder)
            for name in (inside.as_posix(), inside.with_suffix("").as_posix()):
                index.setdefault(name, []).append(file)
    if not index:
        raise UsageError(
            f"{folder} holds no pictures.",
            f"A picture ends in one of {', '.join(images.SUFFIXES)}.",
            "decoder.path=FOLDER",
        )
    return index
