"""Pictures that are made already, as DPG-Bench keeps them: four to a file, or each in its own.

For item `a` and take k = 0, 1, 2, 3 one of these is looked for, with any of
`qa.images.SUFFIXES`; what a file shows is its name up to the *first* dot, as in the official
script:

    DIR/a/<k>.png    DIR/a_<k>.png    one picture
    DIR/a.png                         a 2x2 grid: take k is the square of side R at column k mod 2,
                                      row k div 2; with `pictures=1` the file is one picture

R is `resolution`, or half of a grid that is square.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qa import images
from qa.errors import QaError, UsageError
from qa.files import digest, sha256
from qa.types import DecodeRequest, LatentSpace

if TYPE_CHECKING:
    from torch import Tensor


class Grids:
    """A Decoder that reads. The folder is listed and hashed once, when it is built."""

    space: LatentSpace | None = None
    knobs: frozenset[str] = frozenset()
    licence = "not stated: pictures made elsewhere"

    def __init__(self, path: str, pictures: int = 4, resolution: int | None = None) -> None:
        if not 1 <= pictures <= 4 or (resolution is not None and resolution < 1):
            raise UsageError(
                f"decoder.pictures={pictures} and decoder.resolution={resolution} cannot work.",
                "A grid holds one to four pictures of at least one pixel.",
                "decoder.pictures=4 decoder.resolution=1024",
            )
        self._folder, self._pictures, self._resolution = Path(path), pictures, resolution
        self._files = _index(self._folder)
        lines = [
            f"{file.relative_to(self._folder).as_posix()}\x1f{sha256(file)}"
            for files in self._files.values()
            for file in files
        ]
        listed = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
        self.digest = digest([listed, pictures, resolution])

    def decode(self, requests: Sequence[DecodeRequest]) -> list[Tensor]:
        """Pixels float32 [3,height,width] in [0,1]; QaError for a picture that is not there."""
        return [images.to_unit(self._picture(request.sample)) for request in requests]

    def size_of(self, sample: str) -> tuple[int, int]:
        """Height and width of a sample's picture."""
        height, width = self._picture(sample).shape[1:]
        return height, width

    def _picture(self, sample: str) -> Tensor:
        item, _, take = sample.rpartition("/")
        own = [*self._files.get(sample, ()), *self._files.get(f"{item}_{take}", ())]
        found = own or list(self._files.get(item, ()))
        if len(found) != 1 or not take.isdigit():
            names = ", ".join(file.name for file in found) or "nothing"
            raise QaError(
                f"There is no one picture for {sample}.",
                f"Looked for {sample}.*, {item}_{take}.* and {item}.*; found {names}.",
                "add the picture" if not found else "keep one of them",
            )
        try:
            picture = images.read(found[0])
            return picture if own else cell(picture, int(take), self._pictures, self._resolution)
        except ValueError as error:
            raise QaError(f"{found[0].relative_to(self._folder)} cannot be used.", f"{error}.",
                          "check decoder.pictures and decoder.resolution") from error  # fmt: skip


def cell(grid: Tensor, take: int, pictures: int = 4, resolution: int | None = None) -> Tensor:
    """uint8 [3,H,W] → one of its squares, uint8 [3,R,R]; ValueError where there is none.

    With one picture and no resolution, all of it.
    """
    height, width = grid.shape[1:]
    if take >= pictures:
        raise ValueError(f"it has {pictures} pictures, number {take} was asked for")
    if resolution is None and pictures == 1:
        return grid
    if resolution is None and (height != width or width % 2):
        raise ValueError(f"{width}x{height} pixels are no 2x2 grid; resolution= says what it holds")
    side = width // 2 if resolution is None else resolution
    left, top = (take % 2) * side, (take // 2) * side
    if left + side > width or top + side > height:
        raise ValueError(f"{width}x{height} pixels hold no picture {take} of side {side}")
    return grid[:, top : top + side, left : left + side]


def _index(folder: Path) -> dict[str, list[Path]]:
    """Path inside the folder, up to the first dot of the name → the picture files of that name."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "", "decoder.path=FOLDER")
    index: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in images.SUFFIXES and file.is_file():
            name = file.relative_to(folder).with_name(file.name.split(".")[0]).as_posix()
            index.setdefault(name, []).append(file)
    if not index:
        raise UsageError(
            f"{folder} holds no pictures.",
            f"A picture ends in one of {', '.join(images.SUFFIXES)}.",
            "decoder.path=FOLDER",
        )
    return index
