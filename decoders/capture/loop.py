"""Which latents are missing, and making them: one file each, whole or not at all.

A file is *the same* if its metadata names the identity that this capture would write: everything
that shapes a latent, from weights and code to seed. Such a file is kept; any other in its place is
refused before anything starts, so that one folder never mixes what two settings made unseen.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from decoders.latents import file_of, metadata, write
from qa.errors import QaError, UsageError
from qa.files import digest
from qa.seeds import content
from qa.types import Latent, LatentSpace, Sample

IDENTITY = "identity"
NAMES = {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}
"""What a system says of a name that it cannot take; anything else is wrong with every file."""


@dataclass(frozen=True)
class Item:
    """A sample and the digest of its content, from which its noise is drawn."""

    sample: Sample
    content: str


class Maker(Protocol):
    """Turns samples into latents."""

    space: LatentSpace
    identity: str
    """Digest of weights and settings."""
    source: str
    """What it is, in words."""
    licence: str
    """Terms of the weights, or ""."""
    facts: Mapping[str, Mapping[str, str]]
    """Folder → further metadata of its files. The keys are the folders that it can fill."""

    def load(self) -> None:
        """Brings weights into memory; called once, before the first sample."""
        ...

    def latents(self, item: Item, wanted: Collection[str]) -> dict[str, Latent]:
        """One latent for each wanted folder."""
        ...


@dataclass(frozen=True)
class Todo:
    """What a capture has to do: a `qa.capture.Work`."""

    maker: Maker
    out: Path
    settings: Mapping[str, object]
    """Numerics and code: part of every identity."""
    missing: Mapping[str, tuple[str, ...]]
    """Sample id → folders that lack its latent."""
    items: Sequence[Item]
    kept: int

    @property
    def count(self) -> int:
        """How many latents are to be made."""
        return sum(map(len, self.missing.values()))

    def folders(self) -> dict[Path, int]:
        """Each folder and how many of the samples' latents it has now."""
        return {
            self.out / folder: sum(_is_file(self._file(folder, item)) for item in self.items)
            for folder in self.maker.facts
        }

    def carry_out(self, progress: Callable[[int, int], None]) -> dict[str, str]:
        """Makes and writes what is missing, sample by sample; returns why samples failed, by id.

        `progress` gets the number of latents that are settled and that are wanted.
        """
        settled, wanted = self.kept, self.kept + self.count
        failed = {}
        if self.count:
            self.maker.load()
        progress(settled, wanted)
        for item in self.items:
            folders = self.missing[item.sample.id]
            if not folders:
                continue
            try:
                latents = _finite(self.maker.latents(item, folders), self.maker.space)
                for folder in folders:
                    self._write(folder, item, latents[folder])
            except Exception as error:
                failed[item.sample.id] = _said(error)
            settled += len(folders)
            progress(settled, wanted)
        return failed

    def _file(self, folder: str, item: Item) -> Path:
        return file_of(self.out / folder, item.sample.id)

    def _write(self, folder: str, item: Item, latent: Latent) -> None:
        write(
            self._file(folder, item),
            latent.tensor,
            space=self.maker.space.name,
            sigma=latent.sigma,
            prompt=item.sample.prompt,
            source=self.maker.source,
            licence=self.maker.licence or None,
            facts={
                **self.maker.facts[folder],
                IDENTITY: _identity(self.maker, self.settings, folder, item),
            },
        )


def plan(
    maker: Maker, samples: Sequence[Sample], out: Path, settings: Mapping[str, object]
) -> Todo:  # fmt: skip
    """What is missing in `out`.

    UsageError for a file in the way that is something else, and for an id that names no file.
    """
    items = [Item(sample, content(sample)) for sample in samples]
    missing: dict[str, tuple[str, ...]] = {}
    kept = 0
    for item in items:
        absent = []
        for folder in maker.facts:
            file = file_of(out / folder, item.sample.id)
            if not _is_file(file):
                absent.append(folder)
            elif metadata(file).get(IDENTITY) == _identity(maker, settings, folder, item):
                kept += 1
            else:
                raise UsageError(
                    f"{file} is in the way.",
                    "It was made from something else, or with other settings or versions.",
                    "out=ANOTHER_FOLDER, or delete it",
                )
        missing[item.sample.id] = tuple(absent)
    return Todo(maker, out, settings, missing, items, kept)


def _identity(maker: Maker, settings: Mapping[str, object], folder: str, item: Item) -> str:
    return digest([maker.identity, settings, folder, dict(maker.facts[folder]), item.content])


def _finite(latents: dict[str, Latent], space: LatentSpace) -> dict[str, Latent]:
    for folder, latent in latents.items():
        bad = int((~torch.isfinite(latent.tensor)).sum())
        if bad:
            raise ValueError(f"{bad} of {latent.tensor.numel()} values of {folder} are not finite")
        if latent.tensor.ndim != 3 or latent.tensor.shape[0] != space.channels:
            raise ValueError(f"the latent is {list(latent.tensor.shape)}, not one of {space}")
    return latents


def _is_file(file: Path) -> bool:
    # Unlike Path.is_file, False for a name that is too long: writing it is what fails.
    return os.path.isfile(file)


def _said(error: Exception) -> str:
    """Why one sample failed; raises where the device or the disk did, and all others would fail."""
    if isinstance(error, torch.AcceleratorError):
        raise QaError(
            "The device failed.",
            f"{' '.join(str(error).split())[:300]}. What is written is kept.",
            "look after the device, then run the same command again: it continues",
        ) from error
    if isinstance(error, QaError):
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno not in NAMES:
            raise error
        return f"{error.what} {error.why}".strip()
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
