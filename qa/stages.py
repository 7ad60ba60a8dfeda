"""Stages of a decode, told to whoever listens; without a listener a mark costs next to nothing.

    latent        what the decoder gets, float32 [C,h,w]
    noise/STREAM  every noise tensor, as drawn
    x-1, x-2, …   a sampler's state after each step
    pixels        the decoder's answer, float32 [3,H,W]
    picture       uint8 [3,H,W]
    file          the bytes of the PNG file

A listener belongs to the context it was set in (`contextvars`): threads that a decoder starts by
itself tell it nothing. The digest of every stage is what reproducibility compares (`qa.repro`);
digests of the noise are kept with each picture of a run (`NoiseDigests`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LATENT, PIXELS, PICTURE, FILE = "latent", "pixels", "picture", "file"
NOISE = "noise/"

Key = tuple[str, int]
"""Whose stage it is: digest of the sample's content, seed index."""
Listener = Callable[[str, "Tensor | bytes", Key | None], None]
"""Called with a stage's name, its value and its key, or None where the code does not know it."""

_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


def mark(name: str, value: Tensor | bytes, key: Key | None = None) -> None:
    """Tell all listeners of a value. They must not change it, and copy what they keep."""
    for listener in _LISTENERS.get():
        listener(name, value, key)


def step(k: int) -> str:
    """Name of a sampler's state after its k-th step, counted from 1."""
    return f"x-{k}"


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Within the block, `listener` is told of every mark made in this context."""
    before = _LISTENERS.set((*_LISTENERS.get(), listener))
    try:
        yield
    finally:
        _LISTENERS.reset(before)


def digest(value: Tensor | bytes) -> str:
    """SHA-256 (hex) of a tensor's type, shape and values, whatever its layout; or of bytes."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    import torch

    plain = value.detach().to("cpu").contiguous()
    head = f"{plain.dtype} {list(plain.shape)} ".encode()
    found = hashlib.sha256(head)
    found.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


class NoiseDigests:
    """Listens for noise, and knows afterwards which was drawn for a picture.

    A thread of its own computes the digests: the time of a decode is measured, and 12 million
    values take 30 ms. It gets a copy, since a decoder may go on computing in the tensor it drew.
    """

    def __init__(self) -> None:
        self._drawn: dict[Key, dict[str, Future[str]]] = {}

    def __call__(self, name: str, value: Tensor | bytes, key: Key | None) -> None:
        if key is not None and name.startswith(NOISE) and not isinstance(value, bytes):
            streams, stream = self._drawn.setdefault(key, {}), name.removeprefix(NOISE)
            if stream not in streams:
                streams[stream] = _hasher().submit(digest, value.clone())

    def of(self, key: Key) -> str | None:
        """The digest of a picture's noise (`together`); None if none was drawn."""
        drawn = self._drawn.get(key, {})
        return together({stream: found.result() for stream, found in drawn.items()})


def together(streams: Mapping[str, str]) -> str | None:
    """SHA-256 over JSON of {stream: digest}; None for no stream."""
    if not streams:
        return None
    return hashlib.sha256(json.dumps(dict(streams), sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _hasher() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "digest")
