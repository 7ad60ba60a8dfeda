"""Files from anywhere are judged by what they declare, before anything is allocated or unpacked.

A few kilobytes can declare terabytes: a deflated zip, arrays whose headers name any shape, tensors
that repeat one value. All of these are refused by their directory or header. Every checkpoint of
PyTorch is read by `read_checkpoint`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

SPARE = 2**28
"""Bytes by which what a file unpacks to or declares may exceed twice its size: code in a zip file
is deflated, and tensors may share their values."""


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
    if not _begins_as_zip(file) and not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        declared = sum(entry.file_size for entry in archive.infolist())
    size = file.stat().st_size
    if declared > 2 * size + spare:
        raise ValueError(f"it has {size} bytes and unpacks to {declared}")


def read_checkpoint(
    file: Path, device: str | torch.device = "cpu", mapped: bool = False, prefix: str = ""
) -> Any:
    """What `torch.save` wrote: plain values and tensors, in dicts and lists. No code in it runs.

    `mapped` leaves the tensors of a zip file on the disk until they are used. Whoever uses only
    those whose names begin with `prefix` says so: others are not checked. ValueError says of any
    other file why it is refused.
    """
    import torch

    try:
        check_zip(file)
        mapped = mapped and _begins_as_zip(file)
        content = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
        tensors = _tensors_in(content)
        check_tensors((each for each in tensors if each[0].startswith(prefix)), file.stat().st_size)
    except UnpicklingError as error:  # whose message would advise to load it with code and all
        raise ValueError("it is damaged, or holds more than tensors") from error
    except Exception as error:  # a damaged pickle fails in any way whatever
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(" ".join(why.split())[:200]) from error
    return content


def named_tensors(content: Any) -> dict[str, Tensor]:
    """The content of a checkpoint that is nothing but named tensors; ValueError otherwise."""
    from torch import Tensor

    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ValueError("it holds something else than named tensors")
    return dict(content)


def check_tensors(tensors: Iterable[tuple[str, Tensor]], size: int) -> None:
    """ValueError for tensors of a file of `size` bytes that are no plain numbers, or too many.

    Too many for one is more than it holds: one value repeated by strides. For all together it is
    more than twice the file and `SPARE` bytes: one that many names share.
    """
    declared = 0
    for name, tensor in tensors:
        if kind := _unusual(tensor):
            raise ValueError(f"{name} is {kind}, not plain numbers")
        wanted, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        if wanted > held:
            raise ValueError(f"{name} {list(tensor.shape)} declares more than its {held} bytes")
        declared += wanted
    if declared > 2 * size + SPARE:
        raise ValueError(f"it has {size} bytes, and its tensors declare {declared}")


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of those that hold NaN or infinity.

    By the extremes, which NaN becomes too: a twentieth of the time of looking at each value. It
    took 0.1 s a GB of float32 on one CPU core.
    """
    import torch

    return [
        name
        for name, tensor in tensors.items()
        if tensor.numel() and not torch.isfinite(torch.stack(torch.aminmax(tensor))).all()
    ]


def _begins_as_zip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(2) == b"PK"


def _unusual(tensor: Tensor) -> str:
    """What a tensor is other than plain numbers in memory, one beside the other, or ""."""
    import torch

    floats = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
    whole = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_meta:
        return "without values"
    return "" if tensor.dtype in (*floats, *whole) else str(tensor.dtype).removeprefix("torch.")


def _tensors_in(content: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a checkpoint at any depth, with the last name that leads to each."""
    from torch import Tensor

    parts: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()
    for name, part in parts:  # it grows meanwhile
        if isinstance(part, Tensor):
            yield name, part
        elif id(part) in seen:  # a part may be in many places, and in itself
            continue
        elif isinstance(part, Mapping):
            parts.extend((str(key)[:200], value) for key, value in part.items())
        elif isinstance(part, list | tuple | set):
            parts.extend((name, value) for value in part)
        seen.add(id(part))


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
