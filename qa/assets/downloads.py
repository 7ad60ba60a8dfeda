"""Fetching files and telling what they are: one function for each kind of origin.

Nothing here decides whether a file is right; `qa.assets` does, before it keeps anything.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

from qa.files import sha256

LARGEST = 2**38
"""Bytes of a download whose size is not known: 256 GiB."""
UNPACKED = 2**29
"""Bytes that an archive may unpack to, whatever of it is wanted."""
READ = 2**20
"""Bytes that are read from an archive at once: a header of more is no header."""


def tree_sha256(folder: Path) -> str:
    """SHA-256 over the lines "<sha256>  <path inside the folder>" of all files, sorted by path."""
    files = sorted((file.relative_to(folder).as_posix(), file) for file in _files(folder))
    lines = "".join(f"{sha256(file)}  {name}\n" for name, file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


class Bounded(io.RawIOBase):
    """A file that refuses to go on after so many bytes, written or read. OSError says so."""

    def __init__(self, file: Any, most: int, at_once: int | None = None) -> None:
        super().__init__()
        self._file, self._most, self._at_once = file, most, at_once

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """As a file's; OSError instead of one byte too many."""
        self._check(self._file.tell() + len(data))
        return int(self._file.write(data))

    def read(self, size: int = -1) -> bytes:
        """As a file's; OSError where it would be too much, at once or in all."""
        if self._at_once is not None and not 0 <= size <= self._at_once:
            raise OSError(f"it asks for {size} bytes at once")
        data: bytes = self._file.read(size)
        self._check(self._file.tell())
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        """As a file's; OSError for a place beyond what may be read."""
        self._check(place)
        return int(self._file.seek(place, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def seekable(self) -> bool:
        return True

    def _check(self, place: int) -> None:
        if place > self._most:
            raise OSError(f"it has more than {self._most} bytes")


def from_url(url: str, target: Path, size: int | None = None) -> None:
    """Downloads one file, with a progress bar where someone watches.

    `size` is what the table says; a server that sends more is not listened to until the disk is
    full.
    """
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=60)
    pooch.get_logger().setLevel("WARNING")
    try:
        with target.open("wb") as file:
            most = LARGEST if size is None else size + READ  # a little more is told as such
            fetch(url, Bounded(file, most), None)
    except Exception as error:
        response = getattr(error, "response", None)
        if response is not None:  # pooch leaves a refused answer's connection open
            response.close()
        raise


def from_repo(repo: str, commit: str, file: str, target: Path, scratch: Path) -> None:
    """Downloads one file of a Hugging Face repository at a commit; `scratch` is an empty place."""
    from huggingface_hub import hf_hub_download

    got = hf_hub_download(
        repo, file, revision=commit, local_dir=scratch, endpoint=os.environ.get("HF_ENDPOINT")
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(got, target)


def commit_of(repo: str, revision: str, file: str) -> str:
    """The commit that a branch or tag of a Hugging Face repository stands for now."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    endpoint = os.environ.get("HF_ENDPOINT")
    url = hf_hub_url(repo, file, revision=revision, endpoint=endpoint)
    commit: str | None = get_hf_file_metadata(url, endpoint=endpoint).commit_hash
    if not commit:
        raise OSError(f"{url} does not say which commit it is")
    return commit


def from_archive(url: str, member: str, target: Path, scratch: Path) -> None:
    """Downloads a tar.gz and unpacks the plain files below `*/member` into `target`.

    Links, devices and names that lead outside are passed over. OSError for an archive that unpacks
    to more than `UNPACKED`.
    """
    packed = scratch / "archive.tar.gz"
    from_url(url, packed)
    with gzip.open(packed) as opened:
        bounded: Any = Bounded(opened, UNPACKED, READ)  # a file, as far as tarfile asks
        _unpack(bounded, PurePosixPath(member).parts, target)


def _unpack(file: IO[bytes], wanted: tuple[str, ...], target: Path) -> None:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        declared = 0
        for entry in archive:
            declared += entry.size
            if declared > UNPACKED:
                raise OSError(f"it unpacks to more than {UNPACKED} bytes")
            parts = PurePosixPath(entry.name).parts[1:]
            inside = parts[len(wanted) :]
            if not entry.isfile() or parts[: len(wanted)] != wanted or not inside:
                continue
            source = archive.extractfile(entry)
            if source is None or ".." in inside:
                continue
            place = target.joinpath(*inside)
            place.parent.mkdir(parents=True, exist_ok=True)
            with source, place.open("wb") as file:
                shutil.copyfileobj(source, file)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]
