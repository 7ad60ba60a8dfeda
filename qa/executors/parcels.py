"""A unit's files as one piece of bytes, to travel between machines that share no disk.

    worker's scratch folder ──pack──► bytes ──Ray, or a store──► unpack ──► the run folder

A parcel is a ZIP file without compression: it carries check sums, and its size says what it holds.
What arrives is data from elsewhere: only names that this unit can have are written, whole files
only, and the unit's own record last, so that a unit that is there is there completely.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from qa.errors import QaError
from qa.files import PARTIAL, write_bytes
from qa.store import RunFolder, file_name
from qa.types import Unit

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: equal files make equal parcels."""


class Damaged(QaError):
    """A parcel that cannot be used."""


def files_of(folder: RunFolder, unit: Unit) -> list[Path]:
    """Every file that a finished unit left in a run folder; its own record comes last."""
    name, root = file_name(unit.sample.id), folder.path
    found = [
        *root.glob(f"images/{_literal(name)}/*.png"),
        *root.glob(f"features/*/{_literal(name)}.safetensors"),
        *root.glob(f"notes/*/{_literal(name)}.json"),
    ]
    found = [file for file in found if not file.name.startswith(PARTIAL)]
    record = folder.unit_file(unit.id)
    return [*sorted(found), *([record] if record.is_file() else [])]


def pack(folder: RunFolder, unit: Unit) -> bytes:
    """A unit's files as a parcel."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in files_of(folder, unit):
            entry = zipfile.ZipInfo(file.relative_to(folder.path).as_posix(), EPOCH)
            archive.writestr(entry, file.read_bytes())
    return buffer.getvalue()


def unpack(folder: RunFolder, unit: Unit, parcel: bytes) -> None:
    """Write a parcel's files into a run folder; Damaged for one that is broken or another unit's.

    Nothing is written unless all of it is sound. QaError where the folder takes nothing.
    """
    try:
        contents = list(_contents(folder, unit, parcel))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise Damaged(
            f"What a worker delivered for {unit.sample.id!r} cannot be used.",
            f"{' '.join(str(error).split())}.",
            "run the same command again: it continues",
        ) from error
    for name, data in contents:
        write_bytes(folder.path / name, data)


def _contents(folder: RunFolder, unit: Unit, parcel: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a parcel; an error that `unpack` names for anything out of order."""
    last = folder.unit_file(unit.id).relative_to(folder.path).as_posix()
    with zipfile.ZipFile(io.BytesIO(parcel)) as archive:
        entries = archive.infolist()
        if not entries or entries[-1].filename != last:
            raise ValueError(f"it holds no record of the unit {unit.id}")
        if sum(entry.file_size for entry in entries) > len(parcel):
            raise ValueError("it claims to hold more than it is long")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{entry.filename!r} in it is compressed")
            if entry.filename != last and not _belongs(entry.filename, unit):
                raise ValueError(f"{entry.filename!r} is no file of this unit")
            yield entry.filename, archive.read(entry)


def _belongs(name: str, unit: Unit) -> bool:
    """Whether a path is one that a unit may write: names are compared, never followed."""
    sample, parts = file_name(unit.sample.id), PurePosixPath(name).parts
    if len(parts) != 3 or name != "/".join(parts) or ".." in parts:
        return False
    top, middle, end = parts
    if "\\" in name or "\0" in name:
        return False
    return (
        (top == "images" and middle == sample and end.endswith(".png"))
        or (top == "features" and end == f"{sample}.safetensors")
        or (top == "notes" and end == f"{sample}.json")
    )


def _literal(name: str) -> str:
    """A name as a glob pattern that matches nothing else."""
    import glob

    return glob.escape(name)
