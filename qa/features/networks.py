"""Networks in memory: one for all metrics that look through it.

FID, KID, precision and recall of one run see the same network. It is in evaluation mode and nobody
changes it, so they share it, from any thread; it is freed together with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary


@dataclass(frozen=True, eq=False)
class Network:
    """A network that is shared as long as somebody holds on to this."""

    module: Any
    """What is called: a module without types, on its device."""
    sha256: str
    """Of the file of weights, or of drawn values."""


_alive: WeakValueDictionary[tuple[str, str, str], Network] = WeakValueDictionary()
_building = Lock()


def shared(kind: str, weights: str, device: str, build: Callable[[], Network]) -> Network:
    """The network of these weights on that device: the one in use, or else what `build` makes.

    `kind` tells layouts apart, `weights` is the SHA-256 of a file or `random`.
    """
    key = (kind, weights, device)
    with _building:
        network = _alive.get(key)
        if network is None:
            _alive[key] = network = build()
        return network
