"""Pictures that a suite draws itself: kept in the cache and verified on every use."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from qa import images
from qa.files import digest, sha256, write_bytes


def keep(folder: Path, name: str, picture: np.ndarray) -> tuple[Path, str]:
    """uint8 [H,W,3] → its PNG in `folder`, drawn again if damaged, and the digest of its values.

    The values' digest, not the file's: PNG bytes change with the encoder's version.
    """
    import torch

    file = folder / f"{name}.png"
    tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    wanted = images.digest(tensor)
    if not _holds(file, wanted):
        write_bytes(file, images.encode_png(tensor))
    return file, wanted


def edition(sources: Sequence[Path], packages: Sequence[str]) -> str:
    """Short digest of all that decides the pictures, so that editions never mix in the cache."""
    return digest([*map(sha256, sorted(sources)), *map(version, packages)])[:8]


def _holds(file: Path, wanted: str) -> bool:
    try:
        return images.digest(images.read(file)) == wanted
    except images.ImageProblem:
        return False
