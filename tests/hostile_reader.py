"""Reads hostile files with little memory: `python tests/hostile_reader.py FOLDER [unguarded]`.

Prints one JSON object: file → how it was refused, and by how many MB the process grew meanwhile.
A process of its own, since a limit on memory cannot be taken back. `unguarded` takes the defences
away.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from qa import images, untrusted
from qa.assets import downloads
from qa.features import weights
from qa.sets import frechet
from qa.tracking import baselines

ROOM = 2**28
"""Bytes that may be had beside what the process has at its start."""


def unpacked(file: Path) -> object:
    """A tar.gz, as an asset's archive is unpacked."""
    downloads.from_url = lambda url, target, size=None: target.write_bytes(file.read_bytes())
    return downloads.from_archive("url", "wanted", file.parent / "out", file.parent)


READERS: dict[str, Callable[[Path], object]] = {
    ".pt": lambda file: weights.read_state(weights.Source(file, file.name, "0", "test")),
    ".npz": frechet.Moments.read,
    ".png": images.read,
    ".tif": images.read,
    ".gz": unpacked,
    ".zip": lambda file: baselines.unpack(file, file.parent / "out"),
}


def unguarded() -> None:
    """Without what each reader asks first."""
    untrusted.check_zip = lambda file: None
    frechet.arrays = lambda file, names, most: [np.load(file)[name] for name in names]
    images.LARGEST = 2**40
    downloads.UNPACKED = downloads.READ = 2**60
    baselines.unpack = lambda file, into: untrusted.zipfile.ZipFile(file).extractall(into)


def grown() -> float:
    """The most memory that the process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """One file after the other, in order of their names."""
    if "unguarded" in sys.argv:
        unguarded()
    torch.zeros(1)
    with open("/proc/self/statm", encoding="ascii") as statm:
        now = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))
    told = {}
    for file in sorted(Path(sys.argv[1]).iterdir()):
        if file.suffix not in READERS:
            continue
        before = grown()
        try:
            READERS[file.suffix](file)
            said = "read"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        told[file.name] = [said, grown() - before]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
