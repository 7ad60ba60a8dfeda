"""Which latents are missing, and making them: one file each, whole or not at all.

A file is *the same* if its metadata names the identity that this capture would write: everything
that shapes a latent, from weights to seed. Such a file is kept; any other in its place is refused
before anything starts, so that one folder never mixes what two settings made unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from decoders.latents import file_of, metadata, write
from qa.errors import QaError, UsageError
from qa.files import digest
from qa.types import Latent, LatentSpace, Sample

IDENTITY = "identity"


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
    """What a capture has to do."""

    maker: Maker
    out: Path
    settings: Mapping[str, object]
    """Numerical settings: part of every identity."""
    missing: Mapping[str, tuple[str, ...]]
    """Sample id → folders that lack its latent."""
    items: Sequence[Item]
    kept: int

    @property
    def count(self) -> int:
        """How many latents are to be made."""
        return sum(map(len, self.missing.values()))


@dataclass
class Done:
    """What came of it."""

    written: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Sample id → why it has no latents."""


def plan(
    maker: Maker, items: Sequence[Item], out: Path, settings: Mapping[str, object]
) -> Todo:  # fmt: skip
    """What is missing in `out`; UsageError for a file in the way that is something else."""
    missing: dict[str, tuple[str, ...]] = {}
    kept = 0
    for item in items:
        absent = []
        for folder in maker.facts:
            file = file_of(out / folder, item.sample.id)
            if not file.exists():
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


def carry_out(todo: Todo, progress: Callable[[int, int], None]) -> Done:
    """Makes and writes what is missing, sample by sample; what fails is told at the end.

    `progress` gets the number of latents that are there and that are wanted.
    """
    done, wanted, failed = Done(), todo.kept + todo.count, 0
    if todo.count:
        todo.maker.load()
    progress(todo.kept, wanted)
    for item in todo.items:
        folders = todo.missing[item.sample.id]
        if not folders:
            continue
        try:
            latents = _finite(todo.maker.latents(item, folders), todo.maker.space)
        except torch.AcceleratorError as error:
            raise QaError(
                "The device failed.",
                f"{' '.join(str(error).split())[:300]}. What is written is kept.",
                "look after the device, then run the same command again: it continues",
            ) from error
        except Exception as error:
            done.failed[item.sample.id] = _said(error)
            failed += len(folders)
        else:
            for folder in folders:
                _write(todo, folder, item, latents[folder])
            done.written += len(folders)
        progress(todo.kept + done.written + failed, wanted)
    return done


def _write(todo: Todo, folder: str, item: Item, latent: Latent) -> None:
    identity = _identity(todo.maker, todo.settings, folder, item)
    write(
        file_of(todo.out / folder, item.sample.id),
        latent.tensor,
        space=todo.maker.space.name,
        sigma=latent.sigma,
        prompt=item.sample.prompt,
        source=todo.maker.source,
        facts={**todo.maker.facts[folder], IDENTITY: identity},
    )


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


def _said(error: Exception) -> str:
    if isinstance(error, QaError):
        return f"{error.what} {error.why}".strip()
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
