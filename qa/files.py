"""Files and digests: everything is written whole or not at all, and named by its content.

A file is written under a temporary name beside its place, flushed to disk and renamed, so a reader
or a killed process never meets half of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from qa.errors import QaError

PARTIAL = ".part-"
"""How the names of files begin that are being written."""


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. Refuses NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def sha256(file: Path) -> str:
    """SHA-256 (hex) of a file's bytes. Read once in a process while its size and time stay."""
    facts = file.stat()
    return _sha256(str(file.resolve()), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: str, _size: int, _modified: int) -> str:
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_json(file: Path) -> Any:
    """Parsed JSON; QaError if the file is missing or broken."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise QaError(
            f"Cannot read {file}.",
            f"{error.strerror}.",
            "run the command that writes it again: a stopped run continues",
        ) from error
    except (ValueError, RecursionError) as error:  # the latter: nested by tens of thousands
        raise QaError(
            f"{file} is not valid JSON.",
            f"{error}.",
            "delete it and run the command that writes it again",
        ) from error


def write_json(file: Path, value: Any) -> None:
    """Write JSON that people can read, atomically."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(file, (text + "\n").encode())


def write_bytes(file: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic(file) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic(file: Path) -> Iterator[Path]:
    """A temporary path beside `file` that takes its name when the block ends well."""
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=PARTIAL, suffix=file.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(file)
    except OSError as error:
        raise cannot_write(file, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def left_over(folder: str | Path) -> Iterator[str]:
    """Paths of files and folders that a killed process was writing; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PARTIAL):
                yield entry.path
            elif entry.is_dir(follow_symlinks=False):
                yield from left_over(entry.path)


def remove(path: str | Path) -> None:
    """Delete a file, or a folder with what is in it, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _current_umask()


def cannot_write(file: Path, error: OSError) -> QaError:
    """The system's refusal to write, said with what helps."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return QaError(
            f"The disk is full: {file} was not written.",
            "Finished work is kept and nothing is half-written.",
            "free some space and run the same command again: it continues",
        )
    return QaError(
        f"Cannot write {file}.",
        f"{error.strerror or error}.",
        "choose another folder with out=DIR, or change its permissions",
    )
