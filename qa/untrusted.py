"""Files from anywhere are judged by what they declare, before anything is allocated or unpacked.

A few kilobytes can declare terabytes: a deflated zip, arrays whose headers name any shape, tensors
that repeat one value. All of these are refused by their directory or header.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SPARE = 2**28
"""Bytes by which what a zip file unpacks to may exceed twice its size: code in it is deflated."""


def leaves(file: Path, folder: Path) -> bool:
    """Whether a path leads out of the folder, links followed; what it names need not exist."""
    try:
        return not file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links; a name that no file can have
        return False


def check_zip(file: Path, spare: int = SPARE) -> None:
    """ValueError for a zip file that unpacks to more than twice its size and `spare` bytes.

    Weights hardly compress, and PyTorch does not try to. Files that are no zip pass, but for those
    that begin like one, as PyTorch tells it. Raises BadZipFile where the directory is damaged.
    """
    with file.open("rb") as opened:
        begins = opened.read(2) == b"PK"
    if not begins and not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        declared = sum(entry.file_size for entry in archive.infolist())
    size = file.stat().st_size
    if declared > 2 * size + spare:
        raise ValueError(f"it has {size} bytes and unpacks to {declared}")


def check_tensors(tensors: Mapping[str, Tensor]) -> None:
    """ValueError for a tensor of more values than its file holds: one value repeated by strides."""
    for name, tensor in tensors.items():
        held = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() > held:
            raise ValueError(f"{name} {list(tensor.shape)} declares more than its {held} bytes")


def arrays(file: Path, names: Iterable[str], most: int) -> list[NDArray[Any]]:
    """Arrays of an .npz file, none of more than `most` bytes; no pickles.

    KeyError for one that is not there, ValueError for one that declares more than it may or has.
    """
    import numpy as np

    found = []
    with zipfile.ZipFile(file) as archive:
        for name in names:
            entry = archive.getinfo(f"{name}.npy")
            with archive.open(entry) as opened:
                shape, dtype = _header(opened)
                declared = int(np.prod([dtype.itemsize, *shape], dtype=object))
                if not declared <= min(entry.file_size, most):
                    raise ValueError(
                        f"{name} {list(shape)} declares {declared} bytes; it has "
                        f"{entry.file_size}, and at most {most} are read"
                    )
            with archive.open(entry) as opened:
                found.append(np.lib.format.read_array(opened, allow_pickle=False))
    return found


def _header(opened: Any) -> tuple[tuple[int, ...], Any]:
    """Shape and type that an .npy file declares."""
    from numpy.lib import format as npy

    version = npy.read_magic(opened)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its format is {version}")
    read: Any = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(opened)
    return shape, dtype


def unpack(file: Path, into: Path) -> None:
    """Unpacks a zip file that compresses nothing, as we write them; ValueError for any other.

    Names that lead outside are refused, and so are links: what an archive puts into a folder lies
    in this folder.
    """
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        declared, size = sum(entry.file_size for entry in entries), file.stat().st_size
        if declared > size:
            raise ValueError(f"it has {size} bytes and unpacks to {declared}")
        for entry in entries:
            parts = Path(entry.filename).parts
            linked = (entry.external_attr >> 16) & 0o170000 == 0o120000
            if Path(entry.filename).is_absolute() or ".." in parts or linked:
                raise ValueError(f"its entry {entry.filename!r} leads outside")
        archive.extractall(into)
